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
    """The cells of IPv4 as intervals: ascending starts with a 0 behind the last, and their outcomes, searched by bisection.

    `top[n]` is how many starts lie below n << `shift`, so a bisection looks at one small block only (a /16 where there are many
    cells, a /8 where there are few). Prefixes with their lengths would save a look-up 0.16 µs of arithmetic, for 3.6 times the
    memory: continents by a country database are 37,686 intervals of 5 octets, or 85,089 prefixes of 8.
    """

    __slots__ = ("outcomes", "shift", "starts", "top")

    def __init__(self, layer: Layer) -> None:
        starts = layer.starts.high
        self.starts: array[int] = array("I", starts.astype(np.uint32).tobytes())
        self.starts.append(0)
        self.outcomes = _narrow(layer.indexes)
        self.shift = 32 - min(max(len(starts).bit_length() - 1, 8), 16)
        bounds = np.arange(0, (1 << 32) + 1, 1 << self.shift, dtype=np.uint64)
        self.top: array[int] = array("I", np.searchsorted(starts, bounds).astype(np.uint32).tobytes())

    def __len__(self) -> int:
        return len(self.outcomes)

    def find(self, address: int) -> Cell:
        """The outcome for an address, and its scope."""
        upper = address >> self.shift
        after = bisect_right(self.starts, address, self.top[upper], self.top[upper + 1])
        return Cell(self.outcomes[after - 1], scope(address, self.starts[after - 1], self.starts[after], 33))


def _narrow(indexes: Indexes) -> array[int]:
    """Outcomes in as few octets as they need."""
    largest = int(indexes.max())
    code, kind = ("B", np.uint8) if largest < 1 << 8 else ("H", np.uint16) if largest < 1 << 16 else ("I", np.uint32)
    return array(code, indexes.astype(kind).tobytes())


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
        self.starts: array[int] = array("Q", starts.high.tobytes())
        self.outcomes = _narrow(indexes)

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
        return Cell(self.outcomes[index], scope(address, first, after, 129))

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
        return Cell(outcome, scope(address, first, after, 129))

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


def scope(address: int, first: int, after: int, bits: int) -> int:
    """The shortest prefix length around an address that stays within [first, after); `after` 0 is the end of the space.

    A prefix of length L holds `first - 1` exactly if the address shares L leading bits with it; likewise `after`. `bits` is one
    more than an address has.
    """
    beyond = 1 << (bits - 1)  # what shares no leading bit with any address
    left = address ^ (first - 1) if first else beyond
    right = address ^ after if after else beyond
    return bits - (left if left < right else right).bit_length()


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
