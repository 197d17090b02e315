"""Owns the seam between the listeners and one generation's snapshot, health included; refuses to know sockets and files."""

from __future__ import annotations

from random import randrange
from time import monotonic, perf_counter

from geodns import answer, server
from geodns.daemon.sampling import Sampler

STAY, LEAVE = b"\0", b"\1"
"""What the tide tells: clients may stay, or are asked to leave because this instance is draining."""


class Responder:
    """What the listeners call, in one process. It looks whether any standing has changed: once a batch, when `datagram` is read,
    and for each message of a connection. `tide` tells whether clients of connections are asked to leave.

    It is made before processes are forked, which share what it has compiled, and counts for itself in each of them.
    """

    def __init__(
        self, snapshot: answer.Snapshot, board: server.Board, ledger: answer.Ledger, tide: server.Board | None = None
    ) -> None:
        self.snapshot = snapshot
        self._board = board
        self._tide = tide
        self._seen = board.version
        self.observer: server.Observer | None = None
        self._moment = answer.Moment(board.read(), randrange)
        self._census = answer.Census(ledger)
        self._compiled = answer.compile_answers(snapshot, self._census, self._moment.standings)
        self._sampler = Sampler(snapshot, self._census)
        self._census.settle()
        self._datagram = answer.matcher(snapshot, self._compiled, self._census, self._general, randrange)

    @property
    def tally(self) -> list[int]:
        """What this process has counted, by number."""
        return self._census.tally

    @property
    def datagram(self) -> answer.Datagram:
        """The function that answers datagrams, with the standings of now."""
        self._look()
        if self._sampler.is_needed and self._sampler.wanted(monotonic()):
            return self._looked_at
        return self._datagram

    def _look(self) -> None:
        """Take over what has become of the standings, if anything has."""
        if self._board.version != self._seen:
            self._seen = self._board.version
            self._moment = answer.Moment(self._board.read(), randrange)
            self._compiled.refresh(self._moment.standings)

    def _looked_at(self, octets: bytes, source: bytes) -> bytes | None:
        """Answer as ever, and look at the first query of a batch."""
        now = monotonic()
        if self._sampler.wanted(now):
            self._sampler.look(octets, source, self._moment, now)
        return self._datagram(octets, source)

    def _general(self, octets: bytes, source: bytes) -> bytes | None:
        began = perf_counter()
        reply = answer.respond(self.snapshot, octets, answer.sender(source), self._moment, self._census)
        self._census.note_seconds(perf_counter() - began)
        return reply

    def stream(self, octets: bytes, source: bytes) -> bytes | None:
        """The reply to one message of a connection, with the standings of now."""
        self._look()
        began = perf_counter()
        leave = self._tide is not None and self._tide.read() != STAY
        reply = answer.respond(self.snapshot, octets, answer.sender(source), self._moment, self._census, stream=True, leave=leave)
        self._census.note_seconds(perf_counter() - began)
        if self.observer and self.observer.picks(1):
            self.observer.offer(octets, reply, source, "tcp")
        return reply
