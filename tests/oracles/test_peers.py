"""Owns the comparison with NSD and Knot: same zones, same questions, same answers but for a table of known differences."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from geodns import answer, daemon, geo
from geodns.wire import Name, Type, from_text, is_subdomain, to_text
from tests.oracles.plain_zones import GROUPS
from tests.support import daemons
from tests.support.daemons import LISTEN, Endpoint

pytestmark = pytest.mark.slow

PEERS = ("nsd", "knot")
ASKED_OF_ALL = (Type.A, Type.NS, Type.CNAME, Type.MX, Type.DS, Type.TXT, Type.ANY, 65_399)
ASKED_OF_JUNK = (Type.A, Type.CNAME, Type.DS, Type.TXT, Type.HTTPS)
JUNK = (b"\x04junk", b"\x01a\x04junk", b"\x01*", b"\x01b\x01*")
STRANGERS = ("nowhere.invalid.", "com.", "test.", "xexample.com.", "in-addr.arpa.")
PAYLOADS = (0, 512, 1232, 4096)  # 0: no EDNS
LOOPBACK = geo.place_of(4, 0x7F00_0001)

Record = tuple[str, str, int, bytes]
"""Owner and type as text, TTL, RDATA in canonical form (RFC 4034 §6.2): names in it compare without regard to case."""


@dataclass(frozen=True, slots=True)
class Question:
    """A name in the case that is sent, a type, and the payload size that EDNS announces, 0 for a query without EDNS."""

    name: bytes
    rdtype: int
    payload_size: int

    @property
    def octets(self) -> bytes:
        """The query."""
        header = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 1 if self.payload_size else 0)
        opt = struct.pack("!BHHIH", 0, Type.OPT, self.payload_size, 0, 0) if self.payload_size else b""
        return header + self.name + struct.pack("!HH", self.rdtype, 1) + opt

    def __str__(self) -> str:
        size = f" +bufsize={self.payload_size}" if self.payload_size else " +noedns"
        return f"{to_text(self.name)} {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(self.rdtype))}{size}"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a reply says, without the order in which it says it."""

    rcode: str
    aa: bool
    tc: bool
    answer: frozenset[Record]
    authority: frozenset[Record]
    additional: frozenset[Record]

    def only(self, section: str, keep: Callable[[Record], bool]) -> Observation:
        """The same with some records of one section."""
        kept: dict[str, Any] = {section: frozenset(filter(keep, getattr(self, section)))}
        return replace(self, **kept)


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one peer: our reply and theirs, as far as they are still to be compared."""

    question: Question
    ours: Observation
    theirs: Observation

    def without_rcode(self) -> Case:
        """The same with one RCODE."""
        return replace(self, theirs=replace(self.theirs, rcode=self.ours.rcode))

    def only(self, section: str, keep: Callable[[Record], bool]) -> Case:
        """The same with some records of one section of both replies."""
        return Case(self.question, self.ours.only(section, keep), self.theirs.only(section, keep))


def _types(records: frozenset[Record]) -> set[str]:
    return {rdtype for _owner, rdtype, _ttl, _rdata in records}


def _name(rdata: bytes) -> str:
    return to_text(rdata)


def no_servers_in_positive_answers(case: Case) -> Case:
    """The NS RRset of the zone, and the addresses of its servers, beside a positive answer."""
    ours, theirs = case.ours, case.theirs
    if not theirs.aa or not theirs.answer or _types(theirs.authority) != {"NS"} or ours.authority:
        return case
    servers = {_name(rdata) for _owner, _type, _ttl, rdata in theirs.authority}
    kept = frozenset(record for record in theirs.additional if record[0] not in servers or record in ours.additional)
    return replace(case, theirs=replace(theirs, authority=frozenset(), additional=kept))


def one_record_for_any(case: Case) -> Case:
    """ANY gets one HINFO from us, all RRsets from the peers."""
    owner = next((record[0] for record in case.ours.answer if record[1] == "HINFO" and b"rfc8482" in record[3].lower()), None)
    if case.question.rdtype != Type.ANY or owner is None:
        return case
    blank = case.only("answer", lambda record: record[0] != owner).only("authority", lambda _record: False)
    blank = blank.only("additional", lambda _record: False)
    if case.theirs.tc:  # nothing of theirs is comparable: some keep what fits, some keep nothing
        return replace(blank, theirs=blank.ours)
    return blank


def nothing_in_truncated_replies(case: Case) -> Case:
    """A truncated reply has a question and OPT only from us; peers leave in it what fits."""
    if not (case.ours.tc and case.theirs.tc):
        return case
    for section in ("answer", "authority", "additional"):
        case = case.only(section, lambda _record: False)
    return case


def rcode_of_truncated_replies(case: Case) -> Case:
    """Knot stops where the reply is full, and the RCODE at the end of the chain of aliases is never reached."""
    return case.without_rcode() if case.ours.tc and case.theirs.tc and case.theirs.rcode == "NOERROR" else case


def names_that_grow_too_long(case: Case) -> Case:
    """Where a DNAME would make a name longer than 255 octets Knot says NXDOMAIN, with a SOA; NSD and we say YXDOMAIN."""
    if (case.ours.rcode, case.theirs.rcode) != ("YXDOMAIN", "NXDOMAIN"):
        return case
    return case.without_rcode().only("authority", lambda record: record[1] != "SOA")


def endless_redirection(case: Case) -> Case:
    """A DNAME loop makes ever longer names: where it ends is each server's own limit."""
    name = case.question.name.lower()
    ends = any(is_subdomain(name, from_text(f"{loop}.example.com.")) for loop in ("dloop", "dloop2"))
    records = case.ours.answer | case.theirs.answer
    endless = len(records) > 10 or case.ours.tc or case.theirs.tc
    if not ends or not endless or not _types(records) <= {"CNAME", "DNAME"}:
        return case
    return replace(case, theirs=replace(case.theirs, answer=case.ours.answer, tc=case.ours.tc))


