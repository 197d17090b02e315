"""Owns which other files a master file draws in; refuses to read records, and to judge what it finds."""

from __future__ import annotations

import re
from pathlib import Path

from geodns.zone.master import MAX_DEPTH

_INCLUDE = re.compile(rb'^\$INCLUDE[ \t]+(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE | re.MULTILINE)


def includes(path: Path) -> tuple[Path, ...]:
    """Every file that `$INCLUDE` (RFC 1035 §5.1) draws into a master file, directly or through another; sorted.

    They need not exist. A line inside a quoted string may be taken for a directive: better one file too many than one too few.
    Raises nothing: a file that cannot be read includes nothing.
    """
    found: set[Path] = set()
    level = {path}
    for _ in range(MAX_DEPTH):
        level = {path.parent / name for file in level for name in _named(file)} - found
        found |= level
    return tuple(sorted(found))


def _named(file: Path) -> list[str]:
    try:
        octets = file.read_bytes() if file.is_file() else b""
    except (OSError, ValueError):
        return []
    names = (quoted or plain for quoted, plain in _INCLUDE.findall(octets))
    return [name.decode("utf-8", "surrogateescape") for name in names if name and b"\0" not in name]
