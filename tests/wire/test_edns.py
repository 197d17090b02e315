"""EDNS and the client subnet: octets ↔ values, against dnspython and the ipaddress module."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.wire import edns
from geodns.wire.edns import BadOption, ClientSubnet, Edns
from geodns.wire.records import Option

ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
OPTIONS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=6)
MEANT = {Option.NSID, Option.CLIENT_SUBNET, Option.TCP_KEEPALIVE, Option.COOKIE}


@pytest.mark.parametrize(("version", "source"), [(v, s) for v, bits in ((4, 32), (6, 128)) for s in range(bits + 1)])
def test_every_prefix_length_reads_back(version: int, source: int) -> None:
    """A subnet of every SOURCE PREFIX-LENGTH survives the way to octets and back, and has the network's address."""
    address = IPv4Address(0xFFFF_FFFF) if version == 4 else IPv6Address((1 << 128) - 1)
    subnet = edns.subnet_of(address, source)
    network = ip_network((address, source), strict=False)

    assert subnet == edns.parse_client_subnet(subnet.option(0))
    assert (int(network.network_address), network.max_prefixlen, str(network)) == (subnet.address, subnet.bits, str(subnet))


@given(ADDRESSES, st.data())
def test_the_option_is_dnspythons(address: IPv4Address | IPv6Address, data: st.DataObject) -> None:
    """The option of any prefix, with any scope, is what dnspython writes for it."""
    source = data.draw(st.integers(0, address.max_prefixlen))
    scope = data.draw(st.integers(0, address.max_prefixlen))

    assert dns.edns.ECSOption(str(address), source, scope).to_wire() == edns.subnet_of(address, source).option(scope)


FAULTS = {
    "": "client subnet shorter than its head",
    "000118": "client subnet shorter than its head",
    "00001800c00002": "client subnet of unknown family 0",
    "00031800c00002": "client subnet of unknown family 3",
    "00012100c000020100": "SOURCE PREFIX-LENGTH 33 is longer than an address",
    "00028100" + "20" * 17: "SOURCE PREFIX-LENGTH 129 is longer than an address",
    "00011818c00002": "SCOPE PREFIX-LENGTH is not 0 in a query",
    "00011800c000": "2 octets of ADDRESS for a SOURCE PREFIX-LENGTH of 24",
    "00011800c0000201": "4 octets of ADDRESS for a SOURCE PREFIX-LENGTH of 24",
    "0001000000": "1 octets of ADDRESS for a SOURCE PREFIX-LENGTH of 0",
    "00011700c00003": "ADDRESS has bits set beyond SOURCE PREFIX-LENGTH",
    "0002010060": "ADDRESS has bits set beyond SOURCE PREFIX-LENGTH",
}


@pytest.mark.parametrize("data", FAULTS, ids=FAULTS.get)
def test_a_malformed_client_subnet_is_refused_with_the_reason(data: str) -> None:
    """Every departure from RFC 7871 §6 raises BadOption with a message that says which."""
    with pytest.raises(BadOption) as caught:
        edns.parse_client_subnet(bytes.fromhex(data))

    assert FAULTS[data] == str(caught.value)


@given(st.binary(max_size=24))
def test_what_is_accepted_is_canonical(data: bytes) -> None:
    """Any octets that are read as a client subnet are the very octets that it is written as."""
    try:
        subnet = edns.parse_client_subnet(data)
    except BadOption:
        return

    assert data == subnet.option(0)


@given(OPTIONS)
def test_unknown_options_are_ignored(options: list[tuple[int, bytes]]) -> None:
    """Options this server has no use for change nothing, whatever they hold (RFC 6891 §6.1.2)."""
    unknown = [(code, data) for code, data in options if code not in MEANT]

    assert Edns(1232) == edns.parse_options(edns.render_options(unknown), 1232, 0, 0)


@given(OPTIONS)
def test_options_are_framed_as_dnspython_frames_them(options: list[tuple[int, bytes]]) -> None:
    """Every option is its code, its length and its data."""
    message = dns.message.make_query(".", "A", use_edns=0, options=[_generic(*option) for option in options])

    assert message.opt is not None
    assert message.opt[0].to_wire() == edns.render_options(options)


def _generic(code: int, data: bytes) -> dns.edns.GenericOption:
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), data)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_payload_size_and_do_are_read(payload_size: int, flags: int) -> None:
    """A payload size below 512 means 512 (RFC 6891 §6.2.3); of the flags only DO is read."""
    expected = Edns(max(payload_size, 512), 0, flags >= 0x8000)

    assert expected == edns.parse_options(b"", payload_size, 0, flags)


def test_the_options_that_are_meant_are_read_among_others() -> None:
    """NSID, client subnet, keepalive and the first cookie are found in any order, between options that mean nothing here."""
    subnet = ClientSubnet(1, 24, b"\xc0\x00\x02")
    options = [(11, b""), (65001, b"x"), (8, subnet.option(0)), (10, bytes(8)), (3, b""), (12, bytes(3)), (10, b"")]

    expected = Edns(4096, dnssec_ok=True, client_subnet=subnet, nsid=True, tcp_keepalive=True, cookie=bytes(8))

    assert expected == edns.parse_options(edns.render_options(options), 4096, 0, 0x8000)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("00", "an option shorter than its head"),
        ("000300", "an option shorter than its head"),
        ("0003000000", "an option shorter than its head"),
        ("fde80001", "option 65000 runs past the OPT record"),
        ("00080007000118", "option 8 runs past the OPT record"),
        ("0008000400010000" * 2, "client subnet twice"),
    ],
)
def test_broken_options_are_refused_with_the_reason(data: str, why: str) -> None:
    """Framing that does not come out even, and a client subnet sent twice, raise BadOption."""
    with pytest.raises(BadOption) as caught:
        edns.parse_options(bytes.fromhex(data), 1232, 0, 0)

    assert why == str(caught.value)


def test_family_zero_withholds_and_nothing_else() -> None:
    """FAMILY 0 with SOURCE 0, as `dig +subnet=0` sends it, is never refused (RFC 7871 §7.5) and echoed as it came."""
    subnet = edns.parse_client_subnet(bytes(4))

    assert edns.ClientSubnet(0, 0, b"") == subnet
    assert bytes(4) == subnet.option(0)
    assert "0/0" == str(subnet)
