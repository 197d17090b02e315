"""Owns writing a response: the only place that knows section order, name compression, OPT, sizes and truncation."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from geodns.wire.edns import DO, render_opt, render_options
from geodns.wire.query import AA, HEADER, HEADER_SIZE, OPCODE_SHIFT, QR, RD, SERVER_PAYLOAD_SIZE, TC, Query
from geodns.wire.records import COMPRESSIBLE, Rcode, RRset

RECORD_HEAD = struct.Struct("!HHIH")
_LENGTH = struct.Struct("!H")
_OFFSET_BITS = 14  # RFC 1035 §4.1.4
_OFFSET = (1 << _OFFSET_BITS) - 1
_MOST_POINTERS = 8  # one behind the other in a name: Go's reader gives a message up at eleven, dnspython's at seventeen
MAX_MESSAGE = 65_535  # octets, RFC 1035 §4.2.2
MIN_UDP = 512  # octets, RFC 1035 §4.2.1


@dataclass(slots=True)
class Response:
    """What was decided, before it is encoded.

    The first `required_glue` RRsets of `additional` must fit or the message is truncated (RFC 9471 §3); the rest is dropped
    silently where it does not fit. `options` are EDNS options (code, data), sent only when the query had OPT.
    """

    rcode: int = Rcode.NOERROR
    authoritative: bool = False
    answer: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)
    additional: list[RRset] = field(default_factory=list)
    required_glue: int = 0
    options: list[tuple[int, bytes]] = field(default_factory=list)


def udp_limit(query: Query, server_payload_size: int = SERVER_PAYLOAD_SIZE) -> int:
    """Octets a UDP reply to this query may have (RFC 6891 §6.2.5)."""
    return min(query.edns.payload_size, server_payload_size) if query.edns else MIN_UDP


def render(query: Query, response: Response, limit: int, server_payload_size: int = SERVER_PAYLOAD_SIZE) -> bytes:
    """Encode a response in at most `limit` octets; sets TC only where answer, authority or required glue does not fit."""
    opt = _opt(query, response, server_payload_size)
    room = min(limit, MAX_MESSAGE) - len(opt)
    writer = _Writer(query.question)
    flags = QR | query.opcode << OPCODE_SHIFT | (RD if query.recursion_desired else 0) | response.rcode & 0xF
    if response.authoritative:
        flags |= AA
    answers = sum(map(writer.add, response.answer))
    authorities = sum(map(writer.add, response.authority))
    additionals = sum(map(writer.add, response.additional[: response.required_glue]))
    if len(writer.octets) > room:
        head = HEADER.pack(query.id, flags | TC, 1, 0, 0, 1 if opt else 0)
        return head + query.question + opt
    for rrset in response.additional[response.required_glue :]:
        before = len(writer.octets)
        count = writer.add(rrset)
        if len(writer.octets) > room:
            del writer.octets[before:]
            break  # later RRsets could point into what was removed
        additionals += count
    HEADER.pack_into(writer.octets, 0, query.id, flags, 1, answers, authorities, additionals + (1 if opt else 0))
    return bytes(writer.octets) + opt


def _opt(query: Query, response: Response, server_payload_size: int) -> bytes:
    if query.edns is None:
        return b""
    do = DO if query.edns.dnssec_ok else 0  # RFC 3225 §3: copied
    return render_opt(server_payload_size, response.rcode >> 4, 0, do, render_options(response.options))


class _Writer:
    """Appends RRsets to a message whose question is already there, compressing names.

    A name points only to one of the same case, so that data keeps its own (RFC 1035 §2.3.3). The question counts as lower case:
    how a resolver mixed it (0x20) changes nothing but the echo. `offsets` has where a name begins, and above those bits how many
    pointers reading it takes: chains of aliases that grow would make chains of pointers that some cannot read.
    """

    def __init__(self, question: bytes) -> None:
        self.octets = bytearray(HEADER_SIZE) + question
        self.offsets: dict[bytes, int] = {}
        name, at = question[:-4].lower(), 0
        while length := name[at]:
            self.offsets[name[at:]] = HEADER_SIZE + at
            at += length + 1

    def add(self, rrset: RRset) -> int:
        """Append all records of an RRset and say how many they are."""
        octets, layout = self.octets, COMPRESSIBLE.get(rrset.rdtype)
        for rdata in rrset.rdatas:
            self._name(rrset.owner)
            octets += RECORD_HEAD.pack(rrset.rdtype, rrset.rdclass, rrset.ttl, len(rdata))
            if layout is None:
                octets += rdata
                continue
            start = len(octets)
            self._compressed(rdata, *layout)
            _LENGTH.pack_into(octets, start - 2, len(octets) - start)
        return len(rrset.rdatas)

    def _compressed(self, rdata: bytes, at: int, names: int) -> None:
        self.octets += rdata[:at]
        for _ in range(names):
            end = at
            while length := rdata[end]:
                end += length + 1
            self._name(rdata[at : end + 1])
            at = end + 1
        self.octets += rdata[at:]

    def _name(self, name: bytes) -> None:
        octets, offsets, at, pointers = self.octets, self.offsets, 0, 0
        fresh: list[tuple[bytes, int]] = []
        anew = False
        while length := name[at]:
            found = None if anew else offsets.get(name[at:])
            if found is not None and found >> _OFFSET_BITS < _MOST_POINTERS:
                octets += _LENGTH.pack(0xC000 | found & _OFFSET)
                pointers = (found >> _OFFSET_BITS) + 1
                break
            anew = anew or found is not None  # a chain that is long enough is not gone on with: this name is written whole
            fresh.append((name[at:], len(octets)))
            octets += name[at : at + length + 1]
            at += length + 1
        else:
            octets.append(0)
        for suffix, offset in fresh:
            if offset <= _OFFSET:
                offsets[suffix] = offset | pointers << _OFFSET_BITS
