"""Owns the snapshot: everything a query is matched against, compiled once and replaced whole; refuses to know files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from geodns.answer.identity import Identity
from geodns.answer.ladder import LADDER, Client, Rung, Subnet
from geodns.answer.pools import Pool
from geodns.answer.steering import Steered, policies, steer
from geodns.geo import (
    FIRST_RULE,
    Atlas,
    Network,
    Partition,
    Place,
    PlaceSelector,
    Rule,
    parse,
    place_of,
    rule_of,
)
from geodns.wire import SERVER_PAYLOAD_SIZE, ClientSubnet, Name, RRset, Type, suffixes
from geodns.zone import Node, ZoneContents

RuleKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tailored:
    """An RRset with variants (a tailored response, RFC 7871 §3): `variants[n]` is for the clients that `rules[n]` names."""

    fallback: RRset
    rules: tuple[Rule, ...]
    variants: tuple[RRset, ...]
    partition: Partition

    def variant(self, outcome: int) -> tuple[RRset, Rule | None]:
        """The RRset for an outcome of the partition, and the rule that chose it; None for the fallback."""
        if outcome < FIRST_RULE:
            return self.fallback, None
        return self.variants[outcome - FIRST_RULE], self.rules[outcome - FIRST_RULE]


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as it is served: its contents, and the RRsets in it that differ by client.

    `whereabouts` is the partition of no rules, where only it differs whose place is known; None without WHOAMI records.
    """

    contents: ZoneContents
    tailored: Mapping[tuple[Name, int], Tailored]
    whereabouts: Partition | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose client subnet is believed, and whether any is asked at all."""

    enabled: bool = True
    networks: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    asked: bool = True

    def client(self, source: Place | None, subnet: ClientSubnet | None) -> Client:
        """Who asks, given the sender's address and the option; an unknown sender (None) is taken for a trusted one."""
        if subnet is None:
            return Client(source)
        if not self.enabled:
            return Client(source, None, Subnet.DISABLED)
        if not subnet.source_prefix_length:
            return Client(source, None, Subnet.WITHHELD)
        if not self.asked:
            return Client(source, None, Subnet.UNASKED)
        if source is not None and not self.believes(source):
            return Client(source, None, Subnet.UNTRUSTED)
        return Client(source, place_of(4 if subnet.family == 1 else 6, subnet.address), Subnet.USED)

    @property
    def believes_all(self) -> bool:
        """Whether every sender is believed."""
        return {ip_network("0.0.0.0/0"), ip_network("::/0")} <= set(self.networks)

    def believes(self, source: Place) -> bool:
        """Whether a client subnet from this sender is believed."""
        return _is_in(self.networks, source)


def _is_in(networks: Sequence[Network], place: Place) -> bool:
    return any(
        network.version == place.version
        and not (place.address ^ int(network.network_address)) >> (network.max_prefixlen - network.prefixlen)
        for network in networks
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that answers depend on. Immutable: a query reads it once, a reload makes a new one.

    The first of `cookie_secrets` makes server cookies, each proves one genuine; without any the COOKIE option is ignored.
    """

    zones: Mapping[Name, Zone]
    atlas: Atlas
    pools: Mapping[str, Steered] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    identity: Identity = field(default_factory=Identity)
    payload_size: int = SERVER_PAYLOAD_SIZE
    tcp_idle_timeout: float = 10.0
    rule_sets: int = 0
    ladder: tuple[Rung, ...] = LADDER
    cookie_secrets: tuple[bytes, ...] = ()
    told_why: tuple[Network, ...] = ()

    def tells_why(self, source: Place) -> bool:
        """Whether a sender who wants to know may be told why it gets what it gets."""
        return _is_in(self.told_why, source)

    def zone_of(self, name: Name, rdtype: int) -> Zone | None:
        """The zone that answers for a name: the longest match; DS is the parent's to answer (RFC 4035 §3.1.4.1)."""
        zones = self.zones
        at_apex: Zone | None = None
        for suffix in suffixes(name):
            zone = zones.get(suffix)
            if zone is None:
                continue
            if rdtype == Type.DS and suffix == name and len(name) > 1:
                at_apex = zone
                continue
            return zone
        return at_apex


def variant_nodes(contents: ZoneContents) -> Iterable[Node]:
    """The nodes of a zone whose answers differ by client."""
    return (node for node in contents.nodes.values() if node.variants)


def compile_zones(
    zones: Sequence[ZoneContents], pools: Sequence[Pool], atlas: Atlas, regions: Mapping[str, tuple[PlaceSelector, ...]]
) -> tuple[dict[Name, Zone], dict[str, Steered], int]:
    """Resolve all variants and put all pools in order: one partition for each distinct policy.

    Returns the zones, the pools and how many policies there are. Zones must have passed their check: every selector parses, every
    region and pool is known, every type with variants has a fallback.
    """
    keys: dict[RuleKey, int] = {}
    for contents in zones:
        for node in variant_nodes(contents):
            for variants in node.variants.values():
                keys.setdefault(tuple(variant.selector for variant in variants), len(keys))
    rule_sets = [tuple(rule_of(name, parse(name), regions) for name in key) for key in keys]
    steered_by = {policy: len(keys) + number for number, policy in enumerate(dict.fromkeys(policies(pools, regions)))}
    introducing = {each.origin for each in zones if any(node.whoami is not None for node in each.nodes.values())}
    partitions = atlas.partitions([*rule_sets, *steered_by, *([()] if introducing else [])])
    whereabouts = partitions.pop() if introducing else None
    compiled: dict[Name, Zone] = {}
    for contents in zones:
        tailored: dict[tuple[Name, int], Tailored] = {}
        for node in variant_nodes(contents):
            for rdtype, variants in node.variants.items():
                number = keys[tuple(variant.selector for variant in variants)]
                tailored[node.name, rdtype] = Tailored(
                    node.rrsets[rdtype], rule_sets[number], tuple(variant.rrset for variant in variants), partitions[number]
                )
        compiled[contents.origin] = Zone(contents, tailored, whereabouts if contents.origin in introducing else None)
    by_policy = {policy: partitions[number] for policy, number in steered_by.items()}
    steered = {pool.name: steer(pool, by_policy, regions) for pool in pools}
    return compiled, steered, len(partitions)
