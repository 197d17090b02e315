"""Owns UDP listening: batches out of the kernel's buffer, which is the only queue, and back; knows no DNS."""

from __future__ import annotations

import asyncio
import socket
import sys

from .addresses import ask_for_destinations, is_wildcard, resolve_numeric
from .batch import Batch, PortableBatch, UdpCounters
from .mmsg import MessageBatch, Unavailable
from .responder import FaultBoundary, Observer, Responder

# <asm-generic/socket.h>, <linux/in.h>, <linux/in6.h>: names that the socket module lacks
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_FIELDS = 9
_MEMINFO_DROPS = 8
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_OMIT = 5

_SMALLEST_IN_QUEUE = 512  # octets of a receive buffer that the shortest datagram takes, its bookkeeping included


class UdpListener:
    """Answers datagrams of one bound socket, in batches, whenever the event loop finds it readable.

    `batch` datagrams are taken at once, and at most `batches_per_wakeup` batches before other tasks of the loop have
    their turn: at 8 µs a query the default holds the loop for 2 ms, at 100 µs for 26 ms. `portable` forgoes recvmmsg.
    The socket stays its giver's: it is not closed, only made non-blocking and, on a wildcard address, told to report
    destinations.
    """

    __slots__ = (
        "_batch",
        "_batch_size",
        "_batches_per_wakeup",
        "_boundary",
        "_loop",
        "_responder",
        "_sock",
        "counters",
        "observer",
    )

    def __init__(
        self,
        sock: socket.socket,
        responder: Responder,
        *,
        batch: int = 64,
        batches_per_wakeup: int = 4,
        portable: bool = False,
    ) -> None:
        sock.settimeout(0)
        wildcard = is_wildcard(sock.getsockname())
        if wildcard:
            ask_for_destinations(sock)
        self.observer: Observer | None = None
        self.counters = UdpCounters(batch_sizes=[0] * (batch + 1))
        self._sock = sock
        self._responder = responder
        self._boundary = FaultBoundary()
        self._batch_size = batch
        self._batches_per_wakeup = batches_per_wakeup
        self._batch = _best_batch(sock, batch, self.counters, wildcard=wildcard, portable=portable)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer whenever this loop runs."""
        self._loop = loop
        loop.add_reader(self._sock, self._readable)

    def stop(self) -> None:
        """Answer no more; what the kernel has queued stays there, for `drain` or for another holder of the socket."""
        if self._loop:
            self._loop.remove_reader(self._sock)
            self._loop = None

    def drain(self) -> None:
        """Answer what is queued, without waiting, and no more than the buffer can have held: a flood prolongs nothing."""
        batches = 2 * receive_buffer_size(self._sock) // (_SMALLEST_IN_QUEUE * self._batch_size) + 1
        for _ in range(batches):
            if not self._answer_batch():
                return

    def _readable(self) -> None:
        for _ in range(self._batches_per_wakeup):
            if self._answer_batch() < self._batch_size:
                return  # less than was asked for: the queue is empty, and asking again would cost a system call

    def _answer_batch(self) -> int:
        batch, respond = self._batch, self._responder.datagram  # read anew: a reload replaces it
        if not (taken := batch.receive()):
            return 0
        self.counters.batch_sizes[taken] += 1
        replies: list[bytes | None] = []
        append = replies.append
        for octets, source in zip(batch.datagrams, batch.sources, strict=True):
            try:
                append(respond(octets, source))
            except Exception as fault:
                self.counters.faults += 1
                append(self._boundary.reply(fault, octets))
        batch.send(replies)
        if self.observer:
            for index in self.observer.picks(taken):
                self.observer.offer(batch.datagrams[index], replies[index], batch.sources[index], "udp")
        return taken


def _best_batch(sock: socket.socket, size: int, counters: UdpCounters, *, wildcard: bool, portable: bool) -> Batch:
    if not portable:
        try:
            return MessageBatch(sock, size, counters, tell_destination=wildcard)
        except Unavailable:
            pass
    return PortableBatch(sock, size, counters, tell_destination=wildcard)


def bind_udp(host: str, port: int, *, receive_buffer: int, reuse_port: bool = False) -> socket.socket:
    """A non-blocking UDP socket bound to a numeric host, with `receive_buffer` octets of buffer if the kernel allows.

    Path MTU discovery is off, as in NSD, Knot and Unbound, so that no forged ICMP message can block or split replies.
    Raises OSError as the kernel gave it.
    """
    family, address = resolve_numeric(host, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _set_receive_buffer(sock, receive_buffer)
        _forgo_path_mtu_discovery(sock)
        if is_wildcard(address):
            ask_for_destinations(sock)  # now, not when a listener comes: what is queued until then must know it too
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def receive_buffer_size(sock: socket.socket) -> int:
    """The receive buffer that the kernel really gave, in octets of the unit in which it is asked for.

    Linux tells the double: it gives as much again for its own bookkeeping (socket(7)).
    """
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return told // 2 if sys.platform == "linux" else told


def kernel_drops(sock: socket.socket) -> int:
    """Datagrams that the kernel has dropped because the receive buffer was full (modulo 2**32); 0 where it does not say."""
    if sys.platform != "linux":
        return 0
    memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_FIELDS)
    return int.from_bytes(memory[4 * _MEMINFO_DROPS : 4 * _MEMINFO_FIELDS], sys.byteorder)


def _set_receive_buffer(sock: socket.socket, octets: int) -> None:
    if sys.platform == "linux":
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
        except PermissionError:
            pass  # without CAP_NET_ADMIN the limit net.core.rmem_max holds
        else:
            return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def _forgo_path_mtu_discovery(sock: socket.socket) -> None:
    if sys.platform != "linux":
        return
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)
