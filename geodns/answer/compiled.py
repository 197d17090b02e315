"""Owns compiled answers: questions with replies prepared at load; refuses to decide: it records what `judge` decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from geodns.answer.authoritative import Judgement, judge
from geodns.answer.census import Census, pool_label, rule_label
from geodns.answer.ladder import Climb, Rung
from geodns.answer.pooled import FAMILIES, PooledReplies, Seat
from geodns.answer.pools import ALL_UNKNOWN, Standings
from geodns.answer.prepared import LARGEST, Entry, Prepared, Variant, fits, owned, plain_query, prepare, replies_of, steering
from geodns.answer.snapshot import Snapshot, Tailored, Zone
from geodns.answer.steering import PoolSelection, Steered
from geodns.answer.whoami import Introduction
from geodns.geo import FALLBACK, FIRST_RULE, Partition, Rule
from geodns.wire import ROOT, Name, Query, Rcode, Response, RRset, Type, question_of, suffixes
from geodns.wire.names import MAX_NAME
from geodns.wire.query import HEADER_SIZE
from geodns.wire.records import COMPRESSIBLE
from geodns.zone import Node

_LETTERS = frozenset(range(0x41, 0x5B)) | frozenset(range(0x61, 0x7B))
_FILLER = b"\xff"  # a label that no zone has
_WITH_NAMES = frozenset({*COMPRESSIBLE, Type.SRV, Type.SVCB, Type.HTTPS, Type.DNAME})
_CHAINED = (Type.A, Type.AAAA, Type.HTTPS)
"""Types for which an alias is followed at load; any other type asked of an alias takes the general path."""


class _Uncompilable(Exception):
    """A question whose answer depends on more than one partition, or on a pool in another way than by its own addresses."""


def survives_lowering(rdtype: int) -> bool:
    """Whether lower-casing a whole question leaves its type alone and lets no other type become it; HTTPS (65, "A") does not."""
    return rdtype >> 8 not in _LETTERS and rdtype & 0xFF not in _LETTERS


class Template:
    """One negative reply for all names of a zone that share the same suffixes with it: only name lengths make a difference.

    Every compression pointer behind the question leads to a suffix of the name asked or to what follows it, so for one length
    of name the octets are always the same. They are made when first wanted, at most 255 times.
    """

    __slots__ = ("_base", "_counter", "_made", "_response")

    def __init__(self, response: Response, base: Name, counter: int) -> None:
        self._response = response
        self._base = base
        self._counter = counter
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
        reply = prepare(plain_query(Name(filler + self._base), Type.A), self._response, self._counter)
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
    """An existing name: the reply for types it does not have, and what is below it; None sends to the general path.

    `lacking` are types that it has and for which nothing is prepared at the moment.
    """

    nodata: Template | None = None
    below: Below | None = None
    lacking: frozenset[int] = frozenset()


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
    pooled: dict[tuple[str, int], PooledReplies] = field(default_factory=dict)

    def add(self, name: Name, rdtype: int, entry: Entry) -> None:
        """Store the answer to one question."""
        (self.entries if survives_lowering(rdtype) else self.typed)[question_of(name, rdtype)] = entry

    def refresh(self, standings: Standings, *, anyway: bool = False) -> None:
        """Prepare anew what comes from pools in which a standing has changed."""
        for replies in self.pooled.values():
            replies.renew(standings, anyway=anyway)


def compile_answers(snapshot: Snapshot, census: Census, standings: Standings = ALL_UNKNOWN) -> Compiled:
    """Prepare the replies to every exact question, every variant and every kind of negative answer of all zones."""
    compiled = Compiled()
    census.expect_anycast(snapshot.atlas)
    compiler = _Compiler(snapshot, census, compiled)
    parents = {suffix for origin in snapshot.zones for suffix in suffixes(origin)[1:]}
    for origin in sorted(snapshot.zones, key=len):  # a child's names replace what its parent says of them
        compiler.compile(snapshot.zones[origin], has_children=origin in parents)
    compiled.refresh(standings, anyway=True)
    return compiled


class _Compiler:
    """Compiles the zones of one snapshot."""

    def __init__(self, snapshot: Snapshot, census: Census, compiled: Compiled) -> None:
        self.snapshot = snapshot
        self.census = census
        self.compiled = compiled
        self._counters: dict[tuple[int, str], int] = {}

    def compile(self, zone: Zone, *, has_children: bool) -> None:
        """Prepare all that one zone answers."""
        contents, compiled = zone.contents, self.compiled
        negatives = _Negatives(zone, self)
        for name, node in contents.nodes.items():
            if has_children and self.snapshot.zone_of(name, Type.A) is not zone:
                continue
            if node.cut is not None or node.redirection is not None:
                compiled.owners[name] = GENERAL
                continue
            owner = compiled.owners[name] = negatives.owner(node)
            families = self._families(node)
            entries = dict(self._entries(zone, node, families))
            for rdtype, entry in entries.items():
                compiled.add(name, rdtype, entry)
            if not entries.keys() | families >= node.rrsets.keys() - {Type.DS}:
                owner.nodata = None  # a type that is there but not prepared, for being too long, is no type that it lacks
            if families and name == ROOT:  # replies of pools, which names share, point to the name asked
                owner.nodata, families = None, set()
            for rdtype in families:
                absent = partial(_without, owner, owner.nodata, rdtype)
                seat = Seat(compiled.entries, question_of(name, rdtype), len(name), absent)
                self.replies(node, rdtype).seats.append(seat)

    def _families(self, node: Node) -> set[int]:
        """The types that a node answers out of its pool."""
        if node.pool is None:
            return set()
        pool = self.snapshot.pools[node.pool.pool].pool
        return {int(rdtype) for rdtype in FAMILIES if pool.has_family(rdtype)}

    def replies(self, node: Node, rdtype: int) -> PooledReplies:
        """Those that all names of a node's pool share."""
        steered = self.snapshot.pools[node.pool.pool]  # type: ignore[union-attr]  # asked for nodes with a pool only
        counted = partial(_pool_counter, self, steered.pool.name)
        return self.compiled.pooled.setdefault((steered.pool.name, rdtype), PooledReplies(steered, rdtype, counted))

    def counter(self, rdtype: int, choice: str = "") -> int:
        """The counters of replies of one kind."""
        key = (rdtype, choice)
        if key not in self._counters:
            self._counters[key] = self.census.expect(rdtype, choice)
        return self._counters[key]

    def _entries(self, zone: Zone, node: Node, pooled: set[int]) -> Iterator[tuple[int, Entry]]:
        """An entry for each type that a node answers with records of the zone."""
        types = set(node.rrsets)
        if Type.CNAME in types:
            types |= {*_CHAINED}
        for rdtype in types - {Type.DS} - pooled:  # asked at an apex, DS is the parent's
            if Type.CNAME in types or rdtype in _WITH_NAMES or node.name == ROOT:  # no pointer is shorter than the root itself
                entry = self.entry(node.name, rdtype)
            else:
                entry = self._nameless(node.rrsets[rdtype], zone.tailored.get((node.name, rdtype)))
            if entry is not None:
                yield rdtype, entry

    def _nameless(self, rrset: RRset, tailored: Tailored | None) -> Entry | None:
        """As `entry`, for records that hold no name and so bring nothing along: nine of ten, at a tenth of the time."""
        if tailored is None:
            reply = owned(rrset, self.counter(rrset.rdtype))
            return (*reply, None) if fits(len(rrset.owner), reply) else None
        fallback, *variants = (
            owned(variant, self.counter(rrset.rdtype, rule_label(rule)))
            for variant, rule in zip((rrset, *tailored.variants), (None, *tailored.rules), strict=True)
        )
        if not all(fits(len(rrset.owner), reply) for reply in (fallback, *variants)):
            return None
        return (*fallback, steering(tailored.partition, (*[None] * FALLBACK, fallback, *variants)))

    def entry(self, name: Name, rdtype: int) -> Entry | None:
        """The prepared replies to one question; None if they do not fit into 512 octets or hang on several partitions."""
        chooser = _Chooser(FALLBACK)
        query = plain_query(name, rdtype)
        try:
            judgement = judge(self.snapshot, query, chooser=chooser)
            tailored = chooser.tailored
            fallback = self._fitting(query, judgement, rule_label(None) if tailored else "")
            if fallback is None or tailored is None:
                return fallback and (*fallback, None)
            variants: list[Variant] = [*[None] * FALLBACK, fallback]
            for outcome, rule in enumerate(tailored.rules, start=FIRST_RULE):
                reply = self._variant(query, outcome, tailored, rule)
                if reply is None:
                    return None
                variants.append(reply)
        except _Uncompilable:
            return None
        return (*fallback, steering(tailored.partition, tuple(variants)))

    def _variant(self, query: Query, outcome: int, tailored: Tailored, rule: Rule) -> Prepared | None:
        judgement = judge(self.snapshot, query, chooser=_Chooser(outcome, tailored))
        return self._fitting(query, judgement, rule_label(rule))

    def _fitting(self, query: Query, judgement: Judgement, choice: str) -> Prepared | None:
        response = judgement.response
        if response.options:
            return None
        if response.rcode == Rcode.NOERROR:
            return prepare(query, response, self.counter(query.rdtype, choice))
        return prepare(query, response, self.census.negative(response.rcode, query.rdtype)) if not choice else None


