"""Distance and the order by it, against brute force; partitions by nearness against the plain definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from itertools import pairwise
from math import acos, atan2, cos, degrees, hypot, pi, radians, sin

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geodns.geo import (
    FALLBACK,
    FIRST_RULE,
    Atlas,
    Nearness,
    Network,
    Partition,
    Place,
    Rule,
    Spot,
    State,
    by_distance,
    distance,
    parse,
    parse_place,
    rule_of,
    winner,
)
from geodns.geo.address import BITS, EMBEDDED, SPECIAL, VERSIONS, Version
from geodns.geo.nearness import EARTH_RADIUS, TIE_BAND, Bands, orders
from tests.support.world import Places, atlas_of, place

SPOTS = st.builds(
    Spot,
    st.sampled_from([-90.0, 0.0, 90.0]) | st.floats(-90, 90),
    st.sampled_from([-180.0, 0.0, 180.0]) | st.floats(-180, 180),
)
BERLIN, PARIS, TOKYO, SYDNEY = Spot(52.52, 13.405), Spot(48.8566, 2.3522), Spot(35.6762, 139.6503), Spot(-33.8688, 151.2093)
KNOWN_DISTANCES = [
    (BERLIN, PARIS, 878),
    (BERLIN, TOKYO, 8918),
    (TOKYO, SYDNEY, 7826),
    (Spot(51.5, 179.5), Spot(51.5, -179.5), 69),
]
"""Pairs, and their distance as published, in km."""


def by_vectors(here: Spot, there: Spot) -> float:
    """By definition, through vectors instead of the product's formula: the angle between two directions from Earth's centre."""
    one, other = (
        (cos(radians(spot.latitude)) * cos(radians(spot.longitude)), cos(radians(spot.latitude)) * sin(radians(spot.longitude)),
         sin(radians(spot.latitude)))
        for spot in (here, there)
    )  # fmt: skip
    cross = (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )
    return EARTH_RADIUS * atan2(hypot(*cross), sum(a * b for a, b in zip(one, other, strict=True)))


@pytest.mark.parametrize(("here", "there", "kilometres"), KNOWN_DISTANCES, ids=str)
def test_distances_are_those_that_are_published(here: Spot, there: Spot, kilometres: float) -> None:
    """Within a hundredth, over the date line and the equator too."""
    assert kilometres == pytest.approx(distance(here, there), rel=0.01)


@given(SPOTS, SPOTS)
def test_distance_is_the_angle_between_two_directions(here: Spot, there: Spot) -> None:
    """Haversine and vectors agree to a metre, both ways; nothing is farther than half of Earth's circumference."""
    assert by_vectors(here, there) == pytest.approx(distance(here, there), abs=1e-3)
    assert distance(here, there) == pytest.approx(distance(there, here), abs=1e-6)
    assert 0 <= distance(here, there) <= pi * EARTH_RADIUS


def plainly(here: Spot, spots: list[Spot], tie_band: float) -> Bands:
    """By definition: of all that are left take the nearest, and with it whatever is at most so much farther."""
    left = dict(enumerate(spots))
    found: list[tuple[int, ...]] = []
    while left:
        limit = min(distance(here, spot) for spot in left.values()) * (1 + tie_band)
        found.append(tuple(number for number, spot in left.items() if distance(here, spot) <= limit))
        left = {number: spot for number, spot in left.items() if number not in found[-1]}
    return tuple(found)


def told_apart(here: Spot, spots: list[Spot], tie_band: float) -> bool:
    """Whether no spot lies so near the edge of a band that the last bit of a float decides."""
    lengths = [distance(here, spot) for spot in spots]
    ratios = [one / other for one in lengths for other in lengths if other > 1e-6]
    edges = (abs(ratio - edge) for ratio in ratios for edge in (1 + tie_band, 1.0) if ratio != 1.0)
    return all(edge > 1e-9 for edge in edges) and not any(0 < length <= 1e-6 for length in lengths)


