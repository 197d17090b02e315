"""Owns reading what a gate tells of itself; refuses to change anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geodns.ops.announce import _files
from geodns.ops.announce._gate import GATE_LOCK, STATUS


def status(directory: Path) -> dict[str, Any] | None:
    """What the gate of a state directory has told last, and as `alive` whether it is at work; None for none since the boot.

    `age` is how many seconds ago that was. Raises OSError, or ValueError for a file that is none of a gate's.
    """
    told = _files.read(directory / STATUS)
    if told is None:
        return None
    if not {"prefixes", "checks", "siblings", "lease", "router", "renewed"} <= told.keys():
        raise ValueError("it is no status of a gate")
    age = max(_files.now() - float(told["renewed"]), 0.0)
    return {key: value for key, value in told.items() if key not in {"courses", "boot"}} | {
        "alive": _files.holder(directory / GATE_LOCK) is not None,
        "age": age,
    }
