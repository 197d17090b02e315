"""Which serial each server serves: what it says, or in a word why it says none."""

from __future__ import annotations

from functools import partial

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, SOA, DNSRecord, EDNSOption

from geodns.ops.anycast import Server, serials
from tests.support.daemons import free_port
from tests.support.instances import NSID, Respond, instances


def serving(name: str, **zones: int) -> Respond:
    """A server with a name, and zones of the domain "test" with their serials."""
    return partial(_answer, name, zones)


def _answer(name: str, zones: dict[str, int], asked: DNSRecord) -> DNSRecord:
    reply = asked.reply()
    reply.header.ra = 0
    zone = str(asked.q.qname).lower().removesuffix(".test.")
    if zone not in zones:
        reply.header.rcode = RCODE.REFUSED
        reply.header.aa = 0
    else:
        reply.add_answer(RR(asked.q.qname, QTYPE.SOA, rdata=SOA("ns.test.", "host.test.", (zones[zone], 2, 3, 4, 5))))
    reply.add_ar(EDNS0(opts=[EDNSOption(NSID, name.encode())]))
    return reply


def _lame(asked: DNSRecord) -> DNSRecord:
    reply = _answer("cache", {"a": 7}, asked)
    reply.header.aa = 0
    return reply


async def test_each_server_is_asked_for_each_zone() -> None:
    """By zone, then by server, in the order given, with the name of who answered."""
    with instances(serving("fra1", a=5, b=4294967295)) as one, instances(serving("nyc1", a=7, b=0)) as other:
        told = await serials([Server("127.0.0.1", one), Server("127.0.0.1", other)], ["a.test.", "b.test."])

    assert [
        ("a.test.", one, "fra1", 5), ("a.test.", other, "nyc1", 7),
        ("b.test.", one, "fra1", 4294967295), ("b.test.", other, "nyc1", 0),
    ] == [(each.zone, each.server.port, each.instance, each.serial) for each in told]  # fmt: skip
    assert {""} == {each.fault for each in told}


@pytest.mark.parametrize(
    ("respond", "fault"),
    [
        (serving("fra1"), "REFUSED"),
        (_lame, "not authoritative"),
        (lambda asked: asked.reply(), "no SOA of this zone"),
        (lambda _asked: None, "no reply in 0.2 s"),
    ],
    ids=["refused", "lame", "no data", "silent"],
)
async def test_who_tells_no_serial_says_why(respond: Respond, fault: str) -> None:
    """A zone that is not served, a cache that answers in its place, an empty answer, silence."""
    with instances(respond) as port:
        [told] = await serials([Server("127.0.0.1", port)], ["a.test."], 0.2)

    assert (None, fault) == (told.serial, told.fault)


async def test_nobody_there_is_no_exception() -> None:
    """A port where nobody listens is a fault of that server only."""
    with instances(serving("fra1", a=5)) as port:
        told = await serials([Server("127.0.0.1", free_port()), Server("127.0.0.1", port)], ["a.test."], 0.5)

    assert [None, 5] == [each.serial for each in told]
    assert told[0].fault
