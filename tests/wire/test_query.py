"""Reading queries: round trips against dnspython, and what every malformed message gets."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.wire import names
from geodns.wire.edns import Edns, render_opt, render_options, subnet_of
from geodns.wire.names import Name
from geodns.wire.query import (
    CookieQuery,
    FormErr,
    NotImplementedOpcode,
    Query,
    QueryFault,
    Silence,
    parse_cookie_query,
    parse_query,
    question_of,
    render_query,
)
from geodns.wire.records import Opcode

LABELS = st.binary(min_size=1, max_size=63) | st.sampled_from([b"www", b"WwW", b"example", b"EXAMPLE", b"com", b"*"])
LABEL_LISTS = st.lists(LABELS, max_size=6).filter(lambda labels: sum(len(label) + 1 for label in labels) < names.MAX_NAME)
SIXTEEN_BITS = st.integers(0, 0xFFFF)
SUBNETS = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)) | st.tuples(st.ip_addresses(v=6), st.integers(0, 128))


COOKIES = st.binary(min_size=8, max_size=8) | st.binary(min_size=16, max_size=40)  # dnspython reads no others


@st.composite
def edns_wishes(draw: st.DrawFn) -> Edns:
    if draw(st.integers(0, 9)) == 0:  # of a later version nothing but the head is read
        return Edns(draw(st.integers(512, 0xFFFF)), draw(st.integers(1, 255)), draw(st.booleans()))
    subnet = draw(st.none() | SUBNETS.map(lambda prefix: subnet_of(*prefix)))
    flags = draw(st.booleans()), draw(st.booleans())
    return Edns(draw(st.integers(512, 0xFFFF)), 0, draw(st.booleans()), subnet, *flags, draw(st.none() | COOKIES))


@st.composite
def queries(draw: st.DrawFn) -> Query:
    labels, rdtype, rdclass = draw(LABEL_LISTS), draw(SIXTEEN_BITS), draw(SIXTEEN_BITS)
    sent = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"  # the case survives: 0x20
    question = question_of(Name(sent), rdtype, rdclass)
    opcode = draw(st.sampled_from(Opcode))
    edns = draw(st.none() | edns_wishes())
    return Query(draw(SIXTEEN_BITS), opcode, draw(st.booleans()), question, names.lower(sent), rdtype, rdclass, edns)


@given(queries())
def test_a_rendered_query_reads_back(query: Query) -> None:
    """parse_query is the inverse of render_query for every query."""
    assert query == parse_query(render_query(query))


@pytest.mark.parametrize(("bits", "source"), [(bits, s) for bits in (32, 128) for s in range(bits + 1)])
def test_a_client_subnet_of_every_length_reads_back(bits: int, source: int) -> None:
    """A query with a client subnet of any SOURCE PREFIX-LENGTH reads back, and dnspython reads the same subnet in it."""
    address = IPv4Address(0xC633_64FF) if bits == 32 else IPv6Address((0x2001_0DB8 << 96) + (1 << 96) - 1)
    subnet = subnet_of(address, source)
    octets = render_query(Query(1, 0, False, WWW_A, WWW, 1, 1, Edns(1232, client_subnet=subnet)))  # noqa: FBT003
    parsed = parse_query(octets).edns
    [option] = dns.message.from_wire(octets).options

    assert parsed is not None
    assert subnet == parsed.client_subnet
    assert isinstance(option, dns.edns.ECSOption)
    assert str(subnet) == f"{option.address}/{option.srclen}"


@given(SIXTEEN_BITS, st.booleans(), st.booleans(), st.binary(max_size=48), st.sampled_from([0, 23]))
def test_a_query_for_a_cookie_is_read_and_answered(
    identifier: int, recursion: bool, dnssec_ok: bool, content: bytes, rcode: int
) -> None:
    """A header, no question and OPT with a cookie (RFC 7873 §5.4); dnspython reads the reply. With a question it is none."""
    opt = render_opt(1232, 0, 0, 0x8000 * dnssec_ok, render_options([(10, content)]))
    octets = struct.pack("!6H", identifier, 0x0100 * recursion, 0, 0, 0, 1) + opt
    asked = parse_cookie_query(octets)
    assert asked is not None
    reply = dns.message.from_wire(asked.reply(rcode, b"c" * 24, 1232))

    assert CookieQuery(identifier, recursion, dnssec_ok, content) == asked
    assert (identifier, rcode, [], 1232) == (reply.id, reply.rcode(), reply.question, reply.payload)
    assert [(10, b"c" * 24)] == [(int(option.otype), option.to_wire()) for option in reply.options]
    assert (recursion, dnssec_ok) == (bool(reply.flags & dns.flags.RD), bool(reply.ednsflags & dns.flags.DO))
    for flags, counts in ((0x8000, (0, 0, 0)), (0x2000, (0, 0, 0)), (0, (1, 0, 0)), (0, (0, 1, 0)), (0, (0, 0, 1))):
        assert parse_cookie_query(struct.pack("!6H", identifier, flags, *counts, 1) + opt) is None
    for broken in (octets[:11], octets[:-1], octets + b"\0", octets[:12], octets[:10] + b"\0\2" + opt + opt):
        assert parse_cookie_query(broken) is None


@given(queries())
def test_dnspython_reads_what_is_rendered(query: Query) -> None:
    """Id, opcode, RD, question, payload size, version, DO and options are what dnspython finds."""
    message = dns.message.from_wire(render_query(query))
    [question] = message.question
    labels, rdtype, rdclass = question.name.to_wire(), int(question.rdtype), int(question.rdclass)
    assert labels is not None

    assert (query.id, query.opcode) == (message.id, int(message.opcode()))
    assert query.recursion_desired == bool(message.flags & dns.flags.RD)
    assert query.question == question_of(Name(labels), rdtype, rdclass)
    if query.edns is None:
        assert message.edns == -1
        return
    assert (query.edns.version, query.edns.payload_size) == (message.edns, message.payload)
    assert query.edns.dnssec_ok == bool(message.ednsflags & dns.flags.DO)
    wanted = (query.edns.nsid, query.edns.client_subnet is not None, query.edns.tcp_keepalive)
    assert wanted == tuple(code in {int(option.otype) for option in message.options} for code in (3, 8, 11))


@given(LABEL_LISTS, SIXTEEN_BITS, SUBNETS, st.integers(0, 0xFFFF), st.booleans())
def test_dnspythons_queries_are_read(
    labels: list[bytes], rdtype: int, prefix: tuple[IPv4Address | IPv6Address, int], payload: int, dnssec_ok: bool
) -> None:
    """A query that dnspython makes is read as what it was made of."""
    options = [dns.edns.ECSOption(str(prefix[0]), prefix[1]), dns.edns.NSIDOption(b"")]
    name = dns.name.Name([*labels, b""])
    made = dns.message.make_query(
        name, dns.rdatatype.RdataType.make(rdtype), use_edns=0, payload=payload, want_dnssec=dnssec_ok, options=options
    )
    query = parse_query(made.to_wire())

    assert Edns(max(payload, 512), 0, dnssec_ok, subnet_of(*prefix), nsid=True) == query.edns
    assert (made.id, Opcode.QUERY, True, rdtype, 1) == (
        query.id,
        query.opcode,
        query.recursion_desired,
        query.rdtype,
        query.rdclass,
    )
    assert (name.to_wire(), name.canonicalize().to_wire()) == (query.question[:-4], query.name)


@given(st.lists(st.sampled_from([b"www", b"Example", b"a-b", b"x" * 63]), max_size=3), SIXTEEN_BITS)
def test_dnslibs_queries_are_read(labels: list[bytes], rdtype: int) -> None:
    """A query that dnslib makes is read as what it was made of, and is what render_query makes."""
    made = dnslib.DNSRecord(dnslib.DNSHeader(id=7, rd=1), q=dnslib.DNSQuestion(labels, rdtype))
    query = parse_query(made.pack())

    assert (7, names.from_labels(labels), rdtype) == (query.id, query.name, query.rdtype)
    assert made.pack() == render_query(query)


WWW = names.from_text("www.example.com.")
WWW_A = question_of(WWW, 1)
ID = 0x1234


def header(flags: int = 0x0100, questions: int = 1, answers: int = 0, authorities: int = 0, additionals: int = 0) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in (ID, flags, questions, answers, authorities, additionals))


def record(rdtype: int, rdclass: int = 1, ttl: int = 0, rdata: bytes = b"", owner: bytes = b"\0") -> bytes:
    head = b"".join(value.to_bytes(size, "big") for value, size in ((rdtype, 2), (rdclass, 2), (ttl, 4), (len(rdata), 2)))
    return owner + head + rdata


def opt(options: str = "", payload_size: int = 1232, ttl: int = 0, owner: bytes = b"\0") -> bytes:
    return record(41, payload_size, ttl, bytes.fromhex(options), owner)


def with_opt(options: str) -> bytes:
    return header(additionals=1) + WWW_A + opt(options)


OPT = opt()
A = record(1, rdata=b"\xc0\x00\x02\x01", owner=b"\xc0\x0c")
SOA = record(6, rdata=b"\0\0" + bytes(20), owner=b"\xc0\x0c")
LONGEST = b"".join([b"\x3f" + b"a" * 63] * 3) + b"\x3d" + b"b" * 61 + b"\0"
TOO_LONG = LONGEST[:-63] + b"\x3e" + b"b" * 62 + b"\0"  # by one octet

SILENCE = [
    ("nothing", b""),
    ("eleven octets", header()[:11]),
    ("a response", header(0x8000) + WWW_A),
    ("a response of an unknown opcode", header(0xA800) + WWW_A),
    ("a response that is malformed", header(0x8000, 2)),
]


@pytest.mark.parametrize("octets", [row[1] for row in SILENCE], ids=[row[0] for row in SILENCE])
def test_what_could_begin_a_loop_gets_silence(octets: bytes) -> None:
    """A message too short for a header, or a response, gets no reply at all."""
    with pytest.raises(Silence) as caught:
        parse_query(octets)

    assert caught.value.reply is None


@pytest.mark.parametrize("opcode", [opcode for opcode in range(16) if opcode not in {0, 4}])
@pytest.mark.parametrize("body", [b"", WWW_A, WWW_A + OPT, b"\xff"])
def test_an_unknown_opcode_gets_notimp(opcode: int, body: bytes) -> None:
    """Any opcode but QUERY and NOTIFY gets a bare header with NOTIMP, whatever follows: its format is not known."""
    with pytest.raises(NotImplementedOpcode) as caught:
        parse_query(header(0x0100 | opcode << 11) + body)

    assert header(0x8104 | opcode << 11, 0) == caught.value.reply


BROKEN_QUESTION = [
    ("a header alone", header(questions=0)),
    ("no question, but OPT", header(questions=0, additionals=1) + OPT),  # RFC 7873 §5.4 asks for cookies only
    ("two questions", header(questions=2) + WWW_A + WWW_A),
    ("a question that is missing", header()),
    ("a compression pointer to the header", header() + b"\xc0\x00" + WWW_A[-4:]),
    ("a compression pointer to itself", header() + b"\xc0\x0c" + WWW_A[-4:]),
    ("a compression pointer behind a label", header() + b"\x03www\xc0\x0c" + WWW_A[-4:]),
    ("a label of 64 octets", header() + b"\x40" + b"a" * 64 + b"\0" + WWW_A[-4:]),
    ("a label type that was withdrawn", header() + b"\x80" + b"a" * 128 + b"\0" + WWW_A[-4:]),
    ("a name of 256 octets", header() + TOO_LONG + WWW_A[-4:]),
    ("a name without an end", header() + WWW[:-1]),
    ("a label cut short", header() + b"\x05ab"),
    ("no type", header() + WWW),
    ("half a type", header() + WWW_A[:-3]),
    ("no class", header() + WWW_A[:-2]),
    ("half a class", header() + WWW_A[:-1]),
]


@pytest.mark.parametrize("octets", [row[1] for row in BROKEN_QUESTION], ids=[row[0] for row in BROKEN_QUESTION])
def test_a_broken_question_gets_formerr_without_it(octets: bytes) -> None:
    """Where there is not one whole question, FORMERR is a bare header: there is nothing to echo."""
    with pytest.raises(FormErr) as caught:
        parse_query(octets)

    assert header(0x8101, 0) == caught.value.reply


NO_OPT_SEEN = [
    ("an answer", header(answers=1) + WWW_A + A),
    ("an answer that is missing", header(answers=1) + WWW_A),
    ("an answer before OPT", header(answers=1, additionals=1) + WWW_A + A + OPT),
    ("an authority", header(authorities=1) + WWW_A + SOA),
    ("OPT in the answer", header(answers=1) + WWW_A + OPT),
    ("OPT in the authority", header(authorities=1) + WWW_A + OPT),
    ("OPT in the answer of a NOTIFY", header(0x2100, answers=1) + WWW_A + OPT),
    ("trailing octets", header() + WWW_A + b"\0"),
    ("OPT that the header does not count", header() + WWW_A + OPT),
    ("an additional record that is missing", header(additionals=1) + WWW_A),
    ("OPT cut in its head", header(additionals=1) + WWW_A + OPT[:-1]),
    ("OPT cut in its RDATA", header(additionals=1) + WWW_A + opt("00030000")[:-1]),
    ("an owner cut short", header(additionals=1) + WWW_A + b"\x05ab"),
    ("an owner of a withdrawn label type", header(additionals=1) + WWW_A + record(1, owner=b"\x41a\0")),
    ("an owner of 256 octets", header(additionals=1) + WWW_A + record(1, owner=TOO_LONG)),
]
OPT_SEEN = [
    ("two OPTs", header(additionals=2) + WWW_A + OPT + OPT),
    ("two OPTs with a record between", header(additionals=3) + WWW_A + OPT + A + OPT),
    ("OPT of an owner", header(additionals=1) + WWW_A + opt(owner=b"\x01a\0")),
    ("OPT of an owner by pointer", header(additionals=1) + WWW_A + opt(owner=b"\xc0\x0c")),
    ("OPT and trailing octets", header(additionals=1) + WWW_A + OPT + b"\0"),
    ("OPT of version 1 and trailing octets", header(additionals=1) + WWW_A + opt(ttl=1 << 16) + b"\0"),
    ("OPT and a record that is missing", header(additionals=2) + WWW_A + OPT),
    ("an option shorter than its head", with_opt("000800")),
    ("an option that runs past OPT", with_opt("00080008000118c00002")),
    ("an unknown option that runs past OPT", with_opt("fde80001")),
    ("a client subnet shorter than its head", with_opt("00080003000118")),
    ("a client subnet of no octets", with_opt("00080000")),
    ("a client subnet of family 0", with_opt("00080007000018 00c00002")),
    ("a client subnet of family 3", with_opt("00080007000318 00c00002")),
    ("a client subnet of too few octets", with_opt("00080006000118 00c000")),
    ("a client subnet of too many octets", with_opt("00080008000118 00c0000200")),
    ("a client subnet of octets for SOURCE 0", with_opt("0008000500010000 00")),
    ("a client subnet with a bit beyond SOURCE", with_opt("00080007000117 00c00003")),
    ("a client subnet of IPv6 with a bit beyond SOURCE", with_opt("000800050002010060")),
    ("a client subnet with a SCOPE", with_opt("00080007000118 18c00002")),
    ("a client subnet of SOURCE 33", with_opt("00080009000121 00c000020100")),
    ("a client subnet of SOURCE 129", with_opt("00080015000281 00" + "20" * 17)),
    ("two client subnets", with_opt("00080007000118 00c00002" * 2)),
    ("two client subnets of SOURCE 0", with_opt("0008000400010000" * 2)),
]


@pytest.mark.parametrize("octets", [row[1] for row in NO_OPT_SEEN], ids=[row[0] for row in NO_OPT_SEEN])
def test_broken_records_get_formerr_with_the_question(octets: bytes) -> None:
    """What is wrong behind the question gets FORMERR that echoes it, without OPT where none was reached."""
    with pytest.raises(FormErr) as caught:
        parse_query(octets)

    assert header(0x8101 | octets[2] << 8 & 0x7800) + WWW_A == caught.value.reply


@pytest.mark.parametrize("octets", [row[1] for row in OPT_SEEN], ids=[row[0] for row in OPT_SEEN])
def test_broken_edns_gets_formerr_with_a_bare_opt(octets: bytes) -> None:
    """What is wrong in or behind OPT gets FORMERR with the question and OPT, and never a client subnet (RFC 7871 §7.2.1)."""
    with pytest.raises(FormErr) as caught:
        parse_query(octets)

    assert header(0x8101, additionals=1) + WWW_A + OPT == caught.value.reply


@pytest.mark.parametrize("octets", [row[1] for row in BROKEN_QUESTION + NO_OPT_SEEN + OPT_SEEN])
def test_formerr_never_amplifies(octets: bytes) -> None:
    """FORMERR is never longer than what it replies to."""
    with pytest.raises(FormErr) as caught:
        parse_query(octets)

    assert caught.value.reply is not None
    assert len(octets) >= len(caught.value.reply)


@given(SIXTEEN_BITS, st.booleans())
def test_faults_echo_id_opcode_and_rd_only(flags: int, whole: bool) -> None:
    """Of the flags of a faulty query only opcode and RD come back."""
    octets = header(flags & 0x7FFF) + (WWW_A + b"\0" if whole else b"")
    with pytest.raises(QueryFault) as caught:
        parse_query(octets)
    reply = caught.value.reply
    assert reply is not None

    assert (octets[:2], 0x80 | octets[2] & 0x79, 0) == (reply[:2], reply[2], reply[3] & 0xF0)


def asked(edns: Edns | None, question: bytes = WWW_A, opcode: int = 0) -> Query:
    rdtype, rdclass = int.from_bytes(question[-4:-2], "big"), int.from_bytes(question[-2:], "big")
    return Query(ID, opcode, True, question, names.lower(question[:-4]), rdtype, rdclass, edns)  # noqa: FBT003


READ = [
    ("no OPT", header() + WWW_A, asked(None)),
    ("flags that mean nothing in a query", header(0x07F0 | 0x0100 | 0xF) + WWW_A, asked(None)),
    ("0x20", header() + WWW_A.swapcase(), asked(None, WWW_A.swapcase())),
    ("the longest name", header() + LONGEST + WWW_A[-4:], asked(None, LONGEST + WWW_A[-4:])),
    ("the root", header() + b"\0" + WWW_A[-4:], asked(None, b"\0" + WWW_A[-4:])),
    ("a payload size of 0", header(additionals=1) + WWW_A + opt(payload_size=0), asked(Edns(512))),
    ("a payload size of 511", header(additionals=1) + WWW_A + opt(payload_size=511), asked(Edns(512))),
    ("a payload size of 513", header(additionals=1) + WWW_A + opt(payload_size=513), asked(Edns(513))),
    ("an extended RCODE, which means nothing", header(additionals=1) + WWW_A + opt(ttl=0xFF00_0000), asked(Edns())),
    ("unknown options, one of them twice", with_opt("fde80001ff fde80000 00090001 01"), asked(Edns())),
    ("a cookie of any length, and another", with_opt("000a0003 010203 000a0001 01"), asked(Edns(cookie=b"\1\2\3"))),
    ("an NSID with data", with_opt("00030002 6869"), asked(Edns(nsid=True))),
    ("options of version 1", header(additionals=1) + WWW_A + opt("00080001ff fde8", ttl=1 << 16), asked(Edns(1232, 1))),
    ("version 255 with DO", header(additionals=1) + WWW_A + opt("ff", 100, 0xFF8000), asked(Edns(512, 255, dnssec_ok=True))),
    ("a record before OPT", header(additionals=2) + WWW_A + A + OPT, asked(Edns())),
    ("a signature behind OPT", header(additionals=2) + WWW_A + OPT + record(250, 255), asked(Edns())),
    ("records of long owners", header(additionals=1) + WWW_A + record(1, owner=LONGEST), asked(None)),
    ("a NOTIFY with its SOA", header(0x2100, answers=1) + WWW_A + SOA, asked(None, opcode=4)),
    (
        "an IXFR with its SOA",
        header(authorities=1) + question_of(WWW, 251) + SOA,
        asked(None, question_of(WWW, 251)),
    ),
]


@pytest.mark.parametrize(("octets", "expected"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_is_unusual_but_allowed_is_read(octets: bytes, expected: Query) -> None:
    """Unknown options, records that mean nothing here, small payload sizes and later versions are no faults."""
    assert expected == parse_query(octets)


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: header(additionals=1) + WWW_A + tail))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    """Nothing but a Query or a QueryFault comes out, and a query read is one that reads back."""
    try:
        query = parse_query(octets)
    except QueryFault:
        return

    assert query == parse_query(render_query(query))
