"""Owns what holds for every test."""

from __future__ import annotations

from hypothesis import settings

# How long an example may take says something of the machine only; a test that hangs is ended by its timeout.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
