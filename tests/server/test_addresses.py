"""Owns the laws of raw socket addresses."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.server.addresses import address_of, is_wildcard, resolve_numeric, sockaddr_of, source_port

PORTS = st.integers(0, 65535)


@given(st.ip_addresses(v=4), PORTS)
def test_an_ipv4_address_survives_its_raw_form(address: IPv4Address, port: int) -> None:
    """Address and port read from a raw sockaddr_in are those written into it."""
    raw = sockaddr_of((str(address), port))

    assert (address, port, 16) == (address_of(raw), source_port(raw), len(raw))


@given(st.integers(1 << 64, (1 << 128) - 1).map(IPv6Address), PORTS)
def test_an_ipv6_address_survives_its_raw_form(address: IPv6Address, port: int) -> None:
    """Address and port read from a raw sockaddr_in6 are those written into it."""
    raw = sockaddr_of((str(address), port, 0, 0))

    assert (address, port, 28) == (address_of(raw), source_port(raw), len(raw))


@given(st.ip_addresses(v=4), PORTS)
def test_a_mapped_address_is_an_ipv4_address(address: IPv4Address, port: int) -> None:
    """An IPv4-mapped IPv6 address comes out as IPv4."""
    assert address == address_of(sockaddr_of((f"::ffff:{address}", port, 0, 0)))


def test_a_scope_is_no_part_of_the_address() -> None:
    """A link-local host written with its interface has the address alone."""
    assert ip_address("fe80::1") == address_of(sockaddr_of(("fe80::1%lo", 53, 0, 1)))


@pytest.mark.parametrize("octets", [b"", b"\x02\x00\x00\x35\x7f\x00\x00\x01", bytes(110)])
def test_other_families_are_refused(octets: bytes) -> None:
    """Octets that are neither sockaddr_in nor sockaddr_in6 raise ValueError."""
    with pytest.raises(ValueError, match="socket address"):
        address_of(octets)


def test_a_host_name_is_not_resolved() -> None:
    """A host that is not numeric raises OSError instead of asking a resolver."""
    with pytest.raises(socket.gaierror):
        resolve_numeric("localhost", 53, socket.SOCK_DGRAM)


@pytest.mark.parametrize(("host", "expected"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("::1", False)])
def test_wildcards(host: str, expected: bool) -> None:
    """The two unspecified addresses, and no other, are wildcards."""
    assert expected is is_wildcard(resolve_numeric(host, 53, socket.SOCK_STREAM)[1])
