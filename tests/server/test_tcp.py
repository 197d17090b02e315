"""Owns the laws of the TCP listener, on real loopback sockets."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from geodns.server.addresses import address_of, source_port
from geodns.server.tcp import TcpLimits, TcpListener, bind_tcp

Reply = Callable[[bytes, bytes], bytes | None]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LIMITS = TcpLimits()


class Answering:
    """A responder made of one function."""

    def __init__(self, reply: Reply) -> None:
        self.datagram = self.stream = reply


def echo(octets: bytes, source: bytes) -> bytes | None:
    return octets


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def message(number: int) -> bytes:
    return number.to_bytes(4, "big") + bytes(8 + number % 50)


def framed(octets: bytes) -> bytes:
    return struct.pack("!H", len(octets)) + octets


@asynccontextmanager
async def listening(
    reply: Reply = echo, host: str = "127.0.0.1", limits: TcpLimits = LIMITS, **options: Any
) -> AsyncIterator[tuple[TcpListener, int]]:
    with bind_tcp(host, 0) as sock:
        listener = TcpListener(sock, Answering(reply), limits, **options)
        listener.start(asyncio.get_running_loop())
        async with asyncio.timeout(20):
            yield listener, sock.getsockname()[1]
        await listener.stop(1.0)
        assert listener.open_connections == 0


@asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(host, port, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the peer closes, by FIN or by RST, without sending any octet."""
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1"))]
)
async def test_a_hundred_messages_in_one_segment_are_answered_in_order(host: str) -> None:
    """Pipelined messages come back complete and in order, and the responder sees the client's raw address."""
    sources = set()

    def reply(octets: bytes, source: bytes) -> bytes | None:
        sources.add((str(address_of(source)), source_port(source)))
        return octets

    async with listening(reply, host) as (listener, port), connected(port, host) as (reader, writer):
        writer.write(b"".join(framed(message(number)) for number in range(100)))
        assert [message(number) for number in range(100)] == [await read_message(reader) for _ in range(100)]
        assert {writer.get_extra_info("sockname")[:2]} == sources
        assert (listener.counters.messages, listener.counters.replies) == (100, 100)


async def test_messages_split_at_every_octet_are_answered() -> None:
    """However a message is cut into segments, it is answered once."""
    octets = framed(message(7)) + framed(message(8))
    async with listening() as (_, port), connected(port) as (reader, writer):
        for cut in range(1, len(octets)):
            writer.write(octets[:cut])
            await asyncio.sleep(0)
            writer.write(octets[cut:])
            assert [message(7), message(8)] == [await read_message(reader), await read_message(reader)]
        for octet in octets:
            writer.write(bytes([octet]))
            await asyncio.sleep(0.0005)
        assert [message(7), message(8)] == [await read_message(reader), await read_message(reader)]


async def test_the_largest_message_and_reply_pass() -> None:
    """65,535 octets go in and come out, twice on one connection."""
    largest = bytes(range(256)) * 256
    async with listening() as (_, port), connected(port) as (reader, writer):
        writer.write(framed(largest[:65_535]) * 2)
        assert [largest[:65_535]] * 2 == [await read_message(reader), await read_message(reader)]


@pytest.mark.parametrize("length", [0, 1, 11])
async def test_a_message_shorter_than_a_header_closes(length: int) -> None:
    """What was whole before it is answered; then the connection is closed."""
    async with listening() as (listener, port), connected(port) as (reader, writer):
        writer.write(framed(message(1)) + framed(bytes(length)) + framed(message(2)))
        assert message(1) == await read_message(reader)
        assert await closed(reader)
        assert listener.counters.malformed == 1


async def test_no_reply_leaves_the_connection_open() -> None:
    """None from the responder is silence for that message only."""
    async with (
        listening(lambda q, _s: None if q[3] == 1 else q) as (listener, port),
        connected(port) as (reader, writer),
    ):
        writer.write(framed(message(1)) + framed(message(2)))
        assert message(2) == await read_message(reader)
        assert listener.counters.silent == 1


async def test_our_fault_is_a_servfail_and_the_next_message_works() -> None:
    """An exception, or a reply that no frame holds, is answered with SERVFAIL, and the connection goes on."""

    def reply(octets: bytes, source: bytes) -> bytes | None:
        if octets[3] == 1:
            raise RuntimeError("broken")
        return bytes(65_536) if octets[3] == 2 else octets

    async with listening(reply) as (listener, port), connected(port) as (reader, writer):
        writer.write(b"".join(framed(message(number)) for number in (1, 2, 3)))
        servfail = b"\x00\x00\x80\x02" + bytes(8)
        assert [servfail, servfail, message(3)] == [await read_message(reader) for _ in range(3)]
        assert listener.counters.faults == 2


async def test_a_half_closed_connection_is_answered_and_closed() -> None:
    """A client that closes its sending direction still gets every reply, and then the end."""
    async with listening() as (_, port), connected(port) as (reader, writer):
        writer.write(b"".join(framed(message(number)) for number in range(300)))
        writer.write_eof()
        assert [message(number) for number in range(300)] == [await read_message(reader) for _ in range(300)]
        assert await closed(reader)


async def test_an_idle_connection_is_closed() -> None:
    """A connection without a message is closed after the idle time, one with messages only that long after the last."""
    async with listening(limits=TcpLimits(idle_timeout=0.2)) as (listener, port), connected(port) as (reader, writer):
        began = time.monotonic()
        while time.monotonic() - began < 0.4:
            writer.write(framed(message(1)))
            await read_message(reader)
        assert await closed(reader)
        assert time.monotonic() - began >= 0.55
        assert listener.counters.idle_timeouts == 1


