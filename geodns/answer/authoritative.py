"""Owns the judgement of one question: RFC 1034 §4.3.2 over all served zones; refuses to know octets, sockets and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, assert_never

from geodns.answer.hints import hinted, with_hints
from geodns.answer.ladder import LADDER, NOBODY, Client, Climb, Rung, climb
from geodns.answer.pools import QUIET, Moment, Verdict, WhenAllDown
from geodns.answer.snapshot import Snapshot, Tailored, Zone
from geodns.answer.steering import PoolSelection, Steered, select
from geodns.answer.targets import targets
from geodns.answer.whoami import Introduction, introduce
from geodns.geo import Partition, Rule
from geodns.wire import (
    ROOT,
    Class,
    ExtendedError,
    Name,
    Opcode,
    Option,
    Query,
    Rcode,
    Response,
    RRset,
    Type,
    is_subdomain,
    to_text,
)
from geodns.wire.names import MAX_NAME
from geodns.zone import Cut, Exact, Missing, Node, Outside, Redirection, Wildcard

MAX_CHAIN = 16  # aliases followed in one answer: what Unbound (11), Knot (20) and BIND (16) do, give or take
HINFO_TTL = 3600  # seconds; RFC 8482 §4.2 leaves it open
_HINFO = b"\x07RFC8482\x00"
_ADDRESSES = (Type.A, Type.AAAA)
_HINTING = (Type.SVCB, Type.HTTPS)


class Step(NamedTuple):
    """One step of the judgement, put into words only when somebody asks: a template for `str.format` and what goes in."""

    template: str
    values: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.template.format(*(to_text(value) if isinstance(value, bytes) else value for value in self.values))


@dataclass(frozen=True, slots=True)
class Selection:
    """An RRset chosen for one client, and why: the rule (None for the fallback) and the way up the ladder."""

    rrset: RRset
    rule: Rule | None
    rules: tuple[Rule, ...]
    climb: Climb


Decision = Selection | PoolSelection | Introduction
"""What was chosen for one client, and why."""


@dataclass(slots=True)
class Judgement:
    """A response with everything that led to it."""

    response: Response = field(default_factory=Response)
    selections: list[Decision] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def scope_prefix_length(self) -> int:
        """The longest scope of the RRsets in the answer, 0 if none depends on the client.

        A negative answer is the same for all (RFC 7871 §7.4), also where a pool would have given each its own.
        """
        negative = not self.response.answer and (self.response.authority or self.response.rcode)
        if negative:
            return 0
        return max((selection.climb.scope_prefix_length for selection in self.selections), default=0)


class Chooser(Protocol):
    """Who decides where clients get different answers: the client itself, or what stands in for many of them."""

    def variant(self, tailored: Tailored) -> Climb:
        """The way to an outcome of a tailored RRset."""
        ...

    def endpoints(self, steered: Steered, rdtype: int) -> PoolSelection:
        """Addresses of a pool."""
        ...

    def introduction(self, snapshot: Snapshot, whereabouts: Partition, query: Query, rrset: tuple[Name, int]) -> Introduction:
        """What there is to tell about the client; `rrset` is owner and TTL."""
        ...


@dataclass(frozen=True, slots=True)
class ByClient:
    """One client at one moment: its way up the trust ladder decides."""

    client: Client
    moment: Moment
    ladder: tuple[Rung, ...] = LADDER

    def variant(self, tailored: Tailored) -> Climb:
        """The way to an outcome of a tailored RRset."""
        return climb(tailored.partition, self.client, self.ladder)

    def endpoints(self, steered: Steered, rdtype: int) -> PoolSelection:
        """Addresses of a pool."""
        return select(steered, rdtype, self.client, steered.climb(self.client, self.ladder), self.moment)

    def introduction(self, snapshot: Snapshot, whereabouts: Partition, query: Query, rrset: tuple[Name, int]) -> Introduction:
        """What there is to tell about the client; `rrset` is owner and TTL."""
        subnet = query.edns.client_subnet if query.edns else None
        way = climb(whereabouts, self.client, self.ladder)
        return introduce(way, snapshot.atlas, snapshot.identity, self.client, subnet, rrset)


def judge(
    snapshot: Snapshot, query: Query, client: Client = NOBODY, moment: Moment = QUIET, chooser: Chooser | None = None
) -> Judgement:
    """Decide what a query gets; a `chooser` stands in for the client and the moment."""
    judgement = Judgement()
    choose = chooser or ByClient(client, moment, snapshot.ladder)
    if query.edns and query.edns.version:
        judgement.response.rcode = Rcode.BADVERS
        judgement.steps.append(Step("EDNS version {} is not known: BADVERS (RFC 6891 §6.1.3)", (query.edns.version,)))
    elif query.opcode == Opcode.NOTIFY:
        _refuse(judgement, Rcode.NOTAUTH, ExtendedError.NOT_SUPPORTED, "this server is primary for its zones: nobody notifies it")
    elif query.rdclass == Class.CH:
        _chaos(snapshot, query, judgement)
    elif query.rdclass != Class.IN:
        _refuse(judgement, Rcode.REFUSED, ExtendedError.NOT_SUPPORTED, f"class {query.rdclass} is not served")
    elif query.rdtype in {Type.AXFR, Type.IXFR}:
        _refuse(judgement, Rcode.REFUSED, ExtendedError.NOT_SUPPORTED, "zone transfers are not served")
    elif query.rdtype in {Type.OPT, Type.TKEY, Type.TSIG, Type.MAILA, Type.MAILB}:
        _refuse(judgement, Rcode.NOTIMP, ExtendedError.NOT_SUPPORTED, f"type {query.rdtype} cannot be asked for")
    else:
        _Resolution(snapshot, query, choose, judgement).run()
    return judgement


def _refuse(judgement: Judgement, rcode: Rcode, code: ExtendedError, why: str) -> None:
    judgement.response.rcode = rcode
    judgement.response.options.append((Option.EXTENDED_ERROR, code.to_bytes(2, "big")))
    judgement.steps.append(Step("{}: {}", (why, rcode.name)))


def _chaos(snapshot: Snapshot, query: Query, judgement: Judgement) -> None:
    """Identity of the instance (RFC 4892), where the operator tells it."""
    told = snapshot.identity.chaos.get(query.name, "")
    if not told or query.rdtype not in {Type.TXT, Type.ANY}:
        _refuse(judgement, Rcode.REFUSED, ExtendedError.NOT_AUTHORITATIVE, "nothing is told of this name in class CH")
        return
    text = told.encode()
    judgement.response.authoritative = True
    judgement.response.answer.append(RRset(query.name, Type.TXT, 0, (bytes((len(text),)) + text,), Class.CH))
    judgement.steps.append(Step("class CH: the server tells its identity or version (RFC 4892)"))


class _Resolution:
    """One question's way through the zones: follows aliases until something ends the answer."""

    def __init__(self, snapshot: Snapshot, query: Query, choose: Chooser, judgement: Judgement) -> None:
        self.snapshot = snapshot
        self.query = query
        self.rdtype = query.rdtype
        self.choose = choose
        self.judgement = judgement
        self.response = judgement.response
        self.name = query.name

    def say(self, template: str, *values: object) -> None:
        """Remember a step; formatting is left to whoever wants to read it."""
        self.judgement.steps.append(Step(template, values))

    def run(self) -> None:
        """RFC 1034 §4.3.2: find the zone, match down, follow CNAME and DNAME, end."""
        zone = self.snapshot.zone_of(self.name, self.rdtype)
        if zone is None:
            _refuse(
                self.judgement, Rcode.REFUSED, ExtendedError.NOT_AUTHORITATIVE, f"{to_text(self.name)} is in no zone served here"
            )
            return
        seen = {self.name}
        while zone is not None:
            self.say(
                "zone {} (serial {}, {}) answers for {}",
                zone.contents.origin,
                zone.contents.serial,
                zone.contents.file,
                self.name,
            )
            target = self._match(zone)
            if target is None:
                return
            if target in seen or len(seen) > MAX_CHAIN:
                self.say("the chain of aliases ends here: {} would go on for ever or too long", target)
                return
            seen.add(target)
            self.name = target
            zone = self.snapshot.zone_of(target, self.rdtype)
        self.say("{} is in no zone served here: the resolver goes on from there", self.name)

    def _match(self, zone: Zone) -> Name | None:
        """One round: everything of one name; the name to go on with, if it is an alias."""
        match zone.contents.find(self.name):
            case Exact(node):
                self.say("{} exists", self.name)
                return self._node(zone, node)
            case Wildcard(node, closest_encloser):
                self.say("{} does not exist below {}; the wildcard {} stands for it", self.name, closest_encloser, node.name)
                return self._node(zone, node)
            case Cut(node, at_owner):
                if at_owner and self.rdtype == Type.DS:  # the parent's own data, RFC 4035 §3.1.4.1
                    self.response.authoritative = True
                    self._plain_or_nodata(zone, node)
                else:
                    self._refer(zone, node)
                return None
            case Redirection(node):
                return self._redirect(node)
            case Missing(closest_encloser):
                self.say("{} does not exist, nor a wildcard below {}: NXDOMAIN", self.name, closest_encloser)
                self.response.authoritative = True
                self.response.rcode = Rcode.NXDOMAIN
                self.response.authority.append(zone.contents.negative_soa)
                return None
            case Outside():
                raise AssertionError("zone_of chose a zone that does not hold the name")
            case unknown:
                assert_never(unknown)

    def _node(self, zone: Zone, node: Node) -> Name | None:
        """Authoritative data of a node: an alias, the RRset asked for, or NODATA."""
        self.response.authoritative = True
        if self.rdtype == Type.ANY and (node.rrsets or node.pool or node.whoami is not None):
            self.say("ANY gets one HINFO, never all types or variants (RFC 8482 §4.2)")
            self.response.answer.append(RRset(self.name, Type.HINFO, HINFO_TTL, (_HINFO,)))
            return None
        alias = node.rrsets.get(Type.CNAME)
        if alias is not None and self.rdtype not in node.rrsets:  # what may stand beside it is asked for itself, RFC 4035 §2.5
            tailored = self._choose(zone, node, Type.CNAME)
            target = Name((tailored or alias).rdatas[0].lower())
            self.response.answer.append((tailored or alias).at(self.name))
            if tailored:
                self.say("{} is an alias chosen for this client: the answer ends with it (RFC 7871 §7.2.1)", self.name)
                return None
            self.say("{} is an alias for {}", self.name, target)
            return target
        if node.whoami is not None and zone.whereabouts and self.rdtype == Type.TXT:
            told = self.choose.introduction(self.snapshot, zone.whereabouts, self.query, (self.name, node.whoami))
            self.judgement.selections.append(told)
            self.response.answer.append(told.rrset)
            return None
        if node.pool and self.rdtype in _ADDRESSES and self._from_pool(zone, self.snapshot.pools[node.pool.pool]):
            return None
        self._plain_or_nodata(zone, node)
        return None

    def _from_pool(self, zone: Zone, steered: Steered) -> bool:
        """Addresses of a pool; says whether the question is answered by that, or the plain records are to."""
        pool = steered.pool
        self.say("{} belongs to pool {} (steering {})", self.name, pool.name, pool.steering.value)
        chosen = self.choose.endpoints(steered, self.rdtype)
        if chosen.candidates.verdict is Verdict.NO_ADDRESS:
            self.say("{}: the plain records, if there are any", chosen.candidates.verdict.value)
            return False
        self.judgement.selections.append(chosen)
        if chosen.rdatas:
            self.response.answer.append(RRset(self.name, self.rdtype, chosen.candidates.ttl, chosen.rdatas))
            return True
        self.say("nothing is up in pool {}, and when_all_down is {}", pool.name, pool.when_all_down.value)
        if pool.when_all_down is WhenAllDown.FALLBACK:
            return False
        if pool.when_all_down is WhenAllDown.SERVFAIL:
            self.response.authoritative = False
            self.response.rcode = Rcode.SERVFAIL
        else:
            self.response.authority.append(zone.contents.negative_soa)
        return True

    def _plain_or_nodata(self, zone: Zone, node: Node) -> None:
        rrset = self._choose(zone, node, self.rdtype) or node.rrsets.get(self.rdtype)
        if rrset is None:
            self.say("{} has no records of this type: NODATA", self.name)
            self.response.authority.append(zone.contents.negative_soa)
            return
        answered = rrset.at(self.name)
        if self.rdtype in _HINTING and self.snapshot.pools:
            answered = self._with_hints(zone, node, answered)
        if (node.name, self.rdtype) not in zone.tailored and answered == rrset.at(self.name):
            self.say("the records are the same for every client")
        if answered not in self.response.answer:  # the DNAME that led here may be what is asked for
            self.response.answer.append(answered)
        self._add_targets(zone, answered)

    def _with_hints(self, zone: Zone, node: Node, rrset: RRset) -> RRset:
        """Where SVCB records hint at addresses of a name that has a pool, the hints are the pool's: as A and AAAA are."""
        rdatas, ttl = [], rrset.ttl
        for rdata in rrset.rdatas:
            target, kinds = hinted(rdata)
            host = node if target == ROOT else self._target_node(zone, target, glue=False)
            addresses: dict[int, tuple[bytes, ...]] = {}
            for rdtype in sorted(kinds) if host and host.pool and rdata[:2] != b"\0\0" else ():
                chosen = self.choose.endpoints(self.snapshot.pools[host.pool.pool], rdtype)  # type: ignore[union-attr]
                plain = (
                    chosen.candidates.verdict is Verdict.NO_ADDRESS or chosen.steered.pool.when_all_down is WhenAllDown.FALLBACK
                )
                if chosen.rdatas or not plain:
                    self.say("the hints of type {} come from pool {}", rdtype, chosen.steered.pool.name)
                    self.judgement.selections.append(chosen)
                    addresses[rdtype] = chosen.rdatas
                    ttl = min(ttl, chosen.candidates.ttl)
            rdatas.append(with_hints(rdata, addresses))
        return RRset(rrset.owner, rrset.rdtype, ttl, tuple(rdatas), rrset.rdclass)

    def _choose(self, zone: Zone, node: Node, rdtype: int) -> RRset | None:
        """The variant for this client; None where the type has none."""
        tailored = zone.tailored.get((node.name, rdtype))
        if tailored is None:
            return None
        way = self.choose.variant(tailored)
        rrset, rule = tailored.variant(way.outcome)
        self.judgement.selections.append(Selection(rrset, rule, tailored.rules, way))
        return rrset

    def _redirect(self, node: Node) -> Name | None:
        """DNAME: the record itself and the CNAME that it stands for (RFC 6672 §3.1)."""
        self.response.authoritative = True
        dname = node.rrsets[Type.DNAME]
        if dname not in self.response.answer:  # a chain can come by the same DNAME twice
            self.response.answer.append(dname)
        target = self.name[: len(self.name) - len(node.name)] + dname.rdatas[0]
        if len(target) > MAX_NAME:
            self.say("{} is redirected by a DNAME to a name longer than 255 octets: YXDOMAIN", self.name)
            self.response.rcode = Rcode.YXDOMAIN
            return None
        self.response.answer.append(RRset(self.name, Type.CNAME, dname.ttl, (target,)))
        self.say("{} is redirected by the DNAME at {} to {}", self.name, node.name, target)
        return None if self.rdtype == Type.CNAME else Name(target.lower())  # as with a CNAME of the zone file: it is the answer

    def _refer(self, zone: Zone, node: Node) -> None:
        """A referral: the cut's NS RRset, and the addresses without which nobody could follow it (RFC 9471 §2)."""
        self.say("{} is delegated at {}: a referral", self.name, node.name)
        delegation = node.rrsets[Type.NS]
        self.response.authority.append(delegation)
        in_domain: list[RRset] = []
        other: list[RRset] = []
        for target in targets(delegation):
            glue = zone.contents.nodes.get(target)
            if glue is not None and (glue.cut is not None or not (glue.variants or glue.pool)):
                found = [rrset for rdtype in _ADDRESSES if (rrset := glue.rrsets.get(rdtype))]
                (in_domain if is_subdomain(target, node.name) else other).extend(found)
        self.response.additional += in_domain + other
        self.response.required_glue = len(in_domain)

    def _add_targets(self, zone: Zone, rrset: RRset) -> None:
        """Addresses of NS, MX, SRV and SVCB targets in the zone, and SVCB's own like (RFC 1035 §3.3, RFC 2782, RFC 9460 §4.1).

        Targets with variants are left out: only the answer section is tied to a network (RFC 7871 §7.3.1), so a tailored
        address beside it could reach clients elsewhere.
        """
        additional = self.response.additional
        wanted = (*_ADDRESSES, rrset.rdtype) if rrset.rdtype in _HINTING else _ADDRESSES
        present = {(found.owner, found.rdtype) for found in (*self.response.answer, *additional)}
        for target in targets(rrset):
            node = self._target_node(zone, target, glue=rrset.rdtype == Type.NS)
            for rdtype in wanted:
                found = node.rrsets.get(rdtype) if node and not node.pool else None
                if node and found and rdtype not in node.variants and (target, rdtype) not in present:
                    present.add((target, rdtype))
                    additional.append(found.at(target))

    def _target_node(self, zone: Zone, target: Name, *, glue: bool) -> Node | None:
        match zone.contents.find(target):
            case Exact(node) | Wildcard(node, _):
                return node
            case Cut():
                return zone.contents.nodes.get(target) if glue else None
            case _:
                return None
