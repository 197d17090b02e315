"""Owns the laws of the UDP listener, on real loopback sockets, through both kinds of batch."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from geodns.server.addresses import address_of, source_port
from geodns.server.udp import UdpListener, bind_udp, kernel_drops, receive_buffer_size
from tests.support.daemons import has_ipv6

BOTH = pytest.mark.parametrize("portable", [False, True], ids=["best", "portable"])
Reply = Callable[[bytes, bytes], bytes | None]


class Answering:
    """A responder made of one function."""

    def __init__(self, reply: Reply) -> None:
        self.datagram = self.stream = reply


def echo(octets: bytes, source: bytes) -> bytes | None:
    return octets


ADDRESSES = [
    "127.0.0.1",
    pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")),
]


@contextmanager
def listening(host: str, reply: Reply, *, portable: bool, port: int = 0) -> Iterator[tuple[UdpListener, int]]:
    with bind_udp(host, port, receive_buffer=1 << 20) as sock:
        yield UdpListener(sock, Answering(reply), portable=portable), sock.getsockname()[1]


@contextmanager
def connected(host: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        sock.settimeout(2)
        yield sock


@BOTH
@pytest.mark.parametrize("host", ADDRESSES)
async def test_ten_thousand_datagrams_are_all_answered(host: str, portable: bool) -> None:
    """Each of 10,000 datagrams is answered once, and the counters add up to them."""
    total, window = 10_000, 200
    loop = asyncio.get_running_loop()
    answered = set()
    with listening(host, echo, portable=portable) as (listener, port), connected(host, port) as client:
        client.settimeout(0)
        listener.start(loop)
        async with asyncio.timeout(20):
            for start in range(0, total, window):
                for number in range(start, start + window):
                    client.send(number.to_bytes(4, "big"))
                for _ in range(window):
                    answered.add(int.from_bytes(await loop.sock_recv(client, 64), "big"))
        listener.stop()
        counters = listener.counters

    assert set(range(total)) == answered
    assert (total, total, 0) == (counters.datagrams, counters.replies, counters.send_drops)
    assert counters.batches <= total


@BOTH
@pytest.mark.parametrize("host", ADDRESSES)
def test_the_source_is_the_clients_address_and_port(host: str, portable: bool) -> None:
    """The raw source address handed to the responder decodes to the client's own."""
    seen: list[tuple[str, int]] = []

    def reply(octets: bytes, source: bytes) -> bytes | None:
        seen.append((str(address_of(source)), source_port(source)))
        return octets

    with listening(host, reply, portable=portable) as (listener, port), connected(host, port) as client:
        client.send(b"q")
        listener.drain()
        expected = client.getsockname()[:2]

    assert [expected] == seen


