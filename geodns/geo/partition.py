"""Owns partitions: address space cut into disjoint cells of equal outcome, and the exact scope of each; refuses to know whose."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geodns.geo.address import Place, Version
from geodns.geo.layer import Indexes, Layer, Starts, Words
from geodns.geo.location import State

FALLBACK = int(State.LOCATED)
"""Outcome of a place that no rule names; smaller outcomes are the states in which a location must not be used."""

FIRST_RULE = FALLBACK + 1
"""Outcome of the first rule; rule n has FIRST_RULE + n."""


class Cell(NamedTuple):
    """What a look-up found: an outcome, and the shortest prefix length around the address in which it is the same."""

    outcome: int
    scope_prefix_length: int


class Ipv4Cells:
    """The cells of IPv4 as maximal prefixes: ascending starts, each with `outcome << 8 | prefix length`.

    `top[n]` is how many starts lie below n << `shift`, so a bisection looks at one small block only (a /16 where there are many
    cells, a /8 where there are few). Prefixes cost twice the memory of intervals, but need no arithmetic on neighbours.
    """

    __slots__ = ("packed", "shift", "starts", "top")

    def __init__(self, layer: Layer) -> None:
        starts, packed = _prefixes(layer.starts.high, layer.indexes)
        self.starts: array[int] = array("I")
        self.starts.frombytes(starts.astype(np.uint32).tobytes())
        self.packed: array[int] = array("I")
        self.packed.frombytes(packed.astype(np.uint32).tobytes())
        self.top: array[int] = array("I")
        self.shift = 32 - min(max(len(starts).bit_length() - 1, 8), 16)
        bounds = np.arange(0, (1 << 32) + 1, 1 << self.shift, dtype=np.uint64)
        self.top.frombytes(np.searchsorted(starts, bounds).astype(np.uint32).tobytes())

    def __len__(self) -> int:
        return len(self.starts)

    def find(self, address: int) -> Cell:
        """The outcome for an address, and its scope."""
        upper = address >> self.shift
        packed = self.packed[bisect_right(self.starts, address, self.top[upper], self.top[upper + 1]) - 1]
        return Cell(packed >> 8, packed & 0xFF)


def _prefixes(first: Words, outcomes: Indexes) -> tuple[Words, Words]:
    """Cut IPv4 intervals into maximal aligned prefixes, all intervals at once, one prefix off each in a round."""
    begin, end = first, np.append(first[1:], np.uint64(1 << 32))
    outcome = outcomes.astype(np.uint64)
    starts, packed = [], []
    while len(begin):
        aligned = np.where(begin == 0, np.uint64(1 << 32), begin & (~begin + np.uint64(1)))
        exponent = np.floor(np.log2(np.minimum(aligned, end - begin).astype(np.float64))).astype(np.uint64)
        starts.append(begin)
        packed.append(outcome << np.uint64(8) | (np.uint64(32) - exponent))
        begin = begin + (np.uint64(1) << exponent)
        left = begin < end
        begin, end, outcome = begin[left], end[left], outcome[left]
    ascending = np.concatenate(starts)
    order = np.argsort(ascending, kind="stable")
    return ascending[order], np.concatenate(packed)[order]


class Ipv6Cells:
    """The cells of IPv6 as intervals: ascending starts and their outcomes, searched by bisection.

    Starts are kept by their upper 64 bits; the few cells that start below those (networks longer than /64) hang in `longer`:
    upper bits → (all lower starts, their outcomes).
    """

    __slots__ = ("longer", "outcomes", "starts")

    def __init__(self, layer: Layer) -> None:
        self.longer: dict[int, tuple[array[int], array[int]]] = {}
        starts, indexes = layer.starts, layer.indexes
        if starts.low is not None:
            starts, indexes = self._hang_longer(starts.high, starts.low, indexes)
        self.starts: array[int] = array("Q")
        self.starts.frombytes(starts.high.tobytes())
        narrow = int(indexes.max()) < 1 << 16
        self.outcomes: array[int] = array("H" if narrow else "I")
        self.outcomes.frombytes(indexes.astype(np.uint16 if narrow else np.uint32).tobytes())

    def _hang_longer(self, high: Words, low: Words, indexes: Indexes) -> tuple[Starts, Indexes]:
        """Move cells that begin inside a /64 aside; what stays in the main array is, for such a /64, its last outcome."""
        inside = np.flatnonzero(low)
        for upper in np.unique(high[inside]):  # kept as uint64: mixed with int it would be compared as a float
            first, end = int(np.searchsorted(high, upper, "left")), int(np.searchsorted(high, upper, "right"))
            lows, outcomes = low[first:end].tolist(), indexes[first:end].tolist()
            if lows[0]:  # the cell before reaches into this /64
                lows, outcomes = [0, *lows], [int(indexes[first - 1]), *outcomes]
            self.longer[int(upper)] = array("Q", lows), array("I", outcomes)
        last = np.ones(len(high), dtype=np.bool_)
        np.not_equal(high[1:], high[:-1], out=last[:-1])
        return Starts(high[last]), indexes[last]

    def __len__(self) -> int:
        return len(self.starts) + sum(len(lows) - 1 for lows, _ in self.longer.values())

    def find(self, address: int) -> Cell:
        """The outcome for an address, and its scope."""
        starts = self.starts
        upper = address >> 64
        index = bisect_right(starts, upper) - 1
        if self.longer:
            return self._find_long(address, upper, index)
        first = starts[index] << 64
        after = starts[index + 1] << 64 if index + 1 < len(starts) else 0
        return Cell(self.outcomes[index], scope(address, first, after))

    def _find_long(self, address: int, upper: int, index: int) -> Cell:
        """As `find`, where some /64 is cut: a cell may begin or end inside one."""
        nested = self.longer.get(upper)
        if nested:
            lows, outcomes = nested
            at = bisect_right(lows, address & 0xFFFF_FFFF_FFFF_FFFF) - 1
            outcome = outcomes[at]
            first = upper << 64 | lows[at] if at else self._first(index, outcome)
            after = upper << 64 | lows[at + 1] if at + 1 < len(lows) else self._after(index)
        else:
            outcome = self.outcomes[index]
            first, after = self._first(index + 1, outcome), self._after(index)
        return Cell(outcome, scope(address, first, after))

    def _first(self, index: int, outcome: int) -> int:
        """Where the cell that holds the octets just before main cell `index` begins, if it has this outcome."""
        before = index - 1
        if before < 0 or self.outcomes[before] != outcome:
            return self.starts[index] << 64
        upper = self.starts[before]
        nested = self.longer.get(upper)
        return upper << 64 | nested[0][-1] if nested and len(nested[0]) > 1 else upper << 64

    def _after(self, index: int) -> int:
        """Where the cell that main cell `index` ends with ends itself: 0 for the end of address space."""
        following = index + 1
        if following >= len(self.starts):
            return 0
        upper = self.starts[following]
        nested = self.longer.get(upper)
        if nested and nested[1][0] == self.outcomes[index] and len(nested[0]) > 1:
            return upper << 64 | nested[0][1]
        return upper << 64


def scope(address: int, first: int, after: int) -> int:
    """The shortest IPv6 prefix length around an address that stays within [first, after); `after` 0 is the end of the space.

    A prefix of length L holds `first - 1` exactly if the address shares L leading bits with it; likewise `after`.
    """
    left = 129 - (address ^ (first - 1)).bit_length() if first else 0
    right = 129 - (address ^ after).bit_length() if after else 0
    return left if left > right else right


Cells = Ipv4Cells | Ipv6Cells


def cells_of(version: Version, layer: Layer) -> Cells:
    """Compile the outcomes of one address family."""
    return Ipv4Cells(layer) if version == 4 else Ipv6Cells(layer)


@dataclass(frozen=True, slots=True)
class Partition:
    """Both families cut by the outcomes of one set of rules; `named` tells which addresses an operator's network covers."""

    ipv4: Ipv4Cells
    ipv6: Ipv6Cells
    named: tuple[Cells, Cells] | None

    def find(self, place: Place) -> Cell:
        """The cell that holds an address; IPv4 inside IPv6 gets the scope of the whole IPv6 prefix."""
        cell = (self.ipv4 if place.version == 4 else self.ipv6).find(place.address)
        if place.embedded_bits:
            return Cell(cell.outcome, cell.scope_prefix_length + place.embedded_bits)
        return cell

    def is_named(self, place: Place) -> bool:
        """Whether a network that the operator wrote down decides for this address."""
        if self.named is None:
            return False
        return bool(self.named[place.version == 6].find(place.address).outcome)