def aliases_into_another_zone(case: Case) -> Case:
    """Knot ends an answer where an alias leaves the zone, even if it serves the other zone too; NSD and we go on."""
    crossings = {("tochild", "child"), ("tonothing", "child"), ("up.child", "")}
    pairs = {(f"{owner}.example.com.", f"{zone}.example.com.".lstrip(".")) for owner, zone in crossings} | {("into.", "served.")}
    if to_text(case.question.name.lower()) not in {owner for owner, _zone in pairs} or case.question.rdtype == Type.CNAME:
        return case
    for section in ("authority", "additional"):
        case = case.only(section, lambda _record: False)
    return case.only("answer", lambda record: record[1] == "CNAME").without_rcode()


def addresses_of_services(case: Case) -> Case:
    """NSD adds nothing for SVCB and HTTPS, Knot nothing where the target is "." and so the owner itself (RFC 9460 §2.5)."""
    if case.question.rdtype not in (Type.SVCB, Type.HTTPS):
        return case
    owner = to_text(case.question.name.lower())
    targets = {dns.name.from_wire(rdata, 2)[0].to_text() for _owner, _type, _ttl, rdata in case.theirs.answer}
    extra = {record for record in case.ours.additional - case.theirs.additional if record[0] in {owner, *targets}}
    return replace(case, ours=replace(case.ours, additional=case.ours.additional - extra))


def addresses_of_key_exchangers(case: Case) -> Case:
    """NSD adds the addresses that a KX record names."""
    if case.question.rdtype != dns.rdatatype.KX or not case.ours.additional < case.theirs.additional:
        return case
    return replace(case, theirs=replace(case.theirs, additional=case.ours.additional))


