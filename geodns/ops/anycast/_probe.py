"""Owns the live look at one address, turned into evidence: identity, round trip, reverse name, path; refuses to know lists."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address
from time import perf_counter

import dns.exception
import dns.resolver
from dnslib import QTYPE, RCODE

from geodns.geo import evidence
from geodns.geo.location import Location
from geodns.geo.nearness import Spot
from geodns.ops.anycast._identity import Identification, identify
from geodns.ops.anycast._path import trace
from geodns.ops.exchange import Server, Silent, flow, printable, question
from geodns.problem import ProblemsFound

_HANDSHAKE_PORTS = (53, 443, 80)


@dataclass(frozen=True, slots=True)
class Look:
    """How to look: where DNS is asked, over how many source ports, how long one reply is waited for.

    `here` is this machine's place, None if it was not told; `resolver` is asked for the reverse name, None for the system's;
    `today` dates the evidence.
    """

    port: int
    ports: int
    timeout: float
    here: Spot | None
    resolver: Server | None
    today: date


async def probe(address: str, look: Look, location: Location, database: str) -> list[evidence.Evidence]:
    """Look at an address, of which the database of that name says `location`. What cannot be seen is said; nothing is raised."""
    as_of = look.today.isoformat()
    resolver = look.resolver or _system_resolver()
    identified, (name, why_not), way = await asyncio.gather(
        _identified(Server(address, look.port), look), _reverse_name(address, resolver, look), trace(address, look.timeout)
    )
    found = []
    fastest = None
    if identified is not None:
        source = f"NSID and CHAOS names from {identified.server}"
        fastest = identified.milliseconds
        if fastest is not None:
            names = identified.identities
            found.append(evidence.identities(names, identified.ports_answered, source, as_of))
        else:
            found.append(evidence.unanswered(", ".join(identified.silences), source, as_of))
    source = f"DNS exchange with port {look.port}"
    if fastest is None:
        source = "TCP handshake"
        fastest = await _handshake(address, look)
    if fastest is not None:
        found.append(evidence.round_trip(fastest, look.here, location, database, source, as_of))
    whence = f"PTR record by {resolver}" if resolver else "PTR record"
    found.append(evidence.reverse_name(name, why_not, whence, as_of))
    found.append(evidence.path(str(way), "UDP packets of growing hop limit", as_of))
    return found


async def _identified(server: Server, look: Look) -> Identification | None:
    try:
        return await identify(server, look.ports, timeout=look.timeout)
    except ProblemsFound:
        return None  # no way there at all: the path says so


async def _handshake(address: str, look: Look) -> float | None:
    """The fastest TCP handshake or refusal, in milliseconds: either needs one round trip."""

    async def one(port: int) -> float | None:
        began = perf_counter()
        try:
            async with asyncio.timeout(look.timeout):
                _, writer = await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            return (perf_counter() - began) * 1000
        except (OSError, TimeoutError):
            return None
        took = (perf_counter() - began) * 1000
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return took

    ports = sorted({*_HANDSHAKE_PORTS, look.port})
    return min((took for took in await asyncio.gather(*map(one, ports)) if took is not None), default=None)


async def _reverse_name(address: str, resolver: Server | None, look: Look) -> tuple[str, str]:
    """The first PTR record of an address, and why there is none; one of the two is ""."""
    if resolver is None:
        return "", "this system names no resolver to ask"
    asked = question(ip_address(address).reverse_pointer, "PTR")
    asked.header.rd = 1
    try:
        async with flow(resolver) as one:
            reply = await one.ask(asked, look.timeout)
    except ProblemsFound:
        return "", f"the resolver {resolver} cannot be reached"
    if isinstance(reply, Silent):
        return "", f"the resolver {resolver} is silent: {reply.why}"
    if reply.message.header.rcode not in {RCODE.NOERROR, RCODE.NXDOMAIN}:
        return "", f"the resolver {resolver} does not tell: {RCODE.get(reply.message.header.rcode)}"
    names = [printable(str(record.rdata).encode()) for record in reply.message.rr if record.rtype == QTYPE.PTR]
    return (names[0], "") if names else ("", "the address has no name")


def _system_resolver() -> Server | None:
    try:
        return Server(str(dns.resolver.Resolver().nameservers[0]), 53)
    except (dns.exception.DNSException, IndexError):
        return None
