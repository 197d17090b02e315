"""Owns what a new snapshot answers otherwise, and for which part of address space; refuses to know files, and the time it takes.

A client counts where its own address is, which it asks from or its resolver tells; a resolver in an egress map, which tells none,
where that map has it. Every endpoint is taken to be up; a name has its own records: an alias is compared, not followed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from geodns.answer.ladder import LADDER, Rung
from geodns.answer.pools import ALL_UNKNOWN, Bands, Roll, WhenAllDown
from geodns.answer.snapshot import Snapshot, Tailored, Zone
from geodns.answer.steering import Steered
from geodns.geo import FALLBACK, FIRST_RULE, Buckets, Network, Partition, State, Version
from geodns.geo.address import VERSIONS
from geodns.geo.alignment import UNCUT, Alignment, Found, Joint, Prefixes, alike
from geodns.geo.partition import FamilyCells
from geodns.geo.weights import AREAS
from geodns.wire import Name, Type
from geodns.zone import Node

_ADDRESSES = (Type.A, Type.AAAA)
_EVERYWHERE: Joint = {(UNCUT, UNCUT): 1.0}
_OWN_PLACE = (Rung.ECS, Rung.RESOLVER)

Question = tuple[Name, Name, int]
"""Origin of a zone, owner, type."""


@dataclass(frozen=True, slots=True)
class Told:
    """What some clients are answered: the RDATA in sorted order, any of which where a pool draws.

    `by` is the rule that names the clients, or `pool` and the pool's name, or "" where the plain records answer.
    """

    by: str
    rdatas: tuple[bytes, ...]


_NOTHING = Told("", ())
_ABOUT_ITSELF = Told("WHOAMI", (b"\x17about whoever is asking",))
"""Stands for what WHOAMI answers, which nobody can compare."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A part, from 0 to 1, of IPv4 and of IPv6."""

    ipv4: float = 0.0
    ipv6: float = 0.0

    def with_more(self, version: Version, part: float) -> Parts:
        """So much more of one family."""
        return Parts(self.ipv4 + part, self.ipv6) if version == 4 else Parts(self.ipv4, self.ipv6 + part)


