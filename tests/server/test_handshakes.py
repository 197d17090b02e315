"""Owns the laws of measured handshakes, on real connections: each is told once, as the kernel knows it; nothing else changes."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from geodns.server.addresses import address_of
from geodns.server.handshakes import handshake_microseconds, why_unmeasured
from geodns.server.tcp import TcpLimits
from tests.server.test_tcp import connected, framed, has_ipv6, listening, message, read_message, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is read as Linux writes it")

TCP_INFO = struct.Struct("=8B24I4Q4I")
"""struct tcp_info of <linux/tcp.h> up to tcpi_min_rtt, written out as it stands there."""
BUSY = 0.2  # seconds
RTT, MINIMUM = 8 + 15, 8 + 24 + 4 + 3


class Heard:
    """Remembers what it is told."""

    def __init__(self, *, takes: bool = True) -> None:
        self.told: list[tuple[str, int]] = []
        self._takes = takes

    def offer(self, source: bytes, microseconds: int) -> bool:
        self.told.append((str(address_of(source)), microseconds))
        return self._takes


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over loopback: the client's end and the accepted one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with client, accepted:
            yield client, accepted


def test_what_is_read_is_the_round_trip_of_the_kernel(pair: tuple[socket.socket, socket.socket]) -> None:
    """It is tcpi_rtt, which right after the handshake has seen one round trip: so it is the least of all, too."""
    _, accepted = pair
    told = TCP_INFO.unpack(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))

    assert 0 < handshake_microseconds(accepted) == told[RTT] == told[MINIMUM] < 1_000_000


def test_waiting_to_be_accepted_does_not_count() -> None:
    """The kernel has completed the handshake long before a busy process accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"early")
        select.select([], [], [], BUSY)
        accepted, _ = listener.accept()
        with accepted:
            assert 0 < handshake_microseconds(accepted) < BUSY * 1e6


def test_a_socket_without_handshake_has_none() -> None:
    """What is not connected, or closed, is not measured, and raises nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert 0 == handshake_microseconds(sock)
    assert 0 == handshake_microseconds(sock)


def test_this_kernel_measures() -> None:
    """There is no reason against it."""
    assert "" == why_unmeasured()


@pytest.mark.parametrize(
    ("told", "reason"), [(b"", "too short"), (OSError(92, "Protocol not available"), "TCP_INFO): Protocol not available")]
)
def test_a_kernel_that_does_not_tell_is_named(monkeypatch: pytest.MonkeyPatch, told: bytes | OSError, reason: str) -> None:
    """Emulated kernels and sandboxes may know nothing of it: the reason says so."""

    class Silent(socket.socket):
        def getsockopt(self, *_arguments: int) -> bytes:  # type: ignore[override]
            if isinstance(told, OSError):
                raise told
            return told

    monkeypatch.setattr("geodns.server.handshakes.socket.socket", Silent)
    assert reason in why_unmeasured()


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the structure is another one, so nothing is read out of it."""
    monkeypatch.setattr("geodns.server.handshakes.sys.platform", "darwin")
    assert "this system is darwin" in why_unmeasured()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1"))]
)
async def test_each_connection_is_told_once(host: str) -> None:
    """One handshake a connection, however many messages it carries; the client is who it is."""
    heard = Heard()
    async with listening(host=host) as (listener, port):
        listener.handshakes = heard
        for _ in range(3):
            async with connected(port, host) as (reader, writer):
                for number in range(5):
                    writer.write(framed(message(number)))
                    assert message(number) == await read_message(reader)

        assert [host] * 3 == [address for address, _ in heard.told]
        assert all(0 < microseconds < 1_000_000 for _, microseconds in heard.told)
        assert (0, 0) == (listener.counters.unmeasured, listener.counters.unnoted)


async def test_what_nobody_takes_is_counted() -> None:
    """A listener goes on answering where its handshakes are refused, and says how many were."""
    async with listening() as (listener, port):
        listener.handshakes = Heard(takes=False)
        async with connected(port) as (reader, writer):
            writer.write(framed(message(1)))
            assert message(1) == await read_message(reader)

        assert (0, 1) == (listener.counters.unmeasured, listener.counters.unnoted)


async def test_what_the_kernel_does_not_know_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a repeated SYN-ACK: nothing is told, rather than a round trip of nothing."""
    monkeypatch.setattr("geodns.server.tcp.handshake_microseconds", lambda _sock: 0)
    async with listening() as (listener, port):
        listener.handshakes = heard = Heard()
        async with connected(port) as (reader, writer):
            writer.write(framed(message(1)))
            await read_message(reader)

        assert (1, 0, []) == (listener.counters.unmeasured, listener.counters.unnoted, heard.told)


async def test_a_refused_connection_is_not_measured() -> None:
    """Whoever is turned away costs as little as ever."""
    async with listening(limits=TcpLimits(connections_per_client=1)) as (listener, port):
        listener.handshakes = heard = Heard()
        async with connected(port), connected(port):
            await until(lambda: listener.counters.refused_client == 1)

        assert 1 == len(heard.told)
    await asyncio.sleep(0)
