"""Owns the drawing of random worlds and of the clients that could tell them apart; refuses to know what must hold in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network

from hypothesis import strategies as st

from geodns.answer import LADDER, Rung, Snapshot
from geodns.geo import Network
from geodns.geo.address import EMBEDDED, SPECIAL
from tests.support.world import Places, snapshot_of

HEAD = "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\n"
STATIC = (
    "static A 192.0.2.11\nchain CNAME www\ngone CNAME none\nsub NS ns.sub\nns.sub A 192.0.2.14\nmail MX 10 www\nd DNAME x.www\n"
)
REGIONS = {"apac": ("continent:AS", "country:DE"), "west": ("asn:64501", "net:77.2.0.0/15")}
SELECTORS = (
    "continent:EU", "continent:AS", "country:DE", "country:FR", "subdivision:US-CA", "asn:64500", "apac", "west",
    "net:77.1.2.0/24", "net:77.1.0.0/16", "net:10.1.0.0/16", "net:2a00:1:2:3::/64", "net:2a00:1:2:3:8000::/66",
)  # fmt: skip
KNOWN: tuple[dict[str, object], ...] = (
    {"continent": "EU", "country": "DE"},
    {"continent": "EU", "country": "FR"},
    {"continent": "NA", "country": "US", "subdivision": "US-CA"},
    {"continent": "AS"},
    {"anycast": True},
    {"asn": 64500},
    {"asn": 64501},
)
STATED: tuple[dict[str, object], ...] = ({"country": "DE"}, {"region": "apac"}, {"asn": 64501})
NAMES = ("www", "static", "chain", "gone", "none", "x.sub", "mail", "y.d", "alias", "x.wild", "wild", "")
TYPES = ("A", "AAAA", "MX", "TXT", "CNAME", "ANY", "DS", "SOA")


def _ipv4(tail: int, length: int) -> str:
    return str(ip_network((0x4D000000 | tail << 8, length), strict=False))


def _ipv6(part: int, low: int, length: int) -> str:
    return str(ip_network(f"2a00:1:2:{part}:{low:x}::/{length}", strict=False))


NETWORKS = (
    st.builds(_ipv4, st.integers(0, 2**12 - 1).map(lambda tail: tail << 6 & 0x3FFFF), st.integers(12, 26))
    | st.builds(_ipv6, st.integers(2, 4), st.sampled_from([0, 0x8000, 0xC000]), st.integers(24, 72))
    | st.sampled_from(["0.0.0.0/1", "10.0.0.0/8", "10.1.2.0/23", "192.168.128.0/17", "2000::/3", "fd00::/9"])
)


@dataclass(frozen=True)
class World:
    """One random world: two databases, networks and anycast prefixes; rules for A, fewer for AAAA, a CNAME and a wildcard.

    With an egress map, a place of its own and a ladder in the worlds that `LADDERED` draws.
    """

    databases: tuple[Places, Places]
    networks: Places
    anycast: tuple[str, ...]
    selectors: tuple[str, ...]
    egress: Places = field(default_factory=dict)
    instance: Mapping[str, object] = field(default_factory=dict)
    ladder: tuple[Rung, ...] = LADDER

    @cached_property
    def snapshot(self) -> Snapshot:
        """The world compiled, everybody trusted."""
        return snapshot_of(
            {"example.": HEAD + STATIC + "".join(self._tailored())},
            databases=self.databases,
            networks=self.networks,
            anycast=self.anycast,
            regions=REGIONS,
            egress=self.egress,
            instance=self.instance,
            ladder=self.ladder,
        )

    def _tailored(self) -> Iterator[str]:
        yield "www 60 A 192.0.2.1\nwww 60 AAAA 2001:db8::1\nalias 60 CNAME static\n*.wild 60 A 192.0.2.2\n"
        for number, selector in enumerate(self.selectors, start=1):
            yield f"www 30 GEO {selector} A 198.51.100.{number}\nalias 20 GEO {selector} CNAME n{number}.example.net.\n"
        for number, selector in enumerate(self.selectors[::2], start=1):
            yield f"www 30 GEO {selector} AAAA 2001:db8:1::{number}\n*.wild 10 GEO {selector} A 203.0.113.{number}\n"

    def addresses(self) -> list[str]:
        """First and last address of everything named anywhere, and their neighbours outside."""
        texts = [*self.databases[0], *self.databases[1], *self.networks, *self.anycast, *self.egress]
        named: list[Network] = [*map(ip_network, texts), *SPECIAL, *EMBEDDED]
        named += [ip_network(selector.removeprefix("net:")) for selector in self.selectors if selector.startswith("net:")]
        found = {edge for network in named for edge in _edges(network)}
        mapped = {(6, value | 0xFFFF << 32) for version, value in found if version == 4}
        return [str(IPv6Address(value) if version == 6 else ip_address(value)) for version, value in sorted(found | mapped)]


def _edges(network: Network) -> Iterator[tuple[int, int]]:
    first, last = int(network.network_address), int(network.broadcast_address)
    for value in (first - 1, first, last, last + 1):
        if 0 <= value < 1 << network.max_prefixlen:
            yield network.version, value


PLACES = st.dictionaries(NETWORKS, st.sampled_from(KNOWN), max_size=8)
WORLDS = st.builds(
    World,
    st.tuples(PLACES, PLACES),
    st.dictionaries(NETWORKS, st.sampled_from(STATED), max_size=3),
    st.lists(NETWORKS, max_size=2).map(tuple),
    st.lists(st.sampled_from(SELECTORS), unique=True, min_size=1, max_size=6).map(tuple),
)
MAPPED: tuple[dict[str, object], ...] = ({"country": "DE"}, {"continent": "AS"}, {"country": "US", "subdivision": "US-CA"}, {})
LADDERS = st.permutations(LADDER).flatmap(lambda order: st.integers(0, 4).map(lambda length: tuple(order[:length])))
LADDERED = st.builds(
    lambda world, egress, instance, ladder: replace(world, egress=egress, instance=instance, ladder=ladder),
    WORLDS,
    st.dictionaries(NETWORKS, st.sampled_from(MAPPED), max_size=4),
    st.sampled_from([{}, {"country": "FR"}, {"latitude": 1.0, "longitude": 2.0}]),
    st.just(LADDER) | LADDERS,
)
"""Worlds in which other rungs may decide, in other orders."""
QUESTIONS = st.builds(
    lambda name, rdtype: f"{name}.example. {rdtype}".lstrip("."), st.sampled_from(NAMES), st.sampled_from(TYPES)
)


@st.composite
def clients(draw: st.DrawFn, world: World) -> str:
    """An address at some edge of a world, or anywhere."""
    anywhere = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
    return draw(st.sampled_from(world.addresses()) | anywhere)


@st.composite
def subnets(draw: st.DrawFn, world: World) -> str:
    """A client subnet of any SOURCE PREFIX-LENGTH around such an address."""
    address = ip_address(draw(clients(world)))
    length = draw(st.integers(0, address.max_prefixlen))
    return str(ip_network((int(address), length) if address.version == 4 else (address.packed, length), strict=False))
