"""Owns putting a judgement into words and JSON; refuses to decide anything: it asks the same `judge` that answers queries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from geodns.answer.authoritative import Decision, Judgement, Selection, judge
from geodns.answer.ladder import LADDER, Attempt, Client, Rung, Subnet
from geodns.answer.pools import QUIET, Moment
from geodns.answer.respond import encode
from geodns.answer.snapshot import Snapshot
from geodns.answer.steering import PoolSelection
from geodns.answer.whoami import Introduction
from geodns.answer.why import deciding_of, reason
from geodns.answer.words import pool_json, pool_steps
from geodns.geo import Atlas, Located, Location, Place, State, prefix_around, winner
from geodns.geo.location import words as _words
from geodns.wire import ClientSubnet, Edns, Name, Query, Rcode, RRset, question_of, to_text, udp_limit

_LOCATION_KEYS = ("continent", "country", "subdivision", "city", "asn", "latitude", "longitude", "anycast")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One answer and every step to it, ready to print; keys as the JSON form has them.

    `scope` is the prefix length that a reply to a client subnet carries or, without one, the prefix length around the sender's
    address for which the answer is true; `rule` is None where no rule of the zone chose, `pool` where no pool answered.
    """

    question: dict[str, str]
    client: dict[str, str | None]
    rcode: str
    rung: str
    location: dict[str, object]
    sources: dict[str, str]
    rule: str | None
    pool: dict[str, Any] | None
    answer: list[str]
    ttl: int | None
    scope: int
    reason: str
    records: list[str]
    authority: list[str]
    additional: list[str]
    octets: int
    steps: list[str]

    def as_json(self) -> dict[str, Any]:
        """A plain object for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is asked about: a sender's address, or a client subnet that a resolver sends; each may be None, not both."""

    source: Place | None
    subnet: ClientSubnet | None = None


def type_text(rdtype: int) -> str:
    """A type's mnemonic, TYPEnnn where it has none."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))


def rdata_text(rrset: RRset, rdata: bytes) -> str:
    """RDATA in presentation form."""
    rdclass = dns.rdataclass.RdataClass.make(rrset.rdclass)
    return dns.rdata.from_wire(rdclass, dns.rdatatype.RdataType.make(rrset.rdtype), rdata, 0, len(rdata)).to_text()


def explain(snapshot: Snapshot, name: Name, rdtype: int, asker: Asker, moment: Moment = QUIET) -> Explanation:
    """Judge one question as the server would at a moment, and say why it was judged so."""
    edns = Edns(client_subnet=asker.subnet)
    query = Query(
        0, 0, recursion_desired=False, question=question_of(name, rdtype), name=name, rdtype=rdtype, rdclass=1, edns=edns
    )
    client = snapshot.trust.client(asker.source, asker.subnet)
    judgement = judge(snapshot, query, client, moment)
    octets = len(encode(snapshot, query, client, judgement, stream=True))
    response = judgement.response
    last = response.answer[-1] if response.answer else None
    ttl = last.ttl if last else response.authority[0].ttl if response.authority else None
    deciding = deciding_of(judgement)
    located = _located(snapshot.atlas, client, deciding)
    location = located.location if located else Location()
    return Explanation(
        question={"name": to_text(name), "type": type_text(rdtype), "class": "IN"},
        client={
            "address": str(asker.source) if asker.source else None,
            "ecs": str(asker.subnet) if asker.subnet else None,
            "subnet": client.subnet_verdict.value,
        },
        rcode=Rcode(response.rcode).name,
        rung=deciding.climb.rung.value if deciding else Rung.FALLBACK.value,
        location=_location(location),
        sources=dict(located.sources) if located else {},
        rule=deciding.rule.name if isinstance(deciding, Selection) and deciding.rule else None,
        pool=pool_json(deciding) if isinstance(deciding, PoolSelection) else None,
        answer=[rdata_text(last, rdata) for rdata in last.rdatas] if last else [],
        ttl=ttl,
        scope=_scope(judgement, client),
        reason=reason(snapshot.atlas, judgement, client, deciding),
        records=_records(response.answer),
        authority=_records(response.authority),
        additional=_records(response.additional),
        octets=octets,
        steps=_steps(snapshot, judgement, client, asker, octets, udp_limit(query, snapshot.payload_size)),
    )


def _located(atlas: Atlas, client: Client, deciding: Decision | None) -> Located | None:
    """Where the client is; where a map or this instance's place decided in its stead, what that says."""
    if deciding and deciding.climb.rung in {Rung.EGRESS, Rung.INSTANCE}:
        return deciding.climb.attempts[-1].located(atlas)
    place = client.subnet or client.source
    return atlas.locate(place) if place else None


def _location(location: Location) -> dict[str, object]:
    values = asdict(location)
    return {key: values[key] if values[key] != "" else None for key in _LOCATION_KEYS}


def _records(rrsets: list[RRset]) -> list[str]:
    return [
        f"{to_text(rrset.owner)} {rrset.ttl} IN {type_text(rrset.rdtype)} {rdata_text(rrset, rdata)}"
        for rrset in rrsets
        for rdata in rrset.rdatas
    ]


