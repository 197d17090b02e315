"""Owns which queries are logged and the line that each gets, in the log or a file; refuses to know how one is answered."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from math import inf, log1p
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from geodns.problem import Problem, Severity
from geodns.wire import ClientSubnet, Query, QueryFault, parse_query, subnet_of, to_text

_logger = logging.getLogger("geodns.queries")

_TRY_AGAIN = 1.0  # s between looks at a file that cannot be written, or may have been renamed
_LONGEST_GAP = 1e15  # queries
_MOST_ANSWERS = 8
_LONGEST_ANSWERS = 600  # characters; with the rest of a line less than PIPE_BUF, so that no pipe tears it
_MODE = 0o640  # it says who asked for what


class Sample:
    """Which queries are logged: each with a chance of `share`, and no more than `per_second` of them.

    Nobody is asked for every query: how many are passed over until the next is drawn at once, from the geometric distribution.
    `draw` gives chances in [0, 1), such as random.random. Times are of the monotonic clock, in seconds. The bucket holds what
    comes in within one second.
    """

    def __init__(self, share: float, per_second: float, draw: Callable[[], float]) -> None:
        self._share = share
        self._per_second = per_second
        self._room = max(per_second, 1.0)
        self._draw = draw
        self._tokens = self._room
        self._filled_at = -inf
        self._skip = self._gap()
        self.refused = 0
        """Queries that were drawn and not logged, for there were too many of them."""

    def picks(self, count: int, now: float) -> Sequence[int]:
        """Which of the next `count` queries are logged, from 0, in order; mostly none, and that costs one comparison."""
        if self._skip >= count:
            self._skip -= count
            return ()
        self._fill(now)
        if self._share >= 1:
            taken = min(count, int(self._tokens))
            self._tokens -= taken
            self.refused += count - taken
            return range(taken)
        at, chosen = int(self._skip), list[int]()
        while at < count:
            if self._tokens >= 1:
                self._tokens -= 1
                chosen.append(at)
            else:
                self.refused += 1
            gap = self._gap()
            if gap >= count:
                self._skip = at + 1 + gap - count
                return chosen
            at += 1 + int(gap)
        self._skip = at - count
        return chosen

    def _fill(self, now: float) -> None:
        if self._filled_at > -inf:
            self._tokens = min(self._room, self._tokens + max(0.0, now - self._filled_at) * self._per_second)
        self._filled_at = now

    def _gap(self) -> float:
        """How many queries are passed over before the next: a whole number, or infinity."""
        if self._share <= 0:
            return inf
        if self._share >= 1:
            return 0.0  # log1p(-1) is no number
        return float(int(min(log1p(-self._draw()) / log1p(-self._share), _LONGEST_GAP)))


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line says; texts are ASCII, "" is what is unknown or was not there.

    `client` and `subnet` are addresses or prefixes, cut as the configuration wants; `answer` has "TYPE RDATA" of the answer
    section; `size` is the octets of the reply, 0 for none. `fault` says why a query was not understood.
    """

    transport: str
    client: str
    subnet: str
    name: str
    type: str
    flags: tuple[str, ...]
    rcode: str
    answer: tuple[str, ...]
    scope: str
    size: int
    fault: str

    def __str__(self) -> str:
        subnet = f" for {self.subnet}" if self.subnet else ""
        question = f"{self.name} {self.type}" if self.name else f"({self.fault})"
        scope = f" scope {self.scope}" if self.scope else ""
        answer = f": {', '.join(self.answer)}" if self.answer else ""
        said = f"{self.rcode} {'+'.join(self.flags) or '-'} {self.size}{scope}{answer}" if self.size else "no reply"
        return f"{self.transport} {self.client}{subnet} {question} -> {said}"


def entry(
    octets: bytes, reply: bytes | None, client: IPv4Address | IPv6Address, transport: str, truncate: tuple[int, int]
) -> Entry:
    """What there is to say of a query and its reply; `truncate` is how many bits of IPv4 and IPv6 addresses are shown."""
    try:
        query: Query | None = parse_query(octets)
        fault = ""
    except QueryFault as error:
        query, fault = None, str(error)
    subnet = query.edns.client_subnet if query and query.edns else None
    rcode, flags, answer, scope = _of_reply(reply) if reply else ("", (), (), "")
    if query and query.edns and query.edns.dnssec_ok:
        flags = (*flags, "do")
    return Entry(
        transport,
        _shown_address(client, truncate),
        _shown_subnet(subnet, truncate) if subnet else "",
        to_text(query.name) if query else "",
        dns.rdatatype.to_text(dns.rdatatype.RdataType.make(query.rdtype)) if query else "",
        flags,
        rcode,
        answer,
        scope,
        len(reply or b""),
        fault,
    )


def _shown_address(address: IPv4Address | IPv6Address, truncate: tuple[int, int]) -> str:
    bits = truncate[address.version == 6]
    return str(address) if bits >= address.max_prefixlen else str(subnet_of(address, bits))


