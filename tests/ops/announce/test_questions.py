"""Which replies are right: for each question what may come, and what is wrong with all else."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rrset
import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord

from geodns.ops.announce._questions import Question, fault, shape_fault
from geodns.ops.exchange import question

PLAIN = Question("www.example.com", "A", "81.2.69.0/24", ("198.51.100.10", "198.51.100.11"))
POOL = Question("www.example.com", "A", "", ("198.51.100.10", "198.51.100.11"), pool="app")
SOA = Question("example.com", "SOA", serial=7)
GONE = Question("none.example.com", "A", rcode="NXDOMAIN")
ALIAS = Question("alias.example.com", "A", answer=("WWW.example.NET.",))


def reply(asked: Question, *records: str, rcode: str = "NOERROR", authoritative: bool = True) -> DNSRecord:
    """A reply with records in zone file form."""
    made = question(asked.name, asked.type).reply()
    made.header.aa, made.header.rcode = int(authoritative), getattr(RCODE, rcode)
    for text in records:
        made.add_answer(*RR.fromZone(text))
    parsed = DNSRecord.parse(made.pack())
    assert getattr(QTYPE, asked.type) == parsed.q.qtype
    return parsed


TEN, ELEVEN, TWELVE = (f"www.example.com. 60 IN A 198.51.100.{number}" for number in (10, 11, 12))
SEVEN = "example.com. 60 IN SOA ns.example.com. hostmaster.example.com. 7 1 1 1 1"
REPLIES = {
    "all, in any order": (PLAIN, (ELEVEN, TEN), {}, ""),
    "one is missing": (
        PLAIN,
        (TEN,),
        {},
        "www.example.com A for 81.2.69.0/24: expected 198.51.100.10, 198.51.100.11, got 198.51.100.10",
    ),
    "one of a pool": (POOL, (TEN,), {}, ""),
    "a stranger in a pool": (
        POOL,
        (TEN, TWELVE),
        {},
        "www.example.com A: expected 198.51.100.10, 198.51.100.11, got 198.51.100.10, 198.51.100.12",
    ),
    "none of a pool": (POOL, (), {}, "www.example.com A: expected 198.51.100.10, 198.51.100.11, got no records"),
    "the serial": (SOA, (SEVEN,), {}, ""),
    "another serial": (SOA, (SEVEN.replace(" 7 ", " 6 "),), {}, "example.com SOA: serial 7 is expected, 6 came"),
    "no SOA": (SOA, (), {}, "example.com SOA: serial 7 is expected, none came"),
    "without authority": (SOA, (SEVEN,), {"authoritative": False}, "example.com SOA: the answer is not authoritative"),
    "a name that is not": (GONE, (), {"rcode": "NXDOMAIN"}, ""),
    "refused": (GONE, (), {"rcode": "REFUSED"}, "none.example.com A: NXDOMAIN is expected, REFUSED came"),
    "an alias in another spelling": (ALIAS, ("alias.example.com. 60 IN CNAME www.example.net.",), {}, ""),
}


@pytest.mark.parametrize("case", REPLIES)
def test_a_reply_is_judged(case: str) -> None:
    """A table of replies and what is wrong with them."""
    asked, records, how, expected = REPLIES[case]

    assert expected == fault(asked, reply(asked, *records, **how))  # type: ignore[arg-type]


def test_the_last_rrset_counts() -> None:
    """Behind an alias what is expected are the records at its end."""
    asked = Question("alias.example.com", "A", answer=("198.51.100.10",))

    assert "" == fault(asked, reply(asked, "alias.example.com. 60 IN CNAME www.example.com.", TEN))


@pytest.mark.parametrize(
    ("asked", "records", "rcode", "expected"),
    [
        (SOA, (SEVEN.replace(" 7 ", " 6 "),), "NOERROR", ""),
        (PLAIN, (TWELVE,), "NOERROR", ""),
        (PLAIN, (), "NOERROR", "www.example.com A for 81.2.69.0/24: records are expected, none came"),
        (SOA, (), "SERVFAIL", "example.com SOA: NOERROR is expected, SERVFAIL came"),
    ],
)
def test_a_sibling_may_have_data_of_its_own(asked: Question, records: tuple[str, ...], rcode: str, expected: str) -> None:
    """Another serial, another pool's state: it is well with authority, and records where there should be some."""
    assert expected == shape_fault(asked, reply(asked, *records, rcode=rcode))


RDATA = {
    "A": ("192.0.2.1",),
    "AAAA": ("2001:db8::1", "::ffff:192.0.2.1"),
    "AFSDB": ("1 a.example.",),
    "CAA": ('0 issue "letsencrypt.org"', '128 iodef "mailto:a@example"'),
    "CERT": ("1 0 0 aGVsbG8=",),
    "CSYNC": ("66 3 A NS AAAA",),
    "DNAME": ("x.example.",),
    "DS": (f"12345 13 2 {'ef' * 32}",),
    "HINFO": ('"PC" "Linux"',),
    "HTTPS": ("1 . alpn=h2,h3 ipv4hint=192.0.2.1", "16 foo.example. mandatory=alpn alpn=h2 ipv6hint=2001:db8::1"),
    "LOC": ("52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",),
    "MX": ("10 Mail.example.",),
    "NAPTR": ('100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .',),
    "NID": ("10 0014:4fff:ff20:ee64",),
    "SMIMEA": (f"3 1 1 {'ab' * 32}",),
    "SRV": ("1 2 443 h.example.",),
    "SSHFP": (f"4 2 {'cd' * 32}",),
    "SVCB": ("1 foo. alpn=dot port=853 key667=hello",),
    "TXT": ('"hello world"', '"of several" "strings"', r'"quote \" back\\slash \195\164"', '""'),
    "TYPE1234": ("\\# 3 abcdef",),
    "URI": ('10 1 "ftp://ftp.example.com/public"',),
}


@pytest.mark.parametrize("rdtype", RDATA)
def test_records_of_every_type_are_known_again(rdtype: str) -> None:
    """An expectation as it is written in a configuration is what a reply with that record has; with one more it is not."""
    for text in RDATA[rdtype]:
        made = dns.message.make_response(dns.message.make_query("www.example.com", rdtype))
        made.flags |= dns.flags.AA
        made.answer.append(dns.rrset.from_text("www.example.com.", 60, "IN", rdtype, text))
        got = DNSRecord.parse(made.to_wire())

        assert "" == fault(Question("www.example.com", rdtype, answer=(text,)), got)
        assert "expected" in fault(Question("www.example.com", rdtype, answer=(text, text)), got)
