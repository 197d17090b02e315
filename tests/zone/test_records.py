"""The private record types: text, wire and generic form say the same."""

from __future__ import annotations

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.zone import records

ORIGIN = dns.name.from_text("example.com.")
IN = dns.rdataclass.IN

COVERED = [
    "A 192.0.2.1",
    "AAAA 2001:db8::1",
    "CNAME www.example.net.",
    "MX 10 Mail.example.com.",
    'TXT "two words" "and ; more"',
    "SRV 0 5 443 www.example.com.",
    'HTTPS 1 . alpn="h2,h3" ipv4hint="192.0.2.1"',
    "SVCB 0 other.example.com.",
    'CAA 0 issue "ca.example.net"',
    "PTR host.example.com.",
    'NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.example.com.',
    "SSHFP 1 1 00112233445566778899aabbccddeeff00112233",
    "TYPE65400 \\# 3 010203",
]


def read(rdtype: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(IN, rdtype, text, ORIGIN, relativize=False)


def wire(rdata: dns.rdata.Rdata) -> bytes:
    octets = rdata.to_wire()
    assert octets is not None
    return octets


@pytest.mark.parametrize("covered", COVERED)
@given(selector=st.binary(max_size=255))
def test_text_and_wire_are_inverse(covered: str, selector: bytes) -> None:
    """Any selector and any covered data come back unchanged through text, wire and the generic form."""
    kind, data = covered.split(" ", 1)
    geo = records.GEO(IN, dns.rdatatype.RdataType.make(65280), selector, read(kind, data))

    assert geo == read("GEO", geo.to_text())
    assert geo == dns.rdata.from_wire(IN, 65280, wire(geo), 0, len(wire(geo)))  # type: ignore[arg-type]
    assert wire(geo) == wire(read("TYPE65280", geo.to_generic().to_text()))
    assert (kind, wire(read(kind, data))) == (
        records.type_text(records.geo_fields(wire(geo))[1]),
        records.geo_fields(wire(geo))[2],
    )


@pytest.mark.parametrize("covered", COVERED)
def test_the_contract_form_prints_as_it_was_written(covered: str) -> None:
    """A bare selector needs no quotes, so a line of the contract prints as it reads."""
    text = f"continent:EU {covered}"

    assert text == read("GEO", text).to_text()


@given(st.binary(max_size=255))
def test_a_pool_name_survives(name: bytes) -> None:
    """Any pool's name comes back unchanged through text and wire."""
    pool = records.POOL(IN, dns.rdatatype.RdataType.make(65281), name)

    assert pool == read("POOL", pool.to_text())
    assert bytes((len(name),)) + name == wire(pool)


def test_wire_form_is_the_documented_one() -> None:
    """GEO is a character-string, a 16-bit type and the covered RDATA; POOL a character-string."""
    assert b"\x04apac\x00\x01\xc0\x00\x02\x01" == wire(read("GEO", "apac A 192.0.2.1"))
    assert ("apac", 1, b"\xc0\x00\x02\x01") == records.geo_fields(wire(read("GEO", '"apac" A 192.0.2.1')))
    assert b"\x03app" == wire(read("POOL", "app"))
    assert "app" == records.pool_name(wire(read("POOL", '"app"')))


def test_whoami_is_empty_in_every_form() -> None:
    """WHOAMI has no data: in words, in the generic form and on the wire."""
    forms = [read("WHOAMI", ""), read("WHOAMI", "\\# 0"), read("TYPE65282", "\\# 0"), dns.rdata.from_wire(IN, 65282, b"", 0, 0)]  # type: ignore[arg-type]

    assert 1 == len(set(forms))
    assert [("", b"")] * 4 == [(form.to_text(), form.to_wire()) for form in forms]
    assert "\\# 0" == forms[0].to_generic().to_text().strip()


def test_covered_data_in_generic_form_is_understood() -> None:
    """The covered RDATA may be written as RFC 3597 says, known type or not."""
    assert read("GEO", "apac A 192.0.2.1") == read("GEO", "apac A \\# 4 c0000201")


MALFORMED = [
    ("GEO", "", "selector is missing"),
    ("GEO", "apac", "type after the selector is missing"),
    ("GEO", "apac AA 192.0.2.1", "unknown type 'AA'"),
    ("GEO", "apac TYPE70000 \\# 0", "unknown type 'TYPE70000'"),
    ("GEO", "apac A", "A data after the selector is missing"),
    ("GEO", "apac GEO apac A 192.0.2.1", "GEO cannot cover GEO"),
    ("GEO", "x" * 256 + " A 192.0.2.1", "256 octets"),
    ("GEO", "apac A 192.0.2.1 192.0.2.2", "expected EOL"),
    ("POOL", "", "pool's name is missing"),
    ("POOL", "a b", "expected EOL"),
    ("WHOAMI", "me", "expected EOL"),
    ("WHOAMI", "\\# 1 00", "malformed"),
]


@pytest.mark.parametrize(("rdtype", "text", "fragment"), MALFORMED)
def test_malformed_text_says_what_is_wrong(rdtype: str, text: str, fragment: str) -> None:
    """Text that is no such record raises dnspython's own SyntaxError with words of ours."""
    with pytest.raises(dns.exception.SyntaxError, match=fragment):
        read(rdtype, text)


@given(st.binary(max_size=40))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    """Octets either are a record that gives the same octets back, or raise a DNS exception."""
    try:
        geo = dns.rdata.from_wire(IN, 65280, octets, 0, len(octets))  # type: ignore[arg-type]
    except dns.exception.DNSException:
        return
    assert geo == dns.rdata.from_wire(IN, 65280, wire(geo), 0, len(wire(geo)))  # type: ignore[arg-type]


def test_registering_twice_changes_nothing() -> None:
    """Registration is idempotent."""
    records.register()

    assert isinstance(read("GEO", "apac A 192.0.2.1"), records.GEO)


def test_dnspython_zones_carry_both() -> None:
    """A zone read by dnspython holds both types, so its transfers do too."""
    text = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 GEO eu A 192.0.2.1\na 60 GEO us A 192.0.2.2\na 60 POOL app\n"
    zone = dns.zone.from_text(text, ORIGIN)

    assert 2 == len(zone.get_rdataset("a", 65280) or ())  # type: ignore[arg-type]
    assert "a 60 IN POOL app" in zone.to_text()