@given(SPOTS, st.lists(SPOTS, min_size=1, max_size=8), st.sampled_from([0.0, TIE_BAND, 0.5]))
def test_order_is_brute_force_by_distance(here: Spot, spots: list[Spot], tie_band: float) -> None:
    """Each band begins with the nearest spot left and holds all that are no more than the tie band farther."""
    assume(told_apart(here, spots, tie_band))

    assert plainly(here, spots, tie_band) == by_distance(here, spots, tie_band)


@given(SPOTS, st.lists(SPOTS, min_size=1, max_size=8))
def test_order_holds_every_spot_once_and_bands_ascend(here: Spot, spots: list[Spot]) -> None:
    """Nobody is lost or doubled; within a band numbers ascend; every next band begins beyond the tie band of the one before."""
    bands = by_distance(here, spots)
    lengths = [sorted(distance(here, spots[number]) for number in band) for band in bands]

    assert list(range(len(spots))) == sorted(number for band in bands for number in band)
    assert all(list(band) == sorted(band) for band in bands)
    assert all(nearer[0] * (1 + TIE_BAND) <= farther[0] + 1e-6 for nearer, farther in pairwise(lengths))


@pytest.mark.parametrize(("kilometres", "expected"), [(1049.9, ((0, 1),)), (1050.1, ((0,), (1,)))])
def test_the_tie_band_is_five_percent(kilometres: float, expected: Bands) -> None:
    """Seen from the equator, spots at 1000 km and at 1049.9 km are equally near, at 1050.1 km no more."""
    east, west = degrees(1000 / EARTH_RADIUS), -degrees(kilometres / EARTH_RADIUS)

    assert expected == by_distance(Spot(0, 0), [Spot(0, east), Spot(0, west)])


@given(st.lists(SPOTS, max_size=6), st.lists(SPOTS, max_size=5))
def test_orders_of_many_places_are_those_of_each(places: list[Spot], spots: list[Spot]) -> None:
    """Computed all at once, numbered as they first occur, equal ones once."""
    numbers, found = orders(places, spots)

    assert [by_distance(here, spots) for here in places] == [found[number] for number in numbers]
    assert len(found) == len(set(found))
    assert list(dict.fromkeys(numbers.tolist())) == list(range(len(found)))


RULED = Nearness((BERLIN, TOKYO, PARIS), (Rule("west", ()), Rule("east", ())), ((0, 2), (1,)))


def test_a_rule_puts_its_own_spots_first_each_by_distance() -> None:
    """Own spots in their bands, then the others in theirs; without a rule all as they are; without a place as given."""
    assert ((1,), (0, 2)) == RULED.bands(1, ((0, 2), (1,)))
    assert ((0, 2), (1,)) == RULED.bands(0, ((0, 1, 2),))
    assert ((0, 2), (1,)) == RULED.bands(-1, ((0, 2), (1,)))
    assert ((0,), (1,), (2,)) == RULED.bands(-1, None) == RULED.listed
    assert ((1,), (0,), (2,)) == RULED.bands(1, None)


def test_a_spot_that_is_nowhere_makes_distance_unusable() -> None:
    """Distances to some of the spots only would tell nothing: all stand in the order given."""
    assert (BERLIN, PARIS) == Nearness((BERLIN, PARIS)).known
    assert () == Nearness((BERLIN, None)).known


