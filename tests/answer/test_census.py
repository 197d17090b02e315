"""What is counted of each reply: labels that no sender can make up, who decided, which scope, how long it took."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import LATENCIES, QUIET, Census, How, Ledger, Moment, Snapshot, Steering, Trust, compile_answers, respond
from geodns.answer.census import pool_label, rule_label, type_label
from geodns.geo import Rule, parse_place
from geodns.wire import Opcode, Type
from tests.support.pools import DOWN, Server, pool_of, standings
from tests.support.world import place, question, snapshot_of

ZONE = """
$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
www GEO continent:EU A 198.51.100.1
www GEO apac A 198.51.100.2
app POOL app
app A 192.0.2.9
mail POOL mail
mail A 192.0.2.8
"""
DATABASE: dict[str, dict[str, object]] = {
    "81.0.0.0/8": {"continent": "EU", "latitude": 50.1, "longitude": 8.7},
    "133.0.0.0/8": {"continent": "AS", "latitude": 35.7, "longitude": 139.7},
    "8.8.8.0/24": {"continent": "NA", "anycast": True},
}
SERVERS = [Server("fra/a", ("192.0.2.11",)), Server("tyo/b", ("192.0.2.12",))]
POOLS = [pool_of("app", SERVERS, steering=Steering.NEAREST), pool_of("mail", SERVERS, 10, steering=Steering.FAILOVER)]


def world(trust: tuple[str, ...] = ("0.0.0.0/0", "::/0"), *, ecs: bool = True) -> Snapshot:
    return snapshot_of(
        {"example.": ZONE},
        databases=[DATABASE],
        networks={"77.0.0.0/8": {"continent": "EU", "latitude": 50.1, "longitude": 8.7}},
        regions={"apac": ("continent:AS",)},
        pools=POOLS,
        trust=trust,
        ecs=ecs,
    )


def census_of(snapshot: Snapshot) -> Census:
    census = Census(Ledger())
    compile_answers(snapshot, census)
    census.settle()
    return census


def told(census: Census) -> Counter[tuple[str, ...]]:
    """All counters that are not 0, by name."""
    return +Counter(dict(zip(census.ledger.names, census.tally, strict=True)))


def one(snapshot: Snapshot, asked: str, source: str, subnet: str | None, moment: Moment = QUIET) -> set[tuple[str, ...]]:
    """What one query by TCP adds; each counter once."""
    census = census_of(snapshot)
    respond(snapshot, question(asked, client_subnet=subnet).to_wire(), place(source), moment, census, stream=True)
    found = told(census)
    assert {1} == set(found.values())
    return set(found)


def reply(how: How, rcode: str = "NOERROR", rdtype: str = "A") -> tuple[str, ...]:
    return ("reply", "tcp", rdtype, rcode, "", str(int(how)))


QUERY = ("opcode", "QUERY")
NOTED: list[tuple[str, str, str | None, set[tuple[str, ...]]]] = [
    ("ns.example. A", "81.0.0.1", None, {reply(How.SAME_FOR_ALL)}),
    ("ns.example. A", "81.0.0.1", "81.1.0.0/24", {reply(How.SAME_FOR_ALL_WITH_SUBNET)}),
    ("no.example. AAAA", "81.0.0.1", None, {reply(How.SAME_FOR_ALL, "NXDOMAIN", "AAAA")}),
    ("elsewhere.test. TYPE999", "81.0.0.1", None, {reply(How.SAME_FOR_ALL, "REFUSED", "other")}),
    ("www.example. A", "81.0.0.1", None, {reply(How.BY_SENDER), ("choice", "rule:continent")}),
    ("www.example. A", "77.0.0.1", None, {reply(How.BY_NETWORK), ("choice", "rule:continent")}),
    ("www.example. A", "9.9.9.9", None, {reply(How.NOBODY), ("choice", "rule:fallback")}),
    ("www.example. A", "9.9.9.9", "133.1.2.0/24", {reply(How.BY_SUBNET), ("choice", "rule:apac"), ("scope", "ipv4", "8")}),
    ("www.example. A", "9.9.9.9", "77.1.2.0/24",
     {reply(How.BY_NETWORK_WITH_SUBNET), ("choice", "rule:continent"), ("scope", "ipv4", "8")}),
    ("www.example. A", "81.0.0.1", "8.8.8.0/24",
     {reply(How.BY_SENDER_WITH_SUBNET), ("choice", "rule:continent"), ("scope", "ipv4", "24"), ("anycast",),
      ("anycast_source", "table 1")}),
    ("www.example. A", "81.0.0.1", "0.0.0.0/0", {reply(How.BY_SENDER_WITH_SUBNET), ("choice", "rule:continent")}),
    ("app.example. A", "133.0.0.1", None, {reply(How.BY_SENDER), ("choice", "pool:app/tyo/b")}),
    ("app.example. A", "9.9.9.9", "133.1.2.0/24",
     {reply(How.BY_SUBNET), ("choice", "pool:app/tyo/b"), ("scope", "ipv4", "8")}),
    ("mail.example. A", "133.0.0.1", None, {reply(How.SAME_FOR_ALL), ("choice", "pool:mail/fra/a")}),
    ("mail.example. A", "133.0.0.1", "81.1.0.0/24", {reply(How.SAME_FOR_ALL_WITH_SUBNET), ("choice", "pool:mail/fra/a")}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "source", "subnet", "expected"), NOTED)
def test_a_reply_is_counted_by_who_decided_and_what_was_chosen(
    asked: str, source: str, subnet: str | None, expected: set[tuple[str, ...]]
) -> None:
    """Type and response code, the rung, the rule or endpoint, the scope where a client subnet was looked at."""
    assert {*expected, QUERY} == one(world(), asked, source, subnet)


def test_a_subnet_that_is_not_believed_is_counted_as_there() -> None:
    """It is echoed, but decides nothing and has no scope worth counting."""
    found = one(world(("198.18.0.0/15",)), "www.example. A", "81.0.0.1", "133.1.2.0/24")

    assert {reply(How.BY_SENDER_WITH_SUBNET), ("choice", "rule:continent"), QUERY} == found


def test_with_client_subnets_switched_off_none_is_counted() -> None:
    """As if the query had none."""
    found = one(world(ecs=False), "www.example. A", "81.0.0.1", "133.1.2.0/24")

    assert {reply(How.BY_SENDER), ("choice", "rule:continent"), QUERY} == found


def test_the_endpoint_counted_is_the_one_that_answered() -> None:
    """After a failure it is the next; every endpoint is known beforehand, whether it is up or not."""
    moment = Moment(standings(POOLS, {"fra/a": DOWN}))

    assert ("choice", "pool:app/tyo/b") in one(world(), "app.example. A", "81.0.0.1", None, moment)
    names = {labels[1] for labels in census_of(world()).ledger.names if labels[0] == "choice"}
    assert {pool_label(pool.name, pool.label(number)) for pool in POOLS for number in range(2)} <= names


def test_nothing_new_is_to_be_counted_after_settling() -> None:
    """Standings change, counters do not: processes that share them must agree on their numbers."""
    census = Census(Ledger())
    compiled = compile_answers(world(), census)
    census.settle()
    before = census.ledger.names
    for octet in range(32):
        compiled.refresh(bytes((octet, 1, *[0] * 8, 1, octet)))

    assert before == census.ledger.names
    assert len(before) == len(census.tally)


def test_broken_messages_are_counted_without_a_type() -> None:
    """An error in reply to what is no query; silence is not counted."""
    snapshot = world()
    census = census_of(snapshot)
    octets = question("www.example. A").to_wire()
    respond(snapshot, octets[:20], place("9.9.9.9"), QUIET, census)
    respond(snapshot, b"short", place("9.9.9.9"), QUIET, census)

    assert [(("reply", "udp", "", "FORMERR", "", "0"), 1)] == [*told(census).items()]


@given(st.integers(0, 0xFFFF))
def test_no_sender_makes_up_a_type(rdtype: int) -> None:
    """A type is counted by its name if it has one that may be asked for, else with all others."""
    known = {each.name for each in Type} - {"GEO", "POOL"}
    label = type_label(rdtype)

    assert label == "other" or (label in known and Type[label] == rdtype)


RULES = [
    (None, "rule:fallback"),
    (Rule("continent:EU", (parse_place("continent:EU"),)), "rule:continent"),
    (Rule("net:192.0.2.0/24", (parse_place("net:192.0.2.0/24"),)), "rule:net"),
    (Rule("apac", (parse_place("continent:AS"),), "apac"), "rule:apac"),
]


@pytest.mark.parametrize(("rule", "label"), RULES)
def test_rules_are_counted_by_region_or_by_kind(rule: Rule | None, label: str) -> None:
    """A zone with a thousand countries makes one counter."""
    assert label == rule_label(rule)


@given(st.floats(0, 1))
def test_a_latency_falls_into_the_first_class_that_holds_it(seconds: float) -> None:
    """Bounds are inclusive, the last class is endless, and the sum is in microseconds."""
    census = Census(Ledger())
    census.settle()
    census.note_seconds(seconds)
    klass = next((number for number, bound in enumerate(LATENCIES) if seconds <= bound), len(LATENCIES))
    expected: Counter[tuple[str, ...]] = Counter({("latency", str(klass)): 1, ("latency_microseconds",): round(seconds * 1e6)})

    assert +expected == told(census)
    assert all(lower < upper for lower, upper in pairwise(LATENCIES))


def test_a_reload_keeps_counters_and_adds_new_ones() -> None:
    """The tally grows with the ledger and loses nothing."""
    ledger = Ledger()
    census = Census(ledger)
    census.settle()
    census.note_fault("udp", 1)
    before = told(census)
    compile_answers(world(), census)
    census.settle()

    assert before == told(census)
    assert len(ledger) == len(census.tally)
    assert census.expect(Type.A, "pool:app/fra/a") == census.expect(Type.A, "pool:app/fra/a")
    assert Trust().enabled
    assert {opcode.name for opcode in Opcode} == {labels[1] for labels in ledger.names if labels[0] == "opcode"}
