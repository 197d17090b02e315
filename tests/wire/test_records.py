"""The numbers of the registries, against dnspython's, and the RRset as a value."""

from __future__ import annotations

import dns.edns
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from geodns.wire import names
from geodns.wire.records import COMPRESSIBLE, Class, ExtendedError, Opcode, Option, Rcode, RRset, Type

PRIVATE = {Type.GEO, Type.POOL, Type.WHOAMI}
OPTIONS = {
    Option.NSID: dns.edns.OptionType.NSID,
    Option.CLIENT_SUBNET: dns.edns.OptionType.ECS,
    Option.COOKIE: dns.edns.OptionType.COOKIE,
    Option.TCP_KEEPALIVE: 11,  # dnspython has no name for it
    Option.EXTENDED_ERROR: dns.edns.OptionType.EDE,
}
WWW = names.from_text("www.example.com.")
SYNTHESIS = RRset(names.from_text("*.example.com."), Type.A, 300, (b"\xc0\x00\x02\x01",), Class.CH)


@pytest.mark.parametrize("rdtype", sorted(set(Type) - PRIVATE))
def test_types_have_the_numbers_of_the_registry(rdtype: Type) -> None:
    """Every type has the number that dnspython knows by the same name."""
    assert int(dns.rdatatype.from_text(rdtype.name)) == rdtype


@pytest.mark.parametrize("rdtype", sorted(PRIVATE))
def test_private_types_are_in_the_private_range(rdtype: Type) -> None:
    """GEO and POOL have numbers that RFC 6895 §3.1 leaves to private use."""
    assert rdtype in range(65280, 65535)


@pytest.mark.parametrize("rdclass", Class)
def test_classes_have_the_numbers_of_the_registry(rdclass: Class) -> None:
    """Every class has the number that dnspython knows by the same name."""
    assert int(dns.rdataclass.from_text(rdclass.name)) == rdclass


@pytest.mark.parametrize("opcode", Opcode)
def test_opcodes_have_the_numbers_of_the_registry(opcode: Opcode) -> None:
    """Every opcode has the number that dnspython knows by the same name."""
    assert int(dns.opcode.from_text(opcode.name)) == opcode


@pytest.mark.parametrize("rcode", Rcode)
def test_rcodes_have_the_numbers_of_the_registry(rcode: Rcode) -> None:
    """Every RCODE has the number that dnspython knows by the same name."""
    assert int(dns.rcode.from_text(rcode.name)) == rcode


@pytest.mark.parametrize("option", Option)
def test_options_have_the_numbers_of_the_registry(option: Option) -> None:
    """Every EDNS option has the number that dnspython knows it by."""
    assert int(OPTIONS[option]) == option


@pytest.mark.parametrize("code", ExtendedError)
def test_extended_errors_have_the_numbers_of_the_registry(code: ExtendedError) -> None:
    """Every INFO-CODE has the number that dnspython knows by the same name."""
    assert int(dns.edns.EDECode[code.name]) == code


def test_only_the_well_known_types_are_compressed() -> None:
    """Names are compressed in types of RFC 1035 only, never in later ones (RFC 3597 §4)."""
    assert set() == {rdtype for rdtype in COMPRESSIBLE if rdtype > Type.TXT}


def test_a_wildcards_records_move_to_the_name_asked_for() -> None:
    """at changes the owner and nothing else."""
    expected = RRset(WWW, SYNTHESIS.rdtype, SYNTHESIS.ttl, SYNTHESIS.rdatas, SYNTHESIS.rdclass)

    assert expected == SYNTHESIS.at(WWW)


def test_records_at_their_own_owner_are_not_copied() -> None:
    """at gives the same object where the owner is already right."""
    assert SYNTHESIS is SYNTHESIS.at(SYNTHESIS.owner)


def test_a_negative_answers_soa_has_another_ttl() -> None:
    """with_ttl changes the TTL and nothing else."""
    expected = RRset(SYNTHESIS.owner, SYNTHESIS.rdtype, 60, SYNTHESIS.rdatas, SYNTHESIS.rdclass)

    assert expected == SYNTHESIS.with_ttl(60)
