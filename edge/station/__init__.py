"""The staff station: what lies on a pad, tag by tag, and what staff do with it: encode, convert, name an owner, repair security."""
