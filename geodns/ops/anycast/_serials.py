"""Owns the question which serial of a zone each server serves, and its answers; refuses to judge who is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from dnslib import QTYPE, RCODE

from geodns.ops.exchange import NSID, Answered, Flow, Server, Silent, flow, option, printable, question
from geodns.problem import ProblemsFound


@dataclass(frozen=True, slots=True)
class Serial:
    """What one server says of one zone: a serial, or why it tells none; `instance` is its NSID, "" if it tells none."""

    server: Server
    zone: str
    serial: int | None
    instance: str
    fault: str


async def serials(servers: Sequence[Server], zones: Sequence[str], timeout: float = 2.0) -> list[Serial]:
    """Ask each server for the SOA of each zone, all servers at once; by zone, in the order given. Nothing is raised."""
    told = await asyncio.gather(*(_of_server(server, zones, timeout) for server in servers))
    return [serial for of_zone in zip(*told, strict=True) for serial in of_zone]


async def _of_server(server: Server, zones: Sequence[str], timeout: float) -> list[Serial]:
    try:
        async with flow(server) as one:
            return [await _of_zone(one, zone, timeout) for zone in zones]
    except ProblemsFound as found:
        return [Serial(server, zone, None, "", found.problems[0].message) for zone in zones]


async def _of_zone(one: Flow, zone: str, timeout: float) -> Serial:
    reply = await one.ask(question(zone, "SOA", nsid=True), timeout)
    match reply:
        case Silent(why):
            return Serial(one.server, zone, None, "", why)
        case Answered(message, _):
            instance = printable(option(message, NSID) or b"")
            owner = zone.rstrip(".").lower()
            records = [record for record in message.rr if record.rtype == QTYPE.SOA]
            told = [int(record.rdata.times[0]) for record in records if str(record.rname).rstrip(".").lower() == owner]
            if message.header.rcode:
                return Serial(one.server, zone, None, instance, str(RCODE.get(message.header.rcode)))
            if not message.header.aa or not told:
                fault = "no SOA of this zone" if message.header.aa else "not authoritative"
                return Serial(one.server, zone, None, instance, fault)
            return Serial(one.server, zone, told[0], instance, "")