def _scope(judgement: Judgement, client: Client) -> int:
    if client.subnet is not None or client.subnet_verdict is not Subnet.ABSENT:
        return judgement.scope_prefix_length
    return max(
        (attempt.cell.scope_prefix_length for selection in judgement.selections for attempt in selection.climb.attempts),
        default=0,
    )


def _steps(snapshot: Snapshot, judgement: Judgement, client: Client, asker: Asker, octets: int, limit: int) -> list[str]:
    steps = [client.subnet_verdict.value + (f": {asker.subnet}" if client.subnet else "")]
    if client.source:
        steps.append(f"the sender is {client.source}")
    if snapshot.ladder != LADDER:
        steps.append(f"the ladder is of the config (geo.ladder): {', '.join(snapshot.ladder)}")
    steps += map(str, judgement.steps)
    for selection in judgement.selections:
        steps += _selection_steps(snapshot.atlas, selection, client)
    fit = f"the reply has {octets} octets"
    steps.append(
        f"{fit} of the {limit} that fit" if octets <= limit else f"{fit}, more than {limit}: by UDP the client is sent to TCP"
    )
    if client.subnet_verdict in {Subnet.WITHHELD, Subnet.UNTRUSTED}:
        steps.append("scope 0: the answer is the same for every client of this sender (RFC 7871 §7.2.1)")
    return steps


def _selection_steps(atlas: Atlas, selection: Decision, client: Client) -> list[str]:
    """What was tried for one RRset or pool, who decided, who was passed over."""
    if isinstance(selection, PoolSelection):
        if selection.steered.partition is None:
            return pool_steps(selection, None)
        steps = [f"pool {selection.steered.pool.name} puts its endpoints in order for each client"]
    elif isinstance(selection, Introduction):
        return _introduction_steps(atlas, selection)
    else:
        owner = f"{to_text(selection.rrset.owner)} {type_text(selection.rrset.rdtype)}"
        steps = [f"{owner} differs by client: rules {', '.join(rule.name for rule in selection.rules)}"]
    located = None
    for attempt in selection.climb.attempts:
        located = attempt.located(atlas)
        steps.append(_attempt(attempt, located))
        if attempt.decided and isinstance(selection, Selection):
            steps += _rules(selection, attempt, located)
    climb = selection.climb
    if climb.rung is Rung.FALLBACK:
        rest = "the plain records" if isinstance(selection, Selection) else "the order of the configuration"
        steps.append(f"rung fallback decides: {rest}, as for everyone whom nothing tells apart")
    if isinstance(selection, PoolSelection):
        steps += pool_steps(selection, located.location if located and climb.rung is not Rung.FALLBACK else None)
    else:
        chosen = ", ".join(rdata_text(selection.rrset, rdata) for rdata in selection.rrset.rdatas)
        steps.append(f"{owner} gets {chosen}, TTL {selection.rrset.ttl}")
    if client.subnet and climb.attempts:
        network = prefix_around(client.subnet, max(climb.scope_prefix_length - client.subnet.embedded_bits, 0))
        steps.append(f"scope /{climb.scope_prefix_length}: {network} is the widest prefix around the client with one outcome")
    return steps


def _introduction_steps(atlas: Atlas, told: Introduction) -> list[str]:
    steps = ["every client is told about itself: who decides is who knows a place"]
    steps += (_attempt(attempt, attempt.located(atlas)) for attempt in told.climb.attempts)
    if told.climb.rung is Rung.FALLBACK:
        steps.append("rung fallback decides: nothing is known of the client's place")
    if told.climb.scope_prefix_length:
        steps.append(f"scope /{told.climb.scope_prefix_length}: what is told is about this very client subnet")
    return steps


def _attempt(attempt: Attempt, located: Located) -> str:
    words = _words(located.location, located.sources)
    if attempt.state is not State.LOCATED:
        return f"rung {attempt.rung} is passed over: {attempt.place} {_why(located)}"
    if attempt.place is None:
        return f"rung {attempt.rung} decides: routing brought the query here, so this instance's place counts: {words}"
    if attempt.rung is Rung.EGRESS:
        return f"rung {attempt.rung} decides: {attempt.place} is a resolver's: {located.why}: {words}"
    return f"rung {attempt.rung} decides: {attempt.place} is in {located.network}: {words}"


def _why(located: Located) -> str:
    if located.state is State.LOCATED:
        return f"({_words(located.location)}) is of no use to these rules"
    return located.why if located.why.startswith("is ") else f"is not usable: {located.why}"


def _rules(selection: Selection, attempt: Attempt, located: Located) -> list[str]:
    best = winner(selection.rules, attempt.place, located)
    steps = []
    for number, rule in enumerate(selection.rules):
        alone = winner((rule,), attempt.place, located)
        if best and number == best.rule:
            steps.append(f"rule {rule.name} is chosen: {best.selector} names the client, most specifically")
        elif alone and best:
            steps.append(f"rule {rule.name} names the client too ({alone.selector}), less specifically or by a later name")
        else:
            steps.append(f"rule {rule.name} does not name the client")
    if best is None:
        steps.append("no rule names the client: the plain records")
    return steps
