"""Owns reading a query: octets to a `Query`, or a fault that carries its own reply; refuses to know zones and clients."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from geodns.wire.edns import DO, BadOption, Edns, parse_options, render_opt, render_options
from geodns.wire.names import MAX_NAME, Name
from geodns.wire.records import ExtendedError, Opcode, Option, Rcode, Type

HEADER = struct.Struct("!HHHHHH")
_QUESTION_TAIL = struct.Struct("!HH")
_RECORD_HEAD = struct.Struct("!HHIH")

QR, AA, TC, RD = 0x8000, 0x0400, 0x0200, 0x0100
OPCODE_MASK, OPCODE_SHIFT = 0x7800, 11
HEADER_SIZE = 12
SERVER_PAYLOAD_SIZE = 1232  # RFC 9715 §3.1, and what the DNS Flag Day of 2020 settled on


class QueryFault(Exception):
    """A message that gets no answer from the zones: `reply` is what to send back, None means silence."""

    def __init__(self, reply: bytes | None, why: str) -> None:
        super().__init__(why)
        self.reply = reply


class FormErr(QueryFault):
    """The peer's fault: a message that breaks the format (RFC 1035 §4.1.1)."""


class NotImplementedOpcode(QueryFault):
    """A kind of message this server does not know (RFC 1035 §4.1.1, RCODE 4)."""


class Silence(QueryFault):
    """Octets that must not be answered: a response, or nothing that could be one."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question and what its sender can take.

    `question` is the question section as sent, octet for octet (0x20 mixed case survives); `name` its name in lower case.
    """

    id: int
    opcode: int
    recursion_desired: bool
    question: bytes
    name: Name
    rdtype: int
    rdclass: int
    edns: Edns | None


def parse_query(octets: bytes) -> Query:
    """Read a query strictly; raises FormErr, NotImplementedOpcode or Silence, each with its reply."""
    if len(octets) < HEADER_SIZE:
        raise Silence(None, "shorter than a header")
    identifier, flags, questions, answers, authorities, additionals = HEADER.unpack_from(octets)
    if flags & QR:
        raise Silence(None, "a response")
    opcode = (flags & OPCODE_MASK) >> OPCODE_SHIFT
    if opcode not in {Opcode.QUERY, Opcode.NOTIFY}:
        raise NotImplementedOpcode(_header_reply(identifier, flags, Rcode.NOTIMP), f"opcode {opcode}")
    if questions != 1:  # RFC 9619 §4
        raise FormErr(_header_reply(identifier, flags, Rcode.FORMERR), f"{questions} questions")
    end = _name_end(octets, HEADER_SIZE)
    if not end or end + 4 > len(octets):
        raise FormErr(_header_reply(identifier, flags, Rcode.FORMERR), "a broken question")
    rdtype, rdclass = _QUESTION_TAIL.unpack_from(octets, end)
    question = octets[HEADER_SIZE : end + 4]
    name = Name(octets[HEADER_SIZE:end].lower())
    edns: Edns | None = None
    reader = _SectionReader(octets, end + 4)
    try:
        reader.skip_records(answers if opcode == Opcode.NOTIFY else _none(answers, "answer"))
        reader.skip_records(authorities if rdtype == Type.IXFR else _none(authorities, "authority"))
        edns = reader.read_additional(additionals)
    except BadOption as error:
        reply = _formerr(identifier, flags, question, opt=reader.opt_seen)
        raise FormErr(reply, str(error)) from None
    return Query(identifier, opcode, bool(flags & RD), question, name, rdtype, rdclass, edns)


def malformed(query: Query) -> FormErr:
    """The fault of a query whose options were read, and one of which is no good after all."""
    reply = _formerr(query.id, query.opcode << OPCODE_SHIFT | (RD if query.recursion_desired else 0), query.question, opt=True)
    return FormErr(reply, "a malformed option")


@dataclass(frozen=True, slots=True)
class CookieQuery:
    """A query that asks for a cookie and nothing else (RFC 7873 §5.4)."""

    id: int
    recursion_desired: bool
    dnssec_ok: bool
    cookie: bytes

    def reply(self, rcode: int, cookie: bytes, server_payload_size: int) -> bytes:
        """No question, no answer, and the COOKIE option."""
        flags = QR | (RD if self.recursion_desired else 0) | rcode & 0xF
        options = render_options([(Option.COOKIE, cookie)])
        head = HEADER.pack(self.id, flags, 0, 0, 0, 1)
        return head + render_opt(server_payload_size, rcode >> 4, 0, DO if self.dnssec_ok else 0, options)


def parse_cookie_query(octets: bytes) -> CookieQuery | None:
    """Read a query that has no question and a COOKIE option; None for all else, which `parse_query` has a reply to."""
    if len(octets) < HEADER_SIZE:
        return None
    identifier, flags, *counts, additionals = HEADER.unpack_from(octets)
    if flags & (QR | OPCODE_MASK) or any(counts):
        return None
    try:
        edns = _SectionReader(octets, HEADER_SIZE).read_additional(additionals)
    except BadOption:
        return None
    if edns is None or edns.cookie is None:
        return None
    return CookieQuery(identifier, bool(flags & RD), edns.dnssec_ok, edns.cookie)


