"""The command line, the demo's supervisor and the tools of a systems librarian."""

__version__ = "0.1.0"
