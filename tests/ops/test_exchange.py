"""One question and its reply: nothing that a stranger sends breaks the asker, and only a reply to the question counts."""

from __future__ import annotations

from functools import partial

import dns.rdatatype
import pytest
from dnslib import CNAME, PTR, QTYPE, RR, TXT, A, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.anycast._identity import _text
from geodns.ops.anycast._sweep import _data, _scope
from geodns.ops.exchange import NSID, BadServer, _reply_to, named, option, printable, question
from tests.support.instances import identity

ASKED = question("www.example.com", "A", nsid=True)


def rich_reply() -> bytes:
    """A reply with every kind of thing that is looked at."""
    reply = identity(ASKED, nsid=b"ams1", names={})
    for kind, rdata in (("CNAME", CNAME("a.example.net")), ("A", A("192.0.2.1")), ("TXT", TXT("x")), ("PTR", PTR("b.example"))):
        reply.add_answer(RR("www.example.com", getattr(QTYPE, kind), ttl=60, rdata=rdata))
    return bytes(reply.pack())


RICH = rich_reply()


def look_at(octets: bytes) -> DNSRecord | None:
    """All that is done with a reply."""
    message = _reply_to(ASKED, octets)
    if message is not None:
        for read in (_text, _scope, partial(_data, rdtype="A"), partial(option, code=NSID)):
            read(message)
    return message


def test_every_type_can_be_asked_for() -> None:
    """Also those that have a word in one library only, and those that have none."""
    words = [*map(dns.rdatatype.to_text, dns.rdatatype.RdataType), "TYPE65280"]

    assert [dns.rdatatype.from_text(word) for word in words] == [question("example.com", word).q.qtype for word in words]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("www.example.com", (b"www", b"example", b"com")),
        ("a\\.b.example.", (b"a.b", b"example")),
        ("My\\032Printer._ipp._tcp.example", (b"My Printer", b"_ipp", b"_tcp", b"example")),
        ("\\195\\164.example", (b"\xc3\xa4", b"example")),
        (".", ()),
    ],
)
def test_every_name_can_be_asked_for(name: str, labels: tuple[bytes, ...]) -> None:
    """As master files write it, with escapes (RFC 1035 §5.1)."""
    assert labels == DNSRecord.parse(question(name, "A").pack()).q.qname.label


def test_the_reply_to_the_question_counts() -> None:
    """Id, question and the QR bit are those of the question."""
    message = look_at(RICH)

    assert message is not None
    assert (b"ams1", ("192.0.2.1",)) == (option(message, NSID), _data(message, "A"))


@given(st.lists(st.tuples(st.integers(2, len(RICH) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(RICH)))
def test_no_octets_break_the_asker(changes: list[tuple[int, int]], length: int) -> None:
    """A reply with any octets changed and cut anywhere is read or left, never an exception."""
    octets = bytearray(RICH)
    for at, value in changes:
        octets[at] = value
    look_at(bytes(octets))
    look_at(bytes(octets[:length]))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5300", "192.0.2.1", 5300),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]", "2001:db8::1", 53),
        ("[2001:db8::1]:5300", "2001:db8::1", 5300),
        ("fe80::1%eth0", "fe80::1%eth0", 53),
        ("[fe80::1%eth0]:5300", "fe80::1%eth0", 5300),
        ("::1:53", "::1:53", 53),
        ("ns1.example.com", "ns1.example.com", 53),
        ("ns1.example.com:65535", "ns1.example.com", 65535),
    ],
)
def test_servers_as_users_write_them(text: str, host: str, port: int) -> None:
    """An address or a host name, with a port or without; what can be an IPv6 address is one."""
    assert (host, port) == named(text, 53)


@pytest.mark.parametrize(
    "text",
    ["", ":53", "[]:53", "[2001:db8::1", "2001:db8::1]:53", "[192.0.2.1]:53", "[ns1]:53", "a:b:53", "a:", "a:0", "a:65536",
     "a:٣", "a: 1", "a b", "192.0.2.1:53:53"],
)  # fmt: skip
def test_what_no_server_is_written_as(text: str) -> None:
    """It is refused with the forms that there are."""
    with pytest.raises(BadServer, match="2001:db8::1"):
        named(text, 53)


@given(st.binary(max_size=60))
def test_what_is_printed_is_printable(octets: bytes) -> None:
    """Whatever a stranger calls itself becomes ASCII that no terminal obeys; plain ASCII stays as it is."""
    text = printable(octets)

    assert text.isascii()
    assert text.isprintable()
    assert not octets or not octets.isascii() or not octets.decode().isprintable() or octets.decode() == text
