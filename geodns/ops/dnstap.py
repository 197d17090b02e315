"""Owns dnstap: queries and replies as Protocol Buffers in Frame Streams, to a socket or a file; refuses to know which queries.

The schema is dnstap.proto of https://github.com/dnstap/dnstap.pb, the framing that of libfstrm
(https://farsightsec.github.io/fstrm/).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import struct
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, Protocol, assert_never, cast

from geodns.ops.config import UnixListen
from geodns.wire import ClientSubnet, QueryFault, parse_query, subnet_of

Transport = Literal["udp", "tcp"]

log = logging.getLogger("geodns.dnstap")

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
BUFFER = 1 << 20  # octets that wait for a slow reader; what is more is dropped
_HANDSHAKE_TIME = 5.0  # s
_FAREWELL_TIME = 1.0  # s
_LONGEST_WAIT = 30.0  # s between attempts to reach a reader
_LARGEST_CONTROL = 512  # octets of a control frame, FSTRM_CONTROL_FRAME_LENGTH_MAX
_MODE = 0o640  # it says who asked for what

_ACCEPT, _START, _STOP, _READY, _FINISH = 1, 2, 3, 4, 5
_FIELD_CONTENT_TYPE = 1

_AUTH_QUERY, _AUTH_RESPONSE = 1, 2
_SOCKET_PROTOCOL: dict[Transport, int] = {"udp": 1, "tcp": 2}
_CLIENT_SUBNET = 8  # IANA "DNS EDNS0 Option Codes"


class Dnstap:
    """Hands queries and replies to a reader that listens on a socket, or writes them to a file.

    `run` is a task of the event loop in which `offer` is called; without a reader, or with one that is too slow, messages are
    dropped and counted. `identity` and `version` are told with each message, "" is not. `truncate` is how many bits of IPv4
    and IPv6 addresses are shown, client subnets included. `wait` is the seconds before the second attempt to reach the reader;
    they double up to 30.
    """

    def __init__(
        self, way: UnixListen | Path, *, identity: str, version: str, truncate: tuple[int, int], wait: float = 1.0
    ) -> None:
        self._way = way
        self._origin = _text(1, identity) + _text(2, version) + _number(15, 1)
        self._truncate = truncate
        self._is_cut = truncate != (32, 128)
        self._wait = wait
        self._sink: _Sink | None = None
        self.sent = 0
        """Messages, two for a query that was answered, that were given to the reader or the file."""
        self.dropped = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody reads."""
        return self._sink is not None

    def offer(
        self,
        octets: bytes,
        reply: bytes | None,
        client: IPv4Address | IPv6Address,
        port: int,
        transport: Transport,
        at: float,
    ) -> None:
        """Tell of a query and its reply (None: there was none), who asked, and how, at Unix time `at`."""
        messages = 1 if reply is None else 2
        if self._sink is not None and self._sink.write(self._frames(octets, reply, client, port, transport, at)):
            self.sent += messages
        else:
            self.dropped += messages

    async def run(self) -> None:
        """Keep a reader until cancelled, then say farewell to it. Reaches for it again and again, and logs only what changes."""
        wait, told = self._wait, ""
        while True:
            match self._way:
                case UnixListen(path=path):
                    sink: _Sink | str = await _connected(path)
                case Path():
                    sink = _created(self._way)
                case _:
                    assert_never(self._way)
            if isinstance(sink, str):
                fault = sink
            else:
                log.info("dnstap: queries go to %s", sink)
                wait, self._sink = self._wait, sink
                try:
                    fault = await asyncio.shield(sink.ended)  # or cancelling this task would cancel it, and it would seem ended
                finally:
                    self._sink = None
                    await sink.finish()
            if fault != told:
                log.warning("dnstap: %s: %s; trying again", self._way, fault)
                told = fault
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _frames(
        self, octets: bytes, reply: bytes | None, client: IPv4Address | IPv6Address, port: int, transport: Transport, at: float
    ) -> bytes:
        if self._is_cut:
            octets, reply = _cut(octets, reply, self._truncate)
        seconds = int(at)
        nanoseconds = int((at - seconds) * 1e9)
        who = (
            _number(2, 1 if client.version == 4 else 2)
            + _number(3, _SOCKET_PROTOCOL[transport])
            + _octets(4, _shown(client, self._truncate))
            + _number(6, port)
            + _number(8, seconds)
            + _fixed(9, nanoseconds)
        )
        frames = self._frame(_number(1, _AUTH_QUERY) + who + _octets(10, octets))
        if reply is not None:
            answered = _number(12, seconds) + _fixed(13, nanoseconds) + _octets(14, reply)
            frames += self._frame(_number(1, _AUTH_RESPONSE) + who + answered)
        return frames

    def _frame(self, message: bytes) -> bytes:
        return data_frame(self._origin + _octets(14, message))


