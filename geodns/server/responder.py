"""Owns the seam between sockets and answers, where our own faults become SERVFAIL; knows no message but its header."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from traceback import extract_tb
from typing import Literal, Protocol

HEADER = 12  # octets of a message header, RFC 1035 §4.1.1

_RESPONSE, _OPCODE, _RECURSION_DESIRED, _SERVFAIL = 0x80, 0x78, 0x01, 2

_log = logging.getLogger("geodns.server")


class Responder(Protocol):
    """What a listener calls for every message; `source` is the raw socket address that the kernel gave."""

    def datagram(self, octets: bytes, source: bytes) -> bytes | None:
        """The reply to one datagram, or None for silence."""
        ...

    def stream(self, octets: bytes, source: bytes) -> bytes | None:
        """The reply to one message of a connection, at most 65,535 octets, or None for no reply."""
        ...


class Observer(Protocol):
    """Who looks at some of the datagrams that a listener has answered."""

    def picks(self, count: int) -> Sequence[int]:
        """Which of the next `count` datagrams are wanted, from 0."""
        ...

    def offer(self, octets: bytes, reply: bytes | None, source: bytes, transport: Literal["udp", "tcp"]) -> None:
        """One of them with its reply and the raw socket address of its sender; must not wait."""
        ...


class FaultBoundary:
    """Turns an exception out of a responder into a reply, and logs each distinct one once."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: set[tuple[type[Exception], str, int]] = set()

    def reply(self, fault: Exception, query: bytes) -> bytes | None:
        """SERVFAIL for this query, None where it cannot be answered; logs the query in hex if type and place are new."""
        frames = extract_tb(fault.__traceback__)
        filename, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)
        if (place := (type(fault), filename, line)) not in self._seen:
            self._seen.add(place)
            _log.error("a fault of our own, answered with SERVFAIL; the query was %s", query.hex(), exc_info=fault)
        return servfail(query)


def servfail(query: bytes) -> bytes | None:
    """A header-only SERVFAIL with the query's id, opcode and RD (RFC 1035 §4.1.1).

    None, so that no loop between servers can begin, where the query is itself a response or is too short for a header.
    """
    if len(query) < HEADER or query[2] & _RESPONSE:
        return None
    return query[:2] + bytes((_RESPONSE | query[2] & (_OPCODE | _RECURSION_DESIRED), _SERVFAIL)) + bytes(8)