def _pool_counter(compiler: _Compiler, pool: str, rdtype: int, label: str) -> int:
    return compiler.counter(rdtype, pool_label(pool, label))


def _without(owner: Owner, nodata: Template | None, lacking: int, absent: bool) -> None:
    """While a type of a node has no entry, all that has none must take the general path there."""
    owner.lacking = owner.lacking | {lacking} if absent else owner.lacking - {lacking}
    owner.nodata = None if owner.lacking else nodata


class _Chooser:
    """Stands for a client of one outcome: whatever is tailored gets that outcome, as long as all of it has one partition."""

    def __init__(self, outcome: int, tailored: Tailored | None = None) -> None:
        self.outcome = outcome
        self.tailored = tailored

    def variant(self, tailored: Tailored) -> Climb:
        """The one outcome."""
        self.tailored = self.tailored or tailored
        if tailored.partition is not self.tailored.partition:
            raise _Uncompilable
        return Climb(self.outcome, Rung.FALLBACK, 0, ())

    def endpoints(self, steered: Steered, rdtype: int) -> PoolSelection:  # noqa: ARG002 (what nobody may ask)
        """Nothing that could be prepared for good."""
        raise _Uncompilable

    def introduction(self, snapshot: Snapshot, whereabouts: Partition, query: Query, rrset: tuple[Name, int]) -> Introduction:  # noqa: ARG002
        """Nothing that could be prepared at all."""
        raise _Uncompilable


