"""Owns which other files a master file draws in; refuses to read records, and to judge what it finds."""

from __future__ import annotations

from pathlib import Path

from geodns.zone.master import MAX_DEPTH, included_by


def includes(path: Path) -> tuple[Path, ...]:
    """Every file that `$INCLUDE` (RFC 1035 §5.1) draws into a master file, directly or through another; sorted.

    They need not exist. Raises nothing: a file that cannot be read includes nothing.
    """
    found: set[Path] = set()
    level = {path}
    for _ in range(MAX_DEPTH):
        level = {path.parent / name for file in level for name in included_by(file) if "\0" not in name} - found
        found |= level
    return tuple(sorted(found))