def addresses_that_do_not_fit(case: Case) -> Case:
    """Where not all addresses of MX targets fit, each server stops at another one, for each has another room left."""
    if to_text(case.question.name.lower()) != "manymx.big.test." or case.question.rdtype != Type.MX:
        return case
    common = case.ours.additional & case.theirs.additional
    return case.only("additional", lambda record: record in common)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is a decision: whose, why it is right to be different, and how it is taken out of the comparison."""

    peers: tuple[str, ...]
    reason: str
    remove: Callable[[Case], Case]


KNOWN_DIFFERENCES = (
    Difference(("nsd", "knot"), "RFC 8482 §4.2: no amplification, and no enumeration of variants", one_record_for_any),
    Difference(("nsd", "knot"), "RFC 6672 §3.2 sets no limit; ours is MAX_CHAIN", endless_redirection),
    Difference(("nsd", "knot"), "RFC 2181 §9: the client ignores what is left in it", nothing_in_truncated_replies),
    Difference(("knot",), "RFC 2181 §9: the client asks again by TCP, and gets the RCODE there", rcode_of_truncated_replies),
    Difference(("knot",), "RFC 6672 §3.2 step 3C: set RCODE to YXDOMAIN and exit", names_that_grow_too_long),
    Difference(("nsd",), "RFC 1034 §4.3.2 does not ask for it; it costs room in every reply", no_servers_in_positive_answers),
    Difference(("knot",), "RFC 1034 §4.3.2 step 3a: go back to step 1 with the new name", aliases_into_another_zone),
    Difference(("nsd", "knot"), "RFC 9460 §4.1 SHOULD be done for every target in the zone", addresses_of_services),
    Difference(("nsd",), "RFC 2230 §3: optional, and hardly anybody asks for KX", addresses_of_key_exchangers),
    Difference(("nsd",), "RFC 2181 §9: optional additional data may be left out", addresses_that_do_not_fit),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """All of one group of zones: the questions and, by who was asked and how, the replies to them."""

    questions: Sequence[Question]
    replies: Mapping[tuple[str, str], Sequence[bytes]]
    observations: Mapping[tuple[str, str], Sequence[Observation]]


def _records(section: list[dns.rrset.RRset], *, once: bool) -> frozenset[Record]:
    found = [
        (rrset.name.canonicalize().to_text(), dns.rdatatype.to_text(rrset.rdtype), rrset.ttl, rrset[0].to_digestable())
        for rrset in section
    ]
    assert not once or len(found) == len(set(found)), f"a record twice: {found}"
    return frozenset((to_text(from_text(owner)), *rest) for owner, *rest in found)


def observe(octets: bytes, *, once: bool = True) -> Observation:
    """What a reply says; each record `once`, unless its sender may say it again, as peers do in redirections to themselves."""
    message = dns.message.from_wire(octets, one_rr_per_rrset=True)
    return Observation(
        dns.rcode.to_text(message.rcode()),
        bool(message.flags & dns.flags.AA),
        bool(message.flags & dns.flags.TC),
        _records(message.answer, once=once),
        _records(message.authority, once=once),
        _records(message.additional, once=once),
    )


def _mixed(name: bytes, chance: random.Random) -> bytes:
    """Random case, as resolvers send it."""
    return bytes(octet ^ 0x20 if chr(octet).isalpha() and octet < 128 and chance.random() < 0.5 else octet for octet in name)


def _questions(snapshot: answer.Snapshot) -> Iterator[Question]:
    """Every owner × types, junk below every owner, and names of nobody's; of a series (host0, host1, …) one."""
    chance = random.Random(1035)
    asked: set[tuple[bytes, int]] = {(from_text(name), rdtype) for name in STRANGERS for rdtype in (Type.A, Type.NS, Type.DS)}
    seen: set[bytes] = set()
    for zone in snapshot.zones.values():
        for node in zone.contents.nodes.values():
            series = re.sub(rb"^.(host|ns)[0-9]+(\x05deleg)?\x03big", b"", node.name)
            if series != node.name and series in seen:
                continue
            seen.add(series)
            asked |= {(node.name, int(rdtype)) for rdtype in {*ASKED_OF_ALL, *node.rrsets}}
            below = (Name(label + node.name) for label in JUNK)
            asked |= {(name, int(rdtype)) for name in below if len(name) <= 255 for rdtype in ASKED_OF_JUNK}
    for number, (name, rdtype) in enumerate(sorted(asked)):
        varied = is_subdomain(name, from_text("big.test.")) and not name.startswith(JUNK)
        sizes = PAYLOADS if varied else (PAYLOADS[number % len(PAYLOADS)],)
        for size in sizes:
            yield Question(_mixed(name, chance), rdtype, size)


def _ask(endpoint: Endpoint, queries: Sequence[bytes]) -> dict[str, list[bytes]]:
    return {"udp": endpoint.udp_all(queries), "tcp": endpoint.tcp_all([octets for octets in queries if _is_big(octets)])}


