"""Owns how long round trips to client networks take: classes, a bounded table, a window of time; refuses to know who measured.

A network is remembered, never an address. What was forgotten is counted, so that kept and forgotten together are all that came.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, KeysView, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from math import inf, sqrt
from typing import Any

from geodns.geo.address import Version

Prefix = tuple[Version, int]
"""A client network: its first address as a number, of IPv6 the upper 64 bits. How long it is, is the same for all."""

BOUNDS = tuple(round(100 * 2 ** (step / 4)) for step in range(61))
"""Upper bounds of the classes in which round trips are counted, in microseconds: 0.1 ms to 3.3 s, each 1.19 times the last."""

_BLOCK = {
    4: 16,
    6: 32,
}  # bits of the second half of a prefix's number: what is left is a /16, or the /32 that an operator is given
_PART_OF_BLOCK = 32  # one block may have this part of a table


@dataclass(slots=True)
class RoundTrips:
    """Round trips of one network, or of many: how many in each class, and the fastest in microseconds.

    Exact where they are put together, in whatever order, and never more than 62 numbers. A client can answer a handshake late
    but not early, for it must have seen the number that it acknowledges: so the fastest is what tells the distance.
    """

    count: int = 0
    fastest: float = inf
    classes: dict[int, int] = field(default_factory=dict)

    def note(self, microseconds: int) -> None:
        """Add one."""
        number = bisect_left(BOUNDS, microseconds)
        self.count += 1
        self.classes[number] = self.classes.get(number, 0) + 1
        self.fastest = min(self.fastest, microseconds)

    def add(self, other: RoundTrips) -> None:
        """Add all of another."""
        self.count += other.count
        self.fastest = min(self.fastest, other.fastest)
        for number, count in other.classes.items():
            self.classes[number] = self.classes.get(number, 0) + count

    def quantile(self, part: float) -> float:
        """The round trip that this part of all does not exceed, in microseconds: right within 9 % (the middle of its class).

        Raises ValueError where there is none.
        """
        if not self.count:
            raise ValueError("nothing was measured")
        numbers = sorted(self.classes)
        sums = list(accumulate(self.classes[number] for number in numbers))
        number = numbers[bisect_left(sums, max(1.0, part * self.count))]
        return max(self.fastest, _middle(number))


def _middle(number: int) -> float:
    if number in {0, len(BOUNDS)}:
        return BOUNDS[min(number, len(BOUNDS) - 1)]
    return sqrt(BOUNDS[number - 1] * BOUNDS[number])


@dataclass(slots=True)
class _Kept:
    """A network of a table: `owed` is how much its predecessor in this place weighed."""

    trips: RoundTrips
    owed: int = 0

    @property
    def weight(self) -> int:
        return self.trips.count + self.owed


class Table:
    """Round trips of at most `capacity` networks: of those that come most often.

    Where it is full, a new network takes the place of that which weighs least, and inherits its weight, so that newcomers do not
    only push out each other (Space-Saving: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements
    in Data Streams", ICDT 2005). One block of addresses (a /16, in IPv6 a /32) has at most one 32nd of the places, and beyond
    that pushes out its own. So a network is always kept that has more than one `capacity`-th of all round trips, and more than
    32 `capacity`-ths of those of its block.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.forgotten_networks = 0
        self.forgotten_round_trips = 0
        self._kept: dict[Prefix, _Kept] = {}
        self._blocks: dict[Prefix, dict[Prefix, None]] = {}
        self._lightest: list[tuple[int, Prefix]] = []  # a heap; weights in it may be out of date, and are then too small

    @property
    def networks(self) -> Mapping[Prefix, RoundTrips]:
        """What is kept."""
        return {prefix: kept.trips for prefix, kept in self._kept.items()}

    @property
    def prefixes(self) -> KeysView[Prefix]:
        """Which networks are kept."""
        return self._kept.keys()

    def note(self, prefix: Prefix, microseconds: int) -> bool:
        """Add one round trip; whether another network had to go for it."""
        kept, before = self._kept.get(prefix), self.forgotten_networks
        if kept is None:
            kept = self._admit(prefix)
        kept.trips.note(microseconds)
        return self.forgotten_networks > before

    def _admit(self, prefix: Prefix) -> _Kept:
        block = self._blocks.setdefault(block_of(prefix), {})
        owed = 0
        if len(block) >= max(1, self.capacity // _PART_OF_BLOCK):
            owed = self._forget(min(block, key=lambda each: self._kept[each].weight))
        elif len(self._kept) >= self.capacity:
            owed = self._forget(self._pop_lightest())
        return self._keep(prefix, _Kept(RoundTrips(), owed))

    def _keep(self, prefix: Prefix, kept: _Kept) -> _Kept:
        self._kept[prefix] = kept
        self._blocks.setdefault(block_of(prefix), {})[prefix] = None
        heappush(self._lightest, (kept.weight, prefix))
        if len(self._lightest) > 4 * self.capacity:  # those that their own block has pushed out are still in it
            self._lightest = sorted((each.weight, known) for known, each in self._kept.items())
        return kept

    def _pop_lightest(self) -> Prefix:
        while True:
            weight, prefix = heappop(self._lightest)
            kept = self._kept.get(prefix)
            if kept is None:
                continue
            if kept.weight == weight:
                return prefix
            heappush(self._lightest, (kept.weight, prefix))

    def _forget(self, prefix: Prefix) -> int:
        kept = self._kept.pop(prefix)
        block = self._blocks[block_of(prefix)]
        del block[prefix]
        if not block:
            del self._blocks[block_of(prefix)]
        self.forgotten_networks += 1
        self.forgotten_round_trips += kept.trips.count
        return kept.weight

    def to_json(self) -> dict[str, Any]:
        """As values of JSON."""
        return {
            "forgotten": [self.forgotten_networks, self.forgotten_round_trips],
            "kept": [
                [*prefix, kept.owed, kept.trips.fastest, list(kept.trips.classes.items())] for prefix, kept in self._kept.items()
            ],
        }

    @classmethod
    def from_json(cls, value: Any, capacity: int) -> Table:
        """What `to_json` has made: the heaviest, where the capacity is smaller by now."""
        table = cls(capacity)
        table.forgotten_networks, table.forgotten_round_trips = value["forgotten"]
        kept: list[tuple[Prefix, _Kept]] = []
        for version, number, owed, fastest, pairs in value["kept"]:
            classes = {int(each): int(count) for each, count in pairs}
            kept.append(((version, number), _Kept(RoundTrips(sum(classes.values()), fastest, classes), owed)))
        kept.sort(key=lambda each: each[1].weight)
        for prefix, each in kept[max(0, len(kept) - capacity) :]:
            table._keep(prefix, each)
        for _, each in kept[: max(0, len(kept) - capacity)]:
            table.forgotten_networks += 1
            table.forgotten_round_trips += each.trips.count
        return table


def block_of(prefix: Prefix) -> Prefix:
    """The block of addresses that a network is charged to."""
    version, number = prefix
    return version, number >> _BLOCK[version]


class Window:
    """The round trips of the last time: of between half of `seconds` and all of it.

    Two tables, of this half and of the half before: what is over is forgotten as a whole, so that a route that was repaired looks
    well again. `began` is when the older of them did, in Unix time.
    """

    def __init__(self, seconds: float, capacity: int, now: float) -> None:
        self.seconds = seconds
        self.capacity = capacity
        self._tables = Table(capacity), Table(capacity)  # the half before, and this one
        self._turned = now
        self.began = now

    def note(self, prefix: Prefix, microseconds: int) -> bool:
        """Add one round trip; whether another network had to go for it."""
        return self._tables[1].note(prefix, microseconds)

    def turn(self, now: float) -> None:
        """Begin a new half if it is time."""
        elapsed = now - self._turned
        if elapsed < 0:  # the clock was set back
            self._turned, self.began = now, min(self.began, now)
        elif elapsed >= self.seconds:
            self._tables = Table(self.capacity), Table(self.capacity)
            self._turned = self.began = now
        elif elapsed >= self.seconds / 2:
            self._tables = self._tables[1], Table(self.capacity)
            self._turned, self.began = now, self._turned

    def networks(self) -> dict[Prefix, RoundTrips]:
        """What is kept of both halves, put together."""
        found: dict[Prefix, RoundTrips] = {}
        for table in self._tables:
            for prefix, trips in table.networks.items():
                found.setdefault(prefix, RoundTrips()).add(trips)
        return found

    @property
    def size(self) -> int:
        """How many networks are kept."""
        before, this = (table.prefixes for table in self._tables)
        return len(before | this)

    @property
    def forgotten(self) -> tuple[int, int]:
        """Networks that others have pushed out, and round trips that went with them."""
        return (
            sum(table.forgotten_networks for table in self._tables),
            sum(table.forgotten_round_trips for table in self._tables),
        )

    def to_json(self) -> dict[str, Any]:
        """As values of JSON."""
        return {"began": self.began, "turned": self._turned, "tables": [table.to_json() for table in self._tables]}

    @classmethod
    def from_json(cls, value: Any, seconds: float, capacity: int) -> Window:
        """What `to_json` has made, with the length and capacity of now. Raises ValueError for anything else."""
        try:
            window = cls(seconds, capacity, float(value["turned"]))
            window.began = float(value["began"])
            before, this = (Table.from_json(table, capacity) for table in value["tables"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no round trips: {error!r}") from error
        window._tables = before, this
        return window


def summed(many: Iterable[RoundTrips]) -> RoundTrips:
    """All of them together."""
    total = RoundTrips()
    for each in many:
        total.add(each)
    return total
