"""Owns what would become of a pool's users if endpoints were down: who moves where, who bears what; refuses to know the present.

All of it follows from the orders and standings by which clients are answered, so what is foretold is what would happen. Users are
counted by the first address that they are answered with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geodns.answer.pools import Bands, Candidates, Endpoint, Pool, Roll, Standings, Verdict, WhenAllDown
from geodns.answer.steering import Steered, policies, steer
from geodns.geo import Atlas, Partition, PlaceSelector, Version
from geodns.geo.weights import AREAS, weights
from geodns.wire import Type

_NOTHING_MOVES = 1e-9
"""A part of users below which a difference is rounding."""

Parts = tuple[float, ...]
"""Parts of users by number of endpoint; at the end of those who get none of them."""


class NoUsers(Exception):
    """There is nobody whose way could be foretold; the message says why."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Where some users go before and after the event: `moved` is the part that changes its site.

    `last_resort` is the part that is afterwards answered with what is down, as nothing is up.
    """

    before: Parts
    after: Parts
    moved: float
    last_resort: float


@dataclass(frozen=True, slots=True)
class Area:
    """The users of one country: `users` is their part of all. `name` is a selector, or "" for a place without country."""

    name: str
    users: float
    flow: Flow

    @property
    def moves(self) -> bool:
        """Whether any of its users change their site."""
        return self.flow.moved > _NOTHING_MOVES


@dataclass(frozen=True, slots=True)
class Bearing:
    """What a site, or an endpoint (`site/endpoint`), bears: parts of all users, and of its capacity (0: none is declared).

    `used_…` is 1 where the capacity is used up; None where there is nothing to compare with.
    """

    name: str
    before: float
    after: float
    capacity_before: float
    capacity_after: float
    used_before: float | None
    used_after: float | None

    @property
    def is_overloaded(self) -> bool:
        """Whether it would bear more than it can."""
        return self.used_after is not None and self.used_after > 1 + _NOTHING_MOVES


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Users of a pool before and after an event, by area: those with the most users who move first.

    `capacities` are those of endpoints that are answered with, before and after. `demand` is what all users together are
    taken for, in the unit of capacity: the sum of declared loads; where there is none (`relative`) the sum of capacities, so
    that percentages only compare sites with each other. `unplaced` are countries whose users could not be placed.
    """

    pool: Pool
    areas: tuple[Area, ...]
    whole: Flow
    capacities: tuple[tuple[float, float], ...]
    demand: float
    relative: bool
    unplaced: tuple[str, ...]

    def by_site(self, parts: Parts) -> dict[str, float]:
        """Parts of users by site, the largest first; "" are those who get no endpoint."""
        return dict(sorted(_by_site(self.pool, parts).items(), key=lambda item: -item[1]))

    @property
    def sites(self) -> tuple[Bearing, ...]:
        """What each site bears, in the order of the configuration."""
        members: list[list[int]] = [[] for _ in self.pool.sites]
        for number, endpoint in enumerate(self.pool.endpoints):
            members[endpoint.site].append(number)
        return tuple(self._bearing(site, numbers) for site, numbers in zip(self.pool.sites, members, strict=True))

    @property
    def endpoints(self) -> tuple[Bearing, ...]:
        """What each endpoint bears."""
        return tuple(self._bearing(self.pool.label(number), [number]) for number in range(len(self.pool.endpoints)))

    def _bearing(self, name: str, numbers: Sequence[int]) -> Bearing:
        before, after = (sum(parts[number] for number in numbers) for parts in (self.whole.before, self.whole.after))
        able, left = (sum(self.capacities[number][when] for number in numbers) for when in (0, 1))
        used = [part * self.demand / capacity if capacity else None for part, capacity in ((before, able), (after, left))]
        return Bearing(name, before, after, able, left, used[0], used[1])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be thought over before the event."""
        return (*self._overloads(), *self._helpless())

    def _overloads(self) -> Iterator[str]:
        if self.relative:
            return
        full = {site.name for site in self.sites if site.is_overloaded}
        tight = (each for each in self.endpoints if each.is_overloaded and each.name.partition("/")[0] not in full)
        for each in (*(site for site in self.sites if site.is_overloaded), *tight):
            before = f" (before: {each.used_before:.0%})" if each.used_before is not None else ""
            yield f"{each.name} would bear {each.used_after:.0%} of its capacity{before}"

    def _helpless(self) -> Iterator[str]:
        if self.whole.last_resort > _NOTHING_MOVES:
            yield f"nothing is up for {self.whole.last_resort:.1%} of the users: they are answered with the first choice anyway"
        if self.whole.after[-1] > _NOTHING_MOVES:
            instead = "the plain records" if self.pool.when_all_down is WhenAllDown.FALLBACK else self.pool.when_all_down.upper()
            yield f"nothing is up for {self.whole.after[-1]:.1%} of the users: they get {instead}"

    @property
    def first_full(self) -> tuple[str, float] | None:
        """The site that is full first as users become more, and what all users then take of the pool's capacity together."""
        used = [(site.used_after, site.name) for site in self.sites if site.used_after]
        if not self.relative or not used:
            return None
        most, name = max(used, key=lambda item: item[0])
        return name, 1 / most

    def as_json(self) -> dict[str, Any]:
        """As a plain object. Parts are of 1; `unserved` are those who get no endpoint."""
        full = self.first_full
        return {
            "pool": self.pool.name,
            "steering": self.pool.steering.value,
            "moved": self.whole.moved,
            "last_resort": self.whole.last_resort,
            "unserved": self.whole.after[-1],
            "demand": self.demand,
            "relative": self.relative,
            "first_full": {"site": full[0], "demand": full[1]} if full else None,
            "areas": [self._area_json(area) for area in self.areas],
            "sites": [_bearing_json(each) for each in self.sites],
            "endpoints": [_bearing_json(each) for each in self.endpoints],
            "unplaced": list(self.unplaced),
            "warnings": list(self.warnings),
        }

    def _area_json(self, area: Area) -> dict[str, Any]:
        before, after = self.by_site(area.flow.before), self.by_site(area.flow.after)
        return {"area": area.name, "users": area.users, "moved": area.flow.moved, "before": before, "after": after}


