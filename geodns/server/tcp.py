"""Owns TCP listening: framing (RFC 1035 §4.2.2), fair turns, limits of memory, time and number; knows no DNS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter, deque
from dataclasses import dataclass
from itertools import islice
from typing import cast

from .addresses import SOCKADDR_IN, resolve_numeric, sockaddr_of
from .handshakes import Handshakes, handshake_microseconds
from .responder import HEADER, FaultBoundary, Responder

LARGEST_MESSAGE = 65_535  # octets: what the length field can say
_FRAME = 2  # octets of the length field

_READ_AREA = 16_384  # octets read at once, in one area that all connections of a listener share
_WRITE_CHUNK = 16_384  # octets of replies gathered before they are handed to the kernel
_WRITE_HIGH = 32_768  # octets that the peer has not read yet at which answering it stops
_ACCEPTS_PER_WAKEUP = 64
_ACCEPT_PAUSE = 0.5  # s; until then descriptors or memory may have been freed
_MESSAGES_PER_VISIT = 16  # of one connection, before the next one has its turn
_EVICTION_CANDIDATES = 16

_log = logging.getLogger("geodns.server")


@dataclass(slots=True)
class TcpCounters:
    """What one TCP listener has done since it was made; every field only grows."""

    accepted: int = 0
    refused: int = 0  # closed at once: as many connections as may be, and none of the oldest idle
    refused_client: int = 0  # closed at once: as many connections as one client may have
    evicted: int = 0  # idle, closed to make room for a new one
    messages: int = 0
    replies: int = 0
    silent: int = 0
    faults: int = 0
    malformed: int = 0  # closed: a message shorter than a header
    idle_timeouts: int = 0
    write_timeouts: int = 0
    accept_errors: int = 0
    unmeasured: int = 0  # of which the kernel does not know how long the handshake took
    unnoted: int = 0  # of which it does, but nobody took it


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What connections may cost: at most `connections` in all and `connections_per_client` for one IPv4 address or IPv6 /64.

    `idle_timeout`: seconds until a connection without a *whole* new message is closed, so octets sent one by one do not
    prolong it.
    """

    connections: int = 1000
    connections_per_client: int = 100
    idle_timeout: float = 10.0


