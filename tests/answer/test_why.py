"""A reply that says why it is what it is: to whom it may, as far as it fits, and nothing else of it changes."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import QUIET, Census, Ledger, Moment, Steering, respond
from geodns.answer.why import LONGEST
from tests.support.pools import DOWN, Server, pool_of, standings
from tests.support.world import ecs_option, place, question, snapshot_of

ZONE = """$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
www GEO continent:EU A 198.51.100.1
app POOL app
app A 192.0.2.9
who 0 WHOAMI
$GENERATE 1-90 big A 192.0.2.$
$GENERATE 1-70 near A 192.0.2.$
"""
POOL = pool_of("app", [Server("fra/a", ("192.0.2.11",)), Server("tyo/b", ("192.0.2.12",))], steering=Steering.FAILOVER)
FRIEND, STRANGER = "198.18.0.53", "198.51.100.53"
SNAPSHOT = snapshot_of(
    {"example.": ZONE},
    databases=[{"81.0.0.0/8": {"continent": "EU"}}],
    pools=[POOL],
    told_why=["198.18.0.0/15", "2001:db8::/32"],
)
WANTED = dns.edns.GenericOption(dns.edns.OptionType.EDE, b"\0\0")


def message(
    asked: str, *, subnet: str | None = "81.2.69.0/24", wanted: bool = True, size: int = 1232
) -> dns.message.QueryMessage:
    made = question(asked)
    made.id = 7
    options: list[dns.edns.Option] = [*([ecs_option(subnet)] if subnet else []), *([WANTED] if wanted else [])]
    made.use_edns(0, 0, size, options=options)
    return made


def octets_of(made: dns.message.Message, source: str = FRIEND, moment: Moment = QUIET, *, stream: bool = False) -> bytes:
    octets = respond(SNAPSHOT, made.to_wire(), place(source), moment, stream=stream)
    assert octets is not None
    return octets


def reasons(octets: bytes) -> list[tuple[int, str]]:
    """Codes and texts of the extended errors in a reply."""
    options = dns.message.from_wire(octets).options
    return [(int(option.code), option.text or "") for option in options if isinstance(option, dns.edns.EDEOption)]


ANYONE = "the records are the same for every client"
TOLD = [
    (
        "www.example. A", "81.2.69.0/24", 4,
        "rung ecs; continent EU; continent:EU is the most specific rule that names 81.2.69.0, the client subnet; scope /8",
    ),
    ("www.example. A", None, 4, "rung fallback; no address asked has a usable location: the plain records answer"),
    ("app.example. A", None, 4, "pool app, steering failover: tyo/b, for the first choice is not up: the next takes its users; "
                                "passed over: fra/a is down"),
    ("who.example. TXT", None, 4, "rung fallback; the client is told about itself (WHOAMI)"),
    ("ns.example. A", None, 0, ANYONE),
    ("ns.example. A", "81.2.69.0/24", 0, f"{ANYONE}; scope /0"),
    ("ns.example. TXT", None, 0, "ns.example. has no records of this type: NODATA"),
    ("none.example. A", None, 0, "none.example. does not exist, nor a wildcard below example.: NXDOMAIN"),
    ("www.example.org. A", None, 20, "www.example.org. is in no zone served here: REFUSED"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("asked", "subnet", "code", "text"), TOLD)
def test_a_reply_says_why(asked: str, subnet: str | None, code: int, text: str, stream: bool) -> None:
    """One extended error: that of the reply itself, or 4 where a policy chose, or 0; with rung, place and scope."""
    moment = Moment(standings([POOL], {"fra/a": DOWN}))

    assert [(code, text)] == reasons(octets_of(message(asked, subnet=subnet), moment=moment, stream=stream))


@pytest.mark.parametrize("asked", [asked for asked, *_ in TOLD if not asked.startswith("who")])
def test_only_those_who_may_and_want_to_know_are_told(asked: str) -> None:
    """Without the option, or from elsewhere, a reply is octet for octet what it was."""
    plain = octets_of(message(asked, wanted=False), STRANGER)

    assert plain == octets_of(message(asked), STRANGER)
    assert plain == octets_of(message(asked, wanted=False), FRIEND)
    assert len(plain) < len(octets_of(message(asked), FRIEND))


@given(st.integers(512, 4096), st.sampled_from(["big.example. A", "near.example. A", *(asked for asked, *_ in TOLD)]))
def test_a_reason_never_costs_an_answer(size: int, asked: str) -> None:
    """It is cut or left out before anything is truncated: sections and flags are those of the reply without it."""
    told = octets_of(message(asked, size=size))
    without = octets_of(message(asked, size=size, wanted=False))
    reply, plain = dns.message.from_wire(told), dns.message.from_wire(without)

    assert len(told) <= min(size, 1232)
    assert (plain.flags, plain.answer, plain.authority, plain.additional) == (
        reply.flags,
        reply.answer,
        reply.authority,
        reply.additional,
    )
    assert all(len(text.encode()) <= LONGEST for _code, text in reasons(told))
    assert told == without or not reply.flags & dns.flags.TC


def test_a_long_reason_is_cut_where_a_character_ends() -> None:
    """EXTRA-TEXT is UTF-8 (RFC 8914 §2) also where it is too long."""
    snapshot = snapshot_of(
        {"example.": ZONE},
        databases=[{"81.0.0.0/8": {"continent": "EU", "city": "ö" * 300}}],
        told_why=["0.0.0.0/0"],
    )
    octets = respond(snapshot, message("www.example. A").to_wire(), place(FRIEND))
    assert octets is not None
    [(code, text)] = reasons(octets)

    assert 4 == code
    assert LONGEST - 3 < len(text.encode()) <= LONGEST
    assert text.startswith("rung ecs; continent EU, city ööö")
    assert text.endswith("ö…")


def test_replies_with_a_reason_are_counted() -> None:
    """Each reply that carries a reason counts, and no other."""
    census = Census(Ledger())
    census.settle()
    for asked, source in (("www.example. A", FRIEND), ("big.example. A", FRIEND), ("www.example. A", STRANGER)):
        respond(SNAPSHOT, message(asked, size=512).to_wire(), place(source), QUIET, census)

    assert 1 == census.tally[census.ledger.number("told_why")]
