"""Owns what a batch of datagrams is, its counters, and the batch for any platform; refuses to know what the octets mean."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .addresses import destination_control, sockaddr_of, source_port

LARGEST_DATAGRAM = 4096  # octets; no query that makes sense is longer, and the kernel cuts off the rest


@dataclass(slots=True)
class UdpCounters:
    """What one UDP listener has done since it was made; every field only grows."""

    replies: int = 0  # handed to the kernel
    silent: int = 0  # the responder chose not to reply
    faults: int = 0  # the responder raised
    oversized: int = 0  # longer than LARGEST_DATAGRAM, never handed to the responder
    portless: int = 0  # from source port 0, never handed to the responder
    send_drops: int = 0  # replies that the kernel refused
    receive_errors: int = 0
    batch_sizes: list[int] = field(default_factory=list)  # how often a batch held [index] datagrams

    @property
    def batches(self) -> int:
        """Batches that held at least one datagram."""
        return sum(self.batch_sizes)

    @property
    def datagrams(self) -> int:
        """Datagrams taken from the kernel."""
        return sum(size * times for size, times in enumerate(self.batch_sizes))


class Batch(Protocol):
    """Takes datagrams from one socket, many at a time, and sends the replies to where they came from."""

    @property
    def datagrams(self) -> Sequence[bytes]:
        """Octets of the datagrams of the last `receive`."""
        ...

    @property
    def sources(self) -> Sequence[bytes]:
        """The raw socket addresses they came from."""
        ...

    def receive(self) -> int:
        """Take what the kernel has queued, never waiting; returns how many, 0 for none.

        Fills `datagrams` and `sources`, in parallel. What must not be answered (too long, source port 0) is counted
        and left out, so they may be fewer than were taken.
        """
        ...

    def send(self, replies: Sequence[bytes | None]) -> None:
        """Send replies to the datagrams of the last `receive`, in parallel with them; None is silence. Counts its outcome."""
        ...


class PortableBatch:
    """A batch of one system call for each datagram, for platforms that have no recvmmsg."""

    __slots__ = ("_control", "_control_space", "_counters", "_returns", "_size", "_sock", "datagrams", "sources")

    def __init__(self, sock: socket.socket, size: int, counters: UdpCounters, *, tell_destination: bool) -> None:
        self._sock = sock
        self._size = size
        self._counters = counters
        self._control = destination_control(sock) if tell_destination else None
        self._control_space = socket.CMSG_SPACE(self._control.size) if self._control else 0
        self._returns: list[tuple[Any, list[tuple[int, int, bytes]]]] = []
        self.datagrams: list[bytes] = []
        self.sources: list[bytes] = []

    def receive(self) -> int:
        """See Batch.receive."""
        self._returns, self.datagrams, self.sources = [], [], []
        for taken in range(self._size):
            try:
                octets, ancillary, flags, address = self._sock.recvmsg(LARGEST_DATAGRAM, self._control_space)
            except (BlockingIOError, InterruptedError):
                return taken
            except OSError:
                self._counters.receive_errors += 1
                return taken
            source = sockaddr_of(address)
            if flags & socket.MSG_TRUNC:
                self._counters.oversized += 1
            elif not source_port(source):
                self._counters.portless += 1
            else:
                self.datagrams.append(octets)
                self.sources.append(source)
                self._returns.append((address, ancillary))
        return self._size

    def send(self, replies: Sequence[bytes | None]) -> None:
        """See Batch.send."""
        counters = self._counters
        for reply, (address, ancillary) in zip(replies, self._returns, strict=True):
            if reply is None:
                counters.silent += 1
                continue
            try:
                self._sock.sendmsg([reply], self._from_the_address_asked(ancillary), 0, address)
                counters.replies += 1
            except OSError:
                counters.send_drops += 1

    def _from_the_address_asked(self, ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        if not (control := self._control):
            return []
        at = control.interface
        return [  # interface 0: the routing table chooses the way back, which may differ from the way in
            (level, kind, data[:at] + struct.pack("=I", 0) + data[at + 4 :])
            for level, kind, data in ancillary
            if (level, kind) == (control.level, control.kind)
        ]