@BOTH
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on loopback")
def test_a_wildcard_socket_answers_from_the_address_that_was_asked(portable: bool) -> None:
    """A client that asked 127.0.0.2, or another address of ours, hears from it; silence in between changes nothing."""
    hosts = [f"127.0.0.{number}" for number in range(1, 7)]
    replies = []
    with (
        listening("0.0.0.0", lambda octets, _source: octets or None, portable=portable) as (listener, port),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(2)
        client.bind(("127.0.0.1", 0))
        for host in hosts:
            client.sendto(host.encode(), (host, port))
            client.sendto(b"", ("127.0.0.99", port))
        listener.drain()
        for _ in hosts:
            octets, address = client.recvfrom(64)
            replies.append((octets.decode(), address[0]))
        assert len(hosts) == listener.counters.silent

    assert [(host, host) for host in hosts] == replies


@BOTH
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_an_ipv6_wildcard_socket_answers(portable: bool) -> None:
    """A wildcard IPv6 socket answers from the address that was asked, and leaves IPv4 to another socket."""
    with listening("::", echo, portable=portable) as (listener, port), connected("::1", port) as client:
        client.send(b"six")
        listener.drain()
        assert client.recv(64) == b"six"
        with bind_udp("0.0.0.0", port, receive_buffer=4096) as other:
            assert port == other.getsockname()[1]


@BOTH
def test_our_fault_is_a_servfail_and_the_next_query_works(portable: bool) -> None:
    """An exception out of the responder costs its own query a SERVFAIL, and its neighbours in the batch nothing."""

    def reply(octets: bytes, source: bytes) -> bytes | None:
        if octets[12:] == b"bad":
            raise RuntimeError("broken")
        return octets

    good, bad, hopeless = b"\x00\x01" + bytes(10), b"\x00\x02\x01" + bytes(9) + b"bad", b"\x00\x03\x80" + bytes(9) + b"bad"
    with listening("127.0.0.1", reply, portable=portable) as (listener, port), connected("127.0.0.1", port) as client:
        for query in (good, bad, hopeless, good):
            client.send(query)
        listener.drain()
        replies = [client.recv(64) for _ in range(3)]

    assert [good, b"\x00\x02\x81\x02" + bytes(8), good] == replies
    assert (listener.counters.faults, listener.counters.replies, listener.counters.silent) == (2, 3, 1)


@BOTH
def test_oversized_datagrams_never_reach_the_responder(portable: bool) -> None:
    """A datagram of more than 4,096 octets is counted as oversized and gets silence."""
    with listening("127.0.0.1", echo, portable=portable) as (listener, port), connected("127.0.0.1", port) as client:
        client.send(bytes(4097))
        client.send(b"next")
        listener.drain()

        assert client.recv(64) == b"next"
        assert (listener.counters.oversized, listener.counters.datagrams) == (1, 2)


@BOTH
def test_a_reply_that_cannot_be_sent_loses_itself_alone(portable: bool) -> None:
    """A reply that the kernel refuses is counted and its neighbours arrive."""
    with (
        listening("127.0.0.1", lambda q, _s: bytes(65_535) if q == b"1" else q, portable=portable) as (listener, port),
        connected("127.0.0.1", port) as client,
    ):
        for query in (b"0", b"1", b"2"):
            client.send(query)
        listener.drain()

        assert [client.recv(64), client.recv(64)] == [b"0", b"2"]
        assert listener.counters.send_drops == 1


@BOTH
async def test_what_is_queued_at_the_end_is_drained(portable: bool) -> None:
    """After stop nothing is answered; drain answers all that the kernel's buffer holds, several batches of it."""
    with listening("127.0.0.1", echo, portable=portable) as (listener, port), connected("127.0.0.1", port) as client:
        listener.start(asyncio.get_running_loop())
        listener.stop()
        for number in range(200):
            client.send(number.to_bytes(2, "big"))
        await asyncio.sleep(0)
        assert listener.counters.datagrams == 0
        listener.drain()

        assert list(range(200)) == [int.from_bytes(client.recv(64), "big") for _ in range(200)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the drops of a socket")
def test_kernel_drops_are_told() -> None:
    """What did not fit into the receive buffer is counted by the kernel, and answered plus dropped is all that was sent."""
    total = 500
    with bind_udp("127.0.0.1", 0, receive_buffer=16_384) as sock, connected("127.0.0.1", sock.getsockname()[1]) as client:
        listener = UdpListener(sock, Answering(echo))
        assert kernel_drops(sock) == 0
        for _ in range(total):
            client.send(b"q")
        listener.drain()

        assert total == listener.counters.datagrams + kernel_drops(sock)
        assert kernel_drops(sock) > 0


def test_the_receive_buffer_is_what_was_asked_for() -> None:
    """The buffer that the kernel reports is at least what was asked, where its limit allows that much."""
    with bind_udp("127.0.0.1", 0, receive_buffer=65_536) as sock:
        assert receive_buffer_size(sock) >= 65_536


def test_a_port_in_use_raises_the_kernels_error() -> None:
    """Binding twice raises OSError untouched; with reuse_port on both it succeeds."""
    with bind_udp("127.0.0.1", 0, receive_buffer=4096) as sock, pytest.raises(OSError, match="in use"):
        bind_udp("127.0.0.1", sock.getsockname()[1], receive_buffer=4096)
    with bind_udp("127.0.0.1", 0, receive_buffer=4096, reuse_port=True) as sock:
        bind_udp("127.0.0.1", sock.getsockname()[1], receive_buffer=4096, reuse_port=True).close()


@BOTH
async def test_a_flood_does_not_starve_the_loop(portable: bool) -> None:
    """While more datagrams arrive than can be answered, a task due every 10 ms is late by a bounded time."""
    over = threading.Event()

    def flood(port: int) -> None:
        with connected("127.0.0.1", port) as client:
            while not over.is_set():
                client.send(bytes(40))

    worst = 0.0
    with listening("127.0.0.1", lambda _q, _s: None, portable=portable) as (listener, port):
        thread = threading.Thread(target=flood, args=(port,))
        listener.start(asyncio.get_running_loop())
        thread.start()
        try:
            for _ in range(40):
                before = time.perf_counter()
                await asyncio.sleep(0.01)
                worst = max(worst, time.perf_counter() - before - 0.01)
        finally:
            over.set()
            thread.join()
            listener.stop()

    assert listener.counters.datagrams > 100
    assert worst < 0.5, "the bound is generous, for the machine and the interpreter are shared with the flood"
