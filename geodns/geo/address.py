"""Owns addresses as integers: families, special-purpose blocks, IPv4 inside IPv6; refuses to know what lies at them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

Version = Literal[4, 6]
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

VERSIONS: tuple[Version, Version] = (4, 6)
BITS: dict[Version, int] = {4: 32, 6: 128}

SPECIAL: dict[Network, str] = {
    ip_network(text): what
    for text, what in (
        ("0.0.0.0/8", "this network (RFC 791)"),
        ("10.0.0.0/8", "private (RFC 1918)"),
        ("100.64.0.0/10", "shared by carrier-grade NAT (RFC 6598)"),
        ("127.0.0.0/8", "loopback (RFC 1122)"),
        ("169.254.0.0/16", "link-local (RFC 3927)"),
        ("172.16.0.0/12", "private (RFC 1918)"),
        ("192.168.0.0/16", "private (RFC 1918)"),
        ("::/128", "unspecified (RFC 4291)"),
        ("::1/128", "loopback (RFC 4291)"),
        ("fc00::/7", "unique local (RFC 4193)"),
        ("fe80::/10", "link-local (RFC 4291)"),
    )
}
"""Blocks that are nobody's place: an address in one says nothing about where its user is (RFC 7871 §10)."""

EMBEDDED: dict[IPv6Network, int] = {
    IPv6Network("::ffff:0:0/96"): 96,  # IPv4-mapped, RFC 4291 §2.5.5.2
    IPv6Network("64:ff9b::/96"): 96,  # the well-known NAT64 prefix, RFC 6052 §2.1
    IPv6Network("2002::/16"): 16,  # 6to4, RFC 3056 §2
}
"""IPv6 blocks that carry an IPv4 address, and how many bits come before it."""

_EMBEDDED = [(int(block.network_address), int(block.broadcast_address), before) for block, before in EMBEDDED.items()]


@dataclass(frozen=True, slots=True)
class Place:
    """An address reduced to what is looked up: `embedded_bits` is what a scope found for it must be lengthened by."""

    version: Version
    address: int
    embedded_bits: int = 0

    def __str__(self) -> str:
        return str(IPv4Address(self.address) if self.version == 4 else IPv6Address(self.address))


def is_address(text: str) -> bool:
    """Whether a text is an IP address, of either family, as Python's `ipaddress` reads it."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def place_of(version: Version, address: int) -> Place:
    """Reduce an address: IPv4 inside IPv6 is looked up as IPv4."""
    if version == 6:
        for first, last, before in _EMBEDDED:
            if first <= address <= last:
                return Place(4, address >> (96 - before) & 0xFFFF_FFFF, before)
    return Place(version, address)


def prefix_around(place: Place, length: int) -> Network:
    """The network of this prefix length that holds an address."""
    bits = BITS[place.version]
    start = place.address >> (bits - length) << (bits - length)
    return IPv4Network((start, length)) if place.version == 4 else IPv6Network((start, length))


def embedded_ipv4(network: Network) -> IPv4Network | None:
    """The IPv4 network that an IPv6 network inside `EMBEDDED` stands for; None for any other network."""
    for block, before in EMBEDDED.items():
        if isinstance(network, IPv6Network) and network.subnet_of(block):
            address = int(network.network_address) >> (96 - before) & 0xFFFF_FFFF
            return IPv4Network((address, min(network.prefixlen - before, 32)), strict=False)
    return None
