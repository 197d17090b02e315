"""Owns one question to one server from one source port, and its reply; refuses to know what is asked for and why."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import perf_counter

import asyncio_dgram
import dns.name
import dns.rdatatype
from dnslib import CLASS, EDNS0, QTYPE, DNSError, DNSHeader, DNSLabel, DNSQuestion, DNSRecord, EDNSOption

from geodns.geo.address import is_address
from geodns.problem import Problem, ProblemsFound

NSID = 3  # RFC 5001
CLIENT_SUBNET = 8  # RFC 7871
_PAYLOAD = 1232  # octets, RFC 9715
_LOOK = 0.05  # s: how soon a refusal is noticed, which the stream keeps to itself while one waits for a datagram
_SERVER = re.compile(r"(\[(?P<ipv6>[^\]]+)\]|(?P<host>[^][:\s]+))(:(?P<port>.*))?")
_FORMS = "write 192.0.2.1, 192.0.2.1:53, [2001:db8::1]:53, or a host name in place of the address"
# What dnslib raises on hostile octets: it recurses on chains of pointers, and unpacks before it looks.
_UNREADABLE = (DNSError, ValueError, IndexError, KeyError, RecursionError, struct.error)


@dataclass(frozen=True, slots=True)
class Server:
    """Where questions go: an IP address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply to our question, and how long it took from send to receive, in milliseconds."""

    message: DNSRecord
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Silent:
    """No reply: `why` is what was seen instead."""

    why: str


Reply = Answered | Silent


class BadServer(ValueError):
    """A text that is written as no server is."""


def named(text: str, port: int) -> tuple[str, int]:
    """Host and port of a server as users write it: an address or a host name, behind it a port, or else this one.

    An IPv6 address with a port stands in brackets (RFC 5952 §6), and may without one. Raises BadServer.
    """
    if is_address(text):
        return text, port
    parts = _SERVER.fullmatch(text)
    if parts is None or (parts["ipv6"] and not (is_address(parts["ipv6"]) and ":" in parts["ipv6"])):
        raise BadServer(f"'{text}' is no server: {_FORMS}")
    number = parts["port"]
    if number is not None and not (re.fullmatch("[0-9]{1,5}", number) and 0 < int(number) < 1 << 16):
        raise BadServer(f"'{text}' does not end in a port from 1 to 65535: {_FORMS}")
    return parts["ipv6"] or parts["host"], port if number is None else int(number)


async def find(text: str, port: int) -> Server:
    """The server that a text means, as `named` reads it and by the system's own order.

    Raises BadServer for what is written as no server is, and ProblemsFound for a host that is not known.
    """
    host, port = named(text, port)
    if is_address(host):
        return Server(str(ip_address(host)), port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        remedy = "correct the name, or give an address"
        raise ProblemsFound([Problem("", 0, f"no host of the name '{host}' is known", remedy)]) from None
    return Server(str(found[0][4][0]), port)


def question(
    name: str, rdtype: str, rdclass: str = "IN", *, nsid: bool = False, subnet: IPv4Network | IPv6Network | None = None
) -> DNSRecord:
    """A query with EDNS, without recursion desired; `nsid` asks for the instance's name, `subnet` names the client."""
    options = [EDNSOption(NSID, b"")] if nsid else []
    if subnet is not None:
        octets = subnet.network_address.packed[: (subnet.prefixlen + 7) // 8]
        head = struct.pack("!HBB", 1 if subnet.version == 4 else 2, subnet.prefixlen, 0)
        options.append(EDNSOption(CLIENT_SUBNET, head + octets))
    labels, number = dns.name.from_text(name).labels[:-1], int(dns.rdatatype.from_text(rdtype))  # dnslib knows fewer of both
    asked = DNSQuestion(DNSLabel(labels), number, getattr(CLASS, rdclass))
    made = DNSRecord(DNSHeader(id=secrets.randbelow(1 << 16), rd=0), q=asked)
    made.add_ar(EDNS0(udp_len=_PAYLOAD, opts=options))
    return made


class Flow:
    """One connected UDP socket on a port that the system chose: every question of it takes one way through load balancers."""

    def __init__(self, stream: asyncio_dgram.DatagramClient, server: Server) -> None:
        self._stream = stream
        self.server = server
        self.port = int(stream.sockname[1])

    async def ask(self, asked: DNSRecord, timeout: float) -> Reply:
        """Send a question and wait for its reply; a truncated one is asked again by TCP. Nothing is raised."""
        began = perf_counter()
        try:
            await self._stream.send(asked.pack())
            while (left := began + timeout - perf_counter()) > 0:
                octets = await self._receive(min(left, _LOOK))
                took = (perf_counter() - began) * 1000
                message = _reply_to(asked, octets)
                if message is not None:
                    return await _whole(self.server, asked, timeout) if message.header.tc else Answered(message, took)
        except OSError as fault:
            return Silent(fault.strerror or str(fault))
        except asyncio_dgram.TransportClosed:
            return Silent("the socket was closed")
        return Silent(f"no reply in {timeout:.2g} s")

    async def _receive(self, seconds: float) -> bytes:
        """One datagram; none in that time is no octets. Raises the OSError that the socket has met."""
        try:
            octets, _ = await asyncio.wait_for(self._stream.recv(), seconds)
        except TimeoutError:
            _ = self._stream.exception  # a property that raises
            return b""
        return bytes(octets)


@contextlib.asynccontextmanager
async def flow(server: Server) -> AsyncIterator[Flow]:
    """Open a flow and close it; `ProblemsFound` where this machine has no way to the server."""
    try:
        stream = await asyncio_dgram.connect((server.address, server.port))
    except OSError as fault:
        problem = Problem("", 0, f"{server} cannot be reached: {fault.strerror or fault}", "ask from a machine that has a route")
        raise ProblemsFound([problem]) from None
    try:
        yield Flow(stream, server)
    finally:
        stream.close()


async def _whole(server: Server, asked: DNSRecord, timeout: float) -> Reply:
    """What a truncated reply stands for."""
    match await ask_by_tcp(server, asked, timeout):
        case Silent(why):
            return Silent(f"the reply was truncated, and by TCP: {why}")
        case reply:
            return reply


async def ask_by_tcp(server: Server, asked: DNSRecord, timeout: float) -> Reply:
    """Send a question through a connection of its own and wait for its reply. Nothing is raised."""
    octets = asked.pack()
    began = perf_counter()
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(server.address, server.port)
            try:
                writer.write(len(octets).to_bytes(2, "big") + octets)
                message = _reply_to(asked, await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return Silent(f"no reply in {timeout:.2g} s")
    except (OSError, EOFError) as fault:
        return Silent(os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else str(fault))
    return Silent("the reply cannot be read") if message is None else Answered(message, (perf_counter() - began) * 1000)


def _reply_to(asked: DNSRecord, octets: bytes) -> DNSRecord | None:
    """The message, if it is a reply to this very question; anything else is somebody's noise."""
    if len(octets) < 12 or octets[:2] != asked.header.id.to_bytes(2, "big"):
        return None
    try:
        message = DNSRecord.parse(octets)
        wanted, got = asked.q, message.q
        fits = message.header.qr and got.qname == wanted.qname and (got.qtype, got.qclass) == (wanted.qtype, wanted.qclass)
    except _UNREADABLE:
        return None
    return message if fits else None


def option(message: DNSRecord, code: int) -> bytes | None:
    """The data of an EDNS option of a message; None without that option."""
    for record in message.ar:
        if record.rtype == QTYPE.OPT:
            for held in record.rdata:
                if held.code == code:
                    return bytes(held.data)
    return None


def printable(octets: bytes) -> str:
    """What a stranger calls itself, safe to print: ASCII as it is, else RFC 4343's `\\DDD`; all else in hex."""
    if octets and all(0x20 <= octet < 0x7F for octet in octets):
        return octets.decode("ascii")
    if any(0x20 <= octet < 0x7F for octet in octets):
        return "".join(chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}" for octet in octets)
    return octets.hex()
