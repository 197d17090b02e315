"""Owns the gate: sockets, batches, connections and their limits; knows of DNS only framing and a header's size."""

from __future__ import annotations

from .addresses import address_of, sockaddr_of, source_port
from .batch import Batch, PortableBatch, UdpCounters
from .responder import Responder
from .tcp import TcpCounters, TcpListener, bind_tcp
from .udp import UdpListener, bind_udp, receive_buffer_size

__all__ = [
    "Batch",
    "PortableBatch",
    "Responder",
    "TcpCounters",
    "TcpListener",
    "UdpCounters",
    "UdpListener",
    "address_of",
    "bind_tcp",
    "bind_udp",
    "receive_buffer_size",
    "sockaddr_of",
    "source_port",
]