REGIONS = {"apac": tuple(map(parse_place, ("continent:AS", "continent:OC", "country:DE"))), "west": (parse_place("asn:64501"),)}
SITES = (Spot(50.11, 8.68), Spot(52.37, 4.9), Spot(35.68, 139.69), Spot(40.71, -74.01))
KNOWN: tuple[dict[str, object], ...] = (
    {"continent": "EU", "country": "DE", "latitude": 52.52, "longitude": 13.4},
    {"continent": "EU", "country": "FR", "latitude": 48.86, "longitude": 2.35},
    {"continent": "EU", "country": "NL"},
    {"continent": "NA", "country": "US", "latitude": 37.75, "longitude": -97.82},
    {"continent": "AS"},
    {"latitude": 1.35, "longitude": 103.8},
    {"anycast": True},
    {"asn": 64501},
    {"country": "ZZ"},
)
STATED: tuple[dict[str, object], ...] = (
    {"country": "JP"}, {"region": "apac"}, {"latitude": 34.0, "longitude": -118.0}, {"asn": 64501}, {"continent": "OC"},
)  # fmt: skip
NETWORKS = (
    st.builds(
        lambda tail, length: str(ip_network((0x4D010000 | tail, length), strict=False)),
        st.integers(0, 2**16 - 1),
        st.integers(12, 28),
    )
    | st.builds(
        lambda part, low, length: str(ip_network(f"2a00:1:2:{part}:{low:x}::/{length}", strict=False)),
        st.integers(2, 4),
        st.sampled_from([0, 0x8000]),
        st.integers(24, 72),
    )
    | st.sampled_from(["0.0.0.0/1", "10.0.0.0/8", "10.1.2.0/23", "2000::/3", "fd00::/9"])
)
PLACES = st.dictionaries(NETWORKS, st.sampled_from(KNOWN), max_size=6)


@dataclass(frozen=True)
class World:
    """Two databases, the operator's networks, anycast prefixes, and the sites of three pools: one has sites that are nowhere."""

    databases: tuple[Places, Places]
    networks: Places
    anycast: tuple[str, ...]
    sites: tuple[int, ...]

    @property
    def atlas(self) -> Atlas:
        return atlas_of(databases=self.databases, networks=self.networks, anycast=self.anycast)

    @property
    def policies(self) -> list[Nearness]:
        spots = tuple(SITES[number] for number in self.sites)
        rules = tuple(rule_of(name, parse(name), REGIONS) for name in REGIONS)
        own = (tuple(range(len(spots)))[::2], tuple(range(len(spots)))[1::2])
        return [Nearness(spots), Nearness(spots, rules, own), Nearness((*spots, None), rules, own), Nearness(spots[::-1])]

    def changes(self, version: Version) -> list[int]:
        """All addresses of one family at which anything can change."""
        texts = [*self.databases[0], *self.databases[1], *self.networks, *self.anycast]
        named: list[Network] = [*map(ip_network, texts), *SPECIAL, *EMBEDDED]
        own = [network for network in named if network.version == version]
        edges = {0, *(int(network.network_address) for network in own), *(int(network.broadcast_address) + 1 for network in own)}
        return sorted(edge for edge in edges if edge < 1 << BITS[version])


WORLDS = st.builds(
    World,
    st.tuples(PLACES, PLACES),
    st.dictionaries(NETWORKS, st.sampled_from(STATED), max_size=3),
    st.lists(NETWORKS, max_size=2).map(tuple),
    st.permutations(range(4)).flatmap(lambda sites: st.integers(1, 4).map(lambda most: tuple(sites[:most]))),
)


def plain_order(atlas: Atlas, policy: Nearness, here: Place) -> State | Bands:
    """By definition: locate one address, measure from its coordinates; without any the order given, never from 0,0."""
    if here.version == 6 and any(IPv6Address(here.address) in block for block in EMBEDDED):
        return State.EMBEDDED
    located = atlas.locate(here)
    best = winner(policy.rules, here, located)
    if located.state is not State.LOCATED and not best:
        return located.state
    latitude, longitude = located.location.latitude, located.location.longitude
    near = None
    if policy.known and latitude is not None and longitude is not None and located.state is State.LOCATED:
        near = plainly(Spot(latitude, longitude), list(policy.known), TIE_BAND)
    bands = near or policy.listed
    if not best:
        return bands
    members = policy.members[best.rule]
    own = [tuple(number for number in band if number in members) for band in bands]
    others = [tuple(number for number in band if number not in members) for band in bands]
    return tuple(band for band in (*own, *others) if band)