def _shown_subnet(subnet: ClientSubnet, truncate: tuple[int, int]) -> str:
    if not subnet.family:
        return str(subnet)
    address = IPv4Address(subnet.address) if subnet.family == 1 else IPv6Address(subnet.address)
    return str(subnet_of(address, min(subnet.source_prefix_length, truncate[subnet.family - 1])))


def _of_reply(reply: bytes) -> tuple[str, tuple[str, ...], tuple[str, ...], str]:
    """RCODE, flags but QR, answers, and the scope prefix length of a reply; only RCODE and flags of one that is not whole."""
    try:
        message = dns.message.from_wire(reply, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return dns.rcode.to_text(dns.rcode.Rcode(reply[3] & 0xF)) if len(reply) > 3 else "", (), (), ""
    flags = tuple(word.lower() for word in dns.flags.to_text(message.flags & ~dns.flags.QR).split())
    answers: list[str] = []
    for rrset in message.answer:
        answers += (f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}" for rdata in rrset)
    scopes = [str(option.scopelen) for option in message.options if isinstance(option, dns.edns.ECSOption)]
    return dns.rcode.to_text(message.rcode()), flags, _cut(answers), "".join(scopes[:1])


def _cut(answers: list[str]) -> tuple[str, ...]:
    kept: list[str] = []
    left = _LONGEST_ANSWERS
    for text in answers[:_MOST_ANSWERS]:
        if left <= 0:
            break
        kept.append(text if len(text) <= left else f"{text[:left]}...")
        left -= len(text)
    if len(kept) < len(answers):
        kept.append(f"and {len(answers) - len(kept)} more")
    return tuple(kept)


class QueryLog:
    """Writes one line for each query that it is offered: to a file, or to the log under the name "geodns.queries".

    It never waits: what a file or pipe does not take at once is dropped and counted; what the log loses, the log counts. A file
    that was renamed or removed is made anew within a second, so that it can be rotated without telling anybody. `identity` is
    told in each line of the file, if there is one; in the log, the log tells it.
    """

    def __init__(self, file: Path | None, *, as_json: bool, truncate: tuple[int, int], identity: str = "") -> None:
        self._file = file
        self._as_json = as_json
        self._truncate = truncate
        self._instance = identity
        self._descriptor = -1
        self._identity = (0, 0)
        self._looked_at = -inf
        self._is_torn = False
        self.written = 0
        self.dropped = 0

    def open(self) -> list[Problem]:
        """Open the file, if there is one; a warning where that fails. `offer` tries again by itself."""
        if self._file is None:
            return []
        self.close()
        try:
            self._open(self._file)
        except OSError as error:
            message = f"log.queries_file: {self._file} cannot be written: {error.strerror}; queries are not logged"
            return [Problem("", 0, message, "let this user write there, or name another file", Severity.WARNING)]
        return []

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def offer(self, octets: bytes, reply: bytes | None, client: IPv4Address | IPv6Address, transport: str, at: float) -> None:
        """Log a query, its reply (None: there was none), and who asked by which transport, at Unix time `at`."""
        said = entry(octets, reply, client, transport, self._truncate)
        if self._file is None:
            _logger.info("%s", said, extra={"fields": asdict(said)})
            self.written += 1
        elif self._is_open(self._file, at) and self._write(self._line(said, at)):
            self.written += 1
        else:
            self.dropped += 1

    def _line(self, said: Entry, at: float) -> bytes:
        time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            text = json.dumps({"time": time, **({"identity": self._instance} if self._instance else {}), **asdict(said)})
        else:
            ours = f"[{ascii(self._instance)[1:-1]}] " if self._instance else ""
            text = f"{time} {ours}{said}"
        return text.encode("ascii", "backslashreplace") + b"\n"

    def _write(self, line: bytes) -> bool:
        """Whether the line has arrived whole. One that was torn, by a disk that became full, is ended first."""
        whole = b"\n" + line if self._is_torn else line
        try:
            written = os.write(self._descriptor, whole)
        except OSError:
            return False
        self._is_torn = written < len(whole) if written else self._is_torn
        return written == len(whole)

    def _is_open(self, file: Path, at: float) -> bool:
        if abs(at - self._looked_at) < _TRY_AGAIN:  # abs: the clock may have been set back
            return self._descriptor >= 0
        self._looked_at = at
        try:
            if self._descriptor >= 0:
                status = file.stat()
                if (status.st_dev, status.st_ino) == self._identity:
                    return True
        except OSError:
            pass  # it was renamed, and there is no other yet
        self.close()
        with contextlib.suppress(OSError):
            self._open(file)
        return self._descriptor >= 0

    def _open(self, file: Path) -> None:
        """Open without waiting for the reader that a named pipe may lack; raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        descriptor = os.open(file, flags, _MODE)
        status = os.fstat(descriptor)
        self._descriptor, self._identity = descriptor, (status.st_dev, status.st_ino)
        self._is_torn = False
