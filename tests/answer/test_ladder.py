"""The trust ladder: whose location decides, by tables and for every mix of addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import LADDER, Asker, Attempt, Client, Rung, Snapshot, Steering, climb, explain
from geodns.answer.snapshot import Tailored
from geodns.geo import FALLBACK, FIRST_RULE, Cell, Partition, Place, State, parse, rule_of, winner
from geodns.geo.selector import NetSelector
from geodns.wire import from_text
from tests.support.cases import Case, cases
from tests.support.pools import Server, pool_of
from tests.support.random_worlds import LADDERED, World, clients
from tests.support.world import ask, atlas_of, place, question, snapshot_of, subnet

CASES = cases("subnets")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_client_gets_the_answer_of_its_place(case: Case) -> None:
    """Each line of the table comes out as it is written: answer, scope and echo."""
    assert case.expected == ask(case.snapshot, case.query, case.source, stream=case.stream)


@pytest.mark.parametrize("case", [case for case in CASES if case.rung], ids=str)
def test_every_answer_knows_its_rung(case: Case) -> None:
    """The rung that decided is recorded with the answer."""
    asked = case.query.question[0]
    asker = Asker(place(case.source), subnet(case.subnet) if case.subnet else None)

    explanation = explain(case.snapshot, from_text(str(asked.name)), asked.rdtype, asker)

    assert case.rung == explanation.rung


SELECTORS = ("continent:EU", "net:78.1.0.0/16")
ADDRESSES = {
    "77.0.0.1": State.LOCATED,
    "9.0.0.1": State.LOCATED,
    "203.0.113.1": State.NOT_LOCATED,
    "192.168.0.1": State.SPECIAL,
    "1.1.1.1": State.ANYCAST,
    "78.1.0.1": State.LOCATED,
    "10.20.0.1": State.LOCATED,
    "2a02::1": State.NOT_LOCATED,
    "::ffff:77.0.0.1": State.LOCATED,
    "fe80::1": State.SPECIAL,
}
NAMED = {"78.1.0.1", "10.20.0.1"}


def partition() -> Partition:
    atlas = atlas_of(
        databases=[{"77.0.0.0/8": {"continent": "EU"}, "9.0.0.0/8": {"continent": "NA"}}],
        networks={"10.20.0.0/16": {"continent": "EU"}},
        anycast=["1.1.1.0/24"],
    )
    return atlas.partitions([tuple(rule_of(name, parse(name), {}) for name in SELECTORS)])[0]


PARTITION = partition()
SOMEBODY = st.sampled_from([None, *ADDRESSES])


@given(SOMEBODY, SOMEBODY)
def test_the_first_address_with_a_place_decides(sent: str | None, source: str | None) -> None:
    """The client subnet is asked before the sender; who has no usable place is passed over; the operator's networks are `net`."""
    asked = [(rung, text) for rung, text in ((Rung.ECS, sent), (Rung.RESOLVER, source)) if text]
    usable = [at for at, (_, text) in enumerate(asked) if ADDRESSES[text] is State.LOCATED]
    decider = usable[0] if usable else None

    way = climb(PARTITION, Client(place(source) if source else None, place(sent) if sent else None))

    if decider is None:
        assert (Rung.FALLBACK, FALLBACK, len(asked)) == (way.rung, way.outcome, len(way.attempts))
    else:
        rung, text = asked[decider]
        assert (Rung.NET if text in NAMED else rung) == way.rung
        assert PARTITION.find(place(text)).outcome == way.outcome
        assert decider + 1 == len(way.attempts)
    assert [ADDRESSES[text] for _, text in asked[: len(way.attempts)]] == [attempt.state for attempt in way.attempts]


@given(SOMEBODY, SOMEBODY)
def test_the_scope_is_that_of_the_subnets_own_cell(sent: str | None, source: str | None) -> None:
    """Whoever decides, the scope is the client subnet's cell's, and 0 where no client subnet was looked at."""
    way = climb(PARTITION, Client(place(source) if source else None, place(sent) if sent else None))

    assert (PARTITION.find(place(sent)).scope_prefix_length if sent else 0) == way.scope_prefix_length


