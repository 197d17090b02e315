"""Owns serial number arithmetic (RFC 1982), by which zones and cookies count; refuses to know what is counted."""

from __future__ import annotations

from collections.abc import Iterable

_ALL, _HALF = 1 << 32, 1 << 31


def distance(earlier: int, later: int) -> int:
    """How far `later` is ahead of `earlier`, negative if it is behind; half the circle away is ahead of either (§3.2)."""
    passed = (later - earlier) % _ALL
    return passed - _ALL if passed > _HALF else passed


def newest(serials: Iterable[int]) -> int | None:
    """The serial that is ahead of all others; None if there is none: they are too far apart to be ordered (§3.2)."""
    known = set(serials)
    for serial in known:
        if all(0 <= distance(other, serial) < _HALF for other in known):
            return serial
    return None
