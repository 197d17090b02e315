"""Owns the map of the lab as data: cities, networks, links, addresses; starts nothing and refuses to know what BIRD is.

Two transit networks with three places each, three instances of one origin, four client regions and a public resolver. Chicago's
provider runs a resolver of its own. Every link is as long as the great circle between its ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt

KILOMETRES_PER_MS = 200.0
"""Light in fibre, one way: a round trip takes a millisecond for each 100 km."""
_EARTH = 6371.0  # km, mean radius

ANYCAST_PREFIX = IPv4Network("203.0.113.0/24")
ANYCAST = IPv4Address("203.0.113.53")
"""The service address that all instances have (RFC 4786), of TEST-NET-3 (RFC 5737)."""
_SITES = IPv4Network("198.18.0.0/16")
_LINKS = IPv4Network("198.19.0.0/16")
"""Both of the block for benchmarks (RFC 2544): a /24 for each edge network, a /31 for each link (RFC 3021)."""
_ROUTERS = int(IPv4Address("198.19.255.0"))


class Kind(Enum):
    """What a node is to the others."""

    TRANSIT = "transit"
    INSTANCE = "instance"
    REGION = "region"
    RESOLVER = "resolver"


@dataclass(frozen=True, slots=True)
class Node:
    """One network namespace with a router in it, and whatever else is at that place."""

    name: str
    number: int
    """Counts from 1; addresses are made of it."""
    kind: Kind
    city: str
    latitude: float
    longitude: float
    asn: int

    @property
    def router(self) -> IPv4Address:
        """The router's own address, which is its BGP identifier too."""
        return IPv4Address(_ROUTERS + self.number)

    @property
    def prefix(self) -> IPv4Network | None:
        """The unicast prefix that it originates; transit has none."""
        return None if self.kind is Kind.TRANSIT else IPv4Network((int(_SITES.network_address) + self.number * 256, 24))

    @property
    def host(self) -> IPv4Address:
        """The address of what is at this place: the instance's unicast address, the client, the resolver."""
        return self._at(53 if self.kind is Kind.INSTANCE else 10)

    @property
    def resolver(self) -> IPv4Address:
        """The address of a resolver at this place that tells nobody where its clients are."""
        return self._at(53)

    def _at(self, last: int) -> IPv4Address:
        assert self.prefix
        return self.prefix.network_address + last


@dataclass(frozen=True, slots=True)
class Link:
    """A line between two nodes; `number` makes its addresses."""

    number: int
    one: str
    other: str
    preferred: bool = True
    """Of an edge network's lines: whether this is the one it would rather send through."""

    @property
    def name(self) -> str:
        return f"{self.one}~{self.other}"

    def address(self, node: str) -> IPv4Address:
        """The address of that end."""
        return _LINKS.network_address + 2 * self.number + (node == self.other)

    def peer(self, node: str) -> str:
        """The node at the other end."""
        return self.other if node == self.one else self.one


ARC, BAY, ORIGIN = 64496, 64497, 64500
"""AS numbers for documentation (RFC 5398)."""

NODES = {
    node.name: node
    for node in (
        Node("arc-lon", 1, Kind.TRANSIT, "London", 51.51, -0.13, ARC),
        Node("arc-ash", 2, Kind.TRANSIT, "Ashburn", 39.04, -77.49, ARC),
        Node("arc-tok", 3, Kind.TRANSIT, "Tokyo", 35.68, 139.69, ARC),
        Node("bay-ams", 4, Kind.TRANSIT, "Amsterdam", 52.37, 4.90, BAY),
        Node("bay-mia", 5, Kind.TRANSIT, "Miami", 25.76, -80.19, BAY),
        Node("bay-sin", 6, Kind.TRANSIT, "Singapore", 1.29, 103.85, BAY),
        Node("fra", 11, Kind.INSTANCE, "Frankfurt", 50.11, 8.68, ORIGIN),
        Node("nyc", 12, Kind.INSTANCE, "New York", 40.71, -74.01, ORIGIN),
        Node("sin", 13, Kind.INSTANCE, "Singapore", 1.35, 103.82, ORIGIN),
        Node("paris", 21, Kind.REGION, "Paris", 48.86, 2.35, 64501),
        Node("chicago", 22, Kind.REGION, "Chicago", 41.88, -87.63, 64502),
        Node("saopaulo", 23, Kind.REGION, "São Paulo", -23.55, -46.63, 64503),
        Node("tokyo", 24, Kind.REGION, "Tokyo", 35.69, 139.70, 64504),
        Node("public", 31, Kind.RESOLVER, "Dallas", 32.78, -96.80, 64505),
    )
}