@pytest.mark.parametrize(
    ("outcome", "decided", "state"),
    [
        (State.NOT_LOCATED, False, State.NOT_LOCATED),
        (State.ANYCAST, False, State.ANYCAST),
        (FALLBACK, True, State.LOCATED),
        (FIRST_RULE + 3, True, State.LOCATED),
    ],
)
def test_an_attempt_decides_where_a_place_is_known(outcome: int, decided: bool, state: State) -> None:
    """A located address decides, whether a rule names it or not."""
    attempt = Attempt(Rung.ECS, Place(4, 0), Cell(outcome, 8))

    assert (decided, state) == (attempt.decided, attempt.state)


def by_definition(world: World, tailored: Tailored, client: Client) -> tuple[str, int, int]:
    """Rung, outcome and scope by the plain definition: one rung after the other, each by looking one address up."""
    atlas, scope = world.snapshot.atlas, 0
    nets = [each.network for rule in tailored.rules for each in rule.places if isinstance(each, NetSelector)]

    def covered(asked: Place) -> bool:
        address = int_address(asked)
        return any(address in network for network in [*nets, *map(ip_network, world.networks)])

    for rung in world.ladder:
        asked = client.subnet if rung is Rung.ECS else None if rung is Rung.INSTANCE else client.source
        if rung is Rung.ECS and asked:
            scope = tailored.partition.find(asked).scope_prefix_length
        if (asked is None and rung is not Rung.INSTANCE) or (rung is Rung.EGRESS and not world.egress):
            continue
        if asked and covered(asked):
            located = atlas.locate(asked)
            decides = Rung.NET
        else:
            found = {Rung.INSTANCE: atlas.locate_instance(), Rung.EGRESS: atlas.locate_egress(asked) if asked else None}
            known = found[rung] if rung in found else atlas.locate(asked)  # type: ignore[arg-type]  # not the instance
            if known is None or (known.state is not State.LOCATED and not winner(tailored.rules, asked, known)):
                continue
            located, decides = known, rung
        best = winner(tailored.rules, asked, located)
        return decides, FIRST_RULE + best.rule if best else FALLBACK, scope
    return Rung.FALLBACK, FALLBACK, scope


def int_address(asked: Place) -> IPv4Address | IPv6Address:
    return IPv4Address(asked.address) if asked.version == 4 else IPv6Address(asked.address)


@settings(max_examples=150, deadline=None)
@given(LADDERED, st.data())
def test_every_ladder_is_climbed_as_it_is_defined(world: World, data: st.DataObject) -> None:
    """In random worlds with egress maps, places of the instance and orders of rungs: who decides, what comes out, which scope."""
    served = world.snapshot.zones[from_text("example.")]
    for tailored in served.tailored.values():
        source = data.draw(clients(world))
        sent = data.draw(st.none() | clients(world)) if Rung.ECS in world.ladder else None
        client = Client(place(source), place(sent) if sent else None)

        way = climb(tailored.partition, client, world.ladder)

        assert by_definition(world, tailored, client) == (way.rung, way.outcome, way.scope_prefix_length)


ZONE = """
$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www 60 A 192.0.2.1
www 60 GEO continent:EU A 198.51.100.1
www 60 GEO continent:AS A 198.51.100.2
www 60 GEO asn:64500 A 198.51.100.3
www 60 GEO net:203.0.113.0/25 A 198.51.100.4
near 60 POOL near
near A 192.0.2.2
sticky 60 POOL sticky
sticky A 192.0.2.3
"""
SITES = [
    Server("fra/fra-1", ("192.0.2.11",)),
    Server("tyo/tyo-1", ("192.0.2.12",)),
    Server("nyc/nyc-1", ("192.0.2.13",)),
]
DATABASE: dict[str, dict[str, object]] = {
    "81.0.0.0/8": {"continent": "EU", "country": "DE"},
    "74.125.0.0/16": {"continent": "NA", "country": "US"},
    "34.0.0.0/8": {"asn": 64500},
}
EGRESS: dict[str, dict[str, object]] = {
    "74.125.18.0/24": {"country": "JP", "latitude": 35.7, "longitude": 139.7},
    "74.125.18.128/25": {"country": "DE"},
    "74.125.18.0/30": {},
    "8.8.8.0/24": {"country": "FR"},
    "203.0.113.0/24": {"country": "JP"},
    "10.20.0.0/16": {"country": "JP"},
    "34.1.0.0/16": {"country": "JP"},
}
NETWORKS: dict[str, dict[str, object]] = {"10.20.0.0/17": {"country": "DE"}}
SYDNEY = {"country": "AU", "latitude": -33.9, "longitude": 151.2}


