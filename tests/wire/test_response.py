"""Writing responses: whatever is rendered, dnspython and dnslib read the same records, within every limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rrset
import dns.wire
import dnslib
import pytest
from dnslib.label import DNSBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.wire import names
from geodns.wire.edns import Edns
from geodns.wire.names import Name
from geodns.wire.query import Query, question_of
from geodns.wire.records import Rcode, RRset, Type
from geodns.wire.response import MAX_MESSAGE, Response, render, udp_limit

LABELS = st.sampled_from([b"a", b"bb", b"www", b"sub", b"example", b"com", b"net", b"x" * 30])
MIXED = st.sampled_from([b"a", b"A", b"www", b"WwW", b"Sub", b"example", b"EXAMPLE", b"com", b"COM"])
NAMES = st.lists(LABELS, max_size=5).map(names.from_labels)
TARGETS = st.lists(MIXED, max_size=5).map(lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0")
TEXTS = st.lists(st.binary(max_size=80), min_size=1, max_size=3)
RDATAS = {
    Type.A: st.binary(min_size=4, max_size=4),
    Type.AAAA: st.binary(min_size=16, max_size=16),
    Type.NS: TARGETS,
    Type.CNAME: TARGETS,
    Type.PTR: TARGETS,
    Type.DNAME: TARGETS,
    Type.MX: st.builds(bytes.__add__, st.binary(min_size=2, max_size=2), TARGETS),
    Type.SRV: st.builds(bytes.__add__, st.binary(min_size=6, max_size=6), TARGETS),
    Type.SOA: st.builds(lambda *parts: b"".join(parts), TARGETS, TARGETS, st.binary(min_size=20, max_size=20)),
    Type.TXT: TEXTS.map(lambda texts: b"".join(bytes((len(text),)) + text for text in texts)),
    65400: st.binary(min_size=1, max_size=60),
    65401: TARGETS,
}
OLD_RDATAS = {  # the readers leave RDATA of these as it comes, so what is in it they cannot compare
    Type.MB: TARGETS,
    Type.MG: TARGETS,
    Type.MR: TARGETS,
    Type.MINFO: st.builds(bytes.__add__, TARGETS, TARGETS),
}
NAMES_IN_RDATA = {2: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1), 14: (0, 2), 15: (2, 1)}
SECTIONS = ("answer", "authority", "additional")

FEW = settings(max_examples=40)  # each makes and reads a whole message


class Record(NamedTuple):
    """One record as a reader gives it back, names whole."""

    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes


@st.composite
def rrsets(draw: st.DrawFn, rdatas: dict[int, st.SearchStrategy[bytes]] = RDATAS) -> RRset:
    rdtype = draw(st.sampled_from(sorted(rdatas)))
    values = draw(st.lists(rdatas[rdtype], min_size=1, max_size=3))
    return RRset(draw(NAMES), rdtype, draw(st.integers(0, 2**31 - 1)), tuple(values))


OPTIONS = st.lists(st.tuples(st.integers(100, 0xFFFF), st.binary(max_size=60)), max_size=2)
HEADS = st.builds(Response, st.integers(0, 23), st.booleans(), options=OPTIONS)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    answer, authority, additional = (draw(st.lists(rrsets(), max_size=4)) for _ in SECTIONS)
    return replace(
        draw(HEADS),
        answer=answer,
        authority=authority,
        additional=additional,
        required_glue=draw(st.integers(0, len(additional))),
    )


EDNS = st.none() | st.builds(Edns, st.integers(512, 4096), dnssec_ok=st.booleans())


@st.composite
def queries(draw: st.DrawFn) -> Query:
    name = draw(NAMES)
    rdtype = draw(st.integers(0, 0xFFFF))
    question = question_of(name, rdtype)
    return Query(draw(st.integers(0, 0xFFFF)), 0, draw(st.booleans()), question, name, rdtype, 1, draw(EDNS))


def whole(*sections: Iterable[RRset]) -> list[list[Record]]:
    return [
        [Record(rrset.owner, rrset.rdtype, rrset.rdclass, rrset.ttl, rdata) for rrset in section for rdata in rrset.rdatas]
        for section in sections
    ]


def read_by_dnspython(octets: bytes) -> list[list[Record]]:
    message = dns.message.from_wire(octets, one_rr_per_rrset=True)
    return [[_record(rrset) for rrset in section] for section in (message.answer, message.authority, message.additional)]


def _record(rrset: dns.rrset.RRset) -> Record:
    owner, rdata = rrset.name.canonicalize().to_wire(), rrset[0].to_wire()
    assert owner is not None
    assert rdata is not None
    return Record(owner, int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, rdata)


class Uncompressed(DNSBuffer):  # type: ignore[misc]
    """Makes dnslib write the names in RDATA whole."""

    encode_name = DNSBuffer.encode_name_nocompress


def read_by_dnslib(octets: bytes) -> list[list[Record]]:
    message = dnslib.DNSRecord.parse(octets)
    sections: list[list[Record]] = []
    for section in (message.rr, message.auth, message.ar):
        sections.append([])
        for rr in section:
            if rr.rtype != Type.OPT:
                owner, rdata = Uncompressed(), Uncompressed()
                owner.encode_name(rr.rname)
                rr.rdata.pack(rdata)
                sections[-1].append(Record(bytes(owner.data).lower(), rr.rtype, rr.rclass, rr.ttl, bytes(rdata.data)))
    return sections


def read_by_walking(octets: bytes) -> list[list[Record]]:
    """Every record by RFC 1035 §4.1.3 alone, with dnspython's reader for names, which follows pointers backwards only."""
    parser = dns.wire.Parser(octets, 12)
    _, _, questions, *counts = (int.from_bytes(octets[at : at + 2], "big") for at in range(0, 12, 2))
    assert questions == 1
    parser.get_name(decompress=True)
    parser.get_struct("!HH")
    sections = [[_walk(parser) for _ in range(count)] for count in counts]
    assert parser.remaining() == 0
    return [[record for record in section if record.rdtype != Type.OPT] for section in sections]