class Connection(asyncio.BufferedProtocol):
    """One peer: octets not yet answered, and the deadline by which it must have sent, or read, something whole.

    Memory is bounded: at most one largest message and one read wait unanswered, and about two write chunks and one reply unread.
    """

    __slots__ = (
        "_deadline",
        "_ending",
        "_listener",
        "_reading",
        "_timer",
        "_transport",
        "_unanswered",
        "_writable",
        "client",
        "queued",
        "source",
    )

    def __init__(self, listener: TcpListener, source: bytes, client: bytes) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._unanswered = bytearray()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = self._writable = True
        self._ending = False  # the peer, or the listener, will have nothing more read; what is whole is still answered
        self.source = source
        self.client = client
        self.queued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the idle time; asyncio has set TCP_NODELAY."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self._arm(self._listener.limits.idle_timeout)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Lend the listener's one area: what lands there is taken out before any other connection reads."""
        return self._listener.read_area

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; stop reading once a whole message of the largest size must be there."""
        self._unanswered += self._listener.read_area[:nbytes]
        if self._has_work():
            self._listener.enqueue(self)
        if len(self._unanswered) >= _FRAME + LARGEST_MESSAGE:
            self._pause_reading()

    def eof_received(self) -> bool:
        """The peer has sent all: close once that is answered, for it may have closed one direction only."""
        self._ending = True
        return self._has_work()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it, whoever closed it and why."""
        if self._timer:
            self._timer.cancel()
        self._unanswered.clear()
        self._listener.forget(self)

    def pause_writing(self) -> None:
        """The peer does not read its replies: answer no more until it has, and bound the wait."""
        self._writable = False
        self._arm(self._listener.write_timeout)

    def resume_writing(self) -> None:
        """The peer has read: go on."""
        self._writable = True
        self._arm(self._listener.limits.idle_timeout)
        if self._has_work():
            self._listener.enqueue(self)
        elif self._ending:
            self.close()

    @property
    def is_idle(self) -> bool:
        """Whether closing it would lose neither a whole message nor a reply."""
        transport = self._transport
        return transport is not None and not transport.get_write_buffer_size() and not self._has_work()

    def answer(self, limit: int) -> int:
        """Answer at most `limit` messages in the order in which they came; returns how many."""
        transport, answered, replies, gathered = self._transport, 0, [], 0
        if transport is None or transport.is_closing():
            return 0
        while answered < limit and self._writable and (octets := self._next_message()):
            answered += 1
            if (reply := self._listener.reply(octets, self.source)) is not None:
                replies += [len(reply).to_bytes(_FRAME, "big"), reply]
                gathered += len(reply)
            if gathered >= _WRITE_CHUNK:
                transport.write(b"".join(replies))
                replies, gathered = [], 0
        if replies:
            transport.write(b"".join(replies))
        if answered:
            self._listener.touch(self)
            if self._writable:
                self._arm(self._listener.limits.idle_timeout)
        self._go_on()
        return answered

    def finish(self) -> None:
        """Read no more, answer what is whole, and close."""
        self._ending = True
        self._pause_reading()
        if not self._has_work():
            self.close()

    def close(self) -> None:
        """Close, after replies already given to the transport have been sent."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport:
            self._transport.abort()

    def _go_on(self) -> None:
        """After a turn: queue for the next one, read again, or close."""
        if len(self._unanswered) >= _FRAME and self._announced() < HEADER:
            self._listener.counters.malformed += 1
            self._unanswered.clear()
            self.close()
        elif self._has_work():
            if self._writable:
                self._listener.enqueue(self)
        elif self._ending:
            self.close()
        if not self._reading and not self._ending and len(self._unanswered) < _FRAME + LARGEST_MESSAGE:
            self._reading = True
            if self._transport:
                self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if self._reading and self._transport:
            self._reading = False
            self._transport.pause_reading()

    def _announced(self) -> int:
        return self._unanswered[0] << 8 | self._unanswered[1]

    def _has_work(self) -> bool:
        """Whether a whole message, or one too short to be one, is at the front."""
        have = len(self._unanswered)
        return have >= _FRAME and ((size := self._announced()) < HEADER or have >= _FRAME + size)

    def _next_message(self) -> bytes:
        """Take the message at the front; empty where it is not whole, or too short to be one."""
        if not self._has_work() or (size := self._announced()) < HEADER:
            return b""
        octets = bytes(self._unanswered[_FRAME : _FRAME + size])
        del self._unanswered[: _FRAME + size]
        return octets

    def _arm(self, seconds: float) -> None:
        """Set the deadline; a timer that is due before it looks again then, so that a busy connection sets no timers."""
        loop = self._listener.loop
        self._deadline = loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_at(self._deadline, self._due)

    def _due(self) -> None:
        loop = self._listener.loop
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._due)
        elif self._transport and self._transport.get_write_buffer_size():
            self._listener.counters.write_timeouts += 1
            self.abort()
        else:
            self._listener.counters.idle_timeouts += 1
            self.close()


class TcpListener:
    """Answers messages on connections to one listening socket.

    `limits` may be replaced while it runs: new ones hold for connections to come, and for open ones from their next message
    on. A connection beyond `connections` takes the place of the one idle for longest; otherwise one too many is closed at
    once. `handshakes`, if it is set, is told of each connection how long the client took to come in. `write_timeout`: seconds
    that a peer may leave its replies unread. `messages_per_turn`: what all connections together have answered before other
    tasks of the loop have their turn. The socket stays its giver's.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        sock: socket.socket,
        responder: Responder,
        limits: TcpLimits,
        *,
        write_timeout: float = 5.0,
        messages_per_turn: int = 128,
    ) -> None:
        sock.settimeout(0)
        self.counters = TcpCounters()
        self.limits = limits
        self.handshakes: Handshakes | None = None
        self.write_timeout = write_timeout
        self.read_area = memoryview(bytearray(_READ_AREA))
        self._sock = sock
        self._respond = responder.stream
        self._boundary = FaultBoundary()
        self._messages_per_turn = messages_per_turn
        self._open: dict[Connection, None] = {}  # in the order of their last message, the longest idle first
        self._clients: Counter[bytes] = Counter()
        self._waiting: deque[Connection] = deque()
        self._turn_is_due = False
        self._handshakes: set[asyncio.Task[object]] = set()
        self._accept_again: asyncio.TimerHandle | None = None
        self._stopping = False
        self._all_closed = asyncio.Event()

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return len(self._open)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to accept whenever this loop runs."""
        self.loop = loop
        loop.add_reader(self._sock, self._acceptable)

    async def stop(self, within: float = 2.0) -> None:
        """Accept no more, answer what has arrived whole, close; what is still open after `within` seconds is cut off."""
        self._stopping = True
        self.loop.remove_reader(self._sock)
        if self._accept_again:
            self._accept_again.cancel()
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=within)
        await self._let_the_loop_read()
        for connection in list(self._open):
            connection.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        for connection in list(self._open):
            connection.abort()
        await self._let_the_loop_read()

    async def _let_the_loop_read(self) -> None:
        for _ in range(2):  # the first pass only finds out what is readable; callbacks run in the second
            await asyncio.sleep(0)

    def reply(self, octets: bytes, source: bytes) -> bytes | None:
        """The responder's reply, or SERVFAIL where it raises or replies with more than a frame holds."""
        counters = self.counters
        counters.messages += 1
        try:
            reply = self._respond(octets, source)
            if reply is not None and len(reply) > LARGEST_MESSAGE:
                raise ValueError(f"a reply of {len(reply)} octets, more than {LARGEST_MESSAGE}")
        except Exception as fault:
            counters.faults += 1
            reply = self._boundary.reply(fault, octets)
        if reply is None:
            counters.silent += 1
        else:
            counters.replies += 1
        return reply

    def enqueue(self, connection: Connection) -> None:
        """Give a connection with whole messages a place in the queue for a turn."""
        if not connection.queued:
            connection.queued = True
            self._waiting.append(connection)
            self._schedule_turn()

    def touch(self, connection: Connection) -> None:
        """Note that a connection is the one used last."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def forget(self, connection: Connection) -> None:
        """Free a connection's place."""
        if connection not in self._open:
            return
        del self._open[connection]
        self._clients[connection.client] -= 1
        if not self._clients[connection.client]:
            del self._clients[connection.client]
        if not self._open:
            self._all_closed.set()

    def _schedule_turn(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Answer a bounded number of messages, the connections by turns; the loop looks at other events before the next turn."""
        self._turn_is_due = False
        left = self._messages_per_turn
        while self._waiting and left > 0:
            connection = self._waiting.popleft()
            connection.queued = False
            left -= connection.answer(min(left, _MESSAGES_PER_VISIT))
        if self._waiting:
            self._schedule_turn()

    def _acceptable(self) -> None:
        for _ in range(_ACCEPTS_PER_WAKEUP):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause_accepting(error)
                return
            self._admit(sock, sockaddr_of(address))

    def _pause_accepting(self, error: OSError) -> None:
        """Out of descriptors or memory: the backlog stays readable, so look away for a while instead of spinning."""
        if not self.counters.accept_errors:
            _log.error("cannot accept a TCP connection, trying again every %s s: %s", _ACCEPT_PAUSE, error)
        self.counters.accept_errors += 1
        self.loop.remove_reader(self._sock)
        self._accept_again = self.loop.call_later(_ACCEPT_PAUSE, self.loop.add_reader, self._sock, self._acceptable)

    def _admit(self, sock: socket.socket, source: bytes) -> None:
        client = source[4:8] if len(source) == SOCKADDR_IN else source[8:16]
        if self._clients[client] >= self.limits.connections_per_client:
            self.counters.refused_client += 1
            sock.close()
            return
        if len(self._open) >= self.limits.connections and not self._evict():
            self.counters.refused += 1
            sock.close()
            return
        self.counters.accepted += 1
        if self.handshakes:
            self._note_handshake(self.handshakes, sock, source)
        sock.settimeout(0)
        connection = Connection(self, source, client)
        self._open[connection] = None
        self._clients[client] += 1
        handshake = self.loop.create_task(self._hand_over(sock, connection))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    def _note_handshake(self, handshakes: Handshakes, sock: socket.socket, source: bytes) -> None:
        microseconds = handshake_microseconds(sock)
        if not microseconds:
            self.counters.unmeasured += 1
        elif not handshakes.offer(source, microseconds):
            self.counters.unnoted += 1

    async def _hand_over(self, sock: socket.socket, connection: Connection) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: connection, sock)
        except OSError:
            sock.close()
            self.forget(connection)

    def _evict(self) -> bool:
        """Close the connection that has been idle for longest, as RFC 7766 §6.2.4 allows in defence."""
        for connection in islice(self._open, _EVICTION_CANDIDATES):
            if connection.is_idle:
                self.counters.evicted += 1
                self.forget(connection)
                connection.abort()
                return True
        return False


def bind_tcp(host: str, port: int, *, reuse_port: bool = False, backlog: int = 1024) -> socket.socket:
    """A non-blocking TCP socket that listens on a numeric host; raises OSError as the kernel gave it."""
    family, address = resolve_numeric(host, port, socket.SOCK_STREAM)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
