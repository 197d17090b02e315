"""Owns cuts of address space laid over each other: how much has which outcomes, and where; refuses to know what these mean."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

import numpy as np
import numpy.typing as npt

from geodns.geo.address import BITS, Network, Version
from geodns.geo.layer import Layer, Numbers, Starts, distinct, empty, merged, overlay
from geodns.geo.partition import Ipv4Prefixes, Ipv6Prefixes

Prefixes = Ipv4Prefixes | Ipv6Prefixes

UNCUT = -1
"""Outcome in a cut that there is not: all of address space is alike."""

Joint = dict[tuple[int, ...], float]
"""How much of address space, as a part of 1, has these outcomes: one of each cut."""

Found = tuple[tuple[Network, ...], int]
"""Prefixes in ascending order, and how many ranges of addresses are not or not wholly among them."""


class Alignment:
    """Several cuts of one address family laid over each other; None is a cut that leaves it whole. One may be there twice.

    Address space is walked once. What follows for outcomes is worked out over combinations of classes, which are few.
    """

    def __init__(self, version: Version, tables: Sequence[Prefixes | None]) -> None:
        self._version = version
        distinct_tables = list({id(table): table for table in tables}.values())
        self._starts, found = overlay([empty() if table is None else _layer(table) for table in distinct_tables])
        column_of = {id(table): column for table, column in zip(distinct_tables, found, strict=True)}
        columns = [column_of[id(table)] for table in tables]
        one_of, self._kinds = distinct(columns, len(self._starts))
        self._classes = [column[one_of] for column in columns]
        cells = _sizes(self._starts, BITS[version])
        self._sums = np.append(0.0, np.cumsum(cells))
        self._sizes = np.bincount(self._kinds, weights=cells, minlength=len(one_of))

    def joint(self, outcomes: Sequence[array[int] | None]) -> Joint:
        """How much has which outcomes; for each cut the outcomes of its classes, None for one that leaves space whole."""
        rows, number = self._judged(outcomes)
        sizes = np.bincount(number, weights=self._sizes, minlength=len(rows))
        return dict(zip(rows, sizes.tolist(), strict=True))

    def where(self, outcomes: Sequence[array[int] | None], groups: Mapping[tuple[int, ...], int], limit: int) -> list[Found]:
        """Prefixes of the addresses whose outcomes are of group 0, of group 1, and so on; outcomes in no group are left out.

        At most `limit` prefixes of each: those of its largest ranges.
        """
        rows, number = self._judged(outcomes)
        group_of = np.fromiter((groups.get(row, -1) for row in rows), dtype=np.int32, count=len(rows))
        group = group_of[number][self._kinds]
        first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
        after = np.append(first[1:], len(group))
        sizes, group = self._sums[after] - self._sums[first], group[first]
        found = []
        for wanted in range(max(groups.values()) + 1):
            ranges = np.flatnonzero(group == wanted)
            largest = np.sort(ranges[np.argsort(-sizes[ranges], kind="stable")[:limit]])
            found.append(self._prefixes(first[largest].tolist(), after[largest].tolist(), limit, len(ranges)))
        return found

    def _prefixes(self, first: list[int], after: list[int], limit: int, ranges: int) -> Found:
        """At most so many prefixes of runs of cells, out of so many runs that there are."""
        found: list[Network] = []
        for shown, (begin, end) in enumerate(zip(first, after, strict=True)):
            found += _summary(self._version, self._address(begin), self._address(end) - 1)
            if len(found) > limit:
                return tuple(found[:limit]), ranges - shown
        return tuple(found), ranges - len(first)

    def _judged(self, outcomes: Sequence[array[int] | None]) -> tuple[list[tuple[int, ...]], Numbers]:
        """Every combination of outcomes that there is, and which of them each combination of classes has."""
        columns = [
            np.full(len(classes), UNCUT, dtype=np.int32) if of is None else np.asarray(of).astype(np.int32)[classes]
            for of, classes in zip(outcomes, self._classes, strict=True)
        ]
        one_of, number = distinct([column - UNCUT for column in columns], len(columns[0]))
        return list(zip(*(column[one_of].tolist() for column in columns), strict=True)), number

    def _address(self, number: int) -> int:
        """Where a cell begins; behind the last one, where address space ends."""
        if number == len(self._starts):
            return 1 << BITS[self._version]
        high = int(self._starts.high[number])
        if self._version == 4:
            return high
        return high << 64 | (0 if self._starts.low is None else int(self._starts.low[number]))


def alike(one: Prefixes, other: Prefixes) -> bool:
    """Whether two tables cut address space alike, class by class."""
    if one is other:
        return True
    if one.starts != other.starts or one.classes != other.classes:
        return False
    return not isinstance(one, Ipv6Prefixes) or not isinstance(other, Ipv6Prefixes) or one.longer == other.longer


def _summary(version: Version, first: int, last: int) -> list[Network]:
    if version == 4:
        return list(summarize_address_range(IPv4Address(first), IPv4Address(last)))
    return list(summarize_address_range(IPv6Address(first), IPv6Address(last)))


def _layer(prefixes: Prefixes) -> Layer:
    high = np.asarray(prefixes.starts).astype(np.uint64)
    classes = np.asarray(prefixes.classes).astype(np.int32)
    if isinstance(prefixes, Ipv4Prefixes) or not prefixes.longer:
        return merged(Layer(Starts(high), classes))
    whole = ~np.isin(high, np.fromiter(prefixes.longer, dtype=np.uint64))  # the class of a cut /64 means nothing
    highs, lows, kinds = [high[whole]], [np.zeros(int(whole.sum()), dtype=np.uint64)], [classes[: len(high)][whole]]
    for upper, (pieces, first) in prefixes.longer.items():
        highs.append(np.full(len(pieces), upper, dtype=np.uint64))
        lows.append(np.asarray(pieces).astype(np.uint64))
        kinds.append(classes[first : first + len(pieces)])
    high, low = np.concatenate(highs), np.concatenate(lows)
    order = np.lexsort((low, high))
    return merged(Layer(Starts(high[order], low[order]), np.concatenate(kinds)[order]))


def _sizes(starts: Starts, bits: int) -> npt.NDArray[np.float64]:
    """How much of address space each cell is."""
    words = 32 if bits == 32 else 64
    upper = np.diff(starts.high).astype(np.float64)
    sizes = np.append(upper, float((1 << words) - int(starts.high[-1])))
    if starts.low is not None:
        low = starts.low.astype(np.float64) / 2.0**64
        sizes += np.append(low[1:], 0.0) - low
    scaled: npt.NDArray[np.float64] = sizes / 2.0**words
    return scaled
