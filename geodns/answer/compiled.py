"""Owns compiled answers: questions with replies prepared at load; refuses to decide: it records what `judge` decides."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from geodns.answer.authoritative import Judgement, judge
from geodns.answer.ladder import Climb, Rung
from geodns.answer.snapshot import Snapshot, Tailored, Zone
from geodns.geo import FALLBACK, FIRST_RULE, Partition
from geodns.wire import (
    MAX_MESSAGE,
    Name,
    Query,
    Rcode,
    Response,
    RRset,
    Type,
    question_of,
    render,
    suffixes,
)
from geodns.wire.names import MAX_NAME
from geodns.wire.query import AA, HEADER, HEADER_SIZE, QR
from geodns.wire.records import COMPRESSIBLE
from geodns.wire.response import RECORD_HEAD
from geodns.zone import Node

LARGEST = 512 - 11 - 4 - 4 - 16 - 6
"""Octets of a prepared reply without OPT, so that it fits every sender: OPT, the longest client subnet, an extended error."""

Heads = tuple[bytes, bytes, bytes, bytes]
"""The ten header octets behind the id, by `recursion desired | has OPT << 1`."""

Prepared = tuple[Heads, bytes]
"""A reply: its headers, and everything behind the question."""

Variants = tuple[Prepared | None, ...]
"""Replies by outcome of a partition; None where the address asked has no usable location, so the next rung decides."""

Steering = tuple["array[int]", "array[int]", "array[int]", int, Variants, Partition]
"""How a client's variant is found: starts, outcomes, top and shift of the partition's IPv4 cells, the variants, the partition.

