"""Owns the fast path: the octets of a usual query to those of its reply, without a value in between; refuses to decide anything.

It is a memo of parse, judge and render: for every datagram it either gives what the general path would give, octet for octet,
or hands it to the general path. A property test says so for random zones, names, options and clients.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from geodns.answer.census import DECIDED, Census, anycast_of
from geodns.answer.compiled import Compiled, Owner
from geodns.answer.ladder import Client, Rung, climb, rungs_of
from geodns.answer.ledger import How
from geodns.answer.pools import Draw, first_ticket
from geodns.answer.prepared import Choice, Entry, Everyone, Prepared, Steering, Variant
from geodns.answer.snapshot import Snapshot
from geodns.answer.steering import network_of
from geodns.geo import FALLBACK, STICKY_LENGTH, Partition, Place, State, network_number, place_of
from geodns.geo.partition import FamilyCells
from geodns.wire import BadOption, ClientSubnet, ExtendedError, Option, Rcode, Type
from geodns.wire.edns import DO, OPT_HEAD, OPTION_HEAD, parse_options, render_opt, render_options
from geodns.wire.names import MAX_LABEL, MAX_NAME
from geodns.wire.query import HEADER, HEADER_SIZE, OPCODE_MASK, QR, RD

Datagram = Callable[[bytes, bytes], bytes | None]
"""Answers one datagram: octets and raw socket address of its sender to a reply, or None for silence."""

_Numbers: TypeAlias = "array[int]"
Asked = tuple[_Numbers, _Numbers, int, _Numbers, _Numbers, int]
"""A look-up for a sender of IPv4: `starts`, `top`, `shift`, `classes` and `outcomes` as in `Steering`, and who decides by it."""

Plan = tuple[FamilyCells | None, list[Asked], int, int]
"""Which networks the operator has named; what is asked of all other senders; the outcome, and who decides, where that fails."""

Known = TypeVar("Known")
_BOUND = 4096  # distinct headers, OPT records, senders remembered: more than honest clients make
_OPT_START = b"\x00\x00\x29"  # root owner and type of an OPT record: splitting there is quicker than finding the name's end
_SUBNET_AT = OPT_HEAD.size - 3 + 4 + 4  # octets behind that before the ADDRESS of a client subnet that is the only option
_COOKIE_AT = OPT_HEAD.size - 3 + 4  # octets behind that before the content of a cookie that is the only option
_META_TYPES = frozenset(range(128, 256)) | {Type.OPT, Type.DS}
_IN = b"\x00\x01"
_NOT_SERVED = [(int(Option.EXTENDED_ERROR), ExtendedError.NOT_AUTHORITATIVE.to_bytes(2, "big"))]
_REFUSED = tuple(HEADER.pack(0, QR | (RD if number & 1 else 0) | Rcode.REFUSED, 1, 0, 0, number >> 1)[2:] for number in range(4))
_SCOPES = tuple(bytes((scope,)) for scope in range(129))
_NO_SCOPE = (b"",)
_ANYCAST, _BY_SENDER, _NOBODY = int(State.ANYCAST), int(How.BY_SENDER), int(How.NOBODY)


class Shape(NamedTuple):
    """What an OPT record asks for, worked out once for all that differ only in the content of their only option.

    `version` is 4 or 6 where a client subnet is to be looked up, -1 where one is echoed but not looked at, 0 where none is
    echoed. `octets` is the record's length behind owner and type; ADDRESS as a number shifted by `shift` is a whole address,
    and `mask` must be clear in it. The reply's OPT record is `reply`, or `refusal` with extended error 20, then `scopes[scope]`
    and the query's ADDRESS. `echoed` is 1 where there is a client subnet, for counting.
    """

    version: int
    octets: int
    shift: int
    mask: int
    reply: bytes
    refusal: bytes
    scopes: tuple[bytes, ...]
    echoed: int


def matcher(snapshot: Snapshot, compiled: Compiled, census: Census, general: Datagram, draw: Draw = first_ticket) -> Datagram:
    """The function that answers datagrams: from prepared replies where it can, else by `general`. It counts what it answers."""
    return _datagram(_Rest(snapshot, compiled, census, general, draw))


def _datagram(rest: _Rest) -> Datagram:
    """The hot function, with all it needs in its closure: an attribute look-up less for each use."""
    find_entry, find_head, find_shape = rest.compiled.entries.get, rest.heads.get, rest.shapes.get
    missing, unmatched, by_source, by_other, picked = rest.missing, rest.unmatched, rest.asked, rest.by_other, rest.picked
    believes, believes_all, join, number_of = rest.believes, rest.snapshot.trust.believes_all, b"".join, int.from_bytes
    bisect, tally, scoped = bisect_right, rest.census.tally, rest.census.scopes[4]

    def datagram(octets: bytes, source: bytes) -> bytes | None:
        head = find_head(octets[2:12], -1)
        before, _, wishes = octets.partition(_OPT_START) if head > 1 else (octets, b"", b"")
        entry = find_entry((question := before[12:]).lower()) or missing(question)
        if entry is None or head < 0:
            return unmatched(octets, source)
        heads, tail, counter, steering = entry
        if head < 2:
            heads, tail, counter = by_source(entry, source, 0) if steering else (heads, tail, counter)
            tally[counter] += 1
            return join((octets[:2], heads[head], question, tail))
        shape = find_shape(wishes[:16]) or find_shape(wishes[:12])  # _SUBNET_AT and _COOKIE_AT, as constants
        if shape is None or len(wishes) != shape[1] or (shape[3] and number_of(wishes[16:], "big") & shape[3]):
            return unmatched(octets, source)
        version, _, shift, _, reply, _, scopes, echoed = shape
        if not steering:
            tally[counter + echoed] += 1
            return join((octets[:2], heads[head], question, tail, reply, scopes[0], wishes[16:] if version else b""))
        chosen, scope, outcome, address = None, 0, 0, 0
        if version == 4 and steering[0] and (believes_all or believes(source)):
            starts, top, above, classes, outcomes, pages, lengths, variants, _, plain = steering
            address = number_of(wishes[16:], "big") << shift
            found = bisect(starts, address, top[address >> above], top[(address >> above) + 1]) - 1
            outcome, scope = outcomes[classes[found]], lengths[pages[found >> 6] | found & 63]  # PAGE_BITS, PAGE - 1
            chosen = variants[outcome] if plain else picked(steering, Place(4, address), outcome, scope)
            tally[scoped + scope] += 1
        elif version > 0 and (believes_all or believes(source)):
            chosen, scope, outcome = by_other(steering, version, address := number_of(wishes[16:], "big") << shift)
        heads, tail, counter = chosen or by_source(entry, source, echoed, outcome, version, address)  # type: ignore[misc]  # no choice
        tally[counter + 2 if chosen else counter] += 1
        return join((octets[:2], heads[head], question, tail, reply, scopes[scope], wishes[16:] if version else b""))

    return datagram


class _Rest:
    """Everything that is not needed for every query: what is seen for the first time, absent names, other address families."""

    def __init__(self, snapshot: Snapshot, compiled: Compiled, census: Census, general: Datagram, draw: Draw) -> None:
        self.snapshot = snapshot
        self.compiled = compiled
        self.census = census
        self.general = general
        self.draw = draw
        negatives = (Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.REFUSED)
        self.typed = {census.negative(rcode): census.by_type(rcode) for rcode in negatives}
        self.refused = census.negative(Rcode.REFUSED)
        self.heads: dict[bytes, int] = {}
        self.shapes: dict[bytes, Shape] = {}
        self.senders: dict[bytes, bool] = {}
        rungs = rungs_of(snapshot.ladder, snapshot.atlas)
        self.plans: dict[int, Plan] = {}
        self.rungs = tuple(rung for rung in rungs if rung is not Rung.ECS)
        self.asks_subnet_first = Rung.ECS not in rungs[1:]
        self.asked = self.by_source if self.rungs == (Rung.RESOLVER,) else self.by_ladder

    def unmatched(self, octets: bytes, source: bytes) -> bytes | None:
        """Learn what was not known about a query's header or OPT record, refuse names of no zone, else the general path."""
        if len(octets) < HEADER_SIZE or octets[2] & 0x80:
            return None  # half of all garbage: no query at all
        head = self.heads.get(octets[2:HEADER_SIZE])
        if head is None:
            self._learn_head(octets)
            return self.general(octets, source)
        end = octets.find(0, HEADER_SIZE) + 5
        question, wishes = octets[HEADER_SIZE:end], octets[end + len(_OPT_START) :]
        shape = self.shapes.get(wishes[:_SUBNET_AT]) or self.shapes.get(wishes[:_COOKIE_AT])
        if head > 1 and shape is None:
            self._learn_shape(octets[end:])
        if not self._is_unserved(question) or (head > 1 and not (shape and self._is_whole(shape, octets[end:]))):
            return self.general(octets, source)
        if head < 2 and len(octets) != end:
            return self.general(octets, source)
        counter = self.typed[self.refused].get(question[-4:-2], self.refused)
        self.census.tally[counter + (shape.echoed if shape and head > 1 else 0)] += 1
        if head < 2:
            return b"".join((octets[:2], _REFUSED[head], question))
        subnet = wishes[_SUBNET_AT:] if shape and shape.version else b""
        echo = (shape.refusal, shape.scopes[0], subnet) if shape else ()
        return b"".join((octets[:2], _REFUSED[head], question, *echo))

    @staticmethod
    def _is_whole(shape: Shape, record: bytes) -> bool:
        """Whether an OPT record is what its shape was learnt from but for the content of its option, which must be sound."""
        wishes = record[len(_OPT_START) :]
        sound = not shape.mask or not int.from_bytes(wishes[_SUBNET_AT:], "big") & shape.mask
        return record.startswith(_OPT_START) and len(wishes) == shape.octets and sound

    def _learn_head(self, octets: bytes) -> None:
        """Remember header octets of an ordinary query: opcode QUERY, one question, at most one additional record."""
        _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(octets)
        if flags & OPCODE_MASK or (questions, answers, authorities) != (1, 0, 0) or additionals > 1:
            return
        _remember(self.heads, octets[2:HEADER_SIZE], (1 if flags & RD else 0) | additionals << 1)

    def _learn_shape(self, record: bytes) -> None:
        """Remember an OPT record whose only option, if any, is a client subnet or a cookie."""
        if len(record) < OPT_HEAD.size:
            return
        owner, rdtype, payload_size, _, version, flags, length = OPT_HEAD.unpack_from(record)
        if owner or rdtype != Type.OPT or version or len(record) != OPT_HEAD.size + length:
            return
        try:
            edns = parse_options(record[OPT_HEAD.size :], payload_size, version, flags)
        except BadOption:
            return
        wishes = record[len(_OPT_START) :]
        code, size = OPTION_HEAD.unpack_from(record, OPT_HEAD.size) if length else (0, -4)
        key = {0: wishes, Option.CLIENT_SUBNET: wishes[:_SUBNET_AT], Option.COOKIE: wishes[:_COOKIE_AT]}.get(code)
        if key is None or length != 4 + size or (code == Option.COOKIE and self.snapshot.cookie_secrets):
            return
        shape = self._shape_of(len(wishes), DO if edns.dnssec_ok else 0, edns.client_subnet)
        if self.asks_subnet_first or shape.version <= 0:
            _remember(self.shapes, key, shape)

    def _shape_of(self, octets: int, do: int, subnet: ClientSubnet | None) -> Shape:
        bits = 8 * len(subnet.octets) if subnet else 0
        mask = (1 << (bits - subnet.source_prefix_length)) - 1 if subnet else 0
        if subnet is None or not self.snapshot.trust.enabled:
            return Shape(0, octets, 0, mask, self._opt(do, []), self._opt(do, _NOT_SERVED), _NO_SCOPE, 0)
        echo = (int(Option.CLIENT_SUBNET), subnet.option(0))
        cut = -1 - len(subnet.octets)  # SCOPE and ADDRESS follow
        version = (4 if subnet.family == 1 else 6) if subnet.source_prefix_length and self.snapshot.trust.asked else -1
        reply, refusal = self._opt(do, [echo])[:cut], self._opt(do, [*_NOT_SERVED, echo])[:cut]
        return Shape(version, octets, subnet.bits - bits, mask, reply, refusal, _SCOPES, 1)

    def _opt(self, flags: int, options: list[tuple[int, bytes]]) -> bytes:
        return render_opt(self.snapshot.payload_size, 0, 0, flags, render_options(options))

    def believes(self, source: bytes) -> bool:
        """Whether a sender is one whose client subnet is believed."""
        key = source[4:8] if len(source) == 16 else source[8:24]
        known = self.senders.get(key)
        if known is None:
            known = self.snapshot.trust.believes(sender(source))
            _remember(self.senders, key, known)
        return known

    def by_source(
        self, entry: Entry, source: bytes, echoed: int, before: int = 0, version: int = 0, address: int = 0
    ) -> Prepared:
        """The reply for the sender's own address, with the counter of who decided: the sender, a network of the operator, nobody.

        `before` is the outcome of a client subnet that was looked at in vain, then its version and address. Nearly always the
        sender is IPv4, and located.
        """
        starts, top, above, classes, outcomes, _, _, variants, _, plain = entry[3]  # type: ignore[misc]  # it differs by client
        if plain and len(source) == 16 and before != _ANYCAST:
            address = int.from_bytes(source[4:8], "big")
            found = bisect_right(starts, address, top[address >> above], top[(address >> above) + 1]) - 1
            outcome = outcomes[classes[found]]
            chosen = variants[outcome]
            if isinstance(chosen, tuple):
                return chosen[0], chosen[1], chosen[2] + _BY_SENDER + echoed
            if outcome != _ANYCAST:
                return entry[0], entry[1], entry[2] + _NOBODY + echoed
        return self._by_any_source(entry, source, echoed, _passed(before, version, address))

    def by_ladder(
        self, entry: Entry, source: bytes, echoed: int, before: int = 0, version: int = 0, address: int = 0
    ) -> Prepared:
        """As `by_source` where other rungs may decide than the sender's own location. Nearly always the sender is IPv4."""
        variants, partition = entry[3][7:9]  # type: ignore[index]  # it differs by client
        if len(source) != 16 or before == _ANYCAST or not isinstance(partition, Partition):
            return self._by_any_rung(entry, source, echoed, _passed(before, version, address))
        named, asked, outcome, how = self.plans.get(id(partition)) or self._plan(partition)
        number = int.from_bytes(source[4:8], "big")
        if named and named.find(number).outcome:
            return self._by_any_rung(entry, source, echoed, [])
        for starts, top, above, classes, outcomes, decides in asked:
            found = outcomes[classes[bisect_right(starts, number, top[number >> above], top[(number >> above) + 1]) - 1]]
            if found >= FALLBACK:
                outcome, how = found, decides
                break
            if found == _ANYCAST:
                return self._by_any_rung(entry, source, echoed, [])
        chosen = variants[outcome]
        if isinstance(chosen, tuple):
            return chosen[0], chosen[1], chosen[2] + how + echoed
        return self._by_any_rung(entry, source, echoed, [])

    def _plan(self, partition: Partition) -> Plan:
        """What is looked up for a sender of IPv4, and what is left when that tells no place; partitions live as long as this."""
        asked: list[Asked] = []
        outcome, how = FALLBACK, _NOBODY
        for rung in self.rungs:
            if rung is Rung.INSTANCE and partition.instance is not None:
                outcome, how = partition.instance, int(How.BY_INSTANCE)
                break
            cut = partition.egress if rung is Rung.EGRESS else partition
            if cut:
                prefixes = cut.ipv4.prefixes
                where = prefixes.starts, prefixes.top, prefixes.shift, prefixes.classes
                asked.append((*where, cut.ipv4.outcomes, int(DECIDED[rung])))
        named = partition.named[0] if partition.named and asked else None
        plan = self.plans[id(partition)] = (named, asked, outcome, how)
        return plan

    def _by_any_rung(self, entry: Entry, source: bytes, echoed: int, passed: list[Place]) -> Prepared:
        """The very ladder of the general path, for the sender alone."""
        partition = entry[3][8] if entry[3] else None
        if entry[3] is None or not isinstance(partition, Partition):
            return self._by_any_source(entry, source, echoed, passed)
        client = Client(sender(source))
        way = climb(partition, client, self.rungs)
        passed += anycast_of(way)
        if passed:
            self.census.note_anycast(passed)
        variant = entry[3][7][way.outcome]
        chosen = variant.pick(self.draw, network_of(way, client)) if isinstance(variant, Choice) else variant
        heads, tail, counter = chosen or entry[:3]
        return heads, tail, counter + DECIDED[way.rung] + echoed

    def _by_any_source(self, entry: Entry, source: bytes, echoed: int, passed: list[Place]) -> Prepared:
        steering = entry[3]
        if steering is None:
            raise AssertionError("only what differs by client is asked for by its sender")
        partition, place = steering[8], sender(source)
        outcome, scope = partition.find(place)
        if outcome == _ANYCAST:
            passed.append(place)
        if passed:
            self.census.note_anycast(passed)
        if isinstance(partition, Everyone):
            heads, tail, counter = self._by_nobody(entry, place)
            return heads, tail, counter + echoed
        heads, tail, counter = self._pick(steering[7][outcome], place, scope) or self._by_nobody(entry, place)
        how = How.NOBODY if outcome < FALLBACK else How.BY_NETWORK if partition.is_named(place) else How.BY_SENDER
        return heads, tail, counter + how + echoed

    def _by_nobody(self, entry: Entry, place: Place) -> Prepared:
        """The fallback; of a pool, its static order."""
        steering = entry[3]
        fallback = steering[7][FALLBACK] if steering else None
        return self._pick(fallback, place, STICKY_LENGTH[place.version] + place.embedded_bits) or entry[:3]

    def by_other(self, steering: Steering, version: int, address: int) -> tuple[Prepared | None, int, int]:
        """For a client subnet that is not looked up as IPv4 its variant, None if its location cannot be used; scope, outcome."""
        partition, place = steering[8], place_of(4 if version == 4 else 6, address)
        outcome, scope = partition.find(place)
        if isinstance(partition, Everyone):
            return None, 0, 0  # the same for everybody, or by the sender's network
        self.census.tally[self.census.scopes[version] + scope] += 1
        return self.picked(steering, place, outcome, scope), scope, outcome

    def picked(self, steering: Steering, place: Place, outcome: int, scope: int) -> Prepared | None:
        """The reply of an outcome, with all that may be in the way: a choice among several, a network of the operator."""
        chosen = self._pick(steering[7][outcome], place, scope)
        if chosen and steering[8].is_named(place):
            return chosen[0], chosen[1], chosen[2] + How.BY_NETWORK_WITH_SUBNET - How.BY_SUBNET
        return chosen

    def _pick(self, variant: Variant, place: Place, scope: int) -> Prepared | None:
        if isinstance(variant, Choice):
            return variant.pick(self.draw, network_number(place, scope - place.embedded_bits))
        return variant

    def missing(self, question: bytes) -> Entry | None:
        """The entry for a question that is in no table: a type that lower-casing changes, NODATA, a wildcard or NXDOMAIN."""
        kind = question[-4:]
        name = question[:-4].lower()
        typed = self.compiled.typed.get(name + kind)
        if typed or not name or kind[2:] != _IN or kind[0] << 8 | kind[1] in _META_TYPES:
            return typed
        entry = self._negative(name, kind)
        counters = self.typed.get(entry[2]) if entry else None
        if entry and counters:  # the reply is the same for every type, but is counted by type
            return entry[0], entry[1], counters.get(kind[:2], entry[2]), None
        return entry

    def _negative(self, name: bytes, kind: bytes) -> Entry | None:
        owners, size = self.compiled.owners, len(name)
        owner = owners.get(name)
        if owner:
            return owner.nodata.entry(size) if owner.nodata else None
        child, at = 0, name[0] + 1
        while at < size <= MAX_NAME and 0 < name[child] <= MAX_LABEL:  # a name ends with its root, whatever comes then
            owner = owners.get(name[at:])
            if owner:
                return self._below(owner, name[child:], kind, size)
            child, at = at, at + name[at] + 1
        return None

    @staticmethod
    def _below(owner: Owner, child: bytes, kind: bytes, size: int) -> Entry | None:
        below = owner.below
        if below is None or child in below.special:
            return None
        entry = below.wildcard.get(kind) if below.wildcard else None
        return entry or (below.negative.entry(size) if below.negative else None)

    def _is_unserved(self, question: bytes) -> bool:
        """Whether a question of an ordinary kind, well-formed, is for a name that is in no zone."""
        kind, name = question[-4:], question[:-4].lower()
        if kind[2:] != _IN or kind[0] << 8 | kind[1] in _META_TYPES or len(name) > MAX_NAME:
            return False
        zones, at, size = self.snapshot.zones, 0, len(name)
        while at < size and name[at] <= MAX_LABEL:
            if name[at:] in zones:
                return False
            if not name[at]:
                return at + 1 == size
            at += name[at] + 1
        return False


def _passed(outcome: int, version: int, address: int) -> list[Place]:
    """The client subnet's address if it is anycast, and so passed over."""
    return [place_of(4 if version == 4 else 6, address)] if outcome == _ANYCAST else []


def _remember(memo: dict[bytes, Known], key: bytes, value: Known) -> None:
    """Keep what was worked out; a memo that is full starts anew, so that no flood makes it grow."""
    if len(memo) >= _BOUND:
        memo.clear()
    memo[key] = value


def sender(source: bytes) -> Place:
    """The address in a raw socket address: struct sockaddr_in has 16 octets, sockaddr_in6 28."""
    if len(source) == 16:
        return Place(4, int.from_bytes(source[4:8], "big"))
    return place_of(6, int.from_bytes(source[8:24], "big"))


def sending_port(source: bytes) -> int:
    """The port in a raw socket address, of either family."""
    return int.from_bytes(source[2:4], "big")