@dataclass(frozen=True, slots=True)
class Shift:
    """Clients of one question who get another answer: how much of the address space whose place is known they are.

    `placeless` tells whether addresses without a usable place are among them. `prefixes` are where they are, those of the largest
    ranges; so many `ranges_left` are not among them. Networks that a hash deals out are not listed. `resolvers` tells whether
    these are resolvers that an egress map places, before or after: `parts` are then of the addresses of which that is so.
    """

    before: Told
    after: Told
    parts: Parts
    placeless: bool
    prefixes: tuple[Network, ...] = ()
    ranges_left: int = 0
    resolvers: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A question that some clients, or all, are answered otherwise.

    Parts are of the address space whose place is known before or after; special, anycast and unlocated addresses are nobody's
    place. `areas` says by country, as AREAS names it, which part of its own space moves. `resolvers` is the part of what egress
    maps place.
    """

    name: Name
    rdtype: int
    parts: Parts
    shifts: tuple[Shift, ...]
    areas: Mapping[str, Parts]
    resolvers: Parts = Parts()


class _Row(NamedTuple):
    """What cuts laid over each other make of some addresses: outcomes before and after, the area, and of each side's egress map
    its outcome and whether a network of the operator goes before it."""

    old: int
    new: int
    area: int = UNCUT
    old_mapped: int = UNCUT
    new_mapped: int = UNCUT
    old_named: int = UNCUT
    new_named: int = UNCUT


@dataclass(frozen=True, slots=True)
class _View:
    """How one snapshot answers one question.

    `kinds[0]` is for clients of whom no place is known; outcome FALLBACK + n of the partition gets `kinds[n]`. Where a hash deals
    networks out, `buckets` has what each bucket gets. `ladder` has the rungs that are asked.
    """

    partition: Partition | None
    kinds: tuple[Told, ...]
    buckets: tuple[Told, ...] = ()
    ladder: tuple[Rung, ...] = LADDER

    def ways(self, outcome: int) -> Iterable[tuple[Told, float]]:
        """What clients of an outcome get, and which part of them."""
        if self.buckets:
            return [(told, count / len(self.buckets)) for told, count in Counter(self.buckets).items()]
        return ((self.kinds[max(outcome - FALLBACK, 0)], 1.0),)

    def of_client(self, own: int) -> int:
        """The outcome that decides for a client whose address has one of its own."""
        for rung in self.ladder if self.partition else ():
            if rung in _OWN_PLACE and own >= FALLBACK:
                return own
            if rung is Rung.INSTANCE and self.partition and self.partition.instance is not None:
                return self.partition.instance
        return FALLBACK

    def of_resolver(self, own: int, mapped: int, named: int) -> tuple[int, bool]:
        """The outcome that decides for a resolver that tells no client subnet, and whether it is that of an egress map."""
        for rung in self.ladder if self.partition else ():
            if rung is Rung.EGRESS and named <= 0 and mapped >= FALLBACK:
                return mapped, True
            if own >= FALLBACK and (rung is Rung.RESOLVER or (rung is Rung.EGRESS and named > 0)):
                return own, False
            if rung is Rung.INSTANCE and self.partition and self.partition.instance is not None:
                return self.partition.instance, False
        return FALLBACK, False


class _Views:
    """One snapshot, looked at question by question."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.zones = snapshot.zones
        self.ladder = snapshot.ladder
        self._pools = snapshot.pools
        self._of_pool: dict[tuple[str, int, Told], _View] = {}

    def types(self, zone: Name, owner: Name) -> set[int]:
        """The types that an owner has an answer of its own for; the SOA record, which every change changes, is left out."""
        node = self.zones[zone].contents.nodes.get(owner) if zone in self.zones else None
        if node is None:
            return set()
        from_pool = {rdtype for rdtype in _ADDRESSES if self._pool(node, rdtype)}
        told = {Type.TXT} if node.whoami is not None else set[int]()
        return {int(rdtype) for rdtype in (node.rrsets.keys() | from_pool | told) - {Type.SOA}}

    def differing(self, zone: Name) -> set[tuple[Name, int]]:
        """Owners in a zone, and their types, whose answers differ by client."""
        served = self.zones[zone]
        pooled = (node for node in served.contents.nodes.values() if node.pool)
        return set(served.tailored).union(
            (node.name, rdtype) for node in pooled for rdtype in _ADDRESSES if self._pool(node, rdtype)
        )

    def tailored(self, question: Question) -> Tailored | None:
        """The variants that answer a question; None if no variants do."""
        origin, owner, rdtype = question
        node = self.zones[origin].contents.nodes[owner]
        return None if self._pool(node, rdtype) else self.zones[origin].tailored.get((owner, rdtype))

    def view(self, question: Question) -> _View:
        """How a question is answered that `types` has named."""
        origin, owner, rdtype = question
        zone = self.zones[origin]
        node = zone.contents.nodes[owner]
        steered = self._pool(node, rdtype)
        if steered is None:
            return replace(_plain(zone, node, rdtype), ladder=self.ladder)
        falls = steered.pool.when_all_down is WhenAllDown.FALLBACK
        key = (steered.pool.name, rdtype, _plain(zone, node, rdtype).kinds[0] if falls else _NOTHING)
        if key not in self._of_pool:
            self._of_pool[key] = replace(_pooled(steered, *key[1:]), ladder=self.ladder)
        return self._of_pool[key]

    def is_pooled(self, question: Question) -> bool:
        """Whether a pool answers, so that the view is shared with other names."""
        return self._pool(self.zones[question[0]].contents.nodes[question[1]], question[2]) is not None

    def _pool(self, node: Node, rdtype: int) -> Steered | None:
        """The pool that answers for a type, None if the zone's own records do."""
        if node.pool is None or rdtype not in _ADDRESSES:
            return None
        steered = self._pools[node.pool.pool]
        return steered if steered.pool.has_family(rdtype) else None


def _plain(zone: Zone, node: Node, rdtype: int) -> _View:
    tailored: Tailored | None = zone.tailored.get((node.name, rdtype))
    if node.whoami is not None and rdtype == Type.TXT:
        return _View(None, (_ABOUT_ITSELF,))
    if tailored is None:
        rrset = node.rrsets.get(rdtype)
        return _View(None, (_told("", rrset.rdatas if rrset else ()),))
    variants = zip(tailored.rules, tailored.variants, strict=True)
    return _View(
        tailored.partition,
        (_told("", tailored.fallback.rdatas), *(_told(rule.name, variant.rdatas) for rule, variant in variants)),
    )


