"""Owns the making of pools, standings and luck for tests; refuses to know what must hold of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from ipaddress import ip_address
from itertools import count
from typing import Required, TypedDict, TypeVar, Unpack

import dns.message
from hypothesis import strategies as st

from geodns.answer import (
    Draw,
    Endpoint,
    Health,
    Moment,
    Pool,
    PoolAddress,
    Snapshot,
    Standing,
    Steering,
    WhenAllDown,
    Word,
    respond,
)
from geodns.answer.pools import Bands
from geodns.geo import Spot
from geodns.wire import Type
from tests.support.world import SENDER, Reply, observed, place

UP = Standing(Health.UP)
DOWN = Standing(Health.DOWN)
FORCED_UP = Standing(Health.DOWN, word=Word.UP)
FORCED_DOWN = Standing(Health.UP, word=Word.DOWN)
DRAINED = Standing(Health.UP, word=Word.DRAIN)
EVERY_STANDING = tuple(Standing(health, pending, word) for health in Health for pending in (False, True) for word in Word)

SPOTS = {
    "fra": Spot(50.11, 8.68),
    "ams": Spot(52.37, 4.90),
    "nyc": Spot(40.71, -74.01),
    "sfo": Spot(37.77, -122.42),
    "tyo": Spot(35.68, 139.69),
    "syd": Spot(-33.87, 151.21),
}
"""Where the sites of tests are."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Server:
    """An endpoint as a test writes it: site/name, and its addresses as text."""

    label: str
    addresses: tuple[str, ...]
    weight: int = 1
    region: str = ""
    capacity: float = 0.0
    load: float = 0.0


class Settings(TypedDict, total=False):
    """What else a pool has."""

    steering: Required[Steering]
    answers: int
    ttl: int
    ttl_degraded: int
    when_all_down: WhenAllDown
    min_up: int


def pool_of(name: str, servers: Sequence[Server], first_slot: int = 0, **settings: Unpack[Settings]) -> Pool:
    """A pool; its addresses take slots in their order, its sites are where `SPOTS` has them, or nowhere."""
    sites = tuple(dict.fromkeys(server.label.partition("/")[0] for server in servers))
    slots = count(first_slot)
    endpoints = tuple(
        Endpoint(
            server.label.partition("/")[2],
            sites.index(server.label.partition("/")[0]),
            server.weight,
            tuple(_address(text, next(slots)) for text in server.addresses),
            server.region,
            server.capacity,
            server.load,
        )
        for server in servers
    )
    return Pool(name, sites=sites, spots=tuple(map(SPOTS.get, sites)), endpoints=endpoints, **settings)


def _address(text: str, slot: int) -> PoolAddress:
    address = ip_address(text)
    return PoolAddress(Type.A if address.version == 4 else Type.AAAA, address.packed, slot)


def standings(pools: Iterable[Pool], told: Mapping[str, Standing], otherwise: Standing = UP) -> bytes:
    """The octets of pools' standings: an endpoint's by site/name, that of all others besides."""
    octets: dict[int, int] = {}
    for pool in pools:
        for number, endpoint in enumerate(pool.endpoints):
            octets |= {address.slot: told.get(pool.label(number), otherwise).octet for address in endpoint.addresses}
    return bytes(octets.get(slot, 0) for slot in range(max(octets, default=-1) + 1))


def ask_at(snapshot: Snapshot, message: dns.message.Message, moment: Moment, source: str = SENDER) -> Reply:
    """What comes back for a query at a moment, by TCP."""
    octets = respond(snapshot, message.to_wire(), place(source), moment, stream=True)
    assert octets is not None
    return observed(dns.message.from_wire(octets, one_rr_per_rrset=True))


