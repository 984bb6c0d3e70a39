"""Chinese UHF reader families, one module each: frames, framer and description, without I/O."""