def _told(by: str, rdatas: Iterable[bytes]) -> Told:
    return Told(by, tuple(sorted(rdatas)))


def _pooled(steered: Steered, rdtype: int, plain: Told) -> _View:
    pool = steered.pool
    roll = Roll(pool, rdtype, ALL_UNKNOWN)
    known: dict[Bands, Told] = {}

    def told(bands: Bands) -> Told:
        if bands not in known:
            candidates = roll.candidates(bands)
            chosen = {number for share in candidates.shares for number in share.endpoints}
            rdatas = {rdata for number in chosen for rdata in roll.addresses(candidates, number)}
            falls = not chosen and pool.when_all_down is WhenAllDown.FALLBACK
            known[bands] = plain if falls else _told(f"pool {pool.name}", rdatas)
        return known[bands]

    kinds = tuple(map(told, steered.orders))
    if isinstance(steered.partition, Buckets):
        return _View(None, kinds[:1], kinds[1:])
    return _View(steered.partition, kinds)


_Key = tuple[Told, Told, bool]
"""What some get before and after, and whether these are resolvers that an egress map places."""


@dataclass(slots=True)
class _Tally:
    """What becomes of the clients of one question, while it is counted."""

    parts: dict[_Key, Parts] = field(default_factory=dict)
    placeless: set[_Key] = field(default_factory=set)
    rows: dict[_Key, set[_Row]] = field(default_factory=dict)
    located: Parts = Parts()
    mapped: Parts = Parts()
    areas: dict[str, Parts] = field(default_factory=dict)
    moved: dict[str, Parts] = field(default_factory=dict)

    def moves(self, key: _Key, row: _Row) -> None:
        """Note that addresses of a row move so."""
        self.rows.setdefault(key, set()).add(row)
        self.parts.setdefault(key, Parts())