def every_luck(run: Callable[[Draw], Result]) -> dict[Result, Fraction]:
    """All results that a drawing function can have, and how likely each is, exactly: one run for every sequence of draws."""
    chances: dict[Result, Fraction] = defaultdict(Fraction)
    waiting: list[tuple[tuple[int, ...], Fraction]] = [((), Fraction(1))]
    while waiting:
        given, chance = waiting.pop()
        totals: list[int] = []
        result = run(partial(_scripted, given, totals))
        if len(totals) == len(given):
            chances[result] += chance
        else:  # a draw that was not foreseen: once for each of its tickets
            total = totals[len(given)]
            waiting += [((*given, ticket), chance / total) for ticket in range(total)]
    return dict(chances)


def _scripted(given: Sequence[int], totals: list[int], total: int) -> int:
    totals.append(total)
    return given[len(totals) - 1] if len(totals) <= len(given) else 0


STANDINGS = st.sampled_from(EVERY_STANDING)
"""Any standing."""


def _server(number: int, kind: tuple[str, int, int, int, int, float, float]) -> Server:
    site, ipv4, ipv6, weight, region, capacity, load = kind
    addresses = [f"198.51.100.{8 * number + each + 1}" for each in range(ipv4)]
    addresses += [f"2001:db8::{number}:{each + 1}" for each in range(ipv6)]
    where = f"{site}/{site}-{number}"
    return Server(where, tuple(addresses), weight, ("eu", "rest")[region], capacity, load)


def servers(capacities: st.SearchStrategy[float] = st.just(0.0), most: int = 6) -> st.SearchStrategy[list[Server]]:  # noqa: B008
    """Some endpoints at some sites, all of a site in one region, each with at least one address."""
    site = st.sampled_from(list(SPOTS))
    families = st.sampled_from([(1, 0), (1, 0), (1, 1), (2, 1), (0, 1)])
    kind = st.tuples(site, families, st.sampled_from([1, 1, 2, 3, 0]), capacities, st.floats(0, 5))
    return st.lists(kind, min_size=1, max_size=most).map(_servers)


def _servers(kinds: list[tuple[str, tuple[int, int], int, float, float]]) -> list[Server]:
    return [
        _server(number, (site, *families, weight, int(site not in {"fra", "ams"}), capacity, load if capacity else 0.0))
        for number, (site, families, weight, capacity, load) in enumerate(kinds)
    ]


def pools(
    steerings: Sequence[Steering] = tuple(Steering),
    *,
    capacities: st.SearchStrategy[float] = st.just(0.0),  # noqa: B008
) -> st.SearchStrategy[Pool]:
    """Pools of these steerings with all settings that matter to a choice."""
    return st.builds(
        lambda steering, given, answers, when, min_up: pool_of(
            "app", given, steering=steering, answers=answers, when_all_down=when, min_up=min_up
        ),
        st.sampled_from(list(steerings)),
        servers(capacities),
        st.sampled_from([1, 1, 2, 3]),
        st.sampled_from(list(WhenAllDown)),
        st.sampled_from([1, 1, 2]),
    )


@st.composite
def moments(draw: st.DrawFn, pool: Pool) -> bytes:
    """Standings of a pool's addresses: an operator's word is for a whole endpoint, health for an address."""
    found: dict[int, int] = {}
    for endpoint in pool.endpoints:
        word = draw(st.sampled_from([Word.AUTO, Word.AUTO, Word.AUTO, Word.UP, Word.DOWN, Word.DRAIN]))
        for address in endpoint.addresses:
            health, pending = draw(st.sampled_from(Health)), draw(st.booleans())
            found[address.slot] = Standing(health, pending, word).octet
    return bytes(found.get(slot, 0) for slot in range(max(found) + 1))


@st.composite
def orders(draw: st.DrawFn, pool: Pool) -> Bands:
    """Any order of a pool's endpoints, cut into bands anywhere."""
    numbers = draw(st.permutations(range(len(pool.endpoints))))
    bands: list[list[int]] = [[numbers[0]]]
    for number in numbers[1:]:
        if draw(st.booleans()):
            bands.append([number])
        else:
            bands[-1].append(number)
    return tuple(tuple(sorted(band)) for band in bands)
