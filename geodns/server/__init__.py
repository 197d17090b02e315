"""Owns the gate: sockets, batches, connections and their limits; knows of DNS only framing and a header's size."""

from __future__ import annotations

from .addresses import address_of, sockaddr_of, source_port
from .batch import Batch, PortableBatch, UdpCounters
from .funnel import Funnel
from .handshakes import why_unmeasured
from .pairs import Pair, bind_pairs
from .responder import Observer, Responder
from .shared import Board, NoRow, Slate, Tally
from .tcp import TcpCounters, TcpLimits, TcpListener, bind_tcp
from .udp import UdpListener, bind_udp, kernel_drops, receive_buffer_size
from .workers import Crew, Post, Supervisor

__all__ = [
    "Batch",
    "Board",
    "Crew",
    "Funnel",
    "NoRow",
    "Observer",
    "Pair",
    "PortableBatch",
    "Post",
    "Responder",
    "Slate",
    "Supervisor",
    "Tally",
    "TcpCounters",
    "TcpLimits",
    "TcpListener",
    "UdpCounters",
    "UdpListener",
    "address_of",
    "bind_pairs",
    "bind_tcp",
    "bind_udp",
    "kernel_drops",
    "receive_buffer_size",
    "sockaddr_of",
    "source_port",
    "why_unmeasured",
]
