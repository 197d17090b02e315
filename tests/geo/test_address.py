"""Addresses as integers: what is looked up for IPv4 inside IPv6, networks around an address, special-purpose blocks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.address import BITS, EMBEDDED, SPECIAL, Place, Version, is_address, place_of, prefix_around

PLACES = [
    ("192.0.2.1", "192.0.2.1", 0),
    ("0.0.0.0", "0.0.0.0", 0),
    ("255.255.255.255", "255.255.255.255", 0),
    ("2001:db8::1", "2001:db8::1", 0),
    ("::ffff:192.0.2.1", "192.0.2.1", 96),
    ("::ffff:0.0.0.0", "0.0.0.0", 96),
    ("::ffff:255.255.255.255", "255.255.255.255", 96),
    ("::fffe:ffff:ffff", "::fffe:ffff:ffff", 0),
    ("::1:0:0:0", "::1:0:0:0", 0),
    ("64:ff9b::192.0.2.1", "192.0.2.1", 96),
    ("64:ff9b::1:0:0", "64:ff9b::1:0:0", 0),
    ("64:ff9b:1::192.0.2.1", "64:ff9b:1::c000:201", 0),
    ("2002:c000:201::", "192.0.2.1", 16),
    ("2002:c000:201:ffff:ffff:ffff:ffff:ffff", "192.0.2.1", 16),
    ("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0),
    ("2003::", "2003::", 0),
    ("::192.0.2.1", "::c000:201", 0),
    ("2001:0:c000:201::1", "2001:0:c000:201::1", 0),
]
"""Address, what is looked up for it, and the bits before an embedded IPv4 address (RFC 4291 §2.5.5.2, RFC 6052, RFC 3056)."""

ADDRESSES = st.one_of(
    st.tuples(st.just(4), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.tuples(st.just(6), st.integers(0, 2**128 - 1), st.integers(0, 128)),
)


@pytest.mark.parametrize(("text", "looked_up", "embedded_bits"), PLACES)
def test_what_is_looked_up_for_an_address(text: str, looked_up: str, embedded_bits: int) -> None:
    """Mapped, NAT64 and 6to4 addresses are looked up as the IPv4 address inside, all others as themselves."""
    address = ip_address(text)
    place = place_of(address.version, int(address))

    assert (looked_up, embedded_bits) == (str(place), place.embedded_bits)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(EMBEDDED.items())), st.integers(0, 2**80 - 1))
def test_an_embedded_address_comes_out_as_it_went_in(address: int, block: tuple[object, int], tail: int) -> None:
    """Every IPv4 address written behind a block's bits is found again, whatever comes after it."""
    network, before = block
    inside = int(IPv6Address(str(network).split("/", maxsplit=1)[0])) | address << (96 - before) | tail % (1 << (96 - before))

    assert Place(4, address, before) == place_of(6, inside)


@given(ADDRESSES)
def test_the_prefix_around_an_address_is_ipaddress_own(asked: tuple[Version, int, int]) -> None:
    """The network of a length around an address is what the standard library makes of it."""
    version, address, length = asked
    written = IPv4Address(address) if version == 4 else IPv6Address(address)

    assert ip_network(f"{written}/{length}", strict=False) == prefix_around(Place(version, address), length)


@given(st.ip_addresses())
def test_every_address_is_one(asked: IPv4Address | IPv6Address) -> None:
    """Of both families, as they are written."""
    assert is_address(str(asked))


@pytest.mark.parametrize("text", ["", "192.0.2.1/24", "192.0.2", "192.0.2.256", "[::1]", "192.0.2.1:53", " ::1", "localhost"])
def test_what_is_no_address(text: str) -> None:
    """Neither a network nor a host's name, nor an address with something around it."""
    assert not is_address(text)


def test_special_blocks_are_private_to_the_standard_library_too() -> None:
    """No block that is nobody's place is globally reachable, and none is inside another."""
    blocks = list(SPECIAL)

    assert [] == [block for block in blocks if block.is_global]
    assert [] == [
        (block, other)
        for block in blocks
        for other in blocks
        if block != other and block.version == other.version and block.overlaps(other)
    ]


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("10.255.255.255", "11.0.0.0"),
        ("172.31.255.255", "172.32.0.0"),
        ("192.168.255.255", "192.169.0.0"),
        ("100.127.255.255", "100.128.0.0"),
        ("169.254.0.0", "169.253.255.255"),
        ("127.0.0.1", "128.0.0.0"),
        ("0.0.0.0", "1.0.0.0"),
        ("::1", "::2"),
        ("fdff::1", "fe00::"),
        ("febf::1", "fec0::"),
    ],
)
def test_special_blocks_end_where_their_rfc_says(inside: str, outside: str) -> None:
    """The last address of a block is special, its neighbour is not."""

    def is_special(text: str) -> bool:
        return any(ip_address(text) in block for block in SPECIAL)

    assert (True, False) == (is_special(inside), is_special(outside))


def test_documentation_addresses_are_not_special() -> None:
    """Examples of manuals must work when they are tried (RFC 5737, RFC 3849)."""
    examples = ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"]

    assert [] == [text for text in examples if any(ip_address(text) in block for block in SPECIAL)]


def test_the_families_have_their_sizes() -> None:
    """IPv4 has 32 bits, IPv6 128 (RFC 791, RFC 8200)."""
    assert {4: 32, 6: 128} == BITS