def _none(count: int, section: str) -> int:
    if count:
        raise BadOption(f"records in the {section} section of a query")
    return 0


def _header_reply(identifier: int, flags: int, rcode: int) -> bytes:
    return HEADER.pack(identifier, QR | flags & (OPCODE_MASK | RD) | rcode, 0, 0, 0, 0)


def _formerr(identifier: int, flags: int, question: bytes, *, opt: bool) -> bytes:
    """FORMERR with OPT when the query had one, and never with a client subnet (RFC 7871 §7.2.1)."""
    head = HEADER.pack(identifier, QR | flags & (OPCODE_MASK | RD) | Rcode.FORMERR, 1, 0, 0, int(opt))
    return head + question + (render_opt(SERVER_PAYLOAD_SIZE, 0, 0, 0, b"") if opt else b"")


def _name_end(octets: bytes, at: int) -> int:
    """Where an uncompressed name ends, or 0 if it is broken; a question has nothing to point to, so no pointers."""
    start, size = at, len(octets)
    while at < size:
        length = octets[at]
        at += 1
        if not length:
            return at if at - start <= MAX_NAME else 0
        if length > 63:
            return 0
        at += length
    return 0


class _SectionReader:
    """Walks the sections behind the question; everything it refuses is BadOption."""

    def __init__(self, octets: bytes, at: int) -> None:
        self.octets = octets
        self.at = at
        self.opt_seen = False

    def _record(self) -> tuple[int, int, int, int, int]:
        """Type, class, TTL, start of RDATA and its length; moves behind the record."""
        octets, at = self.octets, self._owner_end(self.at)
        if at + 10 > len(octets):
            raise BadOption("a record that ends too early")
        rdtype, rdclass, ttl, length = _RECORD_HEAD.unpack_from(octets, at)
        start = at + 10
        if start + length > len(octets):
            raise BadOption("RDATA that runs past the message")
        self.at = start + length
        return rdtype, rdclass, ttl, start, length

    def _owner_end(self, at: int) -> int:
        octets, size, start = self.octets, len(self.octets), at
        while at < size and at - start < MAX_NAME:
            length = octets[at]
            if not length:
                return at + 1
            if length >= 0xC0:
                return at + 2
            if length > 63:
                break
            at += length + 1
        raise BadOption("a broken owner name")

    def skip_records(self, count: int) -> None:
        """Pass over records that only their framing matters of."""
        for _ in range(count):
            if self._record()[0] == Type.OPT:
                raise BadOption("OPT outside the additional section")

    def read_additional(self, count: int) -> Edns | None:
        """The OPT record's wishes, None without one; trailing octets are refused."""
        edns: Edns | None = None
        for _ in range(count):
            before = self.at
            rdtype, payload_size, ttl, start, length = self._record()
            if rdtype != Type.OPT:
                continue
            if self.opt_seen:
                raise BadOption("more than one OPT record")  # RFC 6891 §6.1.1
            self.opt_seen = True
            if self.octets[before]:
                raise BadOption("OPT with an owner that is not the root")
            version, flags = ttl >> 16 & 0xFF, ttl & 0xFFFF
            if version:  # RFC 6891 §6.1.3: nothing else of a later version may be read
                edns = Edns(max(payload_size, 512), version, bool(flags & DO))
            else:
                edns = parse_options(self.octets[start : start + length], payload_size, version, flags)
        if self.at != len(self.octets):
            raise BadOption("octets behind the last record")
        return edns


def render_query(query: Query) -> bytes:
    """The inverse of `parse_query`: one question and, if wanted, one OPT record."""
    flags = query.opcode << OPCODE_SHIFT | (RD if query.recursion_desired else 0)
    head = HEADER.pack(query.id, flags, 1, 0, 0, int(query.edns is not None)) + query.question
    if query.edns is None:
        return head
    edns, options = query.edns, list[tuple[int, bytes]]()
    if edns.nsid:
        options.append((Option.NSID, b""))
    if edns.client_subnet:
        options.append((Option.CLIENT_SUBNET, edns.client_subnet.option(0)))
    if edns.tcp_keepalive:
        options.append((Option.TCP_KEEPALIVE, b""))
    if edns.cookie is not None:
        options.append((Option.COOKIE, edns.cookie))
    if edns.extended_error:
        options.append((Option.EXTENDED_ERROR, ExtendedError.OTHER.to_bytes(2, "big")))
    return head + render_opt(edns.payload_size, 0, edns.version, DO if edns.dnssec_ok else 0, render_options(options))


def question_of(name: Name, rdtype: int, rdclass: int = 1) -> bytes:
    """The octets of a question section."""
    return name + _QUESTION_TAIL.pack(rdtype, rdclass)
