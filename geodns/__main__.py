"""Lets `python -m geodns` do what the command `geodns` does."""

from geodns.cli import main

main()