def laddered(ladder: tuple[Rung, ...] = LADDER, **more: Any) -> Snapshot:
    pools = [pool_of("near", SITES, 0, steering=Steering.NEAREST), pool_of("sticky", SITES, 20, steering=Steering.HASHED)]
    return snapshot_of(
        {"example.": ZONE}, databases=[DATABASE], networks=NETWORKS, anycast=["8.8.8.0/24"], pools=pools, ladder=ladder, **more
    )


MAPPED = {"egress": EGRESS}
HERE = {"egress": EGRESS, "instance": SYDNEY}
SHORT = (Rung.ECS, Rung.RESOLVER)
MAP_LAST = (Rung.ECS, Rung.RESOLVER, Rung.EGRESS, Rung.INSTANCE)
MAP_FIRST = (Rung.EGRESS, Rung.ECS)

WAYS: list[tuple[tuple[Rung, ...], dict[str, Any], str, str | None, str, str, str, int | None]] = [
    # ladder, map and place, sender, client subnet → rung, www, near, scope
    (LADDER, {}, "74.125.18.9", None, "resolver", "192.0.2.1", "192.0.2.13", None),
    (LADDER, MAPPED, "74.125.18.9", None, "egress", "198.51.100.2", "192.0.2.12", None),
    (LADDER, MAPPED, "74.125.18.200", None, "egress", "198.51.100.1", "192.0.2.11", None),
    (LADDER, MAPPED, "74.125.18.1", None, "resolver", "192.0.2.1", "192.0.2.13", None),  # the map says: no place
    (LADDER, MAPPED, "74.125.19.1", None, "resolver", "192.0.2.1", "192.0.2.13", None),
    (LADDER, MAPPED, "8.8.8.8", None, "egress", "198.51.100.1", "192.0.2.11", None),  # anycast, and yet a resolver of one place
    (LADDER, MAPPED, "203.0.113.7", None, "net", "198.51.100.4", "192.0.2.12", None),  # a net: rule before the map, in its zone
    (LADDER, MAPPED, "10.20.0.1", None, "net", "198.51.100.1", "192.0.2.11", None),
    (LADDER, MAPPED, "10.20.200.1", None, "egress", "198.51.100.2", "192.0.2.12", None),
    (LADDER, MAPPED, "34.1.0.1", None, "egress", "198.51.100.3", "192.0.2.12", None),  # the AS number is the database's
    (LADDER, MAPPED, "74.125.18.9", "81.2.69.0/24", "ecs", "198.51.100.1", "192.0.2.11", 8),
    (LADDER, MAPPED, "74.125.18.9", "74.125.18.0/24", "ecs", "192.0.2.1", "192.0.2.13", 16),  # never of the client subnet
    (LADDER, MAPPED, "74.125.18.9", "8.8.8.0/24", "egress", "198.51.100.2", "192.0.2.12", 24),  # keeps its cell's scope
    (LADDER, MAPPED, "74.125.18.9", "0.0.0.0/0", "egress", "198.51.100.2", "192.0.2.12", 0),
    (LADDER, HERE, "198.18.0.53", None, "instance", "192.0.2.1", "192.0.2.12", None),
    (LADDER, HERE, "198.18.0.53", "8.8.8.0/24", "instance", "192.0.2.1", "192.0.2.12", 24),
    (LADDER, HERE, "81.2.69.5", None, "resolver", "198.51.100.1", "192.0.2.11", None),
    (LADDER, HERE, "8.8.8.8", None, "egress", "198.51.100.1", "192.0.2.11", None),
    (LADDER, {"instance": {"country": "JP"}}, "8.8.8.8", None, "instance", "198.51.100.2", "192.0.2.12", None),
    (SHORT, HERE, "8.8.8.8", None, "fallback", "192.0.2.1", "192.0.2.11", None),
    (MAP_LAST, HERE, "74.125.18.9", None, "resolver", "192.0.2.1", "192.0.2.13", None),
    (MAP_LAST, HERE, "8.8.8.8", None, "egress", "198.51.100.1", "192.0.2.11", None),
    (MAP_FIRST, HERE, "74.125.18.9", "81.2.69.0/24", "egress", "198.51.100.2", "192.0.2.12", 0),
    (MAP_FIRST, HERE, "81.2.69.5", "81.2.69.0/24", "ecs", "198.51.100.1", "192.0.2.11", 8),
    (MAP_FIRST, HERE, "81.2.69.5", None, "fallback", "192.0.2.1", "192.0.2.11", None),
    ((Rung.RESOLVER,), {}, "81.2.69.5", "74.125.0.0/16", "resolver", "198.51.100.1", "192.0.2.11", 0),
]