def _name(parser: dns.wire.Parser) -> bytes:
    return parser.get_name(decompress=True).to_wire() or b""


def _walk(parser: dns.wire.Parser) -> Record:
    owner = parser.get_name(decompress=True).canonicalize().to_wire() or b""
    rdtype, rdclass, ttl, length = parser.get_struct("!HHIH")
    with parser.restrict_to(length):
        before, count = NAMES_IN_RDATA.get(rdtype, (0, 0))
        parts = [parser.get_bytes(before), *(_name(parser) for _ in range(count)), parser.get_remaining()]
    return Record(owner, rdtype, rdclass, ttl, b"".join(parts))


@FEW
@given(queries(), responses())
def test_dnspython_reads_what_was_decided(query: Query, response: Response) -> None:
    """Every record comes back from dnspython in its section and order, with the case of its RDATA."""
    expected = whole(response.answer, response.authority, response.additional)

    assert expected == read_by_dnspython(render(query, response, MAX_MESSAGE))


@FEW
@given(queries(), responses())
def test_dnslib_reads_what_was_decided(query: Query, response: Response) -> None:
    """Every record comes back from dnslib in its section and order, with the case of its RDATA."""
    expected = whole(response.answer, response.authority, response.additional)

    assert expected == read_by_dnslib(render(query, response, MAX_MESSAGE))


@FEW
@given(queries(), st.lists(rrsets(RDATAS | OLD_RDATAS), max_size=6), st.lists(rrsets(RDATAS | OLD_RDATAS), max_size=6))
def test_names_of_every_compressible_type_decompress_to_the_same(
    query: Query, answer: list[RRset], additional: list[RRset]
) -> None:
    """Names in RDATA that RFC 3597 §4 lets compress come back whole; all other RDATA comes back octet for octet."""
    response = Response(answer=answer, additional=additional)

    assert whole(answer, [], additional) == read_by_walking(render(query, response, MAX_MESSAGE))


@FEW
@given(queries(), responses())
def test_compression_never_lengthens(query: Query, response: Response) -> None:
    """A rendered message is no longer than its records written whole."""
    records = [record for section in whole(response.answer, response.authority, response.additional) for record in section]
    opt = 11 + sum(4 + len(data) for _, data in response.options) if query.edns else 0
    written_whole = 12 + len(query.question) + sum(len(record.owner) + 10 + len(record.rdata) for record in records) + opt

    assert written_whole >= len(render(query, response, MAX_MESSAGE))


