"""Owns the snapshot: everything a query is matched against, compiled once and replaced whole; refuses to know files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

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
    overlaps,
    parse,
    place_of,
    rule_of,
)
from geodns.problem import Problem, Severity
from geodns.wire import SERVER_PAYLOAD_SIZE, ClientSubnet, Name, RRset, Type, suffixes, to_text
from geodns.zone import Cut, Node, ZoneContents

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
    """A zone as it is served: its contents, and the RRsets in it that differ by client."""

    contents: ZoneContents
    tailored: Mapping[tuple[Name, int], Tailored]


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
        return any(
            network.version == source.version
            and not (source.address ^ int(network.network_address)) >> (network.max_prefixlen - network.prefixlen)
            for network in self.networks
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """What this instance tells about itself: "" is not told."""

    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that answers depend on. Immutable: a query reads it once, a reload makes a new one."""

    zones: Mapping[Name, Zone]
    atlas: Atlas
    pools: Mapping[str, Steered] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    identity: Identity = field(default_factory=Identity)
    payload_size: int = SERVER_PAYLOAD_SIZE
    tcp_idle_timeout: float = 10.0
    rule_sets: int = 0
    ladder: tuple[Rung, ...] = LADDER

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
    partitions = atlas.partitions([*rule_sets, *steered_by])
    compiled: dict[Name, Zone] = {}
    for contents in zones:
        tailored: dict[tuple[Name, int], Tailored] = {}
        for node in variant_nodes(contents):
            for rdtype, variants in node.variants.items():
                number = keys[tuple(variant.selector for variant in variants)]
                tailored[node.name, rdtype] = Tailored(
                    node.rrsets[rdtype], rule_sets[number], tuple(variant.rrset for variant in variants), partitions[number]
                )
        compiled[contents.origin] = Zone(contents, tailored)
    by_policy = {policy: partitions[number] for policy, number in steered_by.items()}
    steered = {pool.name: steer(pool, by_policy, regions) for pool in pools}
    return compiled, steered, len(partitions)


def lint(zones: Sequence[ZoneContents], regions: Mapping[str, tuple[PlaceSelector, ...]]) -> list[Problem]:
    """What is legal but surely not meant: rules that name the same clients equally well, and children nobody can reach."""
    return [*_ambiguous(zones, regions), *_undelegated(zones)]


def _ambiguous(zones: Sequence[ZoneContents], regions: Mapping[str, tuple[PlaceSelector, ...]]) -> Iterator[Problem]:
    for contents in zones:
        for node in variant_nodes(contents):
            for variants in node.variants.values():
                rules = tuple(rule_of(variant.selector, parse(variant.selector), regions) for variant in variants)
                for first, second, selector in overlaps(rules):
                    message = f"{to_text(node.name)}: GEO {first} and GEO {second} both name {selector}; {first} wins"
                    yield Problem(contents.file, 0, message, "take it out of one of them", Severity.WARNING)


def _undelegated(zones: Sequence[ZoneContents]) -> Iterator[Problem]:
    """A zone served beside its parent, which does not delegate it: resolvers that start at the parent never ask for it."""
    served = {contents.origin: contents for contents in zones}
    for contents in zones:
        parent = next((served[suffix] for suffix in suffixes(contents.origin)[1:] if suffix in served), None)
        if parent and not isinstance(parent.find(contents.origin), Cut):
            message = f"zone {to_text(contents.origin)} is not delegated by {to_text(parent.origin)}, which is served here too"
            remedy = f"add NS records for {to_text(contents.origin)} to {parent.file}"
            yield Problem(contents.file, 0, message, remedy, Severity.WARNING)