The same is in the last; taken apart here, a look-up touches fewer objects.
"""

Entry = tuple[Heads, bytes, Steering | None]
"""What a question gets: one reply for everyone, or that of the fallback and the way to the others."""

_LETTERS = frozenset(range(0x41, 0x5B)) | frozenset(range(0x61, 0x7B))
_FILLER = b"\xff"  # a label that no zone has
_WITH_NAMES = frozenset({*COMPRESSIBLE, Type.SRV, Type.SVCB, Type.HTTPS, Type.DNAME})
_OWNER = b"\xc0\x0c"  # a compression pointer to the name asked
_CHAINED = (Type.A, Type.AAAA, Type.HTTPS)
"""Types for which an alias is followed at load; any other type asked of an alias takes the general path."""


class _Uncompilable(Exception):
    """A question whose answer depends on more than one partition."""


def survives_lowering(rdtype: int) -> bool:
    """Whether lower-casing a whole question leaves its type alone and lets no other type become it; HTTPS (65, "A") does not."""
    return rdtype >> 8 not in _LETTERS and rdtype & 0xFF not in _LETTERS


class Template:
    """One negative reply for all names of a zone that share the same suffixes with it: only name lengths make a difference.

    Every compression pointer behind the question leads to a suffix of the name asked or to what follows it, so for one length
    of name the octets are always the same. They are made when first wanted, at most 255 times.
    """

    __slots__ = ("_base", "_made", "_response")

    def __init__(self, response: Response, base: Name) -> None:
        self._response = response
        self._base = base
        self._made: dict[int, Entry | None] = {}

    def entry(self, length: int) -> Entry | None:
        """The reply for names of this many octets; None if there can be no such name."""
        if length not in self._made:
            self._made[length] = self._make(length)
        return self._made[length]

    def _make(self, length: int) -> Entry | None:
        room = length - len(self._base)
        filler = b""
        while room:
            size = min(room - 1, 63)
            size -= room - 1 - size == 1  # never leave one octet over: the shortest label has two
            if size < 1:
                return None
            filler += bytes((size,)) + _FILLER * size
            room -= size + 1
        reply = _prepare(_plain_query(Name(filler + self._base), Type.A), self._response)
        return reply and (*reply, None)


@dataclass(slots=True)
class Below:
    """What names get that do not exist below a node, their closest encloser.

    `special` holds names in the SOA record's RDATA, and all their suffixes: below or at those, compression differs.
    """

    negative: Template | None
    wildcard: Mapping[bytes, Entry] | None
    special: frozenset[bytes]


@dataclass(slots=True)
class Owner:
    """An existing name: the reply for types it does not have, and what is below it; None sends to the general path."""

    nodata: Template | None = None
    below: Below | None = None


GENERAL = Owner()


@dataclass(slots=True)
class Compiled:
    """Every question of a snapshot that the fast path answers.

    `entries` is keyed by the lower-cased question section, `typed` likewise for types that lower-casing would change (their
    two octets as sent), `owners` by name.
    """

    entries: dict[bytes, Entry] = field(default_factory=dict)
    typed: dict[bytes, Entry] = field(default_factory=dict)
    owners: dict[bytes, Owner] = field(default_factory=dict)

    def add(self, name: Name, rdtype: int, entry: Entry) -> None:
        """Store the answer to one question."""
        (self.entries if survives_lowering(rdtype) else self.typed)[question_of(name, rdtype)] = entry


@lru_cache(4096)
def _heads_of(octets: bytes) -> Heads:
    """All four headers made from one; equal ones are shared."""
    recursion = bytes((octets[0] | 1,))
    with_opt = octets[1:8] + (int.from_bytes(octets[8:10], "big") + 1).to_bytes(2, "big")
    return octets, recursion + octets[1:], octets[:1] + with_opt, recursion + with_opt


def _plain_query(name: Name, rdtype: int) -> Query:
    """A question without EDNS: what is prepared for it fits every sender, and only OPT is added for others."""
    question = question_of(name, rdtype)
    return Query(0, 0, recursion_desired=False, question=question, name=name, rdtype=rdtype, rdclass=1, edns=None)


def _prepare(query: Query, response: Response) -> Prepared | None:
    """Render a response once, without limit; None if it could be too long for some sender."""
    octets = render(query, response, MAX_MESSAGE)
    if len(octets) > LARGEST:
        return None
    return _heads_of(octets[2:HEADER_SIZE]), octets[HEADER_SIZE + len(query.question) :]


def compile_answers(snapshot: Snapshot) -> Compiled:
    """Prepare the replies to every exact question, every variant and every kind of negative answer of all zones."""
    compiled = Compiled()
    parents = {suffix for origin in snapshot.zones for suffix in suffixes(origin)[1:]}
    for origin in sorted(snapshot.zones, key=len):  # a child's names replace what its parent says of them
        _compile_zone(snapshot, snapshot.zones[origin], compiled, has_children=origin in parents)
    return compiled


def _compile_zone(snapshot: Snapshot, zone: Zone, compiled: Compiled, *, has_children: bool) -> None:
    contents = zone.contents
    negatives = _Negatives(zone)
    for name, node in contents.nodes.items():
        if has_children and snapshot.zone_of(name, Type.A) is not zone:
            continue
        if node.cut is not None or node.redirection is not None:
            compiled.owners[name] = GENERAL
            continue
        owner = compiled.owners[name] = negatives.owner(snapshot, node)
        entries = dict(_node_entries(snapshot, zone, node))
        for rdtype, entry in entries.items():
            compiled.add(name, rdtype, entry)
        if not entries.keys() >= node.rrsets.keys() - {Type.DS}:
            owner.nodata = None  # a type that is there but not prepared, for being too long, is no type that it lacks


def _node_entries(snapshot: Snapshot, zone: Zone, node: Node) -> Iterator[tuple[int, Entry]]:
    """An entry for each type that a node answers."""
    types = set(node.rrsets)
    if Type.CNAME in types:
        types |= {*_CHAINED}
    for rdtype in types - {Type.DS}:  # asked at an apex, DS is the parent's
        if Type.CNAME in types or rdtype in _WITH_NAMES:
            entry = _entry(snapshot, node.name, rdtype)
        else:
            entry = _nameless(node.rrsets[rdtype], zone.tailored.get((node.name, rdtype)))
        if entry is not None:
            yield rdtype, entry


def _nameless(rrset: RRset, tailored: Tailored | None) -> Entry | None:
    """As `_entry`, for records that hold no name and so bring nothing along: nine of ten, at a tenth of the time."""
    fallback = _owned(rrset)
    if fallback is None or tailored is None:
        return fallback and (*fallback, None)
    variants = [_owned(variant) for variant in tailored.variants]
    if None in variants:
        return None
    return (*fallback, _steering(tailored.partition, (*[None] * FALLBACK, fallback, *variants)))


def _steering(partition: Partition, variants: Variants) -> Steering:
    cells = partition.ipv4
    return cells.starts, cells.outcomes, cells.top, cells.shift, variants, partition


def _owned(rrset: RRset) -> Prepared | None:
    """The answer that is just these records, their owner being the name asked; None if it does not fit."""
    count = len(rrset.rdatas)
    head = _OWNER + RECORD_HEAD.pack(rrset.rdtype, rrset.rdclass, rrset.ttl, 0)[:-2]
    tail = b"".join([head + len(rdata).to_bytes(2, "big") + rdata for rdata in rrset.rdatas])
    if HEADER_SIZE + len(rrset.owner) + 4 + len(tail) > LARGEST:
        return None
    return _heads_of(HEADER.pack(0, QR | AA, 1, count, 0, 0)[2:]), tail


def _entry(snapshot: Snapshot, name: Name, rdtype: int) -> Entry | None:
    """The prepared replies to one question; None if they do not fit into 512 octets or hang on several partitions."""
    chooser = _Chooser(FALLBACK)
    query = _plain_query(name, rdtype)
    fallback = _fitting(query, judge(snapshot, query, chooser=chooser))
    if fallback is None or chooser.tailored is None:
        return fallback and (*fallback, None)
    variants: list[Prepared | None] = [None] * FALLBACK + [fallback]
    try:
        for outcome in range(FIRST_RULE, FIRST_RULE + len(chooser.tailored.rules)):
            reply = _fitting(query, judge(snapshot, query, chooser=_Chooser(outcome, chooser.tailored)))
            if reply is None:
                return None
            variants.append(reply)
    except _Uncompilable:
        return None
    return (*fallback, _steering(chooser.tailored.partition, tuple(variants)))


def _fitting(query: Query, judgement: Judgement) -> Prepared | None:
    return None if judgement.response.options else _prepare(query, judgement.response)


class _Chooser:
    """Stands for a client of one outcome: whatever is tailored gets that outcome, as long as all of it has one partition."""

    def __init__(self, outcome: int, tailored: Tailored | None = None) -> None:
        self.outcome = outcome
        self.tailored = tailored

    def __call__(self, tailored: Tailored) -> Climb:
        self.tailored = self.tailored or tailored
        if tailored.partition is not self.tailored.partition:
            raise _Uncompilable
        return Climb(self.outcome, Rung.FALLBACK, 0, ())


class _Negatives:
    """Makes and shares the negative replies of one zone."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        soa = zone.contents.negative_soa
        rdata = soa.rdatas[0].lower()
        first_end = rdata.index(b"\0") + 1
        self.hosts = (Name(rdata[:first_end]), Name(rdata[first_end : rdata.index(b"\0", first_end) + 1]))
        self.expressible = _FILLER not in rdata
        self.special = frozenset(suffix for host in self.hosts for suffix in suffixes(host))
        self.nxdomain = Response(rcode=Rcode.NXDOMAIN, authoritative=True, authority=[soa])
        self.nodata = Response(authoritative=True, authority=[soa])
        self._templates: dict[tuple[int, Name], Template] = {}

    def _template(self, response: Response, name: Name) -> Template | None:
        """The template for names at or below `name`: its base is the longest suffix that matters to compression."""
        if not self.expressible:
            return None
        origin = self.zone.contents.origin
        base = next((suffix for suffix in suffixes(name) if suffix in self.special or suffix == origin), origin)
        if len(base) < len(origin):
            base = origin
        return self._templates.setdefault((response.rcode, base), Template(response, base))

    def owner(self, snapshot: Snapshot, node: Node) -> Owner:
        """What a node gives for types it lacks and names it has not."""
        nodata = None if Type.CNAME in node.rrsets else self._template(self.nodata, node.name)
        if Type.DNAME in node.rrsets:
            return Owner(nodata, None)
        source = self.zone.contents.nodes.get(Name(b"\x01*" + node.name))
        if source is None:
            return Owner(nodata, Below(self._template(self.nxdomain, node.name), None, self.special))
        wildcard = None if Type.CNAME in source.rrsets else self._wildcard(snapshot, source)
        if wildcard is None:
            return Owner(nodata, None)
        return Owner(nodata, Below(self._template(self.nodata, node.name), wildcard, self.special))

    def _wildcard(self, snapshot: Snapshot, source: Node) -> dict[bytes, Entry] | None:
        """Entries by type and class, for records that hold no name: their replies are the same for every name asked."""
        entries: dict[bytes, Entry] = {}
        for rdtype in source.rrsets:
            if rdtype in _WITH_NAMES:
                return None
            entry = _entry(snapshot, source.name, rdtype)
            if entry is None or HEADER_SIZE + MAX_NAME + 4 + _longest_tail(entry) > LARGEST:
                return None
            entries[question_of(source.name, rdtype)[-4:]] = entry
        return entries


def _longest_tail(entry: Entry) -> int:
    variants = entry[2][4] if entry[2] else ()
    return max([len(entry[1]), *(len(variant[1]) for variant in variants if variant)])
