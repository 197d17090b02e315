"""Owns what a raw socket address says and which addresses a socket is bound to; refuses to know messages."""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

SOCKADDR_IN = 16  # octets of struct sockaddr_in
SOCKADDR_IN6 = 28  # octets of struct sockaddr_in6

_IP_PKTINFO = 8  # <linux/in.h>; the socket module has no name for it before Python 3.12


class DestinationControl(NamedTuple):
    """The control message that tells a datagram's destination, and a reply's source: level, type, and where its parts lie.

    `size` is the octets of its data; `interface` is the octet within them at which the 4-octet interface index begins.
    """

    level: int
    kind: int
    size: int
    interface: int


_IPV4_DESTINATION = DestinationControl(socket.IPPROTO_IP, _IP_PKTINFO, 12, 0)  # struct in_pktinfo, ip(7)
_IPV6_DESTINATION = DestinationControl(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, 20, 16)  # in6_pktinfo, RFC 3542 §6


def address_of(sockaddr: bytes) -> IPv4Address | IPv6Address:
    """The address in a raw `struct sockaddr_in` or `sockaddr_in6`; an IPv4-mapped one comes out as IPv4 (RFC 4291 §2.5.5.2).

    Raises ValueError for octets that are neither.
    """
    if len(sockaddr) == SOCKADDR_IN:
        return IPv4Address(sockaddr[4:8])
    if len(sockaddr) == SOCKADDR_IN6:
        address = IPv6Address(sockaddr[8:24])
        return address.ipv4_mapped or address
    raise ValueError(f"a socket address of {len(sockaddr)} octets")


def source_port(sockaddr: bytes) -> int:
    """The port in a raw `struct sockaddr_in` or `sockaddr_in6`."""
    return int.from_bytes(sockaddr[2:4], "big")


def sockaddr_of(address: tuple[Any, ...]) -> bytes:
    """The raw form of an address as the socket module gives it: (host, port) or (host, port, flow, scope).

    Raises OSError for a host that is not numeric.
    """
    if len(address) == 2:
        host, port = address
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_pton(socket.AF_INET, host))
    host, port, flow, scope = address
    octets = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16s", port, flow, octets) + struct.pack("=I", scope)


def is_wildcard(address: tuple[Any, ...]) -> bool:
    """Whether a socket bound to this address listens on every address of its family."""
    return address[0] in {"0.0.0.0", "::"}  # noqa: S104 (compared, not bound)


def destination_control(sock: socket.socket) -> DestinationControl | None:
    """The control message that carries destinations on this socket; None where the platform has none for its family."""
    if sock.family == socket.AF_INET6:
        return _IPV6_DESTINATION
    return _IPV4_DESTINATION if sys.platform == "linux" else None


def ask_for_destinations(sock: socket.socket) -> None:
    """Have the kernel tell each datagram's destination from now on, so that a wildcard socket can reply from it."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def resolve_numeric(
    host: str, port: int, kind: socket.SocketKind
) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    """Family and address of a numeric host, scope identifiers (`fe80::1%eth0`) included; raises OSError for any other."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV | socket.AI_PASSIVE
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=flags)[0]
    return family, address  # type: ignore[return-value]  # typeshed allows for builds without IPv6
