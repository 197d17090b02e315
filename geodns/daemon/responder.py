"""Owns the seam between the listeners and the current snapshot; refuses to know sockets and files."""

from __future__ import annotations

from geodns import answer


class Responder:
    """What the listeners call. `datagram` is the compiled matcher of the current snapshot: replaced whole, read once a batch."""

    def __init__(self, snapshot: answer.Snapshot) -> None:
        self.install(snapshot, self.compile(snapshot))

    @staticmethod
    def compile(snapshot: answer.Snapshot) -> answer.Datagram:
        """Prepare the replies of a snapshot; takes about 25 µs a record, so it is done before anything is swapped."""

        def general(octets: bytes, source: bytes) -> bytes | None:
            return answer.respond(snapshot, octets, answer.sender(source))

        return answer.matcher(snapshot, answer.compile_answers(snapshot), general)

    def install(self, snapshot: answer.Snapshot, datagram: answer.Datagram) -> None:
        """Answer from this snapshot from now on."""
        self.snapshot = snapshot
        self.datagram = datagram

    def stream(self, octets: bytes, source: bytes) -> bytes | None:
        """The reply to one message of a connection."""
        return answer.respond(self.snapshot, octets, answer.sender(source), stream=True)
