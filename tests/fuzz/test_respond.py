"""Hostile messages against the whole pure path, from octets to octets, with the demonstration zone behind it."""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geodns import answer, daemon, geo, wire
from geodns.answer import Snapshot

MANY = settings(max_examples=250)
DATAGRAM = 1232  # octets, the payload size of the demonstration
NAMES = [
    "example.com.", "www.example.com.", "WwW.eXaMpLe.CoM.", "static.example.com.", "cdn.example.com.", "where.example.com.",
    "api.example.com.", "app.example.com.", "blog.example.com.", "old.example.com.", "x.old.example.com.", "x.dyn.example.com.",
    "b.c.example.com.", "mail.example.com.", "_imaps._tcp.example.com.", "exotic.example.com.", "x.lab.example.com.",
    "lab.example.com.", "missing.example.com.", "id.server.", "version.bind.", ".", "com.",
]  # fmt: skip
LONG = ".".join(["a" * 63] * 3 + ["b" * 40]) + ".old.example.com."  # its DNAME makes more than 255 octets of it
TYPES = [1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 39, 41, 43, 46, 64, 65, 249, 250, 251, 252, 253, 254, 255, 257, 65280, 65281, 65400]
SUBNETS = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)) | st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
SOURCES = st.ip_addresses() | st.sampled_from([ip_address(text) for text in ("127.0.0.1", "::1", "8.8.8.8", "::ffff:81.2.69.5")])


@functools.cache
def snapshot() -> Snapshot:
    return daemon.load(daemon.DEMONSTRATION).snapshot


def respond(octets: bytes, source: IPv4Address | IPv6Address, *, stream: bool = False) -> bytes | None:
    place = geo.place_of(4 if source.version == 4 else 6, int(source))
    return answer.respond(snapshot(), octets, place, stream=stream)


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """A well-formed query, as every resolver could send it."""
    name = wire.from_text(draw(st.sampled_from([*NAMES, LONG])))
    rdtype, rdclass = draw(st.sampled_from(TYPES)), draw(st.sampled_from([1, 1, 1, 1, 3, 4, 254, 255]))
    question = wire.question_of(name, rdtype, rdclass)
    identifier, opcode = draw(st.integers(0, 0xFFFF)), draw(st.sampled_from([0, 0, 0, 4]))
    edns = None
    if draw(st.integers(0, 3)):
        subnet = draw(st.none() | SUBNETS.map(lambda prefix: wire.subnet_of(*prefix)))
        version = draw(st.sampled_from([0, 0, 0, 1])) if subnet is None else 0
        edns = wire.Edns(draw(st.integers(512, 0xFFFF)), version, draw(st.booleans()), subnet)
    return wire.render_query(wire.Query(identifier, opcode, draw(st.booleans()), question, name, rdtype, rdclass, edns))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A query after up to four flips of a bit, cuts, insertions and duplications."""
    octets = bytearray(draw(queries()))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(octets) - 1)))
        end = draw(st.integers(start, len(octets)))
        match draw(st.sampled_from(["flip", "flip", "set", "cut", "end", "insert", "duplicate"])):
            case "flip" if octets:
                octets[start] ^= 1 << draw(st.integers(0, 7))
            case "set" if octets:
                octets[start] = draw(st.sampled_from([0, 1, 0x29, 0x3F, 0x40, 0x80, 0xC0, 0xFF]))
            case "cut":
                del octets[start:end]
            case "end":
                del octets[start:]
            case "insert":
                octets[start:start] = draw(st.binary(min_size=1, max_size=8))
            case _:  # duplicate
                octets[end:end] = octets[start:end]
    return bytes(octets)


GARBAGE = st.binary(max_size=100) | st.builds(
    bytes.__add__, st.just(bytes.fromhex("123401000001000000000001")), st.binary(max_size=60)
)


def subnets(message: dns.message.Message) -> list[str]:
    return [f"{option.address}/{option.srclen}" for option in message.options if isinstance(option, dns.edns.ECSOption)]


def check(octets: bytes, source: IPv4Address | IPv6Address) -> None:
    """The laws of every reply to a datagram."""
    reply = respond(octets, source)
    if reply is None:
        assert len(octets) < 12 or octets[2] & 0x80
        return
    assert (octets[:2], 0x80 | octets[2] & 0x79) == (reply[:2], reply[2] & 0xF9)
    assert len(reply) <= DATAGRAM
    message = dns.message.from_wire(reply)
    if reply[3] & 0xF in {dns.rcode.FORMERR, dns.rcode.NOTIMP} and not message.options:
        assert len(reply) <= len(octets)
    if message.question:
        length = len(message.question[0].name.to_wire() or b"") + 4
        assert octets[12 : 12 + length] == reply[12 : 12 + length]


@MANY
@given(GARBAGE, SOURCES)
@example(b"", IPv4Address("192.0.2.1"))
@example(bytes(12), IPv4Address("192.0.2.1"))
@example(b"\xff" * 512, IPv4Address("192.0.2.1"))
@example(bytes.fromhex("123401000001000000000000") + b"\xc0\x0c" * 100, IPv4Address("192.0.2.1"))
def test_any_octets_get_silence_or_a_reply(octets: bytes, source: IPv4Address | IPv6Address) -> None:
    """Random octets never raise: they get silence, or a message with their id that fits and is not longer if it is a fault's."""
    check(octets, source)


