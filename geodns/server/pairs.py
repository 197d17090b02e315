"""Owns the pair of sockets, UDP and TCP, of an address, alone or one pair among equals; refuses to know who reads them."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass

from .tcp import bind_tcp
from .udp import bind_udp

_ATTEMPTS = 16  # at a port that is free for UDP and TCP alike


@dataclass(frozen=True, slots=True)
class Pair:
    """The two sockets of one address and port."""

    udp: socket.socket
    tcp: socket.socket

    @property
    def port(self) -> int:
        """The port of both."""
        port: int = self.udp.getsockname()[1]
        return port

    def close(self) -> None:
        """Give both up; a process that has inherited them keeps its own."""
        self.udp.close()
        self.tcp.close()


def bind_pairs(host: str, port: int, count: int, *, receive_buffer: int) -> tuple[Pair, ...]:
    """`count` pairs on one address, among which the kernel deals out datagrams and connections by their sources' hash.

    Port 0 gets one that is free for both. Raises OSError, with nothing left open, as the kernel gave it: also where another
    process listens there in a way that would let us share the port with it (SO_REUSEPORT, socket(7)).
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            alone = _bind(host, port, receive_buffer, shared=False)
            if count == 1:
                return (alone,)
            found = alone.port
            alone.close()
            with ExitStack() as undo:
                pairs = [_entered(undo, _bind(host, found, receive_buffer, shared=True)) for _ in range(count)]
                undo.pop_all()
                return tuple(pairs)
        except OSError:
            if port or attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _entered(undo: ExitStack, pair: Pair) -> Pair:
    undo.callback(pair.close)
    return pair


def _bind(host: str, port: int, receive_buffer: int, *, shared: bool) -> Pair:
    udp = bind_udp(host, port, receive_buffer=receive_buffer, reuse_port=shared)
    try:
        return Pair(udp, bind_tcp(host, udp.getsockname()[1], reuse_port=shared))
    except BaseException:
        udp.close()
        raise