def _bearing_json(each: Bearing) -> dict[str, Any]:
    return {
        "name": each.name,
        "before": each.before,
        "after": each.after,
        "capacity_before": each.capacity_before,
        "capacity_after": each.capacity_after,
        "used_before": each.used_before,
        "used_after": each.used_after,
    }


def what_if(
    pool: Pool,
    atlas: Atlas,
    regions: Mapping[str, tuple[PlaceSelector, ...]],
    event: tuple[Standings, Standings],
    version: Version,
    users: Mapping[str, float] | None = None,
) -> WhatIf:
    """Foretell an event: how standings are before and after it.

    Users are of one address family, and get addresses of it. They are as many as addresses in the databases, by country; or as
    many as `users` says by country code, spread within a country like its addresses. Raises BadDatabase, and NoUsers where
    nobody is left: no address has a place, or no country with users has an address.
    """
    policy = tuple(policies([pool], regions))
    areas, *steering = atlas.partitions([AREAS, *policy])
    steered = steer(pool, dict(zip(policy, steering, strict=True)), regions)
    counted = weights(areas, steering[0] if steering else areas, version)
    amounts = {name: sum(outcomes.values()) for name, outcomes in counted.items()}
    unplaced: tuple[str, ...] = ()
    if users is not None:
        unplaced = tuple(sorted(code for code, amount in users.items() if amount and f"country:{code}" not in counted))
        amounts = {name: users.get(name.removeprefix("country:"), 0.0) for name in counted if name.startswith("country:")}
    total = sum(amounts.values())
    if not total:
        raise NoUsers("no country with users has an address in the databases")
    oracle = _Oracle(steered, Type.A if version == 4 else Type.AAAA, event)
    found = [Area(name, amount / total, oracle.flow(counted[name])) for name, amount in amounts.items() if amount]
    found.sort(key=lambda area: (-area.users * area.flow.moved, -area.users, area.name))
    loads = sum(endpoint.load for endpoint in oracle.able)
    demand = loads or sum(endpoint.capacity for endpoint in oracle.able)
    whole = _blended((area.users, area.flow) for area in found)
    return WhatIf(pool, tuple(found), whole, oracle.capacities(), demand, not loads, unplaced)