@MANY
@given(mutated(), SOURCES)
def test_any_mutation_of_a_query_gets_silence_or_a_reply(octets: bytes, source: IPv4Address | IPv6Address) -> None:
    """Queries after flips, cuts, insertions and duplications never raise, and their replies keep the same laws."""
    check(octets, source)


@MANY
@given(queries(), SOURCES)
def test_every_wellformed_query_gets_a_reply(octets: bytes, source: IPv4Address | IPv6Address) -> None:
    """A well-formed query gets a reply that keeps the laws, echoes its client subnet, and has OPT exactly if the query had."""
    check(octets, source)
    query, reply = dns.message.from_wire(octets), respond(octets, source)
    assert reply is not None
    message = dns.message.from_wire(reply)

    assert query.question == message.question
    assert len(reply) <= (max(512, query.payload) if query.edns >= 0 else 512)
    assert (query.opt is None) == (message.opt is None)
    assert subnets(query) == subnets(message)


@MANY
@given(st.one_of(queries(), mutated(), GARBAGE), SOURCES)
def test_a_stream_gets_a_reply_where_a_datagram_does_and_whole(octets: bytes, source: IPv4Address | IPv6Address) -> None:
    """Over a stream silence falls for the same messages, and no reply is truncated or shorter."""
    datagram, whole = respond(octets, source), respond(octets, source, stream=True)
    if datagram is None or whole is None:
        assert datagram is whole
        return

    assert not whole[2] & 0x02
    assert len(datagram) <= len(whole)


def query(opcode: int = 0, options: str = "", version: int = 0, payload_size: int = 1232) -> bytes:
    opt = bytes((0, 0, 41)) + payload_size.to_bytes(2, "big") + bytes((0, version, 0, 0))
    data = bytes.fromhex(options)
    head = b"\x12\x34" + bytes((opcode << 3 | 1, 0, 0, 1, 0, 0, 0, 0, 0, 1))
    return head + wire.question_of(wire.from_text("www.example.com."), 1) + opt + len(data).to_bytes(2, "big") + data


SUBNET = "00080007000118005102" + "45"  # 81.2.69.0/24
REPLIES = [
    ("version 1", query(version=1), "BADVERS", True, []),
    ("version 1, whose options are not read", query(version=1, options="00080001ff"), "BADVERS", True, []),
    ("version 255 with a client subnet", query(version=255, options=SUBNET), "BADVERS", True, []),
    ("a client subnet", query(options=SUBNET), "NOERROR", True, ["81.2.69.0/24"]),
    ("unknown options about it", query(options="fde80000" + SUBNET + "fde90001ff"), "NOERROR", True, ["81.2.69.0/24"]),
    ("a client subnet of SOURCE 0", query(options="0008000400010000"), "NOERROR", True, ["0.0.0.0/0"]),
    ("a bad client subnet", query(options=SUBNET[:-2] + "ff" + "00"), "FORMERR", True, []),
    ("a good and a bad client subnet", query(options=SUBNET + "00080000"), "FORMERR", True, []),
    ("a payload size of 0", query(payload_size=0), "NOERROR", True, []),
    ("NOTIFY", query(4), "NOTAUTH", True, []),
    ("UPDATE", query(5), "NOTIMP", False, []),
    ("STATUS", query(2), "NOTIMP", False, []),
    ("an inverse query", query(1), "NOTIMP", False, []),
    ("an opcode that nobody has", query(15), "NOTIMP", False, []),
]


@pytest.mark.parametrize(("octets", "rcode", "has_opt", "echoed"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
@pytest.mark.parametrize("stream", [False, True])
def test_edns_and_opcodes_get_their_rcode(octets: bytes, rcode: str, has_opt: bool, echoed: list[str], stream: bool) -> None:
    """BADVERS, NOTIMP, NOTAUTH and FORMERR come as the RFCs say; a client subnet is echoed only where it was read."""
    reply = respond(octets, IPv4Address("192.0.2.1"), stream=stream)
    assert reply is not None
    message = dns.message.from_wire(reply)

    assert (rcode, has_opt, echoed) == (dns.rcode.to_text(message.rcode()), message.opt is not None, subnets(message))
