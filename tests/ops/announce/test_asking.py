"""Where a daemon is asked, how long that may take, and what is wrong with whoever does not answer right."""

from __future__ import annotations

import socket
from time import monotonic

import pytest
from dnslib import RR, DNSRecord

from geodns.ops.announce._asking import Target, ask, ask_siblings, targets
from geodns.ops.announce._questions import Question
from geodns.ops.exchange import Server
from tests.support.instances import instances, served

FOUR, SIX = "198.51.100.0/24", "2001:db8::/48"
SOA = Question("example.com", "SOA", serial=7)
LISTENING = {
    "each address": ("127.0.0.1:53", "198.51.100.53:53", "[2001:db8::53]:53"),
    "wildcards": ("0.0.0.0:53", "[::]:53"),
    "one family": ("198.51.100.53:53",),
    "a wildcard of one family": ("0.0.0.0:53",),
}
EXPECTED = {
    "each address": (["127.0.0.1:53", "198.51.100.53:53 of 198.51.100.0/24", "[2001:db8::53]:53 of 2001:db8::/48"], {}),
    "wildcards": (
        ["127.0.0.1:53", "[::1]:53", "198.51.100.53:53 of 198.51.100.0/24", "[2001:db8::53]:53 of 2001:db8::/48"],
        {},
    ),
    "one family": (["198.51.100.53:53 of 198.51.100.0/24"], {SIX: ("the daemon does not listen on 2001:db8::53",)}),
    "a wildcard of one family": (
        ["127.0.0.1:53", "198.51.100.53:53 of 198.51.100.0/24"],
        {SIX: ("the daemon does not listen on 2001:db8::53",)},
    ),
}


@pytest.mark.parametrize("case", LISTENING)
def test_the_loopback_and_each_service_address_are_asked(case: str) -> None:
    """Where the daemon says that it listens; what it does not listen on speaks against the prefix of that address."""
    found, missing = targets((FOUR, SIX), ("198.51.100.53", "2001:db8::53"), LISTENING[case])
    told = [f"{target} of {target.prefix}" if target.prefix else str(target) for target in found]

    assert EXPECTED[case] == (told, {prefix: texts for prefix, texts in missing.items() if texts})


def serial(number: int, asked: DNSRecord) -> DNSRecord:
    """An authoritative SOA."""
    reply = asked.reply()
    reply.add_answer(*RR.fromZone(f"example.com. 60 IN SOA ns.example.com. host.example.com. {number} 1 1 1 1"))
    return reply


async def test_an_answer_is_wanted_by_udp_and_by_tcp() -> None:
    """A server that answers by UDP only is not well; whatever is wrong is told with the address."""
    with instances(lambda asked: serial(7, asked)) as port:
        asked = await ask([Target(Server("127.0.0.1", port))], [SOA], 2.0)

    assert (f"127.0.0.1:{port} by TCP: Connection refused",) == asked.of_prefix(FOUR)
    assert 2 == asked.sent


async def test_the_first_question_is_asked_by_tcp_too() -> None:
    """All are asked by UDP, one is enough to know that connections are served."""
    heard: list[tuple[str, bool]] = []

    def answer(asked: DNSRecord, *, by_tcp: bool) -> DNSRecord:
        heard.append((str(asked.q.qname), by_tcp))
        return serial(7, asked)

    async with served(answer) as port:
        asked = await ask([Target(Server("127.0.0.1", port))], [SOA, Question("example.net", "SOA", serial=7)], 2.0)

    assert 3 == asked.sent
    assert [("example.com.", False), ("example.com.", True), ("example.net.", False)] == sorted(heard)


async def test_an_old_serial_is_told() -> None:
    """What the daemon has loaded is what must come."""
    with instances(lambda asked: serial(6, asked)) as port:
        asked = await ask([Target(Server("127.0.0.1", port))], [SOA], 2.0)

    assert f"127.0.0.1:{port} by UDP: example.com SOA: serial 7 is expected, 6 came" == asked.of_prefix(FOUR)[0]


async def test_silence_takes_no_longer_than_was_given() -> None:
    """However many questions there are, the first silence is enough."""
    with instances(lambda _asked: None) as port:
        began = monotonic()
        asked = await ask([Target(Server("127.0.0.1", port))], [SOA] * 30, 0.3)

    assert monotonic() - began < 2.0
    assert f"127.0.0.1:{port} by UDP: no reply in 0.3 s" == asked.of_prefix(FOUR)[0]
    assert 2 == asked.sent


async def test_an_address_of_nobody_here_is_not_asked() -> None:
    """No question is sent, for a sibling might answer it; it speaks against its own prefix alone."""
    asked = await ask([Target(Server("198.51.100.53", 53), FOUR)], [SOA], 1.0)

    assert 0 == asked.sent
    assert "198.51.100.53 is not an address of this machine" in asked.of_prefix(FOUR)[0]
    assert () == asked.of_prefix(SIX)


async def test_nothing_to_ask_is_no_good_answer() -> None:
    """A daemon without zones is not announced."""
    target = Target(Server("127.0.0.1", 53))

    assert ("127.0.0.1:53: there is nothing to ask: no zone, no expectation",) == (await ask([target], [], 1.0)).of_prefix(FOUR)


async def test_siblings_are_asked_all_at_once() -> None:
    """One that answers with another serial is well; others are told why not. Without a question who answers at all is well."""
    with instances(lambda asked: serial(3, asked)) as good, instances(lambda _asked: None) as silent:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        names = [f"127.0.0.1:{number}" for number in (good, silent, port)]
        told, greeted = await ask_siblings(names, [SOA], 0.5), await ask_siblings(names, [], 0.5)

    assert ["", "no reply in 0.5 s", "Connection refused"] == list(told.values())
    assert told == greeted
