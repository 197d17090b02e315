"""Owns the states that others know: what was posted and what watched files say, with its age; refuses to know when to look."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from geodns.ops.health._values import ExternalCheck, Failed, NoState, Passed, Result, Target, shown

_FILE_OCTETS = 4 << 20
_WORDS = {"up": True, "down": False}
_AHEAD = 300.0  # seconds that another machine's clock may be ahead; a state from further in the future has no known age


@dataclass(frozen=True, slots=True)
class Posted:
    """A state and the unix time from which its age counts."""

    up: bool
    at: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file said: one state for all (`whole`), or states by key, as of `at`; `fault` is a sentence when it said neither."""

    at: float
    stamp: tuple[int, ...]
    whole: bool | None = None
    by_key: Mapping[str, bool] | None = None
    fault: str = ""


_NEVER_READ = Reading(0.0, ())


def read(path: Path, before: Reading = _NEVER_READ) -> Reading:
    """Read a file of states; the reading of before when the file is still the same. Blocks as files do; never raises."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp == before.stamp:
                return before
            octets = file.read(_FILE_OCTETS + 1)
    except OSError as error:
        return Reading(0.0, (), fault=f"{path} cannot be read: {error.strerror}")
    try:
        whole, by_key = _parsed(octets)
    except ValueError as error:
        return Reading(status.st_mtime, stamp, fault=f"{path} {error}")
    return Reading(status.st_mtime, stamp, whole, by_key)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe would wait for its writer


def _parsed(octets: bytes) -> tuple[bool | None, dict[str, bool] | None]:
    if len(octets) > _FILE_OCTETS:
        raise ValueError(f"has more than {_FILE_OCTETS >> 20} MiB")
    text = octets.decode(errors="replace").strip()
    if text in _WORDS:
        return _WORDS[text], None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("holds neither 'up' or 'down' nor a JSON object") from None
    if not isinstance(value, dict):
        raise ValueError("holds neither 'up' or 'down' nor a JSON object")
    for key, word in value.items():
        if not isinstance(word, str) or word not in _WORDS:
            raise ValueError(f"says {shown(json.dumps(word))} of {shown(key)}, neither 'up' nor 'down'")
    return None, {key: _WORDS[word] for key, word in value.items()}


def outcome(target: Target, check: ExternalCheck, posted: Posted | None, reading: Reading | None, now: float) -> Result | NoState:
    """What counts for a target at unix time `now`: the younger of what was posted and what its file says."""
    in_file = _in_file(target.key, reading)
    known = max((state for state in (posted, in_file) if state), key=lambda state: state.at, default=None)
    if known is None:
        if reading and reading.fault:
            return NoState(reading.fault)
        return NoState(f"{check.file} does not name {target.key}" if check.file else "no state was posted yet")
    age = now - known.at
    source = "posted" if known is posted else f"read from {check.file}"
    if age < -_AHEAD:
        return NoState(f"the state {source} is from the future, by this machine's clock")
    if age > check.max_age:
        return NoState(f"the last state is older than {check.max_age:g} s")
    return Result(known.up, "" if known.up else f"down, as {source}", 0.0, None, source)


def _in_file(key: str, reading: Reading | None) -> Posted | None:
    if reading is None:
        return None
    up = reading.whole if reading.whole is not None else (reading.by_key or {}).get(key)
    return None if up is None else Posted(up, reading.at)


def check_file(check: ExternalCheck, key: str, now: float) -> Passed:
    """Read the state of one target once, as a probe does; `Failed` when it is down or nobody says."""
    if check.file is None:
        raise Failed("its state is posted: there is nothing to probe")
    found = outcome(Target("", check, 0.0, 0.0, key), check, None, read(check.file), now)
    if isinstance(found, NoState):
        raise Failed(found.reason)
    if not found.ok:
        raise Failed(found.error)
    return Passed(found.detail)


class Board:
    """The external states of all watched targets, and what was last reported of each."""

    def __init__(self, report: Callable[[Target, Result | NoState], None]) -> None:
        self._report = report
        self._targets: dict[str, list[Target]] = {}
        self._posted: dict[str, Posted] = {}
        self._readings: dict[Path, Reading] = {}
        self._told: dict[Target, tuple[object, ...]] = {}

    def watch(self, targets: Iterable[Target]) -> None:
        """Replace the targets; what was posted for those that stay is kept."""
        self._targets = {}
        for target in targets:
            self._targets.setdefault(target.key, []).append(target)
        self._posted = {key: posted for key, posted in self._posted.items() if key in self._targets}
        watched = {target for targets in self._targets.values() for target in targets}
        self._told = {target: told for target, told in self._told.items() if target in watched}

    def post(self, key: str, posted: Posted, now: float) -> None:
        """A state from outside, judged and reported at unix time `now`; KeyError when no target has that key."""
        if key not in self._targets:
            raise KeyError(key)
        self._posted[key] = posted
        self._tell(self._targets[key], now)

    def files(self) -> dict[Path, Reading]:
        """The files to read, with what each said the last time."""
        checks = (_check(target) for targets in self._targets.values() for target in targets)
        return {check.file: self._readings.get(check.file, _NEVER_READ) for check in checks if check.file}

    def take(self, readings: dict[Path, Reading], now: float) -> None:
        """What the files say at unix time `now`: report what is new, and what has grown too old."""
        self._readings = readings
        for targets in self._targets.values():
            self._tell(targets, now)

    def _tell(self, targets: list[Target], now: float) -> None:
        for target in targets:
            check, posted = _check(target), self._posted.get(target.key)
            reading = self._readings.get(check.file) if check.file else None
            found = outcome(target, check, posted, reading, now)
            told = (found, posted, reading.stamp if reading else None)
            if told != self._told.get(target):
                self._told[target] = told
                self._report(target, found)


def _check(target: Target) -> ExternalCheck:
    if not isinstance(target.check, ExternalCheck):
        raise TypeError(f"{target.key} is not external")
    return target.check
