"""``python -m tongjie``."""

from tongjie.cli import main

main()