class _Oracle:
    """What becomes of a client, for each order that there is."""

    def __init__(self, steered: Steered, rdtype: int, event: tuple[Standings, Standings]) -> None:
        self._steered = steered
        self._rolls = [Roll(steered.pool, rdtype, standings) for standings in event]
        self._flows: dict[int, Flow] = {}
        self._alike: Flow | None = None
        if not isinstance(steered.partition, Partition):  # all countries are alike: everybody has one order, or all in turn
            orders = steered.orders[1:] or steered.orders
            self._alike = _blended((1 / len(orders), self._of(bands)) for bands in orders)

    @property
    def able(self) -> list[Endpoint]:
        """The endpoints that have an address of the type."""
        return [self._steered.pool.endpoints[number] for number in self._rolls[0].able]

    def capacities(self) -> tuple[tuple[float, float], ...]:
        """What those endpoints can bear that are answered with, before and after."""
        before, after = (roll.eligible for roll in self._rolls)
        return tuple(
            (endpoint.capacity * (number in before), endpoint.capacity * (number in after))
            for number, endpoint in enumerate(self._steered.pool.endpoints)
        )

    def flow(self, outcomes: Mapping[int, float]) -> Flow:
        """Where the users of an area go, so many of each outcome."""
        if self._alike:
            return self._alike
        total = sum(outcomes.values())
        for outcome in outcomes.keys() - self._flows.keys():
            self._flows[outcome] = self._of(self._steered.bands(outcome))
        return _blended((amount / total, self._flows[outcome]) for outcome, amount in outcomes.items())

    def _of(self, bands: Bands) -> Flow:
        pool = self._steered.pool
        candidates = [roll.candidates(bands) for roll in self._rolls]
        before, after = (_parts(pool, each) for each in candidates)
        here, there = _by_site(pool, before), _by_site(pool, after)
        moved = sum(max(part - there.get(site, 0.0), 0.0) for site, part in here.items())
        return Flow(before, after, moved, float(candidates[1].verdict is Verdict.LAST_RESORT))


def _parts(pool: Pool, candidates: Candidates) -> Parts:
    """How likely each endpoint is the first in an answer."""
    parts = [0.0] * (len(pool.endpoints) + 1)
    for share in candidates.shares:
        for number, chance in pool.chances(share.endpoints):
            parts[number] += share.portion * chance
    if not candidates.shares:
        parts[-1] = 1.0
    return tuple(parts)


def _by_site(pool: Pool, parts: Parts) -> dict[str, float]:
    found: dict[str, float] = {}
    for number, part in enumerate(parts):
        if part:
            site = pool.sites[pool.endpoints[number].site] if number < len(pool.endpoints) else ""
            found[site] = found.get(site, 0.0) + part
    return found


def _blended(flows: Iterable[tuple[float, Flow]]) -> Flow:
    """The flow of users who are so many parts of one kind and so many of others."""
    listed = list(flows)

    def mean(rows: Iterable[Sequence[float]]) -> Parts:
        scaled = ([weight * part for part in row] for (weight, _), row in zip(listed, rows, strict=True))
        return tuple(map(sum, zip(*scaled, strict=True)))

    moved, last_resort = mean((flow.moved, flow.last_resort) for _, flow in listed)
    return Flow(mean(flow.before for _, flow in listed), mean(flow.after for _, flow in listed), moved, last_resort)