class _Negatives:
    """Makes and shares the negative replies of one zone."""

    def __init__(self, zone: Zone, compiler: _Compiler) -> None:
        self.zone = zone
        self.compiler = compiler
        soa = zone.contents.negative_soa
        rdata = soa.rdatas[0].lower()
        first_end = rdata.index(b"\0") + 1
        self.hosts = (Name(rdata[:first_end]), Name(rdata[first_end : rdata.index(b"\0", first_end) + 1]))
        self.expressible = not any(_FILLER[0] in host for host in self.hosts)
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
        counter = self.compiler.census.negative(response.rcode)
        return self._templates.setdefault((response.rcode, base), Template(response, base, counter))

    def owner(self, node: Node) -> Owner:
        """What a node gives for types it lacks and names it has not."""
        speaks = Type.CNAME in node.rrsets or node.whoami is not None  # it answers for types that it has no records of
        nodata = None if speaks else self._template(self.nodata, node.name)
        if Type.DNAME in node.rrsets:
            return Owner(nodata, None)
        source = self.zone.contents.nodes.get(Name(b"\x01*" + node.name))
        if source is None:
            return Owner(nodata, Below(self._template(self.nxdomain, node.name), None, self.special))
        speaks = Type.CNAME in source.rrsets or source.pool is not None or source.whoami is not None
        wildcard = None if speaks else self._wildcard(source)
        if wildcard is None:
            return Owner(nodata, None)
        return Owner(nodata, Below(self._template(self.nodata, node.name), wildcard, self.special))

    def _wildcard(self, source: Node) -> dict[bytes, Entry] | None:
        """Entries by type and class, for records that hold no name: their replies are the same for every name asked."""
        if self.compiler.snapshot.zone_of(source.name, Type.A) is not self.zone:
            return None  # its name is another zone's, served here too: asked for itself, it answers something else
        entries: dict[bytes, Entry] = {}
        for rdtype in source.rrsets:
            if rdtype in _WITH_NAMES:
                return None
            entry = self.compiler.entry(source.name, rdtype)
            if entry is None or HEADER_SIZE + MAX_NAME + 4 + _longest_tail(entry) > LARGEST:
                return None
            entries[question_of(source.name, rdtype)[-4:]] = entry
        return entries


def _longest_tail(entry: Entry) -> int:
    replies = [reply for variant in entry[3][7] for reply in replies_of(variant)] if entry[3] else []
    return max([len(entry[1]), *(len(tail) for _, tail, _ in replies)])