# --- addresses --------------------------------------------------------------------------------------------------------


def _shown(address: IPv4Address | IPv6Address, truncate: tuple[int, int]) -> bytes:
    return subnet_of(address, truncate[address.version == 6]).address.to_bytes(address.max_prefixlen // 8, "big")


def _cut(octets: bytes, reply: bytes | None, truncate: tuple[int, int]) -> tuple[bytes, bytes | None]:
    """Query and reply with the client subnet cut; both empty if the query cannot be read, for who knows what is in it."""
    try:
        query = parse_query(octets)
    except QueryFault:
        return b"", None if reply is None else b""
    subnet = query.edns.client_subnet if query.edns else None
    if subnet is None or not subnet.octets:
        return octets, reply
    return _without(octets, subnet, truncate), None if reply is None else _without(reply, subnet, truncate)


def _without(message: bytes, subnet: ClientSubnet, truncate: tuple[int, int]) -> bytes:
    """A message in which the option keeps its length and source prefix length, and loses address bits, with any scope."""
    address = IPv4Address(subnet.address) if subnet.family == 1 else IPv6Address(subnet.address)
    kept = subnet_of(address, min(subnet.source_prefix_length, truncate[subnet.family - 1])).octets
    option = subnet.option(0)
    head = struct.pack("!HH", _CLIENT_SUBNET, len(option)) + option[:3]
    wanted = re.compile(b"(" + re.escape(head) + b".)" + re.escape(subnet.octets), re.DOTALL)
    return wanted.sub(lambda found: found[1] + kept.ljust(len(subnet.octets), b"\0"), message)


# --- Protocol Buffers: the four kinds of field that there are in dnstap.proto -----------------------------------------


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _octets(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value if value else b""


def _text(field: int, value: str) -> bytes:
    return _octets(field, value.encode())


def _fixed(field: int, value: int) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<I", value)


# --- Frame Streams ----------------------------------------------------------------------------------------------------


def data_frame(payload: bytes) -> bytes:
    """A data frame: its length in 32 bits, big-endian, and the payload."""
    return struct.pack("!I", len(payload)) + payload


def control_frame(kind: int, *, with_type: bool = False) -> bytes:
    """A control frame: the escape of a zero length, its own length, its kind, and the content type where one is wanted."""
    field = struct.pack("!II", _FIELD_CONTENT_TYPE, len(CONTENT_TYPE)) + CONTENT_TYPE if with_type else b""
    return struct.pack("!III", 0, 4 + len(field), kind) + field


class BadFrame(ValueError):
    """Octets that are no control frame; the message says why."""


def take_control(octets: bytes) -> tuple[int, list[bytes], int]:
    """The control frame at the start of a stream: its kind, content types, and size; size 0 where octets are missing yet.

    Raises BadFrame.
    """
    if len(octets) < 8:
        return 0, [], 0
    escape, length = struct.unpack_from("!II", octets)
    if escape or not 4 <= length <= _LARGEST_CONTROL:
        raise BadFrame("no control frame")
    end = 8 + length
    if len(octets) < end:
        return 0, [], 0
    (kind,) = struct.unpack_from("!I", octets, 8)
    at, types = 12, list[bytes]()
    while at + 8 <= end:
        field, size = struct.unpack_from("!II", octets, at)
        at += 8 + size
        if field == _FIELD_CONTENT_TYPE and at <= end:
            types.append(octets[at - size : at])
    if at != end:
        raise BadFrame("a control frame with a broken field")
    return kind, types, end


class _Sink(Protocol):
    """Where frames go; `ended` tells the fault when it cannot be used any longer."""

    ended: asyncio.Future[str]

    def write(self, frames: bytes) -> bool:
        """Whether they were taken, without waiting."""

    async def finish(self) -> None:
        """End the stream as its readers expect it, and close it."""


class _Stream(asyncio.Protocol):
    """A connection to a reader: the bidirectional handshake, then data. `accepted` tells the fault, "" for none."""

    def __init__(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[str] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self._path = path
        self._finished = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""
        self._is_full = False

    def __str__(self) -> str:
        return self._path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.WriteTransport", transport)  # as a stream's always is
        self._transport.set_write_buffer_limits(high=BUFFER)
        self._transport.write(control_frame(_READY, with_type=True))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol: readers send ACCEPT, and FINISH in the end."""
        self._received += data
        try:
            while True:
                kind, types, size = take_control(self._received)
                if not size:
                    return
                self._received = self._received[size:]
                self._note(kind, types)
        except BadFrame as error:
            self._end(f"does not speak Frame Streams: {error}")

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end("the reader has gone" if exc is None else str(exc))

    def write(self, frames: bytes) -> bool:
        """See _Sink."""
        if self._transport is None or self._is_full or self.ended.done():
            return False
        self._transport.write(frames)
        return True

    async def finish(self) -> None:
        """See _Sink. A reader that does not say FINISH in time loses what is still unsent."""
        if self._transport is not None and self.accepted.done() and not self.ended.done():
            self._transport.write(control_frame(_STOP))
            try:
                async with asyncio.timeout(_FAREWELL_TIME):
                    await self._finished.wait()
            except TimeoutError:
                pass
        self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _note(self, kind: int, types: list[bytes]) -> None:
        if kind == _ACCEPT and not self.accepted.done():
            if types and CONTENT_TYPE not in types:  # without any it takes all, as in libfstrm
                self._end("the reader does not want dnstap")
            elif self._transport is not None:
                self._transport.write(control_frame(_START, with_type=True))
                self.accepted.set_result("")
        elif kind == _FINISH:
            self._finished.set()

    def _end(self, fault: str) -> None:
        self._finished.set()
        for future in (self.accepted, self.ended):
            if not future.done():
                future.set_result(fault)
        self.abort()


async def _connected(path: str) -> _Stream | str:
    """A connection to a reader that wants dnstap, or why there is none."""
    stream = _Stream(path)
    try:
        async with asyncio.timeout(_HANDSHAKE_TIME):
            await asyncio.get_running_loop().create_unix_connection(lambda: stream, path)
            fault = await stream.accepted
    except TimeoutError:
        fault = "no Frame Streams handshake in time"
    except OSError as error:
        fault = error.strerror or str(error)
    except BaseException:
        stream.abort()
        raise
    if fault:
        stream.abort()
        return fault
    return stream


class _File:
    """A file that one process writes: frames between START and STOP. What a full disk tears is taken back."""

    def __init__(self, path: Path) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _MODE)
        try:
            self._size = os.write(self._descriptor, control_frame(_START, with_type=True))
        except OSError:
            os.close(self._descriptor)
            path.unlink(missing_ok=True)
            raise

    def __str__(self) -> str:
        return str(self._path)

    def write(self, frames: bytes) -> bool:
        """See _Sink."""
        try:
            written = os.write(self._descriptor, frames)
            if written < len(frames):
                os.ftruncate(self._descriptor, self._size)
                return False
        except OSError:
            return False
        self._size += written
        return True

    async def finish(self) -> None:
        """See _Sink."""
        self.write(control_frame(_STOP))
        os.close(self._descriptor)


def _created(path: Path) -> _File | str:
    """A new file, or why there is none. Its name ends in time and process: no stream may begin inside another."""
    now = datetime.now(UTC)
    try:
        return _File(path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%SZ}-{os.getpid()}"))
    except OSError as error:
        return error.strerror or str(error)
