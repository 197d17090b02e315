"""Owns memory that processes share across forks: counters, octets and one text; refuses to know what they mean.

Each piece has one writer at a time. Readers never block: they read again if what they read was being written.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_WORD = 8  # octets of a counter
_TRIES = 1000  # of a reader; a writer is done within microseconds, unless it was killed in between
_SLATE_HEAD = struct.Struct("=QQ")  # version, even when nothing is being written, and length


class NoRow(OSError):
    """All rows of a tally are in use: more processes live than were thought of."""


class Tally:
    """Counters of many processes, a row for each that lives and one for all that are gone; the sum over rows only grows.

    `words` is how many different counters there can be. Memory that is never written costs nothing.
    """

    def __init__(self, rows: int, words: int) -> None:
        self._memory = mmap.mmap(-1, _WORD * (1 + (rows + 1) * words))
        self._words = words
        self._free = list(range(1, rows + 1))
        self._table: npt.NDArray[np.uint64] = np.frombuffer(self._memory, dtype=np.uint64, offset=_WORD).reshape(rows + 1, words)
        self._version: npt.NDArray[np.uint64] = np.frombuffer(self._memory, dtype=np.uint64, count=1)

    def take(self) -> int:
        """A row for a new process; raises NoRow. Only where the processes are made."""
        if not self._free:
            raise NoRow("all rows of counters are in use")
        return self._free.pop()

    def give_back(self, row: int) -> None:
        """Keep what a process that is gone has counted, and let its row be used again. Only where the processes are made."""
        self._version += np.uint64(1)
        self._table[0] += self._table[row]
        self._table[row] = 0
        self._version += np.uint64(1)
        self._free.append(row)

    def publish(self, row: int, values: Sequence[int]) -> None:
        """Show a process's counters, the first ones of its row."""
        self._table[row, : len(values)] = np.frombuffer(array("Q", values), dtype=np.uint64)

    def totals(self, count: int) -> list[int]:
        """The first so many counters, summed over all processes that ever were."""
        for _ in range(_TRIES):
            before = int(self._version[0])
            sums: list[int] = self._table[:, :count].sum(axis=0).tolist()
            if not before & 1 and int(self._version[0]) == before:
                break
        return sums


class Board:
    """Octets that one process writes and all others read, and a version that tells them when to look."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, _WORD + max(size, 1))
        self._size = size

    @property
    def version(self) -> int:
        """Another number after each change."""
        return self._memory[0] | self._memory[1] << 8  # octet by octet, but nobody looks away for 65,536 changes

    def write(self, octets: bytes) -> None:
        """Replace all octets, and tell it, if they differ; exactly as many as there are."""
        if octets == self.read():
            return
        self._memory[_WORD : _WORD + self._size] = octets
        version = self.version + 1
        self._memory[1] = version >> 8 & 0xFF
        self._memory[0] = version & 0xFF

    def read(self) -> bytes:
        """The octets as they are; of a change that is under way some may be old: its version comes last."""
        return self._memory[_WORD : _WORD + self._size]


class Slate:
    """One text that one process at a time writes and others read whole, or not at all."""

    def __init__(self, capacity: int) -> None:
        self._memory = mmap.mmap(-1, _SLATE_HEAD.size + capacity)
        self.capacity = capacity

    def write(self, octets: bytes) -> None:
        """Replace the text; raises ValueError if it is too long, and leaves the old one."""
        if len(octets) > self.capacity:
            raise ValueError(f"{len(octets)} octets, more than the {self.capacity} that there is room for")
        version, _ = _SLATE_HEAD.unpack_from(self._memory)
        version |= 1  # whoever was killed while writing has left it odd
        _SLATE_HEAD.pack_into(self._memory, 0, version, 0)
        self._memory[_SLATE_HEAD.size : _SLATE_HEAD.size + len(octets)] = octets
        _SLATE_HEAD.pack_into(self._memory, 0, version + 1, len(octets))

    def read(self) -> bytes:
        """The text; b"" if there is none, or its writer was killed while writing."""
        for _ in range(_TRIES):
            before = _SLATE_HEAD.unpack_from(self._memory)
            octets = self._memory[_SLATE_HEAD.size : _SLATE_HEAD.size + before[1]]
            if not before[0] & 1 and _SLATE_HEAD.unpack_from(self._memory) == before:
                return octets
        return b""
