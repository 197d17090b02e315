"""Owns small DNS servers on loopback that share one port as anycast instances do; refuses to know what is asked of them and why.

Each has a socket with SO_REUSEPORT: the kernel gives every source port to one of them, as routers do with flows.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Protocol

from dnslib import CLASS, EDNS0, QTYPE, RCODE, RR, TXT, A, DNSRecord, EDNSOption

from tests.support.daemons import free_port

Respond = Callable[[DNSRecord], DNSRecord | bytes | None]
"""What a server answers: a message, octets as they are, or nothing at all."""

NSID, CLIENT_SUBNET = 3, 8


def identity(asked: DNSRecord, nsid: bytes, names: Mapping[str, str]) -> DNSRecord:
    """A reply that tells NSID, and the CHAOS names that it has."""
    reply = asked.reply()
    name = str(asked.q.qname).rstrip(".")
    if asked.q.qclass == CLASS.CH and name in names:
        reply.add_answer(RR(name, QTYPE.TXT, CLASS.CH, 0, TXT(names[name])))
    elif asked.q.qclass == CLASS.CH:
        reply.header.rcode = RCODE.REFUSED
    if nsid:
        reply.add_ar(EDNS0(opts=[EDNSOption(NSID, nsid)]))
    return reply


def asked_subnet(asked: DNSRecord) -> bytes:
    """The client subnet option of a query, empty without one."""
    return next((option.data for record in asked.ar for option in record.rdata if option.code == CLIENT_SUBNET), b"")


def tailored(asked: DNSRecord, addresses: Sequence[str], scope: int | None) -> DNSRecord:
    """A reply with addresses, and the client subnet echoed with this scope; None: not echoed."""
    reply = asked.reply()
    for address in addresses:
        assert ip_address(address).version == 4
        reply.add_answer(RR(asked.q.qname, QTYPE.A, CLASS.IN, 60, A(address)))
    if scope is not None and (option := asked_subnet(asked)):
        reply.add_ar(EDNS0(opts=[EDNSOption(CLIENT_SUBNET, option[:3] + bytes([scope]) + option[4:])]))
    return reply


def _socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    return sock


def _serve(sockets: Mapping[socket.socket, Respond], stop: socket.socket) -> None:
    """Answer until somebody writes to the other end of `stop`."""
    with selectors.DefaultSelector() as selector:
        for sock in (*sockets, stop):
            selector.register(sock, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if stop in ready:
                return
            for sock, respond in sockets.items():
                if sock in ready:
                    octets, sender = sock.recvfrom(4096)
                    reply = respond(DNSRecord.parse(octets))
                    if reply is not None:
                        sock.sendto(reply.pack() if isinstance(reply, DNSRecord) else reply, sender)


@contextmanager
def instances(*responds: Respond, host: str = "127.0.0.1") -> Iterator[int]:
    """Servers that share one port on loopback; the port."""
    port = free_port(host)
    with ExitStack() as stack:
        sockets = {stack.enter_context(_socket(host, port)): respond for respond in responds}
        here, there = (stack.enter_context(end) for end in socket.socketpair())
        thread = threading.Thread(target=_serve, args=(sockets, there))
        thread.start()
        stack.callback(thread.join)
        stack.callback(here.send, b"stop")
        yield port


class Answering(Protocol):
    """What a server of both transports answers."""

    def __call__(self, asked: DNSRecord, *, by_tcp: bool) -> DNSRecord: ...


@asynccontextmanager
async def served(answer: Answering, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server in this event loop that answers by UDP and TCP; its port."""
    port = free_port(host)

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
            self.transport.sendto(answer(DNSRecord.parse(data), by_tcp=False).pack(), addr)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        octets = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        reply = answer(DNSRecord.parse(octets), by_tcp=True).pack()
        writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, (host, port))
    try:
        async with await asyncio.start_server(connected, host, port):
            yield port
    finally:
        transport.close()