class Comparison:
    """Two snapshots, compared question by question.

    `areas` is the partition of the policy AREAS, where moves are to be told by country; `shown` is how many prefixes each shift
    lists. What many questions share, as the cuts of address space, is laid over each other once.
    """

    def __init__(self, old: Snapshot, new: Snapshot, areas: Partition | None = None, shown: int = 0) -> None:
        self._old, self._new = _Views(old), _Views(new)
        self._same_ladder = old.ladder == new.ladder
        self._areas = areas
        self._shown = shown
        self._alignments: dict[tuple[Version, tuple[int, ...]], Alignment] = {}
        self._joints: dict[tuple[int, ...], Joint] = {}
        self._alike: dict[tuple[int, int], bool] = {}
        self._pooled: dict[tuple[int, int], Move | None] = {}

    def differing(self, zone: Name) -> list[Question]:
        """The questions in a zone served before and after whose answers differ by client, before or after."""
        found = sorted(self._old.differing(zone) | self._new.differing(zone))
        return [
            (zone, owner, rdtype)
            for owner, rdtype in found
            if rdtype in self._old.types(zone, owner) and rdtype in self._new.types(zone, owner)
        ]

    def common(self, zone: Name, owners: Iterable[Name]) -> Iterator[Question]:
        """The questions at some owners that have records before and after."""
        for owner in owners:
            for rdtype in sorted(self._old.types(zone, owner) & self._new.types(zone, owner)):
                yield zone, owner, rdtype

    def lone(self, zone: Name, owners: Iterable[Name]) -> tuple[list[Question], list[Question]]:
        """The questions at some owners that have records only before, and those that have some only after."""
        gone: list[Question] = []
        come: list[Question] = []
        for owner in owners:
            before, after = self._old.types(zone, owner), self._new.types(zone, owner)
            gone += ((zone, owner, rdtype) for rdtype in sorted(before - after))
            come += ((zone, owner, rdtype) for rdtype in sorted(after - before))
        return gone, come

    def move(self, question: Question) -> Move | None:
        """Who gets another answer to a question that has records before and after; None if nobody does."""
        if self._untouched(self._old.tailored(question), self._new.tailored(question)):
            return None
        old, new = self._old.view(question), self._new.view(question)
        if not (self._old.is_pooled(question) and self._new.is_pooled(question)):
            return self._found(question, old, new)
        key = (id(old), id(new))  # names with the same pool move alike
        if key not in self._pooled:
            self._pooled[key] = self._found(question, old, new)
        found = self._pooled[key]
        return replace(found, name=question[1]) if found else None

    def _found(self, question: Question, old: _View, new: _View) -> Move | None:
        if old.kinds == new.kinds and old.buckets == new.buckets and self._same(old.partition, new.partition):
            return None
        tally = _Tally()
        for version in VERSIONS:
            for row, size in self._joint(version, old.partition, new.partition).items():
                _count(tally, version, _Row(*row), size, old, new)
        if not tally.parts:
            return None
        where = self._where(tally, old, new)
        shifts = [
            Shift(
                *key[:2], _divided(parts, tally.mapped if key[2] else tally.located), key in tally.placeless, *where[key], key[2]
            )
            for key, parts in tally.parts.items()
        ]
        shifts.sort(key=lambda shift: (shift.resolvers, -shift.parts.ipv4 - shift.parts.ipv6))
        areas = {area: _divided(tally.moved[area], tally.areas[area]) for area in sorted(tally.moved)}
        whole, resolvers = (_sum(shift.parts for shift in shifts if shift.resolvers is which) for which in (False, True))
        return Move(question[1], question[2], whole, tuple(shifts), areas, resolvers)

    def _untouched(self, old: Tailored | None, new: Tailored | None) -> bool:
        """Whether the same variants answer the same clients: so it is with nearly all names, so it is asked first."""
        if old is None or new is None or old.fallback != new.fallback or old.variants != new.variants:
            return False
        return self._same(old.partition, new.partition)

    def _where(self, tally: _Tally, old: _View, new: _View) -> dict[_Key, Found]:
        """Where the clients of each shift are, if that is wanted; what a hash deals out is everywhere."""
        where: dict[_Key, Found] = dict.fromkeys(tally.parts, ((), 0))
        if not self._shown or old.buckets or new.buckets or (old.partition or new.partition) is None:
            return where
        for resolvers in (False, True):
            keys = [key for key in where if key[2] is resolvers]
            groups = {tuple(row): number for number, key in enumerate(keys) for row in tally.rows[key]}
            for version in VERSIONS if keys else ():
                for key, (prefixes, left) in zip(keys, self._found_at(version, old, new, groups), strict=True):
                    where[key] = (*where[key][0], *prefixes), where[key][1] + left
        return where

    def _found_at(self, version: Version, old: _View, new: _View, groups: Mapping[tuple[int, ...], int]) -> list[Found]:
        outcomes = self._outcomes(version, old.partition, new.partition)
        width = len(outcomes)
        alignment = self._alignment(version, old.partition, new.partition)
        return alignment.where(outcomes, {row[:width]: number for row, number in groups.items()}, self._shown)

    def _same(self, old: Partition | None, new: Partition | None) -> bool:
        """Whether two partitions give every address the same outcome; it may be so where this says no."""
        if old is None or new is None:
            return old is new
        if not self._same_ladder or old.instance != new.instance or (old.egress is None) != (new.egress is None):
            return False
        if old.egress and (not self._same(old.egress, new.egress) or not self._named_alike(old, new)):
            return False
        return self._cells_alike(old.ipv4, new.ipv4) and self._cells_alike(old.ipv6, new.ipv6)

    def _named_alike(self, old: Partition, new: Partition) -> bool:
        if old.named is None or new.named is None:
            return old.named is new.named
        return all(self._cells_alike(one, other) for one, other in zip(old.named, new.named, strict=True))

    def _cells_alike(self, one: FamilyCells, other: FamilyCells) -> bool:
        return self._cut_alike(one.prefixes, other.prefixes) and one.outcomes == other.outcomes

    def _cut_alike(self, one: Prefixes, other: Prefixes) -> bool:
        key = id(one), id(other)
        if key not in self._alike:
            self._alike[key] = alike(one, other)
        return self._alike[key]

    def _joint(self, version: Version, old: Partition | None, new: Partition | None) -> Joint:
        if old is None and new is None:
            return _EVERYWHERE
        key = tuple(map(id, self._cuts(version, old, new)))
        if key not in self._joints:
            self._joints[key] = self._alignment(version, old, new).joint(self._outcomes(version, old, new))
        return self._joints[key]

    def _outcomes(self, version: Version, old: Partition | None, new: Partition | None) -> list[array[int] | None]:
        return [each.outcomes if each else None for each in self._cuts(version, old, new)]

    def _cuts(self, version: Version, old: Partition | None, new: Partition | None) -> list[FamilyCells | None]:
        """What is laid over each other, in the order of a row; the end of a row is left out where nobody has an egress map."""
        cuts = [_cells(version, each) for each in (old, new, self._areas)]
        sides = old, new
        if not any(each and each.egress for each in sides):
            return cuts
        return [
            *cuts,
            *(_cells(version, each.egress) if each else None for each in sides),
            *(each.named[version == 6] if each and each.egress and each.named else None for each in sides),
        ]

    def _alignment(self, version: Version, old: Partition | None, new: Partition | None) -> Alignment:
        tables = [each.prefixes if each else None for each in self._cuts(version, old, new)]
        for one, other in ((0, 1), (3, 4), (5, 6)):
            before, after = (tables[at] if at < len(tables) else None for at in (one, other))
            if before and after and self._cut_alike(before, after):
                tables[other] = before
        key = version, tuple(map(id, tables))
        if key not in self._alignments:
            self._alignments[key] = Alignment(version, tables)
        return self._alignments[key]


