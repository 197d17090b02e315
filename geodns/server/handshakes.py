"""Owns how long a client took to complete its TCP handshake, as the kernel knows it; refuses to know who that was.

The kernel takes the time between its SYN-ACK and the client's ACK (RFC 6298 §2), before anybody accepts the connection: so a busy
process changes nothing of it. No address can be forged that way, for the ACK carries a number that was only in the SYN-ACK.
"""

from __future__ import annotations

import socket
import sys
from typing import Protocol

_RTT = 68  # octets of struct tcp_info (<linux/tcp.h>) before tcpi_rtt, a __u32 of microseconds; the kernel only ever appends
_ENOUGH = _RTT + 4


class Handshakes(Protocol):
    """Who is told of each handshake."""

    def offer(self, source: bytes, microseconds: int) -> bool:
        """One handshake, with the raw socket address of the client; must not wait. False if it could not be taken."""
        ...


def why_unmeasured() -> str:
    """Why this system does not tell how long a handshake took; "" if it does."""
    if sys.platform != "linux":
        return f"round trips are read from Linux' TCP_INFO, and this system is {sys.platform}"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ENOUGH)
        except OSError as error:
            return f"the kernel does not tell round trips (TCP_INFO): {error.strerror}"
    return "" if len(told) == _ENOUGH else "the kernel's TCP_INFO is too short to tell round trips"


def handshake_microseconds(sock: socket.socket) -> int:
    """How long the handshake of a connection took that was just accepted; 0 if the kernel does not know.

    It does not where it had to send the SYN-ACK again and cannot tell which one was acknowledged (RFC 6298 §3), or where it kept
    nothing of it (SYN cookies). Linux only.
    """
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ENOUGH)
    except OSError:
        return 0
    return int.from_bytes(told[_RTT:_ENOUGH], sys.byteorder)