def _is_big(octets: bytes) -> bool:
    return b"\x03big\x04test" in octets.lower()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Compared]:
    """Every group of zones, served by everyone, and everyone asked everything."""
    return {group: _compare(tmp_path_factory.mktemp(group), zones) for group, zones in GROUPS.items()}


def _compare(directory: Path, zones: Mapping[str, str]) -> Compared:
    files = {f"{number}.zone": text for number, text in enumerate(zones.values())}
    config = LISTEN + "".join(f'[[zones]]\nname = "{name}"\nfile = "{number}.zone"\n' for number, name in enumerate(zones))
    with ExitStack() as stack:
        geodns = stack.enter_context(daemons.geodns(directory / "geodns", config, files))
        servers = {"geodns": geodns.endpoint}
        servers["nsd"] = stack.enter_context(daemons.nsd(directory / "nsd", zones)).endpoint
        servers["knot"] = stack.enter_context(daemons.knot(directory / "knot", zones)).endpoint
        snapshot = daemon.load(geodns.site.configuration).snapshot
        questions = list(_questions(snapshot))
        queries = [question.octets for question in questions]
        replies = {(name, way): found for name, at in servers.items() for way, found in _ask(at, queries).items()}
    big = [octets for octets in queries if _is_big(octets)]
    replies["respond", "udp"] = [answer.respond(snapshot, octets, LOOPBACK) or b"" for octets in queries]
    replies["respond", "tcp"] = [answer.respond(snapshot, octets, LOOPBACK, stream=True) or b"" for octets in big]
    observations = {key: list(map(observe, found)) for key, found in replies.items() if key[0] != "geodns"}
    return Compared(questions, replies, observations)


def _cases(compared: Compared, peer: str) -> Iterator[Case]:
    for way in ("udp", "tcp"):
        asked = [question for question in compared.questions if way == "udp" or _is_big(question.octets)]
        pairs = zip(asked, compared.observations["respond", way], compared.observations[peer, way], strict=True)
        yield from (Case(*found) for found in pairs)


def normalised(peer: str, case: Case) -> tuple[Case, set[Difference]]:
    """A case without its known differences, and which they were."""
    needed = set()
    for difference in KNOWN_DIFFERENCES:
        if peer in difference.peers and case.ours != case.theirs:
            cleared = difference.remove(case)
            if cleared != case:
                needed.add(difference)
            case = cleared
    return case, needed


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_peer_answers_the_same(compared: dict[str, Compared], group: str, peer: str) -> None:
    """RCODE, AA, TC and the records of every section are the peer's, but for the known differences."""
    cases = [normalised(peer, case)[0] for case in _cases(compared[group], peer)]
    unexplained = [f"{case.question}:\n  ours {case.ours}\n  {peer} {case.theirs}" for case in cases if case.ours != case.theirs]

    assert not unexplained, f"{len(unexplained)} of {len(cases)} differ\n" + "\n".join(unexplained[:5])


@pytest.mark.parametrize("peer", PEERS)
def test_every_known_difference_occurs(compared: dict[str, Compared], peer: str) -> None:
    """The table lists no difference that is gone."""
    occurring = {
        difference for found in compared.values() for case in _cases(found, peer) for difference in normalised(peer, case)[1]
    }

    assert {difference for difference in KNOWN_DIFFERENCES if peer in difference.peers} == occurring


@pytest.mark.parametrize("way", ["udp", "tcp"])
@pytest.mark.parametrize("group", sorted(GROUPS))
def test_the_process_sends_what_the_pure_path_decides(compared: dict[str, Compared], group: str, way: str) -> None:
    """Through real sockets comes octet for octet what `respond` returns."""
    found = compared[group]
    asked = [question for question in found.questions if way == "udp" or _is_big(question.octets)]
    pairs = zip(found.replies["respond", way], found.replies["geodns", way], strict=True)
    differing = [str(question) for question, (decided, sent) in zip(asked, pairs, strict=True) if decided != sent]

    assert not differing, "\n".join(differing)


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_the_question_is_echoed(compared: dict[str, Compared], group: str) -> None:
    """The question comes back octet for octet, in the case in which it was sent."""
    for question, reply in zip(compared[group].questions, compared[group].replies["respond", "udp"], strict=True):
        assert question.octets[12 : 16 + len(question.name)] == reply[12 : 16 + len(question.name)], str(question)
