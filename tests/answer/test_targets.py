"""Which hosts an RRset names."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer.targets import targets
from geodns.wire import RRset, from_text, to_text

OWNER = from_text("owner.example.")
TARGETS = [
    ("NS", ["ns.example.", "NS2.example."], ["ns.example.", "ns2.example."]),
    ("MX", ["10 b.example.", "5 a.example."], ["b.example.", "a.example."]),
    ("MX", ["0 ."], []),
    ("SRV", ["1 2 80 a.example."], ["a.example."]),
    ("SRV", ["0 0 0 ."], []),
    ("SVCB", ["1 a.example. alpn=h2 port=8443"], ["a.example."]),
    ("SVCB", ["0 a.example."], ["a.example."]),
    ("HTTPS", ["1 . alpn=h3", "2 b.example."], ["owner.example.", "b.example."]),
    ("HTTPS", ["0 ."], []),
    ("CNAME", ["a.example."], []),
    ("A", ["192.0.2.1"], []),
    ("TXT", ["a.example."], []),
]


def rrset(rdtype: str, texts: list[str]) -> RRset:
    number = dns.rdatatype.from_text(rdtype)
    wires = (dns.rdata.from_text(dns.rdataclass.IN, number, text).to_wire() for text in texts)
    return RRset(OWNER, int(number), 300, tuple(wire for wire in wires if wire is not None))


@pytest.mark.parametrize(("rdtype", "texts", "expected"), TARGETS)
def test_an_rrset_names_its_targets_in_order(rdtype: str, texts: list[str], expected: list[str]) -> None:
    """Targets are lower-cased, in the RRset's order; "." is no host, but SVCB's own owner in ServiceMode."""
    assert expected == [to_text(target) for target in targets(rrset(rdtype, texts))]


LABELS = st.text("abcXYZ019-", min_size=1, max_size=20)


@given(
    st.sampled_from([("NS", ""), ("MX", "10 "), ("SRV", "0 5 443 "), ("SVCB", "1 "), ("HTTPS", "16 ")]),
    st.lists(LABELS, min_size=1, max_size=6).map(lambda labels: ".".join(labels) + "."),
)
def test_a_target_is_read_whole(kind: tuple[str, str], target: str) -> None:
    """Whatever stands before it in RDATA, every name comes out as it went in, but in lower case."""
    rdtype, before = kind

    assert [target.lower()] == [to_text(found) for found in targets(rrset(rdtype, [before + target]))]
