"""The compiled partition against the plain definition: every cell's outcome, and scopes that are maximal and disjoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo import (
    FALLBACK,
    FIRST_RULE,
    AnycastPrefix,
    Atlas,
    Location,
    MmdbDatabase,
    Network,
    Partition,
    Place,
    Rule,
    State,
    embedded,
    parse,
    parse_place,
    place_of,
    rule_of,
    winner,
)
from geodns.geo.address import BITS, EMBEDDED
from tests.support import mmdb

REGIONS = {"apac": tuple(map(parse_place, ("continent:AS", "continent:OC", "country:DE"))), "west": (parse_place("asn:64501"),)}
SELECTORS = [
    "continent:EU", "continent:AS", "country:DE", "country:FR", "subdivision:US-CA", "asn:64500", "asn:64501", "apac", "west",
    "net:77.1.2.0/24", "net:77.1.0.0/16", "net:77.1.2.128/26", "net:10.1.0.0/16",
    "net:2a00:1:2:3::/64", "net:2a00:1:2:3:8000::/66",
]  # fmt: skip
RECORDS: list[dict[str, object]] = [
    {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
    {"country": {"iso_code": "FR"}, "continent": {"code": "EU"}},
    {"country": {"iso_code": "US"}, "continent": {"code": "NA"}, "subdivisions": [{"iso_code": "CA"}]},
    {"country_code": "JP"},
    {"continent": {"code": "AS"}},
    {"traits": {"is_anycast": True}},
    {"autonomous_system_number": 64500},
    {"autonomous_system_number": 64501, "autonomous_system_organization": "Example"},
]


def network(text: str) -> Network:
    return ip_network(text, strict=False)


IPV4_NETWORKS = st.builds(
    lambda tail, length: network(f"77.{tail >> 16 & 3}.{tail >> 8 & 3}.{tail & 255}/{length}"),
    st.integers(0, 2**18 - 1),
    st.integers(12, 32),
)
IPV6_NETWORKS = st.builds(
    lambda a, b, low, length: network(f"2a00:{a}:2:{b}:{low:x}::/{length}"),
    st.integers(0, 1),
    st.integers(2, 4),
    st.integers(0, 2**16 - 1),
    st.integers(24, 80),
)
NETWORKS = IPV4_NETWORKS | IPV6_NETWORKS
DATABASE = st.dictionaries(NETWORKS, st.sampled_from(RECORDS), max_size=8)
LOCATIONS = st.sampled_from(
    [Location(country="DE"), Location(region="apac"), Location(asn=64501), Location(country="AU", region="west")]
)


@dataclass(frozen=True)
class World:
    databases: list[dict[Network, dict[str, object]]]
    networks: dict[Network, Location]
    anycast: list[Network]
    selectors: list[str]
    record_size: int


WORLDS = st.builds(
    World,
    st.lists(DATABASE, min_size=1, max_size=2),
    st.dictionaries(NETWORKS, LOCATIONS, max_size=2),
    st.lists(NETWORKS, max_size=2),
    st.lists(st.sampled_from(SELECTORS), unique=True, max_size=6),
    st.sampled_from([24, 28, 32]),
)


def build(world: World, directory: Path) -> tuple[Atlas, tuple[Rule, ...], Partition]:
    databases = []
    for number, networks in enumerate(world.databases):
        path = directory / f"{number}.mmdb"
        ordered = sorted(networks.items(), key=lambda item: item[0].prefixlen)
        databases.append(
            MmdbDatabase(mmdb.write(path, [(str(net), record) for net, record in ordered], record_size=world.record_size))
        )
    anycast = [AnycastPrefix(net, "Example", "listed", "test", "test", "") for net in world.anycast]
    atlas = Atlas(databases, world.networks, anycast)
    rules = tuple(rule_of(name, parse(name), REGIONS) for name in world.selectors)
    return atlas, rules, atlas.partitions([rules])[0]


def plain_outcome(atlas: Atlas, rules: tuple[Rule, ...], place: Place) -> int:
    """The outcome by definition: locate one address, ask each rule."""
    if place.version == 6 and any(IPv6Address(place.address) in block for block in EMBEDDED):
        return State.EMBEDDED
    located = atlas.locate(place)
    best = winner(rules, place, located)
    if best:
        return FIRST_RULE + best.rule
    return FALLBACK if located.state is State.LOCATED else located.state


def edges(networks: Iterable[Network], version: int) -> list[int]:
    """All addresses at which any outcome can change."""
    found = {0}
    for net in networks:
        if net.version == version:
            found |= {int(net.network_address), int(net.broadcast_address) + 1}
    return sorted(found)


def all_networks(world: World, rules: tuple[Rule, ...]) -> list[Network]:
    from geodns.geo.address import SPECIAL

    named = [place.network for rule in rules for place in rule.places if hasattr(place, "network")]
    return [
        *(net for database in world.databases for net in database),
        *world.networks,
        *world.anycast,
        *named,
        *SPECIAL,
        *EMBEDDED,
    ]


@settings(max_examples=150, deadline=None)
@given(WORLDS)
def test_every_cell_has_the_outcome_of_the_plain_definition_and_the_shortest_true_scope(world: World) -> None:
    """At every address where something can change: outcome as defined, uniform within the scope, not within one bit less."""
    with TemporaryDirectory() as directory:
        atlas, rules, partition = build(world, Path(directory))
        for version in (4, 6):
            bits = BITS[version]
            changes = [edge for edge in edges(all_networks(world, rules), version) if edge < 1 << bits]
            outcome = {edge: plain_outcome(atlas, rules, Place(version, edge)) for edge in changes}

            def uniform(
                address: int, length: int, changes: list[int] = changes, outcome: dict[int, int] = outcome, bits: int = bits
            ) -> bool:
                first = address >> (bits - length) << (bits - length)
                last = first | (1 << (bits - length)) - 1
                inside = {outcome[edge] for edge in changes if first < edge <= last}
                return inside <= {outcome[max(edge for edge in changes if edge <= first)]}

            for address in {near for edge in changes for near in (edge - 1, edge, edge + 1) if 0 <= near < 1 << bits}:
                cell = partition.find(Place(version, address))

                assert plain_outcome(atlas, rules, Place(version, address)) == cell.outcome, (version, address)
                assert uniform(address, cell.scope_prefix_length)
                assert cell.scope_prefix_length == 0 or not uniform(address, cell.scope_prefix_length - 1)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("::ffff:81.2.69.5", (8, 96)), ("64:ff9b::81.2.69.5", (8, 96)), ("2002:5102:4505::1", (8, 16)), ("81.2.69.5", (8, 0))],
)
def test_ipv4_inside_ipv6_is_looked_up_as_ipv4_and_its_scope_lengthened(address: str, expected: tuple[int, int]) -> None:
    """Mapped and NAT64 addresses add 96 to the IPv4 scope, 6to4 adds 16."""
    rules = (rule_of("continent:EU", parse("continent:EU"), {}),)
    partition = Atlas([embedded()], {}, []).partitions([rules])[0]
    parsed = ip_address(address)
    plain = partition.find(Place(4, int(IPv4Address("81.2.69.5"))))
    cell = partition.find(place_of(parsed.version, int(parsed)))

    assert FIRST_RULE == plain.outcome == cell.outcome
    assert plain.scope_prefix_length + expected[1] == cell.scope_prefix_length


def test_a_private_block_is_a_cell_of_its_own() -> None:
    """A private address is passed on with a scope that covers its whole block (RFC 7871 §10), whatever surrounds it."""
    partition = Atlas([], {}, []).partitions([(rule_of("continent:EU", parse("continent:EU"), {}),)])[0]

    assert (State.SPECIAL, 8) == astuple(partition, "10.1.2.0")
    assert (State.SPECIAL, 12) == astuple(partition, "172.16.5.0")
    assert (State.SPECIAL, 7) == astuple(partition, "fd00::1")


def astuple(partition: Partition, address: str) -> tuple[int, int]:
    parsed = ip_address(address)
    cell = partition.find(place_of(parsed.version, int(parsed)))
    return cell.outcome, cell.scope_prefix_length
