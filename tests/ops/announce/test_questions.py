"""Which replies are right: for each question what may come, and what is wrong with all else."""

from __future__ import annotations

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
