"""Owns the DNS check: one query over UDP and the judgement of its reply; refuses to know when and why."""

from __future__ import annotations

import asyncio
import secrets

import asyncio_dgram
import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dnslib

from geodns.ops.health._values import DnsCheck, Failed, Passed, shown

_UDP_OCTETS = 1232  # RFC 9715 §3.1
_ERROR_POLL = 0.1  # seconds
_SHOWN = 4  # RDATA of a reply in a message


async def check_dns(check: DnsCheck, address: str) -> Passed:
    """Ask and judge; `Failed` says what is wrong. A reply with another id is nobody's (RFC 5452 §9.1), and waited past."""
    rdtype, rcode = dns.rdatatype.from_text(check.rdtype), dns.rcode.from_text(check.rcode)
    question = dnslib.DNSQuestion(check.name.rstrip(".") or ".", int(rdtype))
    query = dnslib.DNSRecord(dnslib.DNSHeader(id=secrets.randbelow(1 << 16), rd=1), q=question)
    query.add_ar(dnslib.EDNS0(udp_len=_UDP_OCTETS))
    stream = await asyncio_dgram.connect((address, check.port))
    try:
        await stream.send(query.pack())
        octets = await _reply(stream, query.header.id)
    finally:
        stream.close()
    reply = _parsed(octets, question)
    given = dns.rcode.Rcode(reply.header.rcode | _extended_rcode(reply) << 4)
    if given != rcode:
        raise Failed(f"rcode {dns.rcode.to_text(given)}, expected {dns.rcode.to_text(rcode)}")
    return _judged(check, reply, rdtype)


async def _reply(stream: asyncio_dgram.DatagramClient, query_id: int) -> bytes:
    """The first datagram that carries the id; OSError when the network says that none will come.

    asyncio-dgram tells of an error ("port unreachable") only to the next call, so one long call would never hear it.
    """
    while True:
        try:
            async with asyncio.timeout(_ERROR_POLL) as limit:
                octets, _peer = await stream.recv()
        except TimeoutError:
            if not limit.expired():  # the network's own
                raise
            continue
        if octets[:2] == query_id.to_bytes(2, "big"):
            return bytes(octets)


def _parsed(octets: bytes, question: dnslib.DNSQuestion) -> dnslib.DNSRecord:
    if len(octets) > _UDP_OCTETS:
        raise Failed(f"reply of {len(octets)} octets, asked for {_UDP_OCTETS} at most")
    try:
        reply = dnslib.DNSRecord.parse(octets)
    except Exception:  # dnslib lets through what its many parsers raise: struct.error, RecursionError, … all mean the same
        raise Failed("the reply is no DNS message") from None
    if not reply.header.qr:
        raise Failed("the reply is a query")
    if [(asked.qname, asked.qtype, asked.qclass) for asked in reply.questions] != [
        (question.qname, question.qtype, question.qclass)
    ]:
        raise Failed("the reply is to another question")
    return reply


def _extended_rcode(reply: dnslib.DNSRecord) -> int:
    """The upper eight bits of the response code (RFC 6891 §6.1.3)."""
    return next((int(record.ttl) >> 24 for record in reply.ar if record.rtype == dns.rdatatype.OPT), 0)


def _judged(check: DnsCheck, reply: dnslib.DNSRecord, rdtype: dns.rdatatype.RdataType) -> Passed:
    records = [record for record in reply.rr if record.rtype == rdtype and record.rclass == dns.rdataclass.IN]
    try:
        given = {_rdata(record, rdtype) for record in records}
    except dns.exception.DNSException:
        raise Failed(f"the reply holds a broken {check.rdtype} record") from None
    texts = sorted(rdata.to_text() for rdata in given)
    words = shown(", ".join(texts[:_SHOWN])) + (", …" if len(texts) > _SHOWN else "") or "empty"
    expected = {
        dns.rdata.from_text("IN", rdtype, text, dns.name.root, relativize=False)  # compared as RDATA: 2001:DB8::1 is 2001:db8::1
        for text in check.expect_answer
    }
    if expected and given != expected:
        if reply.header.tc:
            raise Failed("the reply is truncated")
        raise Failed(f"DNS answer {words}, expected {', '.join(check.expect_answer)}")
    return Passed(words if check.rcode == "NOERROR" else f"rcode {check.rcode}")


def _rdata(record: dnslib.RR, rdtype: dns.rdatatype.RdataType) -> dns.rdata.Rdata:
    """The record's data as dnspython has it, by way of the wire: dnslib's text of it is no master file's."""
    buffer = dnslib.DNSBuffer()
    record.rdata.pack(buffer)
    return dns.rdata.from_wire(dns.rdataclass.IN, rdtype, bytes(buffer.data), 0, len(buffer.data))
