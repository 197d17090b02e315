"""Owns the way of one packet: the routers between here and an address, as Linux tells them without a raw socket.

A UDP socket that has asked for it (IP_RECVERR, ip(7)) reads from its error queue which router or host refused its packet and why.
So a traceroute needs no privilege, as `tracepath` shows. Refuses to judge what the way tells.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from time import perf_counter

_FIRST_PORT = 33_434  # where no service listens, by the custom of traceroute
_HOPS = 30
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h; Python names neither
_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err, ip(7)
_ICMP, _ICMPV6 = 2, 3  # its ee_origin
_UNREACHABLE = {_ICMP: 3, _ICMPV6: 1}  # RFC 792; RFC 4443 §3.1
_MESSAGE = 512  # octets: more than any such error has


@dataclass(frozen=True, slots=True)
class Hop:
    """Who sent our packet back after so many hops, and in how many milliseconds; `is_end`: the address itself, not a router."""

    number: int
    address: str
    milliseconds: float
    is_end: bool


@dataclass(frozen=True, slots=True)
class Way:
    """The hops that told themselves, in order; whether the last one is the address itself."""

    hops: tuple[Hop, ...]

    @property
    def reached(self) -> bool:
        """Whether the address itself answered."""
        return bool(self.hops) and self.hops[-1].is_end

    def __str__(self) -> str:
        if not self.hops:
            return "no router told itself"
        shown = ", ".join(f"{hop.number} is {hop.address} in {hop.milliseconds:.1f} ms" for hop in self.hops[-3:])
        count = f"{self.hops[-1].number} hop{'s' * (self.hops[-1].number != 1)}"
        return f"{count}: {shown}" if self.reached else f"not reached in {count}: {shown}"


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why the way cannot be seen from here."""

    why: str

    def __str__(self) -> str:
        return f"not possible here: {self.why}"


async def trace(address: str, seconds: float = 2.0) -> Way | NoWay:
    """Send one packet for each number of hops, all at once, and gather what comes back in that time. Nothing is raised."""
    if not hasattr(socket, "MSG_ERRQUEUE"):
        return NoWay("this system tells such errors to raw sockets only, which need root")
    loop = asyncio.get_running_loop()
    found: dict[int, Hop] = {}
    done = asyncio.Event()
    try:
        with ExitStack() as stack:
            probes = [_Probe(stack.enter_context(_socket(address, hops)), address, hops) for hops in range(1, _HOPS + 1)]
            for probe in probes:
                stack.callback(loop.remove_reader, probe.sock)
                loop.add_reader(probe.sock, _collect, probe, found, done)
                probe.send()
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), seconds)
    except OSError as fault:
        return NoWay(fault.strerror or str(fault))
    return Way(tuple(_up_to_end(sorted(found.values(), key=lambda hop: hop.number))))


def _up_to_end(hops: Sequence[Hop]) -> Sequence[Hop]:
    """Packets that could go farther than the address are answered by it too: only the first of them counts."""
    end = next((place for place, hop in enumerate(hops, start=1) if hop.is_end), len(hops))
    return hops[:end]


def _collect(probe: _Probe, found: dict[int, Hop], done: asyncio.Event) -> None:
    """Read what came back; done when the address has answered and nothing nearer is still missing."""
    if (hop := probe.read()) is not None:
        found.setdefault(hop.number, hop)
    first_end = min((hop.number for hop in found.values() if hop.is_end), default=0)
    if first_end and all(number in found for number in range(1, first_end)):
        done.set()


def _socket(address: str, hops: int) -> socket.socket:
    is_ipv6 = ":" in address
    sock = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        if is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        sock.connect((address, _FIRST_PORT + hops))
    except OSError:
        sock.close()
        raise
    return sock


class _Probe:
    """One packet that may make so many hops, and the socket that hears of its fate."""

    def __init__(self, sock: socket.socket, address: str, hops: int) -> None:
        self.sock = sock
        self._address = address
        self._hops = hops
        self._sent = 0.0

    def send(self) -> None:
        """Send it; raises OSError where this machine itself knows no way."""
        self._sent = perf_counter()
        self.sock.send(b"geodns anycast path\n")

    def read(self) -> Hop | None:
        """The hop that sent it back; None if nothing is there, or nothing of that kind."""
        took = (perf_counter() - self._sent) * 1000
        try:
            _, ancillary, _, _ = self.sock.recvmsg(_MESSAGE, _MESSAGE, socket.MSG_ERRQUEUE)
        except OSError as fault:
            if fault.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                self._answered()
            return None
        for _level, _kind, data in ancillary:
            if len(data) >= _ERROR.size:
                _, origin, kind, _, _, _ = _ERROR.unpack_from(data)
                if origin in _UNREACHABLE and (offender := _offender(data[_ERROR.size :])):
                    is_end = offender == self._address and kind == _UNREACHABLE[origin]
                    return Hop(self._hops, offender, took, is_end)
        return None

    def _answered(self) -> None:
        """Take a datagram off the socket: a service at that port answered, which tells no hop, but would wake us for ever."""
        try:
            self.sock.recv(_MESSAGE)
        except OSError:
            return


def _offender(octets: bytes) -> str:
    """The address in a struct sockaddr; "" for none."""
    family = int.from_bytes(octets[:2], "little" if struct.pack("=H", 1)[0] else "big") if len(octets) >= 2 else 0
    if family == socket.AF_INET and len(octets) >= 8:
        return socket.inet_ntop(socket.AF_INET, octets[4:8])
    if family == socket.AF_INET6 and len(octets) >= 24:
        return socket.inet_ntop(socket.AF_INET6, octets[8:24])
    return ""
