"""Expectations: met in silence, unmet in one sentence that says what came out and why."""

from __future__ import annotations

import pytest

from geodns.answer import Asker, Expectation, unmet
from geodns.answer.expect import normal
from geodns.wire import Type, from_text
from tests.support.world import place, snapshot_of, subnet

SNAPSHOT = snapshot_of(
    {
        "example.com.": """$TTL 300
@ SOA ns.example.net. host.example.net. 7 2 3 4 60
@ NS ns.example.net.
www A 192.0.2.10
www A 192.0.2.11
www GEO continent:EU A 198.51.100.10
www AAAA 2001:db8::10
txt TXT "two words"
alias CNAME www
"""
    },
    databases=[{"77.0.0.0/8": {"continent": "EU"}}],
)
EUROPE = Asker(None, subnet("77.0.0.0/24"))
SOMEBODY = Asker(place("9.0.0.1"))


def expectation(name: str, rdtype: int, asker: Asker, *answer: str, rcode: str = "NOERROR") -> Expectation:
    return Expectation(from_text(name, from_text("example.com.")), rdtype, asker, answer, rcode)


MET = [
    expectation("www", Type.A, EUROPE, "198.51.100.10"),
    expectation("www", Type.A, SOMEBODY, "192.0.2.11", "192.0.2.10"),
    expectation("www", Type.AAAA, EUROPE, "2001:DB8:0::10"),
    expectation("txt", Type.TXT, EUROPE, "two words".join('""')),
    expectation("alias", Type.A, EUROPE, "198.51.100.10"),
    expectation("alias", Type.CNAME, EUROPE, "www.example.com."),
    expectation("www", Type.MX, EUROPE),
    expectation("none", Type.A, EUROPE, rcode="NXDOMAIN"),
    expectation("www.example.org.", Type.A, SOMEBODY, rcode="REFUSED"),
]


@pytest.mark.parametrize("met", MET, ids=str)
def test_an_expectation_that_is_met_says_nothing(met: Expectation) -> None:
    """Order and spelling of the expected RDATA do not matter; an empty answer and another RCODE can be expected too."""
    assert "" == unmet(SNAPSHOT, met)


UNMET = [
    (
        expectation("www", Type.A, EUROPE, "192.0.2.10"),
        "www.example.com. A for 77.0.0.0/24: expected 192.0.2.10, got 198.51.100.10: "
        "continent:EU is the most specific rule that names 77.0.0.0, the client subnet",
    ),
    (
        expectation("www", Type.A, SOMEBODY, "192.0.2.10"),
        "www.example.com. A for 9.0.0.1: expected 192.0.2.10, got 192.0.2.10, 192.0.2.11: "
        "no address asked has a usable location: the plain records answer",
    ),
    (
        expectation("www", Type.MX, EUROPE, "10 mail.example.com."),
        "www.example.com. MX for 77.0.0.0/24: expected 10 mail.example.com., got no records: "
        "www.example.com. has no records of this type: NODATA",
    ),
    (
        expectation("www", Type.AAAA, SOMEBODY),
        "www.example.com. AAAA for 9.0.0.1: expected no records, got 2001:db8::10: the records are the same for every client",
    ),
    (
        expectation("none", Type.A, EUROPE, "192.0.2.10"),
        "none.example.com. A for 77.0.0.0/24: NOERROR is expected, NXDOMAIN comes out: "
        "none.example.com. does not exist, nor a wildcard below example.com.: NXDOMAIN",
    ),
    (
        expectation("www", Type.A, EUROPE, rcode="NXDOMAIN"),
        "www.example.com. A for 77.0.0.0/24: NXDOMAIN is expected, NOERROR comes out: "
        "continent:EU is the most specific rule that names 77.0.0.0, the client subnet",
    ),
    (
        expectation("www", Type.A, EUROPE, "no address"),
        "www.example.com. A for 77.0.0.0/24: expected no address, got 198.51.100.10: "
        "continent:EU is the most specific rule that names 77.0.0.0, the client subnet",
    ),
]


@pytest.mark.parametrize(("expected", "sentence"), UNMET, ids=[sentence for _, sentence in UNMET])
def test_an_expectation_that_is_not_met_says_what_came_out_and_why(expected: Expectation, sentence: str) -> None:
    """Question, client, what was expected, what came out, and the reason."""
    assert sentence == unmet(SNAPSHOT, expected)


@pytest.mark.parametrize(
    ("text", "rdtype", "expected"),
    [("2001:DB8::0:1", Type.AAAA, "2001:db8::1"), ("10  Mail.", Type.MX, "10 Mail."), ("nonsense", Type.A, "nonsense")],
)
def test_data_is_compared_in_one_spelling(text: str, rdtype: int, expected: str) -> None:
    """RDATA text as dnspython writes it; what it cannot read stays as it is."""
    assert expected == normal(text, rdtype)
