"""Owns the namespace of one zone: nodes, and which of them answers for a name; refuses to know files and clients."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from geodns.wire import names
from geodns.wire.names import Name
from geodns.wire.records import RRset, Type
from geodns.zone.master import Record
from geodns.zone.records import geo_fields, pool_name

Key = TypeVar("Key")
SOA_NUMBERS = struct.Struct("!IIIII")  # serial, refresh, retry, expire, minimum: the end of SOA RDATA, RFC 1035 §3.3.13


@dataclass(frozen=True, slots=True)
class Variant:
    """An RRset for the clients that one selector names."""

    selector: str
    rrset: RRset


@dataclass(frozen=True, slots=True)
class PoolReference:
    """The pool of the config that gives an owner's addresses; `ttl` in seconds."""

    pool: str
    ttl: int


@dataclass(slots=True)
class Node:
    """A name that exists; an empty non-terminal has no data (RFC 4592 §2.2.2).

    `rrsets` holds the plain records by type, never GEO, POOL or WHOAMI; `variants` by covered type, sorted by selector text.
    `cut` is the owner of the highest zone cut at or above this node and below the apex, `redirection` the owner of the
    highest DNAME strictly above it: names below a DNAME are not there (RFC 6672 §2.4). `whoami` is the TTL, in seconds, with
    which TXT tells whoever asks about itself; None where it does not.
    """

    name: Name
    rrsets: dict[int, RRset]
    variants: dict[int, tuple[Variant, ...]]
    pool: PoolReference | None
    cut: Name | None
    redirection: Name | None
    whoami: int | None = None


