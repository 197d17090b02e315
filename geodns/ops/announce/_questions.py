"""Owns what a daemon is asked on the wire and which answers are right; refuses to know sockets and policies."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dnslib import QTYPE, RCODE, RR, DNSBuffer, DNSError, DNSRecord


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what must come: `answer` is the last RRset's RDATA in presentation form.

    `subnet` names the client, "" for nobody. `pool` is the pool that answers, "" for none: it may draw any of the addresses.
    `serial` is that of the zone, for SOA.
    """

    name: str
    type: str
    subnet: str = ""
    answer: tuple[str, ...] = ()
    rcode: str = "NOERROR"
    pool: str = ""
    serial: int | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.type}" + (f" for {self.subnet}" if self.subnet else "")


def fault(question: Question, reply: DNSRecord) -> str:
    """What is wrong with a reply; "" if nothing is."""
    rcode = str(RCODE.get(reply.header.rcode, reply.header.rcode))
    if rcode != question.rcode:
        return f"{question}: {question.rcode} is expected, {rcode} came"
    if not reply.header.aa and rcode in {"NOERROR", "NXDOMAIN"}:
        return f"{question}: the answer is not authoritative"
    last = reply.rr[-1] if reply.rr else None
    got = sorted(_text(each) for each in reply.rr if last and (each.rname, each.rtype) == (last.rname, last.rtype))
    if question.serial is not None:
        serial = int(last.rdata.times[0]) if last is not None and last.rtype == QTYPE.SOA else None
        return "" if serial == question.serial else f"{question}: serial {question.serial} is expected, {serial or 'none'} came"
    wanted = sorted(normal(text, _number(last.rtype if last is not None else question.type)) for text in question.answer)
    if got == wanted or (question.pool and got and set(got) <= set(wanted)):
        return ""
    expected, came = (", ".join(texts) or "no records" for texts in (wanted, got))
    return f"{question}: expected {expected}, got {came}"


def shape_fault(question: Question, reply: DNSRecord) -> str:
    """As `fault`, where another instance may have data of its own: its kind of answer must be right, not each value."""
    rcode = str(RCODE.get(reply.header.rcode, reply.header.rcode))
    if rcode != question.rcode:
        return f"{question}: {question.rcode} is expected, {rcode} came"
    if not reply.header.aa and rcode in {"NOERROR", "NXDOMAIN"}:
        return f"{question}: the answer is not authoritative"
    wants_records = bool(question.answer) or question.serial is not None
    return f"{question}: records are expected, none came" if wants_records and not reply.rr else ""


def _number(rdtype: int | str) -> int:
    return int(dns.rdatatype.from_text(rdtype)) if isinstance(rdtype, str) else int(rdtype)


def _text(record: RR) -> str:
    """RDATA as `normal` writes it: out of its octets, for the text of other libraries is another for some types, such as TXT."""
    buffer = DNSBuffer()
    try:
        record.rdata.pack(buffer)
        found = dns.rdata.from_wire(
            dns.rdataclass.IN, dns.rdatatype.RdataType.make(record.rtype), bytes(buffer.data), 0, len(buffer.data)
        )
    except (dns.exception.DNSException, DNSError, ValueError, IndexError, struct.error):
        return str(record.rdata)
    return _shown(found)


def normal(text: str, rdtype: int) -> str:
    """RDATA text as dnspython would write it, so that spelling does not matter; unreadable text stays as it is."""
    try:
        found = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), text)
    except (dns.exception.DNSException, ValueError):
        return text
    return _shown(found)


def _shown(found: dns.rdata.Rdata) -> str:
    return found.to_text().lower() if _has_names(found) else found.to_text()


def _has_names(found: dns.rdata.Rdata) -> bool:
    """Whether it is made of domain names, whose case means nothing."""
    return hasattr(found, "target") or hasattr(found, "exchange") or hasattr(found, "mname")
