"""The trust ladder: whose location decides, by tables and for every mix of addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import Asker, Attempt, Client, Rung, climb, explain
from geodns.geo import FALLBACK, FIRST_RULE, Cell, Partition, Place, State, parse, rule_of
from geodns.wire import from_text
from tests.support.cases import Case, cases
from tests.support.world import ask, atlas_of, place, subnet

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
