"""Owns batches by Linux's recvmmsg(2) and sendmmsg(2), through ctypes: memory is made once and no address is decoded."""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from struct import Struct
from typing import Any

from .addresses import SOCKADDR_IN, SOCKADDR_IN6, destination_control
from .batch import LARGEST_DATAGRAM, UdpCounters

_SEND_RETRIES = 3  # for each batch: how often a full queue is waited for before the rest of the batch is dropped
_SEND_WAIT = 1  # ms

_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_NOTHING_QUEUED = frozenset({errno.EAGAIN, errno.EINTR})

_WIDE, _HALF = "L", "I"  # unsigned long is as wide as a pointer and as size_t in every ABI of Linux


class Unavailable(Exception):
    """This platform has no recvmmsg and sendmmsg that could be called."""


class _Vector(ctypes.Structure):  # struct iovec
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):  # struct msghdr
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):  # struct mmsghdr
    _fields_ = (("message", _Message), ("length", ctypes.c_uint))


class _Area:
    """Memory with a fixed address that the kernel fills: `size` items of `stride` octets."""

    __slots__ = ("_pin", "address", "memory", "size", "stride")

    def __init__(self, size: int, stride: int) -> None:
        self.size, self.stride = size, stride
        self.memory = bytearray(size * stride)
        self._pin = (ctypes.c_char * len(self.memory)).from_buffer(self.memory)
        self.address = ctypes.addressof(self._pin)

    def addresses(self) -> array[int]:
        """Where each item begins."""
        return array(_WIDE, range(self.address, self.address + self.size * self.stride, self.stride))

    def field(self, offset: int, kind: str) -> memoryview:
        """One number of every item, `offset` octets into it, as a strided view: a batch moves in one assignment."""
        view = memoryview(self.memory).cast(kind)  # type: ignore[call-overload]  # typeshed knows literals only
        return view[offset // view.itemsize :: self.stride // view.itemsize]  # type: ignore[no-any-return]


class _Headers:
    """A vector of mmsghdr with one iovec each, and views on those fields of theirs that change."""

    __slots__ = (
        "address",
        "area",
        "bases",
        "control_lengths",
        "controls",
        "flags",
        "lengths",
        "names",
        "sizes",
        "vectors",
    )

    def __init__(self, names: _Area, controls: _Area | None) -> None:
        self.area = _Area(names.size, ctypes.sizeof(_Header))
        self.vectors = _Area(names.size, ctypes.sizeof(_Vector))
        self.address = self.area.address
        self.bases = self.vectors.field(_Vector.base.offset, _WIDE)
        self.lengths = self.vectors.field(_Vector.length.offset, _WIDE)
        self.names = self.area.field(_Message.name.offset, _WIDE)
        self.controls = self.area.field(_Message.control.offset, _WIDE)
        self.control_lengths = self.area.field(_Message.control_length.offset, _WIDE)
        self.flags = self.area.field(_Message.flags.offset, _HALF)
        self.sizes = self.area.field(_Header.length.offset, _HALF)
        self.names[:] = names.addresses()
        self.area.field(_Message.name_length.offset, _HALF)[:] = array(_HALF, [names.stride] * names.size)
        self.area.field(_Message.vector.offset, _WIDE)[:] = self.vectors.addresses()
        self.area.field(_Message.vector_length.offset, _WIDE)[:] = array(_WIDE, [1] * names.size)
        if controls:
            self.controls[:] = controls.addresses()


class MessageBatch:
    """A batch that one system call fills and one sends; the reply goes out with the very address octets that came in.

    Raises Unavailable where the platform lacks the system calls.
    """

    __slots__ = (
        "_asked",
        "_control_lengths",
        "_controls",
        "_counters",
        "_descriptor",
        "_incoming",
        "_interfaces",
        "_name_addresses",
        "_names",
        "_no_interfaces",
        "_outgoing",
        "_ports",
        "_receive",
        "_rows",
        "_send",
        "_size",
        "_slots",
        "_sources",
        "_writable",
        "datagrams",
        "sources",
    )

    def __init__(self, sock: socket.socket, size: int, counters: UdpCounters, *, tell_destination: bool) -> None:
        self._receive, self._send = _system_calls()
        self._size = size
        self._counters = counters
        self._descriptor = sock.fileno()
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)
        self._names = _Area(size, SOCKADDR_IN6 if sock.family == socket.AF_INET6 else SOCKADDR_IN)
        self._name_addresses = self._names.addresses()
        self._sources = [Struct(f"{self._names.stride}s" * count) for count in range(size + 1)]
        self._ports = self._names.field(2, "H")
        self._asked = tell_destination
        self._controls = self._make_controls(sock) if tell_destination else None
        self._incoming = _Headers(self._names, self._controls)
        self._outgoing = _Headers(self._names, self._controls)
        self._control_lengths = array(_WIDE, [self._controls.stride if self._controls else 0] * size)
        self._incoming.control_lengths[:] = self._control_lengths
        octets = _Area(size, LARGEST_DATAGRAM)
        self._incoming.bases[:] = octets.addresses()
        self._incoming.lengths[:] = array(_WIDE, [LARGEST_DATAGRAM] * size)
        # Measured: slicing a ctypes array gives bytes in 88 ns; memoryview.tobytes takes 147, bytes(bytearray[…]) 340.
        row = ctypes.c_char * LARGEST_DATAGRAM
        self._rows: list[Any] = [row.from_buffer(octets.memory, at * LARGEST_DATAGRAM) for at in range(size)]
        self._slots: Sequence[int] = range(0)
        self.datagrams: Sequence[bytes] = ()
        self.sources: Sequence[bytes] = ()

    def _make_controls(self, sock: socket.socket) -> _Area:
        control = destination_control(sock)
        if control is None:
            raise Unavailable("no control message tells a datagram's destination")
        area = _Area(self._size, socket.CMSG_SPACE(control.size))
        header = socket.CMSG_LEN(0)
        self._interfaces = area.field(header + control.interface, _HALF)
        self._no_interfaces = array(_HALF, [0] * self._size)
        return area

    def receive(self) -> int:
        """See Batch.receive."""
        count: int = self._receive(self._descriptor, self._incoming.address, self._size, socket.MSG_DONTWAIT, None)
        if count <= 0:
            if count and ctypes.get_errno() not in _NOTHING_QUEUED:
                self._counters.receive_errors += 1
            self._slots = range(0)
            self.datagrams = self.sources = ()
            return 0
        incoming = self._incoming
        lengths = incoming.sizes[:count].tolist()
        self.datagrams = [row[:length] for row, length in zip(self._rows, lengths, strict=False)]
        self.sources = self._sources[count].unpack_from(self._names.memory)
        self._slots = range(count)
        if self._asked:
            self._turn_round(count)
        if any(incoming.flags[:count].tolist()) or not all(self._ports[:count].tolist()):
            self._leave_out(count)
        return count

    def _turn_round(self, count: int) -> None:
        """Make control messages received into ones to send.

        On Linux `ipi_spec_dst` as received is the address that was asked, or a proper one of ours where that was a
        broadcast address; sent, it is the source (ip(7)). The interface is set to 0, so that the routing table chooses
        the way back. Lengths are copied, because a datagram that came without a control message must not send its
        predecessor's.
        """
        self._interfaces[:] = self._no_interfaces
        self._outgoing.control_lengths[:count] = self._incoming.control_lengths[:count]
        self._incoming.control_lengths[:] = self._control_lengths

    def _leave_out(self, count: int) -> None:
        kept = []
        flags, ports = self._incoming.flags[:count].tolist(), self._ports[:count].tolist()
        for slot, (flag, port) in enumerate(zip(flags, ports, strict=True)):
            if flag & socket.MSG_TRUNC:
                self._counters.oversized += 1
            elif not port:
                self._counters.portless += 1
            else:
                kept.append(slot)
        self.datagrams = [self.datagrams[slot] for slot in kept]
        self.sources = [self.sources[slot] for slot in kept]
        self._slots = range(count) if len(kept) == count else kept

    def send(self, replies: Sequence[bytes | None]) -> None:
        """See Batch.send."""
        spoken = [reply for reply in replies if reply is not None]
        count = len(spoken)
        if count < len(replies) or type(self._slots) is list:
            slots = [slot for slot, reply in zip(self._slots, replies, strict=True) if reply is not None]
            self._counters.silent += len(replies) - count
            if slots:
                self._send_from(slots, spoken)
        elif count:
            self._send_all(spoken)

    def _send_from(self, slots: list[int], replies: list[bytes]) -> None:
        """Send replies whose datagrams lie in scattered slots: headers point there for this once."""
        outgoing, count = self._outgoing, len(slots)
        outgoing.names[:count] = array(_WIDE, map(self._name_addresses.__getitem__, slots))
        if self._controls:
            addresses = self._controls.addresses()
            lengths = outgoing.control_lengths.tolist()
            outgoing.controls[:count] = array(_WIDE, map(addresses.__getitem__, slots))
            outgoing.control_lengths[:count] = array(_WIDE, map(lengths.__getitem__, slots))
        self._send_all(replies)
        outgoing.names[:] = self._name_addresses
        if self._controls:
            outgoing.controls[:] = addresses

    def _send_all(self, replies: list[bytes]) -> None:
        outgoing, count = self._outgoing, len(replies)
        joined = b"".join(replies)  # the kernel reads it in place: it lives until this function returns
        lengths = array(_WIDE, map(len, replies))
        outgoing.lengths[:count] = lengths
        start = ctypes.cast(joined, ctypes.c_void_p).value or 0  # type: ignore[arg-type]  # bytes may be cast
        lengths.pop()
        outgoing.bases[:count] = array(_WIDE, accumulate(lengths, initial=start))
        if (sent := self._send(self._descriptor, outgoing.address, count, socket.MSG_DONTWAIT)) == count:
            self._counters.replies += count
        else:
            self._send_rest(max(0, sent), count)

    def _send_rest(self, sent: int, count: int) -> None:
        """Go on after a short call: one bad destination loses one reply, a queue that stays full loses the rest."""
        at, retries = sent, _SEND_RETRIES
        while at < count:
            done = self._send(self._descriptor, self._outgoing.address + at * _HEADER, count - at, socket.MSG_DONTWAIT)
            if done > 0:
                at += done
                sent += done
                continue
            match ctypes.get_errno():
                case errno.EINTR:
                    continue
                case code if code in _FULL:
                    if not retries:
                        break
                    retries -= 1
                    self._writable.poll(_SEND_WAIT)
                case _:
                    at += 1
        self._counters.replies += sent
        self._counters.send_drops += count - sent


_HEADER = ctypes.sizeof(_Header)


def _system_calls() -> tuple[Callable[..., int], Callable[..., int]]:
    if sys.platform != "linux":  # elsewhere the structures of the same names are laid out otherwise
        raise Unavailable("recvmmsg is used on Linux only")
    try:
        library: Any = ctypes.CDLL(None, use_errno=True)
        receive, send = library.recvmmsg, library.sendmmsg
    except (AttributeError, OSError) as error:
        raise Unavailable(str(error)) from error
    receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    return receive, send
