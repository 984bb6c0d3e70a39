"""The commands of ``tongjie``, one module each."""
