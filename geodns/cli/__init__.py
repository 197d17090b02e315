"""The front door: one module for each group of verbs; refuses to hold any logic that a program could want."""

from geodns.cli.app import main

__all__ = ["main"]
