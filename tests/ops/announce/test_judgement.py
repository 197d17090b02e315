"""What is wished for a prefix: a failure outweighs all that is well, and nothing is good that was not asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.announce._judgement import Evidence, Verdict, Wish, desired

PREFIXES = ("198.51.100.0/24", "2001:db8::/48")
REASONS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=5)
CHECKS = st.none() | st.dictionaries(st.sampled_from(PREFIXES), REASONS)
EVIDENCE = st.builds(
    Evidence,
    lease=st.sampled_from(["", "", "no daemon has a lease"]),
    ready=REASONS,
    self_checks=CHECKS,
    pools=REASONS,
    drained=st.sampled_from(["", "kernel"]),
)
WELL = Evidence("", (), dict.fromkeys(PREFIXES, ()))


def test_what_answers_right_is_wanted() -> None:
    """With the lease held, nothing in the way and right answers every prefix is good."""
    assert {prefix: Wish(Verdict.GOOD, "its addresses answer right") for prefix in PREFIXES} == desired(PREFIXES, WELL)


@given(EVIDENCE)
def test_nothing_is_good_without_a_lease_and_answers(known: Evidence) -> None:
    """A prefix is good only with a lease, right answers at its own addresses, and nothing else in the way."""
    for prefix, wish in desired(PREFIXES, known).items():
        asked = None if known.self_checks is None else known.self_checks.get(prefix)
        good = not known.lease and not known.ready and not known.pools and not known.drained and asked == []

        assert good == (wish.verdict is Verdict.GOOD)


@given(EVIDENCE)
def test_without_a_lease_all_else_is_hearsay(known: Evidence) -> None:
    """A lease that is not held decides, whatever the daemon said before."""
    gone = {wish.verdict is Verdict.GONE for wish in desired(PREFIXES, known).values()}

    assert {bool(known.lease)} == gone


@given(EVIDENCE, REASONS)
def test_one_reason_more_never_makes_it_better(known: Evidence, more: list[str]) -> None:
    """Judgement is monotone: what is added to the reasons takes away, and never gives."""
    worse = Evidence(known.lease, [*known.ready, *more], known.self_checks, known.pools, known.drained)
    before, after = desired(PREFIXES, known), desired(PREFIXES, worse)

    assert [] == [prefix for prefix in PREFIXES if after[prefix].verdict is Verdict.GOOD is not before[prefix].verdict]


def test_a_prefix_answers_for_its_own_addresses_only() -> None:
    """What is wrong with one family leaves the other one announced."""
    wishes = desired(PREFIXES, Evidence("", (), {PREFIXES[0]: ("refused",), PREFIXES[1]: ()}))

    assert [Verdict.BAD, Verdict.GOOD] == [wishes[prefix].verdict for prefix in PREFIXES]


def test_a_hundred_reasons_are_one_line() -> None:
    """The first three are told, and how many more there are."""
    wish = desired(PREFIXES[:1], Evidence("", [f"reason {number}" for number in range(100)], {}))[PREFIXES[0]]

    assert Wish(Verdict.BAD, "reason 0; reason 1; reason 2; and 97 more") == wish


def test_a_failing_instance_that_drains_is_failing() -> None:
    """Clients that are asked to leave must not be answered wrong meanwhile."""
    wishes = desired(PREFIXES[:1], Evidence("", (), {PREFIXES[0]: ("wrong",)}, (), "kernel"))

    assert Wish(Verdict.BAD, "wrong") == wishes[PREFIXES[0]]


def test_a_well_instance_that_drains_is_left() -> None:
    """Also one that was not asked yet: the operator's will needs no proof."""
    for checks in (dict.fromkeys(PREFIXES, ()), None):
        wishes = desired(PREFIXES, Evidence("", (), checks, (), "kernel"))

        assert {Wish(Verdict.DRAIN, "draining: kernel")} == set(wishes.values())
