"""Owns the way from a client to a pool's addresses: its order, who is eligible, the draw; refuses to know zones and messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import assert_never

from geodns.answer.ladder import LADDER, Client, Climb, Rung, climb
from geodns.answer.pools import Bands, Candidates, Moment, Pool, Roll, Steering
from geodns.geo import (
    BUCKETS,
    FALLBACK,
    STICKY_LENGTH,
    Buckets,
    Nearness,
    Partition,
    PlaceSelector,
    RegionSelector,
    mix,
    network_number,
    rule_of,
)

EVERYONE = Climb(FALLBACK, Rung.FALLBACK, 0, ())
"""The way of a client who is not looked at, as the answer is the same for all."""


@dataclass(frozen=True, slots=True)
class Steered:
    """A pool with the order of its endpoints for each client.

    `orders[0]` is the operator's, for clients of whom no place is known; outcome FALLBACK + n of the partition has `orders[n]`.
    Without a partition everybody has the first.
    """

    pool: Pool
    orders: tuple[Bands, ...]
    partition: Partition | Buckets | None

    def climb(self, client: Client, ladder: Sequence[Rung] = LADDER) -> Climb:
        """Which of the orders is the client's, and why."""
        return climb(self.partition, client, ladder) if self.partition else EVERYONE

    def bands(self, outcome: int) -> Bands:
        """The order of an outcome."""
        return self.orders[max(outcome - FALLBACK, 0)]


@dataclass(frozen=True, slots=True)
class PoolSelection:
    """Addresses chosen for one client from a pool, and why; none where the pool cannot answer."""

    steered: Steered
    rdtype: int
    climb: Climb
    candidates: Candidates
    rdatas: tuple[bytes, ...]
    roll: Roll = field(compare=False, repr=False)
    """Who was eligible, for whoever wants to know more than what was chosen."""
    first: str = ""
    """The endpoint that the first address is of, as site/endpoint; "" for none."""


def select(steered: Steered, rdtype: int, client: Client, way: Climb, moment: Moment) -> PoolSelection:
    """Choose endpoints for one client: geography orders, health filters, weight draws."""
    return choose(steered, Roll(steered.pool, rdtype, moment.standings, moment.notes), rdtype, client, way, moment)


def choose(steered: Steered, roll: Roll, rdtype: int, client: Client, way: Climb, moment: Moment) -> PoolSelection:
    """As `select`, with a roll of that moment: for whoever asks for many clients."""
    candidates = roll.candidates(steered.bands(way.outcome))
    if not candidates.shares:
        return PoolSelection(steered, rdtype, way, candidates, (), roll)
    drawn = roll.drawn(candidates, moment.draw, network_of(way, client))
    return PoolSelection(steered, rdtype, way, candidates, roll.rdatas(candidates, drawn), roll, steered.pool.label(drawn[0]))


def network_of(way: Climb, client: Client) -> int:
    """A number for the network that an answer is true for, so that what is dealt out by network fits what resolvers cache."""
    last = way.attempts[-1] if way.attempts else None
    if last and last.decided and last.place:
        return network_number(last.place, last.cell.scope_prefix_length - last.place.embedded_bits)
    asked = client.source or client.subnet  # the sender first: a subnet that tells no place is cached wider than it is
    return network_number(asked, STICKY_LENGTH[asked.version]) if asked else 0


def policies(pools: Sequence[Pool], regions: Mapping[str, tuple[PlaceSelector, ...]]) -> Iterator[Nearness]:
    """How address space must be cut for pools whose order depends on the client's place."""
    for pool in pools:
        if pool.steering is Steering.NEAREST or pool.steering is Steering.REGION:
            yield policy_of(pool, regions)


def policy_of(pool: Pool, regions: Mapping[str, tuple[PlaceSelector, ...]]) -> Nearness:
    """By distance; or by region, and by distance within it."""
    if pool.steering is Steering.NEAREST:
        return Nearness(pool.spots)
    by_region: dict[str, dict[int, None]] = {}
    for endpoint in pool.endpoints:
        by_region.setdefault(endpoint.region, {})[endpoint.site] = None
    rules = tuple(rule_of(name, RegionSelector(name), regions) for name in by_region)
    return Nearness(pool.spots, rules, tuple(map(tuple, by_region.values())))


def steer(pool: Pool, partitions: Mapping[Nearness, Partition], regions: Mapping[str, tuple[PlaceSelector, ...]]) -> Steered:
    """Put a pool's endpoints in order for every kind of client."""
    match pool.steering:
        case Steering.NEAREST | Steering.REGION:
            partition = partitions[policy_of(pool, regions)]
            at_site = listed(pool)
            orders = [
                tuple(tuple(number for site in band for number in at_site[site]) for band in bands) for bands in partition.orders
            ]
            return Steered(pool, (at_site, *orders), partition)
        case Steering.HASHED:
            return Steered(pool, (listed(pool), *rendezvous(pool)), Buckets())
        case Steering.FAILOVER | Steering.WEIGHTED:
            return Steered(pool, (listed(pool),), None)
        case never:
            assert_never(never)


def _members(at_site: Bands, sites: tuple[int, ...]) -> tuple[int, ...]:
    return at_site[sites[0]] if len(sites) == 1 else tuple(number for site in sites for number in at_site[site])


def listed(pool: Pool) -> Bands:
    """The operator's order: one site after the other, or where weights alone decide, all at once."""
    numbers = range(len(pool.endpoints))
    if pool.steering is Steering.WEIGHTED:
        return (tuple(numbers),)
    return tuple(tuple(number for number in numbers if pool.endpoints[number].site == site) for site in range(len(pool.sites)))


def rendezvous(pool: Pool) -> list[Bands]:
    """For each bucket the endpoints by highest random weight (Thaler and Ravishankar 1998; weights: Schindelhauer 2005).

    When one leaves, only its own buckets move, each to its second. Weight 0 comes last.
    """
    keys = [mix(int.from_bytes(endpoint.name.encode(), "big")) for endpoint in pool.endpoints]
    alone = [(number,) for number in range(len(keys))]

    def score(number: int, bucket: int) -> float:
        weight = pool.endpoints[number].weight
        return -log((mix(keys[number] << 64 | bucket) + 1) / (2**64 + 1)) / weight if weight else inf

    return [
        tuple(sorted(alone, key=lambda band: (score(band[0], bucket), pool.endpoints[band[0]].name))) for bucket in range(BUCKETS)
    ]
