"""Owns the laws of batches by recvmmsg and sendmmsg, in what the portable batch cannot show."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.server.batch import LARGEST_DATAGRAM, UdpCounters
from geodns.server.mmsg import MessageBatch
from geodns.server.udp import bind_udp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="recvmmsg is used on Linux only")

SIZE = 8


class Wire:
    """A batch, its counters, and one client on loopback."""

    def __init__(self) -> None:
        self.server = bind_udp("127.0.0.1", 0, receive_buffer=1 << 20)
        self.counters = UdpCounters(batch_sizes=[0] * (SIZE + 1))
        self.batch = MessageBatch(self.server, SIZE, self.counters, tell_destination=False)
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(2)
        self.client.connect(self.server.getsockname())

    def received(self, count: int) -> list[bytes]:
        return [self.client.recv(65535) for _ in range(count)]

    def close(self) -> None:
        self.server.close()
        self.client.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@settings(max_examples=60, deadline=None)
@given(exchanges=st.lists(st.tuples(st.binary(max_size=600), st.none() | st.binary(max_size=600)), min_size=1, max_size=SIZE))
def test_octets_pass_unchanged_both_ways(shared: Wire, exchanges: list[tuple[bytes, bytes | None]]) -> None:
    """Whatever lengths stand side by side in a batch, and wherever silence falls, every octet arrives."""
    for query, _ in exchanges:
        shared.client.send(query)

    assert len(exchanges) == shared.batch.receive()
    assert [query for query, _ in exchanges] == list(shared.batch.datagrams)
    shared.batch.send([reply for _, reply in exchanges])
    spoken = [reply for _, reply in exchanges if reply is not None]
    assert spoken == shared.received(len(spoken))
    assert shared.batch.receive() == 0


def test_sources_are_the_kernels_own_octets(wire: Wire) -> None:
    """A source is the raw sockaddr_in: family, port, address, zeros."""
    wire.client.send(b"q")
    wire.batch.receive()
    host, port = wire.client.getsockname()

    expected = socket.AF_INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8)
    assert [expected] == list(wire.batch.sources)


def test_one_bad_destination_loses_one_reply(wire: Wire) -> None:
    """An address that the kernel refuses to send to costs its own reply and no other of the batch."""
    for number in range(SIZE):
        wire.client.send(bytes([number]))
    wire.batch.receive()
    for slot in (0, 3, 4, SIZE - 1):
        wire.batch._names.memory[slot * 16 + 4 : slot * 16 + 8] = b"\xff\xff\xff\xff"  # broadcast: EACCES
    wire.batch.send(list(wire.batch.datagrams))

    assert wire.received(SIZE - 4) == [b"\x01", b"\x02", b"\x05", b"\x06"]
    assert (wire.counters.replies, wire.counters.send_drops) == (SIZE - 4, 4)


def test_a_reply_too_long_for_udp_loses_itself_alone(wire: Wire) -> None:
    """A reply that no datagram can hold is dropped and counted; its neighbours arrive."""
    for _ in range(3):
        wire.client.send(b"q")
    wire.batch.receive()
    wire.batch.send([b"first", bytes(65_535), b"third"])

    assert wire.received(2) == [b"first", b"third"]
    assert wire.counters.send_drops == 1


def test_source_port_0_is_left_out(wire: Wire) -> None:
    """A datagram from port 0 is counted and not handed on, and the others keep their own return addresses."""
    for number in range(3):
        wire.client.send(bytes([number]))
    wire.batch.receive()
    wire.batch._names.memory[16 + 2 : 16 + 4] = bytes(2)
    wire.batch._leave_out(3)
    wire.batch.send(list(wire.batch.datagrams))

    assert wire.counters.portless == 1
    assert wire.received(2) == [b"\x00", b"\x02"]


def test_oversized_datagrams_are_left_out(wire: Wire) -> None:
    """What the kernel had to cut off is counted and not handed on; the longest that fits is."""
    longest = bytes(LARGEST_DATAGRAM)
    for query in (b"before", longest + b"x", longest, b"after"):
        wire.client.send(query)

    assert wire.batch.receive() == 4
    assert [b"before", longest, b"after"] == list(wire.batch.datagrams)
    wire.batch.send([b"1", None, b"3"])
    assert wire.received(2) == [b"1", b"3"]
    assert (wire.counters.oversized, wire.counters.silent) == (1, 1)
