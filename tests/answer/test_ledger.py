"""Counters by name: a number for each, for good, and a bound that no flood of names gets past."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import CAPACITY, How, Ledger

LABELS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=3).map(tuple)
RUNS = st.lists(st.tuples(st.integers(1, 9), LABELS), max_size=30)


@given(RUNS)
def test_a_name_has_one_number_for_good(runs: list[tuple[int, tuple[str, ...]]]) -> None:
    """Asked again, in whatever order, it is the same; different ones share nothing."""
    ledger = Ledger()
    numbers = {(count, labels): ledger.run(count, *labels) for count, labels in runs}
    taken = [number for (count, _), first in numbers.items() for number in range(first, first + count)]

    assert numbers == {(count, labels): ledger.run(count, *labels) for count, labels in reversed(runs)}
    assert list(range(len(ledger))) == sorted(taken)


@given(RUNS)
def test_every_number_knows_its_name(runs: list[tuple[int, tuple[str, ...]]]) -> None:
    """In a run the position is the last label."""
    ledger = Ledger()
    for count, labels in runs:
        first = ledger.run(count, *labels)
        expected = [labels] if count == 1 else [(*labels, str(position)) for position in range(count)]
        assert expected == ledger.names[first : first + count]
    assert len(ledger) == len(ledger.names)


def test_a_full_ledger_counts_newcomers_together() -> None:
    """Beyond the capacity all new names of a metric share one number; those that were there keep theirs."""
    ledger = Ledger(capacity=4096 + 2 * len(How))
    known = [ledger.reply("udp", "A", "NOERROR", f"pool:app/{number}") for number in range(2)]
    others = {ledger.reply("udp", "A", "NOERROR", f"pool:app/{number}") for number in range(2, 500)}

    assert 1 == len(others)
    assert others.isdisjoint(known)
    assert ("reply", "", "", "", "", "0") == ledger.names[others.pop()]
    assert known == [ledger.reply("udp", "A", "NOERROR", f"pool:app/{number}") for number in range(2)]


@given(st.lists(st.text(max_size=4), max_size=300))
def test_no_flood_of_names_passes_the_capacity(names: list[str]) -> None:
    """Not even with names of every metric there is."""
    ledger = Ledger(capacity=4096 + 50)
    for name in names:
        ledger.number("choice", name)
        ledger.reply("udp", "A", "NOERROR", name)
        ledger.run(3, "scope", name)

    assert 4096 + 50 >= len(ledger)


def test_a_reply_has_a_counter_for_each_way_to_decide() -> None:
    """In the order of How, so that adding one finds it."""
    ledger = Ledger()
    first = ledger.reply("udp", "A", "NOERROR")

    assert [("reply", "udp", "A", "NOERROR", "", str(int(how))) for how in How] == ledger.names[first : first + len(How)]
    assert len(How) < CAPACITY


def test_with_a_subnet_is_one_more() -> None:
    """The fast path adds 1 where there is a client subnet."""
    pairs = [(How.SAME_FOR_ALL, How.SAME_FOR_ALL_WITH_SUBNET), (How.BY_NETWORK, How.BY_NETWORK_WITH_SUBNET),
             (How.BY_SENDER, How.BY_SENDER_WITH_SUBNET), (How.NOBODY, How.NOBODY_WITH_SUBNET)]  # fmt: skip

    assert all(plain + 1 == with_subnet for plain, with_subnet in pairs)
