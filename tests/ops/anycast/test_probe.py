"""The live look at an address, on loopback: what is seen, and what cannot be."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest
from dnslib import PTR, QTYPE, RCODE, RR, DNSRecord

from geodns.geo.evidence import Claim, Evidence, Signal
from geodns.geo.location import Location
from geodns.geo.nearness import Spot
from geodns.ops.anycast import Look, Server, probe
from tests.support.daemons import free_port
from tests.support.instances import Respond, identity, instances

SYDNEY = Location(country="AU", latitude=-33.9, longitude=151.2)
BERLIN = Spot(52.5, 13.4)


def named(asked: DNSRecord, name: str = "") -> DNSRecord:
    reply = asked.reply()
    assert "1.0.0.127.in-addr.arpa." == str(asked.q.qname)
    assert asked.header.rd
    if name:
        reply.add_answer(RR(asked.q.qname, QTYPE.PTR, ttl=60, rdata=PTR(name)))
    return reply


def failing(asked: DNSRecord, rcode: str) -> DNSRecord:
    reply = asked.reply()
    reply.header.rcode = getattr(RCODE, rcode)
    return reply


async def seen(respond: Respond | None, resolver: Respond | None, here: Spot | None = BERLIN) -> dict[Signal, Evidence]:
    """What a look at 127.0.0.1 gives, by signal."""
    with instances(*([respond] * 3 if respond else [])) as port, instances(*([resolver] if resolver else [])) as other:
        look = Look(port, 4, 0.3, here, Server("127.0.0.1", other), date(2026, 11, 22))
        found = await probe("127.0.0.1", look, SYDNEY, "table")
    assert ["2026-11-22"] * len(found) == [item.as_of for item in found]
    return {item.signal: item for item in found}


async def test_everything_is_looked_at() -> None:
    """Identity, round trip, reverse name and path are there, each with what it supports."""
    found = await seen(partial(identity, nsid=b"ams1", names={}), partial(named, name="anycast.example.net"))

    assert [
        (Signal.IDENTITY, Claim.NOTHING),
        (Signal.ROUND_TRIP, Claim.MISPLACED),
        (Signal.REVERSE_NAME, Claim.ANYCAST),
        (Signal.PATH, Claim.NOTHING),
    ] == [(signal, item.supports) for signal, item in found.items()]
    assert "anycast.example.net." == found[Signal.REVERSE_NAME].observed


@pytest.mark.parametrize(
    ("resolver", "observed"),
    [
        (named, "the address has no name"),
        (partial(failing, rcode="NXDOMAIN"), "the address has no name"),
        (partial(failing, rcode="SERVFAIL"), "does not tell: SERVFAIL"),
        (partial(failing, rcode="REFUSED"), "does not tell: REFUSED"),
        (lambda asked: None, "is silent: no reply in 0.3 s"),
        (None, "Connection refused"),
    ],
)
async def test_no_name_has_its_reason(resolver: Respond | None, observed: str) -> None:
    """An address without a name is not the same as a resolver that does not tell it."""
    found = await seen(partial(identity, nsid=b"ams1", names={}), resolver)

    assert found[Signal.REVERSE_NAME].observed.endswith(observed)


async def test_without_dns_a_handshake_tells_the_round_trip() -> None:
    """Where no DNS server answers, that is said, and a refused TCP connection is timed instead."""
    found = await seen(None, named)

    assert "nothing answered: Connection refused" == found[Signal.IDENTITY].observed
    assert "TCP handshake" == found[Signal.ROUND_TRIP].source


async def test_nothing_is_raised_for_an_address_without_a_way() -> None:
    """No route, no resolver: the evidence says so, item by item."""
    look = Look(free_port(), 2, 0.1, None, Server("255.255.255.255", 53), date(2026, 11, 22))
    found = {item.signal: item for item in await probe("255.255.255.255", look, SYDNEY, "table")}

    assert {Signal.REVERSE_NAME, Signal.PATH} == set(found)
    assert found[Signal.REVERSE_NAME].observed.endswith("cannot be reached")
    assert found[Signal.PATH].observed.startswith("not possible here: ")