def order_of(partition: Partition, policy: Nearness, outcome: int) -> State | Bands:
    if outcome < FALLBACK:
        return State(outcome)
    return policy.listed if outcome == FALLBACK else partition.orders[outcome - FIRST_RULE]


def asked(world: World) -> Iterator[Place]:
    for version in VERSIONS:
        near = {edge + step for edge in world.changes(version) for step in (-1, 0, 1)}
        yield from (Place(version, address) for address in sorted(near) if 0 <= address < 1 << BITS[version])


@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_every_address_has_the_order_of_its_coordinates(world: World) -> None:
    """By distance or by region and distance; as given where coordinates are unknown; the next rung for special and anycast."""
    atlas, policies = world.atlas, world.policies
    partitions = atlas.partitions(policies)

    for here in asked(world):
        for partition, policy in zip(partitions, policies, strict=True):
            outcome = partition.find(here).outcome
            assert plain_order(atlas, policy, here) == order_of(partition, policy, outcome), str(here)


@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_scopes_are_maximal_and_disjoint(world: World) -> None:
    """Within its scope every address has the same outcome; within one bit less some address has another."""
    partitions = world.atlas.partitions(world.policies)
    for partition in partitions:
        for version in VERSIONS:
            changes, bits = world.changes(version), BITS[version]
            outcome = {edge: partition.find(Place(version, edge)).outcome for edge in changes}
            for here in (here for here in asked(world) if here.version == version):
                length = partition.find(here).scope_prefix_length

                assert uniform(here.address, length, changes, outcome, bits)
                assert length == 0 or not uniform(here.address, length - 1, changes, outcome, bits)


def uniform(address: int, length: int, changes: list[int], outcome: dict[int, int], bits: int) -> bool:
    """Whether all addresses of a prefix have one outcome."""
    first = address >> (bits - length) << (bits - length)
    last = first | (1 << (bits - length)) - 1
    return {outcome[edge] for edge in changes if first < edge <= last} <= {
        outcome[max(edge for edge in changes if edge <= first)]
    }


def test_orders_that_nobody_sees_are_not_kept() -> None:
    """A partition has the orders that occur in it, each once."""
    policy = Nearness(SITES)
    partition = atlas_of(databases=[{"77.0.0.0/8": KNOWN[0], "78.0.0.0/8": KNOWN[0], "79.0.0.0/8": KNOWN[3]}]).partitions(
        [policy]
    )[0]

    assert {by_distance(Spot(52.52, 13.4), SITES), by_distance(Spot(37.75, -97.82), SITES)} == set(partition.orders)
    assert 2 == len(partition.orders)


def test_a_country_without_coordinates_is_measured_from_its_middle() -> None:
    """A database that knows only the country is not a client at 0,0."""
    partition = atlas_of(databases=[{"77.0.0.0/8": {"country": "JP"}}]).partitions([Nearness(SITES)])[0]

    assert (2,) == partition.orders[partition.find(place("77.1.2.3")).outcome - FIRST_RULE][0]


def test_a_continent_alone_has_no_coordinates() -> None:
    """Located, but nowhere: the order given, and the scope of the cell."""
    partition = atlas_of(databases=[{"77.0.0.0/8": {"continent": "AS"}}]).partitions([Nearness(SITES)])[0]
    cell = partition.find(place("77.1.2.3"))

    assert (FALLBACK, 8) == (cell.outcome, cell.scope_prefix_length)


def test_quarter_of_a_circle_is_a_quarter_of_the_circumference() -> None:
    """From pole to equator, whatever the longitude."""
    assert EARTH_RADIUS * acos(0) == pytest.approx(distance(Spot(90, 17), Spot(0, -140)))