@pytest.mark.parametrize(
    ("owner", "rdtype", "rdata", "expected"),
    [
        ("www.example.com.", Type.A, bytes(4), "c00c 0001 0001 00000001 0004 00000000"),
        ("example.com.", Type.NS, b"\x02ns\x07example\x03com\0", "c010 0002 0001 00000001 0005 026e73c010"),
        ("com.", Type.MX, b"\0\x0a\x03com\0", "c018 000f 0001 00000001 0004 000ac018"),
        (".", Type.PTR, b"\0", "00 000c 0001 00000001 0001 00"),
        ("com.", Type.SRV, bytes(6) + b"\x03com\0", "c018 0021 0001 00000001 000b 000000000000 03636f6d00"),
        ("com.", Type.NS, b"\x03COM\0", "c018 0002 0001 00000001 0005 03434f4d00"),
    ],
)
def test_names_point_at_the_question(owner: str, rdtype: int, rdata: bytes, expected: str) -> None:
    """Owners, and names in RDATA of well-known types, point at the longest suffix that is already there in the same case."""
    name = names.from_text("www.example.com.")
    query = Query(1, 0, False, question_of(name, 1), name, 1, 1, None)  # noqa: FBT003

    response = Response(answer=[RRset(names.from_text(owner), rdtype, 1, (rdata,))])

    assert bytes.fromhex(expected) == render(query, response, 512)[12 + len(query.question) :]


@FEW
@given(queries(), responses(), st.randoms(use_true_random=False), st.integers(512, 2000))
def test_the_question_is_echoed_octet_for_octet(query: Query, response: Response, random: Random, limit: int) -> None:
    """Mixed case in the question comes back, and changes nothing else of the reply."""
    mixed = (
        bytes(random.choice((octet, octet ^ 0x20)) if chr(octet).islower() else octet for octet in query.name)
        + query.question[-4:]
    )
    sent = Query(query.id, query.opcode, query.recursion_desired, mixed, query.name, query.rdtype, query.rdclass, query.edns)
    lower = render(query, response, limit)

    assert lower[:12] + mixed + lower[12 + len(mixed) :] == render(sent, response, limit)


@given(queries(), HEADS)
def test_the_header_says_what_was_asked_and_decided(query: Query, response: Response) -> None:
    """Id and RD are the query's, AA and RCODE the response's, QR is set and RA, AD, CD and Z are not."""
    message = dns.message.from_wire(render(query, response, MAX_MESSAGE))
    aa = dns.flags.AA if response.authoritative else 0
    rd = dns.flags.RD if query.recursion_desired else 0

    assert query.id == message.id
    assert int(dns.flags.QR | aa | rd) == message.flags & ~0xF
    assert response.rcode & (0xFFF if query.edns else 0xF) == int(message.rcode())


@given(queries(), HEADS)
def test_opt_answers_opt(query: Query, response: Response) -> None:
    """There is OPT exactly when the query had one: version 0, the server's payload size, DO copied, all options in order."""
    message = dns.message.from_wire(render(query, response, MAX_MESSAGE, 1400))
    if query.edns is None:
        assert message.opt is None
        return

    assert (0, 1400) == (message.edns, message.payload)
    assert (dns.flags.DO if query.edns.dnssec_ok else 0) == message.ednsflags & 0xFFFF
    assert response.options == [(int(option.otype), option.to_wire()) for option in message.options]


@pytest.mark.parametrize(("rcode", "low", "high"), [(Rcode.NXDOMAIN, 3, 0), (Rcode.BADVERS, 0, 1), (4095, 15, 255)])
def test_the_extended_rcode_is_split(rcode: int, low: int, high: int) -> None:
    """The lower four bits of an RCODE are in the header, the upper eight in OPT (RFC 6891 §6.1.3)."""
    octets = render(Query(1, 0, False, b"\0\0\1\0\1", names.ROOT, 1, 1, Edns()), Response(rcode), 512)  # noqa: FBT003

    assert (low, high) == (octets[3], octets[-6])


def required(response: Response, glue: int) -> Response:
    return replace(response, additional=response.additional[:glue], required_glue=glue)


@FEW
@given(queries(), responses(), st.integers(512, 900))
def test_a_reply_is_never_longer_than_its_limit(query: Query, response: Response, limit: int) -> None:
    """A reply fits; TC is set exactly when answer, authority and required glue do not, and then question and OPT are all."""
    octets = render(query, response, limit)
    message = dns.message.from_wire(octets, one_rr_per_rrset=True)
    needed = len(render(query, required(response, response.required_glue), MAX_MESSAGE))

    assert limit >= len(octets)
    assert (needed > limit) == bool(message.flags & dns.flags.TC)
    if message.flags & dns.flags.TC:
        assert [[], [], []] == read_by_dnspython(octets)
        assert (query.edns is not None) == (message.opt is not None)