LINKS = {
    link.name: link
    for link in (
        # inside the transit networks: a full mesh each
        Link(1, "arc-lon", "arc-ash"),
        Link(2, "arc-ash", "arc-tok"),
        Link(3, "arc-lon", "arc-tok"),
        Link(4, "bay-ams", "bay-mia"),
        Link(5, "bay-mia", "bay-sin"),
        Link(6, "bay-ams", "bay-sin"),
        # between them: peering on each continent
        Link(7, "arc-lon", "bay-ams"),
        Link(8, "arc-ash", "bay-mia"),
        Link(9, "arc-tok", "bay-sin"),
        # instances: one has two providers, the others have one each, and not the same
        Link(10, "fra", "bay-ams"),
        Link(11, "fra", "arc-lon", preferred=False),
        Link(12, "nyc", "arc-ash"),
        Link(13, "sin", "bay-sin"),
        # regions: two providers each
        Link(14, "paris", "arc-lon"),
        Link(15, "paris", "bay-ams", preferred=False),
        Link(16, "chicago", "arc-ash"),
        Link(17, "chicago", "bay-mia", preferred=False),
        Link(18, "saopaulo", "arc-ash"),
        Link(19, "saopaulo", "bay-mia", preferred=False),
        Link(20, "tokyo", "bay-sin"),
        Link(21, "tokyo", "arc-tok", preferred=False),
        Link(22, "public", "arc-ash"),
    )
}

INSTANCES = tuple(node for node in NODES.values() if node.kind is Kind.INSTANCE)
REGIONS = tuple(node for node in NODES.values() if node.kind is Kind.REGION)
PUBLIC = NODES["public"]
TARGET = NODES["nyc"]
"""The instance that events happen to: it is the nearest for two regions."""
PROVIDER = NODES["chicago"]
"""The region whose provider runs a resolver."""


def kilometres(one: Node, other: Node) -> float:
    """The great circle between two nodes."""
    return _great_circle((one.latitude, one.longitude), (other.latitude, other.longitude))


def _great_circle(one: tuple[float, float], other: tuple[float, float]) -> float:
    (φ, λ), (ψ, μ) = (tuple(map(radians, place)) for place in (one, other))
    return 2 * _EARTH * asin(sqrt(sin((ψ - φ) / 2) ** 2 + cos(φ) * cos(ψ) * sin((μ - λ) / 2) ** 2))


def delay(link: Link) -> float:
    """Seconds that a packet needs from one end of a link to the other."""
    return kilometres(NODES[link.one], NODES[link.other]) / KILOMETRES_PER_MS / 1000


def links_of(node: Node) -> tuple[Link, ...]:
    """The lines that end at a node."""
    return tuple(link for link in LINKS.values() if node.name in (link.one, link.other))


def nearest(region: Node, alive: tuple[Node, ...] = INSTANCES) -> Node:
    """The instance that is nearest to a region, of those that are alive."""
    return min(alive, key=lambda instance: kilometres(region, instance))


def path_milliseconds(path: tuple[str, ...]) -> float:
    """The round trip along nodes that are linked."""
    ends = {frozenset((link.one, link.other)): link for link in LINKS.values()}
    return 2000 * sum(delay(ends[frozenset(pair)]) for pair in pairwise(path))
