"""Owns the files through which daemon and gate speak: whole, of this boot, locked by one; refuses to know what they say.

Their times are seconds since the machine started (CLOCK_BOOTTIME), so a clock that is set makes nothing old or new. They are not
forced to the disk: after a crash of the machine nothing of them would be true.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

_LONGEST = 4 << 20  # octets
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_TRIES, _LOOKING = 100, 0.001  # to take a lock that is only looked at, and seconds in between


def now() -> float:
    """Seconds since this machine started, sleep included; where it has no such clock, one that never goes back."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot() -> str:
    """Which start of the machine this is; "" where nobody tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def write(file: Path, value: dict[str, Any]) -> None:
    """Put a value in place of the one before, at once; raises OSError.

    Where there is no room for both, it is written over the one before: a disk that is full of logs must take no route away.
    """
    octets = json.dumps({"boot": boot(), **value}).encode()
    beside = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        with open(handle, "wb") as out:
            _give(handle, file.parent)
            out.write(octets)
        beside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        if error.errno not in _NO_ROOM or not _written_over(file, octets):
            raise


def _written_over(file: Path, octets: bytes) -> bool:
    """Write in place, in one call: the octets that are too many become blanks, which mean nothing in JSON."""
    with contextlib.suppress(OSError):
        handle = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            padded = octets.ljust(os.fstat(handle).st_size)
            return os.pwrite(handle, padded, 0) == len(padded)
        finally:
            os.close(handle)
    return False


def _give(handle: int, directory: Path) -> None:
    """What root writes belongs to whom the directory does: a daemon that is somebody else must be able to read and lock it."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def read(file: Path, *, own: bool = False) -> dict[str, Any] | None:
    """The value of this boot that was written last; None for none. Raises OSError, or ValueError for what is no such file.

    With `own` a file of another user is none, too.
    """
    try:
        return _read(file, own=own)
    except ValueError:
        return _read(file, own=own)  # it may just have been written over


def _read(file: Path, *, own: bool) -> dict[str, Any] | None:
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no regular file")
        if own and os.fstat(handle).st_uid != os.geteuid():
            raise ValueError("it belongs to another user")
        octets = opened.read(_LONGEST)
    try:
        value = json.loads(octets)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is not of the form in which it is written")
    return value if value.get("boot") == boot() else None


class Lock:
    """A lock that ends with the process that holds it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._handle: int | None = None

    @property
    def pid(self) -> int:
        """The process that asks: who holds it, if it is held here."""
        return os.getpid()

    def take(self, pid: int = 0) -> int | None:
        """Take it; None if that was possible, else the pid of who has it, 0 if that is not known. Raises OSError.

        `pid` is whom others are told, where that is not this process.
        """
        if self._handle is not None:
            return None
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
        try:
            if not _is_taken(handle):
                told = os.pread(handle, 20, 0).strip()
                os.close(handle)
                return int(told) if told.isdigit() else 0
            _give(handle, self.file.parent)
        except OSError:
            os.close(handle)
            raise
        with contextlib.suppress(OSError):  # without room for it nobody is told who has the lock; it is held all the same
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{pid or os.getpid()}\n".encode(), 0)
        self._handle = handle
        return None

    def release(self) -> None:
        """Give it up."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _is_taken(handle: int) -> bool:
    """Lock a file that is open, unless somebody has it. Who only looks for that shares it for a moment, which is waited for."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        time.sleep(_LOOKING)
    return False


def holder(file: Path) -> int | None:
    """The pid of who holds a lock, 0 if it cannot be told; None if nobody does, or there is no such lock."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        told = os.pread(handle, 20, 0).strip()
        return int(told) if told.isdigit() else 0
    finally:
        os.close(handle)
    return None
