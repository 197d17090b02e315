"""Owns the clients: a process that asks from every region at a fixed rate, each way, and writes down what became of each probe.

A probe of the anycast way is one question to the anycast address. A probe of a GeoDNS way asks a resolver for the service's
address and puts the same question there. Each stream also keeps one TCP connection open, to where a good answer came from.
The answers' NSID tells which instance it was. What the lines of the log mean together is the business of `measure`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TextIO

from dnslib import EDNS0, QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord, EDNSOption

from tests.lab import netns, topology
from tests.lab.daemons import GOOD, PROBED, SERVICE
from tests.lab.measure import STREAMS, Stream, Way
from tests.lab.topology import Node

TIMEOUT = 2.0  # s: more than any way and back here, a resolver's question included
TCP_INTERVAL = 0.1  # s between questions through an open connection
NSID = 3  # RFC 5001

Replied = Callable[[bytes | None], None]


def question(name: str, *, nsid: bool) -> bytes:
    """The octets of a query for an address, whose first two are its ID."""
    record = DNSRecord(DNSHeader(id=0, rd=int(not nsid)), q=DNSQuestion(name, QTYPE.A))
    if nsid:
        record.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(NSID, b"")]))
    return bytes(record.pack())


PROBE, RESOLVE = question(PROBED, nsid=True), question(SERVICE, nsid=False)


@lru_cache(4096)
def understood(octets: bytes) -> tuple[bool, str, str]:
    """Of a reply without its ID: whether it is the good answer, the instance, the first address."""
    record = DNSRecord.parse(b"\0\0" + octets)
    instance = next(
        (option.data.decode() for row in record.ar if row.rtype == QTYPE.OPT for option in row.rdata if option.code == NSID), "-"
    )
    address = next((str(row.rdata) for row in record.rr if row.rtype == QTYPE.A), "")
    return record.header.rcode == RCODE.NOERROR and address == GOOD, instance, address


class Asker:
    """One UDP socket of a region and what waits for replies on it."""

    def __init__(self, region: Node) -> None:
        with netns.entered(region.name):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0)
        self.sock.bind((str(region.host), 0))
        asyncio.get_running_loop().add_reader(self.sock, self._receive)
        self.waiting: dict[int, Replied] = {}
        self.deadlines: deque[tuple[float, int]] = deque()
        self.next = 0

    def ask(self, query: bytes, address: str, then: Replied) -> None:
        """Send a query; `then` is told the reply without its ID, or None after the deadline."""
        self.next = (self.next + 1) % 65536
        self.waiting[self.next] = then
        self.deadlines.append((monotonic() + TIMEOUT, self.next))
        with suppress(OSError):  # there is no way: the deadline says so
            self.sock.sendto(self.next.to_bytes(2, "big") + query[2:], (address, 53))

    def _receive(self) -> None:
        with suppress(OSError):  # nothing left, or an ICMP error: the deadline says so
            while octets := self.sock.recv(4096):
                if then := self.waiting.pop(int.from_bytes(octets[:2], "big"), None):
                    then(octets[2:])

    def close(self) -> None:
        """Hear no more."""
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    def expire(self, now: float) -> None:
        """Give up what is overdue."""
        while self.deadlines and self.deadlines[0][0] <= now:
            if then := self.waiting.pop(self.deadlines.popleft()[1], None):
                then(None)


@dataclass(slots=True)
class Client:
    """One stream of probes."""

    stream: Stream
    log: TextIO
    asker: Asker
    resolver: Asker
    connection: asyncio.Task[None] | None = field(default=None)

    def probe(self) -> None:
        """Send one."""
        sent = monotonic()
        for asker in (self.asker, self.resolver):
            asker.expire(sent)
        if self.stream.way is Way.ANYCAST:
            self._serve(sent, str(topology.ANYCAST))
        else:
            self.resolver.ask(RESOLVE, str(self.stream.resolver), lambda reply: self._resolved(sent, reply))

    def close(self) -> None:
        """Ask no more; what is under way stays without a line."""
        self.asker.close()
        self.resolver.close()
        if self.connection:
            self.connection.cancel()

    def _resolved(self, sent: float, reply: bytes | None) -> None:
        address = understood(reply)[2] if reply else ""
        if address:
            self._serve(sent, address)
        else:
            self._say("udp", sent, "bad" if reply else "lost", "-")

    def _serve(self, sent: float, address: str) -> None:
        self.asker.ask(PROBE, address, lambda reply: self._served(sent, address, reply))

    def _served(self, sent: float, address: str, reply: bytes | None) -> None:
        if reply is None:
            self._say("udp", sent, "lost", "-")
            return
        good, instance, _ = understood(reply)
        self._say("udp", sent, "good" if good else "bad", instance)
        if good and self.connection is None:
            self.connection = asyncio.create_task(self._connect(address))

    async def _connect(self, address: str) -> None:
        """Hold a connection open, and ask through it, until it ends."""
        with netns.entered(self.stream.region.name):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(0)
        opened, asking = monotonic(), None
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, 53))
            reader, writer = await asyncio.open_connection(sock=sock)
            self._say("tcp", opened, "opened", "-")
            asking = asyncio.create_task(self._keep_asking(writer))
            while head := await reader.readexactly(2):
                sent = monotonic()
                reply = await reader.readexactly(int.from_bytes(head, "big"))
                self._say("tcp", sent, "answered", understood(reply[2:])[1])
        except asyncio.IncompleteReadError:
            self._say("tcp", monotonic(), "closed", "-")
        except OSError as error:
            self._say("tcp", monotonic(), "reset" if isinstance(error, ConnectionResetError) else "broken", "-")
        finally:
            if asking:
                asking.cancel()
            sock.close()
            self.connection = None  # the next good answer opens another

    async def _keep_asking(self, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                writer.write(len(PROBE).to_bytes(2, "big") + PROBE)
                await writer.drain()
                await asyncio.sleep(TCP_INTERVAL)

    def _say(self, kind: str, sent: float, verdict: str, instance: str) -> None:
        self.log.write(f"{kind} {self.stream.name} {sent:.6f} {monotonic():.6f} {verdict} {instance}\n")


async def run(file: Path, interval: float) -> None:
    """Probe from all regions until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    with file.open("w", encoding="utf-8") as log:
        clients = [Client(stream, log, Asker(stream.region), Asker(stream.region)) for stream in STREAMS]
        due, step = monotonic(), interval / len(clients)
        while not ended.is_set():
            for client in clients:
                client.probe()
                due += step
                await asyncio.sleep(max(0.0, due - monotonic()))
            log.flush()
        for client in clients:
            client.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), float(sys.argv[2])))