@pytest.mark.parametrize(("ladder", "more", "source", "sent", "rung", "www", "near", "scope"), WAYS)
def test_each_ladder_leads_where_it_should(
    ladder: tuple[Rung, ...],
    more: dict[str, Any],
    source: str,
    sent: str | None,
    rung: str,
    www: str,
    near: str,
    scope: int | None,
) -> None:
    """Rules and pools by the place of a resolver's egress and of the instance; what a sticky pool answers depends on neither."""
    snapshot = laddered(ladder, **more)
    told = explain(snapshot, from_text("www.example."), 1, Asker(place(source), subnet(sent) if sent else None))
    answered = ask(snapshot, question("www.example. A", client_subnet=sent), source)
    nearest = ask(snapshot, question("near.example. A", client_subnet=sent), source)

    assert (rung, [f"www.example. 60 A {www}"], scope) == (told.rung, answered.answer, answered.scope)
    assert [near] == [line.split()[-1] for line in nearest.answer]
    sticky = question("sticky.example. A", client_subnet=sent)
    plain = laddered() if Rung.ECS in ladder else laddered(ladder)
    assert ask(plain, sticky, source) == ask(snapshot, sticky, source)


STEPS = [
    (LADDER, "74.125.18.9", "8.8.8.0/24", ["rung ecs is passed over: 8.8.8.0", "rung egress decides: 74.125.18.9 is a resolver's",
      "74.125.18.0/24 is the egress of a resolver [egress.csv:1, 2026-11-28]", "country JP [egress map (egress.csv)]",
      "rule continent:AS is chosen"]),
    (LADDER, "198.18.0.53", None, ["rung egress is passed over: 198.18.0.53 is in no egress map",
      "rung resolver is passed over: 198.18.0.53", "rung instance decides: routing brought the query here",
      "country AU [config (server.place)]"]),
    (SHORT, "198.18.0.53", None, ["the ladder is of the config (geo.ladder): ecs, resolver", "rung fallback decides"]),
    ((Rung.RESOLVER,), "81.2.69.5", "74.125.0.0/16", ["the ladder has no rung ecs (geo.ladder)"]),
]  # fmt: skip


@pytest.mark.parametrize(("ladder", "source", "sent", "sentences"), STEPS)
def test_the_steps_tell_every_rung_in_order(
    ladder: tuple[Rung, ...], source: str, sent: str | None, sentences: list[str]
) -> None:
    """Whom each rung has asked, and why it was passed over, in the order of the ladder."""
    asker = Asker(place(source), subnet(sent) if sent else None)
    steps = "\n".join(explain(laddered(ladder, **HERE), from_text("www.example."), 1, asker).steps)
    found = [steps.find(sentence) for sentence in sentences]

    assert -1 not in found, [sentence for sentence, at in zip(sentences, found, strict=True) if at < 0]
    assert sorted(found) == found
