"""Owns the state directory: values that survive a restart, each in a file that is whole; refuses to know what they mean."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import inf, isfinite
from pathlib import Path
from time import time

from geodns.problem import Problem, Severity

log = logging.getLogger("geodns")

_VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_MAX_OCTETS = 64 * 2**20  # states of 100,000 addresses take a third of it; more is no file of ours
_AHEAD = 300.0  # seconds: a clock that was put right in between may have been this wrong
_MAX_SET_ASIDE = 9
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Kept:
    """A value as it was written, of JSON's kinds, and when: `written` is Unix time in seconds."""

    value: object
    written: float

    def age(self, now: float) -> float:
        """Seconds since it was written; infinite where the clock has gone back so far that nobody can say."""
        if self.written - now > _AHEAD:
            return inf
        return max(now - self.written, 0.0)


@dataclass(frozen=True, slots=True)
class NeverWritten:
    """There is no such file: the first start."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """There is a file, and nothing can be had from it; the problem is a warning that says why, and where it lies now."""

    problem: Problem


Found = Kept | NeverWritten | Unusable


class _Corrupt(ValueError):
    """What a file holds is not what was written to it; the message says how that shows."""


class StateDirectory:
    """Small values by name, in one directory. No fault of the disk reaches the caller as an exception.

    `troubled` tells whether something could not be written that is still to be; the log says when that begins and ends.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time) -> None:
        self.path = path
        self._clock = clock
        self._unwritten: set[str] = set()

    @property
    def troubled(self) -> bool:
        """Whether the newest value of some name is not on the disk."""
        return bool(self._unwritten)

    def write(self, name: str, value: object) -> bool:
        """Put a value of JSON's kinds in place of the one before, at once and for good; False where the disk does not let us.

        Then the old file is untouched, and the caller may try again later. It costs two fsyncs: meant for about once a second.
        Raises ValueError for a name that is none, TypeError or ValueError for a value that is not JSON.
        """
        octets = _encoded(value, self._clock())
        try:
            self._replace(self._file(name), octets)
        except OSError as error:
            self._begin_trouble(name, error)
            return False
        self._end_trouble(name)
        return True

    def read(self, name: str) -> Found:
        """The value last written, at a start. A file that is corrupt is set aside, so that the next write does not destroy it."""
        file = self._file(name)
        self._sweep(file)
        try:
            return _decoded(_octets(file))
        except FileNotFoundError:
            return NeverWritten()
        except OSError as error:
            return Unusable(_warning(file, f"the state cannot be read: {error.strerror}; starting without", _remedy(error)))
        except _Corrupt as fault:
            return Unusable(self._set_aside(file, str(fault)))

    def look(self, name: str) -> Found:
        """As `read`, for another process than the one that writes: nothing is moved or removed."""
        file = self._file(name)
        try:
            return _decoded(_octets(file))
        except FileNotFoundError:
            return NeverWritten()
        except OSError as error:
            return Unusable(_warning(file, f"the state cannot be read: {error.strerror}", _remedy(error)))
        except _Corrupt as fault:
            return Unusable(_warning(file, f"the state is corrupt: {fault}", "the server sets it aside when it starts"))

    def set_aside(self, name: str, fault: str) -> Problem:
        """Put a file away whose value makes no sense to its owner, so that the next write does not destroy it."""
        return self._set_aside(self._file(name), fault)

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' is no name for a state")
        return self.path / f"{name}.json"

    def _replace(self, file: Path, octets: bytes) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.getpid()}.new")
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as out:
                os.fchmod(handle, 0o600)  # a file that a killed process left may have been opened to others
                out.write(octets)
                out.flush()
                os.fsync(handle)
            beside.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        _sync_directory(self.path)

    def _sweep(self, file: Path) -> None:
        """Remove what writers that were killed have left; one that is at work would only have to write again."""
        with contextlib.suppress(OSError):
            for left in self.path.glob(f".{file.name}.*.new"):
                left.unlink()

    def _set_aside(self, file: Path, fault: str) -> Problem:
        aside = next(
            (path for path in (_aside(file, number) for number in range(1, _MAX_SET_ASIDE)) if not os.path.lexists(path)),
            _aside(file, _MAX_SET_ASIDE),  # whatever damages so many files has shown itself in the others
        )
        try:
            file.replace(aside)
        except OSError as error:
            what = f"the state is corrupt: {fault}; starting without, and it cannot be set aside: {error.strerror}"
            return _warning(file, what, _remedy(error))
        return _warning(
            file, f"the state is corrupt: {fault}; set aside as {aside}, starting without", f"look at {aside}, or remove it"
        )

    def _begin_trouble(self, name: str, error: OSError) -> None:
        if not self._unwritten:
            what = f"the state cannot be written: {error.strerror}; a restart now would forget what has changed"
            log.warning("%s", _warning(self.path, what, _remedy(error)))
        self._unwritten.add(name)

    def _end_trouble(self, name: str) -> None:
        if name in self._unwritten:
            self._unwritten.remove(name)
            if not self._unwritten:
                log.info("%s: the state is written again", self.path)


def _encoded(value: object, written: float) -> bytes:
    body = {"version": _VERSION, "written": written, "value": value}
    return json.dumps({"checksum": _checksum(body), **body}, allow_nan=False).encode() + b"\n"


def _checksum(body: dict[str, object]) -> str:
    """Of the values, not of their form: who formats the file with a tool does it no harm."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(canonical.encode()).hexdigest()


def _octets(file: Path) -> bytes:
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold up the start
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _Corrupt("it is no regular file")
        if status.st_size > _MAX_OCTETS:
            raise _Corrupt(f"it has {status.st_size:,} octets")
        with open(handle, "rb", closefd=False) as opened:
            return opened.read(_MAX_OCTETS)
    finally:
        os.close(handle)


def _decoded(octets: bytes) -> Kept:
    if not octets:
        raise _Corrupt("it is empty")
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError, too
        raise _Corrupt("it is not JSON, or cut short") from None
    if not isinstance(document, dict) or not {"version", "written", "value", "checksum"} <= document.keys():
        raise _Corrupt("it is not of the form in which states are written")
    if document["version"] != _VERSION:
        raise _Corrupt(f"it is of version {document['version']!r:.20}, and this program knows version {_VERSION}")
    body = {key: document[key] for key in ("version", "written", "value")}
    try:
        agrees = _checksum(body) == document["checksum"]
    except (ValueError, RecursionError):
        agrees = False
    written = document["written"]
    if not agrees or not isinstance(written, int | float) or not isfinite(written):
        raise _Corrupt("its checksum is another")
    return Kept(document["value"], float(written))


def _sync_directory(path: Path) -> None:
    """Make the new name last, too, where the file system can do that."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def _aside(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.corrupt.{number}")


def _warning(file: Path, what: str, remedy: str) -> Problem:
    return Problem(str(file), 0, what, remedy, Severity.WARNING)


def _remedy(error: OSError) -> str:
    if error.errno in _NO_ROOM:
        return "make room on that disk"
    return "let this user write to the directory, or name another as server.state"
