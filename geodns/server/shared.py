"""Owns memory that processes share across forks: counters, octets and one text; refuses to know what they mean.

Each piece has one writer at a time. Readers never block: they read again if what they read was being written.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_WORD = 8  # octets of a counter
_TRIES = 1000  # of a reader; a writer is done within microseconds, unless it was killed in between
_TEXT_AT = 3 * _WORD  # where the texts of a slate begin


class NoRow(OSError):
    """All rows of a tally are in use: more processes live than were thought of."""


class Tally:
    """Counters of many processes, a row for each that lives and one for all that are gone; the sum over rows only grows.

    `words` is how many different counters there can be. Memory costs nothing until it is written, or its row given back.
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

    def write(self, octets: bytes, *, anyway: bool = False) -> None:
        """Replace all octets, and tell it, if they differ; exactly as many as there are.

        A new writer tells it `anyway`: its predecessor may have been killed between the one and the other.
        """
        if octets == self.read() and not anyway:
            return
        self._memory[_WORD : _WORD + self._size] = octets
        version = self.version + 1
        self._memory[1] = version >> 8 & 0xFF
        self._memory[0] = version & 0xFF

    def read(self) -> bytes:
        """The octets as they are; of a change that is under way some may be old: its version comes last."""
        return self._memory[_WORD : _WORD + self._size]


class Slate:
    """One text that one process at a time writes and others read whole.

    There are two places: the next text goes where the current one is not, and a number then tells that it counts. So readers find
    a text also while another is written, and after its writer was killed while writing.
    """

    def __init__(self, capacity: int) -> None:
        self._memory = mmap.mmap(-1, _TEXT_AT + 2 * capacity)
        self._head = memoryview(self._memory)[:_TEXT_AT].cast("Q")  # how many texts there were, and the length of the last two
        self.capacity = capacity

    def write(self, octets: bytes) -> None:
        """Replace the text; raises ValueError if it is too long, and leaves the old one."""
        if len(octets) > self.capacity:
            raise ValueError(f"{len(octets)} octets, more than the {self.capacity} that there is room for")
        version = self._head[0] + 1
        begin = self._begin(version)
        self._memory[begin : begin + len(octets)] = octets
        self._head[1 + (version & 1)] = len(octets)
        self._head[0] = version  # 8 octets at once: nobody sees a half of it

    def read(self) -> bytes:
        """The text; b"" if there is none."""
        for _ in range(_TRIES):
            version = self._head[0]
            begin = self._begin(version)
            octets = self._memory[begin : begin + self._head[1 + (version & 1)]]
            if self._head[0] == version:  # else the text after the next may have gone where this one was
                return octets
        raise TimeoutError(f"a text that was replaced {_TRIES} times while it was read")

    def _begin(self, version: int) -> int:
        return _TEXT_AT + (version & 1) * self.capacity