def _cells(version: Version, partition: Partition | None) -> FamilyCells | None:
    if partition is None:
        return None
    return partition.ipv4 if version == 4 else partition.ipv6


def _pairs(old: _View, new: _View, before: int, after: int) -> Iterable[tuple[tuple[Told, Told], float]]:
    """What those for whom these outcomes decide get before and after, and which part of them."""
    if old.buckets and new.buckets:  # the same network is in the same bucket
        dealt = Counter(zip(old.buckets, new.buckets, strict=True))
        return [(key, count / len(old.buckets)) for key, count in dealt.items()]
    return [((one, other), much * many) for one, much in old.ways(before) for other, many in new.ways(after)]


def _count(tally: _Tally, version: Version, row: _Row, size: float, old: _View, new: _View) -> None:
    """Add clients with the same outcomes, and resolvers; IPv4 inside IPv6 is counted where it is looked up."""
    if State.EMBEDDED in row[:2]:
        return
    located = max(row[:2]) >= FALLBACK or max(row[:2]) == UNCUT
    area = _area(row.area) if row.area >= FALLBACK else None
    if located:
        tally.located = tally.located.with_more(version, size)
    if area is not None:
        tally.areas[area] = tally.areas.get(area, Parts()).with_more(version, size)
    for (one, other), part in _pairs(old, new, old.of_client(row.old), new.of_client(row.new)):
        if one.rdatas == other.rdatas:
            continue
        key = one, other, False
        tally.moves(key, row)
        tally.parts[key] = tally.parts[key].with_more(version, size * part if located else 0.0)
        if not located:
            tally.placeless.add(key)
        if area is not None:
            tally.moved[area] = tally.moved.get(area, Parts()).with_more(version, size * part)
    _count_resolvers(tally, version, row, size, old, new)


def _count_resolvers(tally: _Tally, version: Version, row: _Row, size: float, old: _View, new: _View) -> None:
    """Add those whom an egress map places, before or after."""
    before, was_mapped = old.of_resolver(row.old, row.old_mapped, row.old_named)
    after, is_mapped = new.of_resolver(row.new, row.new_mapped, row.new_named)
    if not (was_mapped or is_mapped):
        return
    tally.mapped = tally.mapped.with_more(version, size)
    for (one, other), part in _pairs(old, new, before, after):
        if one.rdatas != other.rdatas:
            key = one, other, True
            tally.moves(key, row)
            tally.parts[key] = tally.parts[key].with_more(version, size * part)


def _area(outcome: int) -> str:
    return AREAS[outcome - FIRST_RULE].name if outcome >= FIRST_RULE else ""


def _divided(some: Parts, whole: Parts) -> Parts:
    return Parts(some.ipv4 / whole.ipv4 if whole.ipv4 else 0.0, some.ipv6 / whole.ipv6 if whole.ipv6 else 0.0)


def _sum(many: Iterable[Parts]) -> Parts:
    listed = list(many)
    return Parts(sum((each.ipv4 for each in listed), 0.0), sum((each.ipv6 for each in listed), 0.0))