@dataclass(frozen=True, slots=True)
class Exact:
    """The name itself exists, maybe without data."""

    node: Node


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The name does not exist, but `node`, the `*` child of its closest encloser, answers (RFC 4592 §3.3.1)."""

    node: Node
    closest_encloser: Name


@dataclass(frozen=True, slots=True)
class Cut:
    """The name is at or below a zone cut; `node` owns the NS RRset, `at_owner` tells whether it is the name itself.

    At the owner itself, a question for DS is still this zone's to answer (RFC 4035 §3.1.4.1).
    """

    node: Node
    at_owner: bool


@dataclass(frozen=True, slots=True)
class Redirection:
    """The name is below `node`, which owns a DNAME (RFC 6672 §3.2)."""

    node: Node


@dataclass(frozen=True, slots=True)
class Missing:
    """The name does not exist and no wildcard stands for it."""

    closest_encloser: Name


@dataclass(frozen=True, slots=True)
class Outside:
    """The name is not in this zone."""


Match = Exact | Wildcard | Cut | Redirection | Missing | Outside
OUTSIDE = Outside()


@dataclass(frozen=True, slots=True)
class ZoneContents:
    """All of one zone.

    `negative_soa` is the SOA RRset as negative answers carry it, TTL = min(its TTL, MINIMUM) (RFC 2308 §5). `record_count`
    counts the records within the zone, `file` is the path as the operator typed it. `border` has the records in which it meets
    other zones that are served here, as files have them.
    """

    origin: Name
    nodes: dict[Name, Node]
    soa: RRset
    negative_soa: RRset
    serial: int
    record_count: int
    file: str
    border: tuple[Record, ...] = ()

    def find(self, name: Name) -> Match:
        """Which node answers for a name: RFC 1034 §4.3.2 step 3, with RFC 4592 and RFC 6672."""
        return find(self.origin, self.nodes, name)


def find(origin: Name, nodes: dict[Name, Node], name: Name) -> Match:
    """As `ZoneContents.find`, for a namespace that may lack its SOA; `nodes` must hold the origin."""
    node = nodes.get(name)
    if node is not None:
        if node.cut is None and node.redirection is None:
            return Exact(node)
        return _occluded(nodes, node, name)
    shortest, encloser = len(origin), name
    while node is None:
        encloser = Name(encloser[encloser[0] + 1 :])
        if len(encloser) < shortest:
            return OUTSIDE
        node = nodes.get(encloser)
    if node.cut is not None or node.redirection is not None:
        return _occluded(nodes, node, name)
    if Type.DNAME in node.rrsets and not names.is_wildcard(encloser):
        return Redirection(node)
    source = nodes.get(names.wildcard(encloser))
    return Missing(encloser) if source is None else Wildcard(source, encloser)


def _occluded(nodes: dict[Name, Node], node: Node, name: Name) -> Match:
    """The highest of the cut and the DNAME above a name hides what is below it."""
    cut, redirection = node.cut, node.redirection
    if redirection is not None and (cut is None or len(redirection) < len(cut)):
        return Redirection(nodes[redirection])
    return Exact(node) if cut is None else Cut(nodes[cut], cut == name)


def build(origin: Name, records: Sequence[Record], file: str) -> ZoneContents:
    """Compile records to a zone; those out of the zone are skipped, duplicates dropped.

    Precondition: a SOA record at the origin, else ValueError. What else `semantics.check` refuses does not raise.
    """
    nodes, record_count = grow(origin, records)
    soa = nodes[origin].rrsets.get(Type.SOA)
    if soa is None:
        raise ValueError(f"{names.to_text(origin)} has no SOA record")
    serial, _refresh, _retry, _expire, minimum = SOA_NUMBERS.unpack(soa.rdatas[0][-SOA_NUMBERS.size :])
    return ZoneContents(origin, nodes, soa, soa.with_ttl(min(soa.ttl, minimum)), serial, record_count, file)


@dataclass(slots=True)
class _Gathered:
    """Records on their way to an RRset; the RDATA are the keys, for a dict keeps their order and each only once."""

    ttl: int
    rdatas: dict[bytes, None]


def grow(origin: Name, records: Iterable[Record]) -> tuple[dict[Name, Node], int]:
    """Make the nodes, real empty non-terminals up to the origin included, and count the records in them."""
    plain: dict[tuple[Name, int], _Gathered] = {}
    geo: dict[Name, _Gathered] = {}
    pools: dict[Name, PoolReference] = {}
    whoami: dict[Name, int] = {}
    nodes = {origin: Node(origin, {}, {}, None, None, None)}
    for record in records:
        owner = record.owner
        if owner not in nodes and not _plant(nodes, origin, owner):
            continue
        match record.rdtype:
            case Type.GEO:
                _gather(geo, owner, record)
            case Type.POOL:
                pools.setdefault(owner, PoolReference(pool_name(record.rdata), record.ttl))
            case Type.WHOAMI:
                whoami.setdefault(owner, record.ttl)
            case rdtype:
                _gather(plain, (owner, rdtype), record)
    for (owner, rdtype), gathered in plain.items():
        nodes[owner].rrsets[rdtype] = RRset(owner, rdtype, gathered.ttl, tuple(gathered.rdatas))
    for owner, gathered in geo.items():
        nodes[owner].variants = _variants(owner, gathered)
    for owner, reference in pools.items():
        nodes[owner].pool = reference
    for owner, ttl in whoami.items():
        nodes[owner].whoami = ttl
    _shade(origin, nodes)
    return nodes, len(pools) + len(whoami) + sum(len(found.rdatas) for group in (plain, geo) for found in group.values())


def _gather(groups: dict[Key, _Gathered], key: Key, record: Record) -> None:
    group = groups.get(key)
    if group is None:
        groups[key] = _Gathered(record.ttl, {record.rdata: None})
    else:
        group.ttl = min(group.ttl, record.ttl)
        group.rdatas[record.rdata] = None


def _plant(nodes: dict[Name, Node], origin: Name, name: Name) -> bool:
    """Add a name and the empty non-terminals above it; False if it is not in the zone."""
    if not names.is_subdomain(name, origin):
        return False
    while name not in nodes:
        nodes[name] = Node(name, {}, {}, None, None, None)
        name = names.parent(name)
    return True


def _variants(owner: Name, geo: _Gathered) -> dict[int, tuple[Variant, ...]]:
    """All GEO records of an owner are one RRset with one TTL: that is the TTL of every variant."""
    found: dict[int, dict[str, list[bytes]]] = {}
    for rdata in geo.rdatas:
        selector, covered, inner = geo_fields(rdata)
        found.setdefault(covered, {}).setdefault(selector, []).append(inner)
    return {
        covered: tuple(
            Variant(selector, RRset(owner, covered, geo.ttl, tuple(rdatas))) for selector, rdatas in sorted(selectors.items())
        )
        for covered, selectors in found.items()
    }


def _shade(origin: Name, nodes: dict[Name, Node]) -> None:
    """Tell every node which cut and which DNAME above it hide it; parents first, for a name is longer than its parent."""
    for name in sorted(nodes, key=len):
        node = nodes[name]
        if name == origin:
            continue
        above = nodes[names.parent(name)]
        node.cut, node.redirection = above.cut, above.redirection
        if node.redirection is None and Type.DNAME in above.rrsets and not names.is_wildcard(above.name):
            node.redirection = above.name
        # NS at a wildcard delegates nothing (RFC 4592 §4.2).
        if node.cut is None and Type.NS in node.rrsets and not names.is_wildcard(name):
            node.cut = name