async def test_octets_one_by_one_do_not_prolong_the_idle_time() -> None:
    """A peer that sends a message slower than the idle time allows is closed while it is still sending."""
    async with listening(limits=TcpLimits(idle_timeout=0.2)) as (listener, port), connected(port) as (_, writer):
        writer.write(b"\xff\xff")

        def sent_and_closed() -> bool:
            writer.write(b"x")
            return listener.counters.idle_timeouts == 1

        await until(sent_and_closed)


async def test_a_peer_that_does_not_read_is_answered_no_more_and_cut_off() -> None:
    """Replies waiting for a peer are bounded in memory and in time."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0)
        async with listening(lambda _q, _s: bytes(60_000), write_timeout=0.3) as (listener, port):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, framed(message(1)) * 500)
            await until(lambda: listener.open_connections == 0)
            assert listener.counters.write_timeouts == 1
            assert listener.counters.replies < 200, "what the kernel buffers, 32 KiB and one reply: far fewer than were asked for"


async def test_a_slow_reader_gets_everything() -> None:
    """A peer that stops reading for a while and then goes on loses nothing."""
    total = 400
    async with listening(lambda q, _s: q[:4] + bytes(20_000)) as (_, port), connected(port, limit=4096) as (reader, writer):
        writer.write(b"".join(framed(message(number)) for number in range(total)))
        await asyncio.sleep(0.05)
        assert list(range(total)) == [int.from_bytes((await read_message(reader))[:4], "big") for _ in range(total)]


async def test_one_client_has_at_most_its_share() -> None:
    """Connections beyond the limit per client are closed at once, and a place that becomes free is given again."""
    limits = TcpLimits(connections_per_client=2)
    async with listening(limits=limits) as (listener, port), connected(port), connected(port) as (_, second):
        async with connected(port) as (reader, _):
            assert await closed(reader)
        assert (listener.counters.accepted, listener.counters.refused_client) == (2, 1)
        second.transport.abort()
        await until(lambda: listener.open_connections == 1)
        async with connected(port) as (reader, writer):
            writer.write(framed(message(5)))
            assert message(5) == await read_message(reader)


async def test_a_new_connection_takes_the_place_of_the_longest_idle() -> None:
    """When all places are taken, the one whose last message is oldest is closed, and the newcomer is served."""
    limits = TcpLimits(connections=2)
    async with listening(limits=limits) as (listener, port), connected(port) as first, connected(port) as second:
        for reader, writer in (second, first):
            writer.write(framed(message(1)))
            await read_message(reader)
        async with connected(port) as (reader, writer):
            writer.write(framed(message(2)))
            assert message(2) == await read_message(reader)
            assert await closed(second[0])
            first[1].write(framed(message(3)))
            assert message(3) == await read_message(first[0])
        assert listener.counters.evicted == 1


async def test_new_limits_hold_at_once_for_newcomers_and_from_the_next_message_for_others() -> None:
    """Limits replaced while a connection is open refuse the next one, and close the open one after its new idle time."""
    async with listening() as (listener, port), connected(port) as (reader, writer):
        await until(lambda: listener.open_connections == 1)
        listener.limits = TcpLimits(connections_per_client=1, idle_timeout=0.1)
        async with connected(port) as (refused, _):
            assert await closed(refused)
        writer.write(framed(message(1)))

        assert message(1) == await read_message(reader)
        assert await closed(reader)
        assert (1, 1) == (listener.counters.refused_client, listener.counters.idle_timeouts)


async def test_out_of_descriptors_is_counted_and_recovered_from() -> None:
    """When no descriptor is left the listener pauses, spinning does not happen, and a waiting client is served afterwards."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    logging.getLogger("geodns.server").setLevel(logging.CRITICAL)
    with socket.socket() as client:
        client.settimeout(0)
        async with listening() as (listener, port):
            loop = asyncio.get_running_loop()
            with socket.socket() as probe:
                lowest_free = probe.fileno()
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
                await loop.sock_connect(client, ("127.0.0.1", port))
                await until(lambda: listener.counters.accept_errors > 0)
                await asyncio.sleep(0.02)
                assert listener.counters.accept_errors == 1
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                logging.getLogger("geodns.server").setLevel(logging.NOTSET)
            await loop.sock_sendall(client, framed(message(1)))
            assert framed(message(1)) == await loop.sock_recv(client, 4096)


async def test_stop_answers_what_has_arrived() -> None:
    """Messages that were sent before stop are answered, more than one turn of them; then the connection ends."""
    async with listening() as (listener, port), connected(port) as (reader, writer):
        await until(lambda: listener.open_connections == 1)
        writer.write(b"".join(framed(message(number)) for number in range(400)))
        await listener.stop()
        assert [message(number) for number in range(400)] == [await read_message(reader) for _ in range(400)]
        assert await closed(reader)


async def test_stop_is_bounded() -> None:
    """A peer that reads nothing cannot hold the stop beyond its time."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0)
        async with listening(lambda _q, _s: bytes(60_000)) as (listener, port):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, framed(message(1)) * 500)
            await until(lambda: listener.counters.replies > 0)
            began = time.monotonic()
            await listener.stop(0.2)
            assert listener.open_connections == 0
            assert time.monotonic() - began < 2


async def test_a_busy_connection_does_not_starve_others() -> None:
    """With one connection pipelining without end, another is answered after at most a few turns."""
    async with listening(messages_per_turn=32) as (listener, port), connected(port) as (busy_reader, busy):
        busy.write(framed(message(1)) * 5000)
        await until(lambda: listener.counters.messages > 0)
        async with connected(port) as (reader, writer):
            writer.write(framed(message(2)))
            assert message(2) == await read_message(reader)
        for _ in range(5000):
            await read_message(busy_reader)