@FEW
@given(queries(), responses(), st.integers(512, 900))
def test_only_what_does_not_fit_is_left_out(query: Query, response: Response, limit: int) -> None:
    """Without TC, the additional section is as many whole RRsets as fit, in their order, required glue at least."""
    octets = render(query, response, limit)
    fitting = [
        glue
        for glue in range(response.required_glue, len(response.additional) + 1)
        if len(render(query, required(response, glue), MAX_MESSAGE)) <= limit
    ]
    if fitting:
        assert whole(response.answer, response.authority, response.additional[: fitting[-1]]) == read_by_dnspython(octets)


MANY = [
    RRset(
        names.from_text(f"host{n}.sub{n % 700}.example.com."),
        Type.NS,
        60,
        (b"\x02N%d" % (n % 10) + names.from_text(f"sub{n}.com."),),
    )
    for n in range(1600)
]
WWW = names.from_text("www.example.com.")


@pytest.mark.parametrize("read", [read_by_dnspython, read_by_dnslib, read_by_walking])
def test_a_long_reply_reads_back(read: Callable[[bytes], list[list[Record]]]) -> None:
    """Names beyond the reach of a pointer's fourteen bits (RFC 1035 §4.1.4) are written whole: 60,000 octets read back."""
    octets = render(Query(1, 0, False, question_of(WWW, 2), WWW, 2, 1, Edns()), Response(answer=MANY), MAX_MESSAGE)  # noqa: FBT003

    assert len(octets) in range(55_000, MAX_MESSAGE)
    assert whole(MANY, [], []) == read(octets)


def test_what_no_message_can_hold_is_truncated() -> None:
    """A response of more than 65,535 octets gets TC even where the limit is higher."""
    octets = render(Query(1, 0, False, question_of(WWW, 2), WWW, 2, 1, None), Response(answer=MANY * 2), 1 << 20)  # noqa: FBT003

    assert dns.message.make_query("www.example.com.", "NS", id=1, flags=dns.flags.QR | dns.flags.TC).to_wire() == octets


@pytest.mark.parametrize("edns", [None, Edns()])
@pytest.mark.parametrize("required_glue", [0, 1])
def test_the_limit_itself_is_allowed(edns: Edns | None, required_glue: int) -> None:
    """A reply of exactly the limit is sent whole; with one octet less, additional RRsets go silently, required glue by TC."""
    query = Query(1, 0, False, question_of(WWW, 2), WWW, 2, 1, edns)  # noqa: FBT003
    glue = RRset(WWW, 65400, 60, (bytes(600),))
    response = Response(additional=[glue], required_glue=required_glue)
    size = len(render(query, response, MAX_MESSAGE))

    assert [[], [], whole([glue])[0]] == read_by_dnspython(render(query, response, size))
    assert [[], [], []] == read_by_dnspython(short := render(query, response, size - 1))
    assert bool(required_glue) == bool(short[2] & 0x02)


@pytest.mark.parametrize(
    ("edns", "server_payload_size", "expected"),
    [(None, 1232, 512), (Edns(512), 1232, 512), (Edns(1000), 1232, 1000), (Edns(4096), 1232, 1232), (Edns(4096), 4096, 4096)],
)
def test_a_datagram_is_what_both_sides_can_take(edns: Edns | None, server_payload_size: int, expected: int) -> None:
    """Without OPT 512 octets, else the smaller of both payload sizes (RFC 6891 §6.2.5)."""
    query = Query(1, 0, False, question_of(Name(b"\0"), 1), names.ROOT, 1, 1, edns)  # noqa: FBT003

    assert expected == udp_limit(query, server_payload_size)


def test_chains_of_names_make_no_chains_of_pointers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that each have one label more than the last are compressed for readers who follow no more than eight pointers."""
    owners = [names.from_labels([b"%d" % number for number in range(count, 0, -1)]) for count in range(60)]
    query = Query(
        0, 0, recursion_desired=False, question=question_of(owners[1], 1), name=owners[1], rdtype=1, rdclass=1, edns=None
    )
    response = Response(answer=[RRset(owner, Type.NS, 9, (owner,)) for owner in owners])

    octets = render(query, response, MAX_MESSAGE)

    monkeypatch.setattr(dns.name, "MAX_COMPRESSION_POINTER_CHAIN", 8)
    assert whole(response.answer) == read_by_dnspython(octets)[:1]
    assert len(octets) < sum(map(len, owners))
    monkeypatch.setattr(dns.name, "MAX_COMPRESSION_POINTER_CHAIN", 7)
    with pytest.raises(dns.name.PointerChainTooLong):
        read_by_dnspython(octets)
