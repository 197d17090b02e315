"""Owns what a gate leaves to others: its status, to read and to put right, and how to withdraw without it; refuses to judge."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from geodns.ops.announce import _files
from geodns.ops.announce._course import State
from geodns.ops.announce._gate import GATE_LOCK, STATUS

log = logging.getLogger("geodns.announce")

WAY = "announce.way"


def remember(directory: Path, way: dict[str, Any]) -> None:
    """Leave word how to withdraw what is announced, for when there is neither a gate nor a configuration; raises OSError.

    The directory should be the gate's alone: what is written there names a program to run.
    """
    _files.write(directory / WAY, way)


def recall(directory: Path) -> dict[str, Any] | None:
    """What the last gate of this boot has left; None for nothing that could be believed.

    That is only what this very user wrote: whoever may write there must not choose what another user runs.
    """
    try:
        return _files.read(directory / WAY, own=True)
    except (OSError, ValueError):
        return None


def forget(directory: Path) -> None:
    """Have the next gate believe nothing to be announced, for somebody has withdrawn it."""
    try:
        told = _files.read(directory / STATUS)
        if told is None or _files.holder(directory / GATE_LOCK) is not None:
            return
        courses = told.get("courses", {})
        told["courses"] = {prefix: course | {"state": State.WITHDRAWN.value} for prefix, course in courses.items()}
        for each in told["prefixes"]:
            each["announced"] = State.WITHDRAWN.value
        _files.write(directory / STATUS, told)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("the status of the last gate cannot be corrected: %s", error)


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
