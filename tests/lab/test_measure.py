"""What is read from the clients' log: laws that hold for any log, told by a slower reading of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import measure, topology
from tests.lab.measure import STREAMS, Probe, Stream, Way

CHICAGO = Stream(topology.NODES["chicago"], Way.ANYCAST)
INTERVAL, TRIP, GIVEN_UP = 0.1, 0.04, 1.0  # s
VERDICTS = st.lists(st.sampled_from(["good nyc", "good fra", "good sin", "bad nyc", "lost -"]), min_size=1, max_size=60)


def log(verdicts: list[str], start: float = 100.0) -> list[Probe]:
    """One probe after the other; one without an answer is told a second late."""
    lines = []
    for number, verdict in enumerate(verdicts):
        sent = start + number * INTERVAL
        done = sent + time(verdict)
        lines.append((done, f"udp {CHICAGO.name} {sent:.6f} {done:.6f} {verdict}\n"))
    return measure.read(line for _, line in sorted(lines))


def time(verdict: str) -> float:
    """How long it takes until it is known what became of a probe."""
    return GIVEN_UP if verdict.startswith("lost") else TRIP


def counted(during: list[str]) -> list[tuple[int, str]]:
    """Those, with their numbers, whose fate was known before the event was undone."""
    end = len(during) * INTERVAL
    return [(number, verdict) for number, verdict in enumerate(during) if (number + 0.5) * INTERVAL + time(verdict) <= end]


def judged(before: list[str], during: list[str], after: list[str], *, takes_out: bool = True) -> measure.Outcome:
    probes = log([*before, *during, *after])
    struck = 100.0 + (len(before) - 0.5) * INTERVAL
    return measure.outcome(CHICAGO, probes, struck, struck + len(during) * INTERVAL, takes_out=takes_out)


@given(VERDICTS, VERDICTS)
def test_lost_are_those_without_a_good_answer(during: list[str], after: list[str]) -> None:
    """Between the event and its end, and after it, each probe counts once; those under way at the end belong to neither."""
    found = judged(["good nyc"] * 20, during, after)
    known = [verdict for _, verdict in counted(during)]

    assert len(known) == found.sent
    assert sum(not verdict.startswith("good") for verdict in known) == found.lost
    assert sum(verdict.startswith("bad") for verdict in known) == found.bad
    assert sum(not verdict.startswith("good") for verdict in after) == found.lost_on_return


@given(VERDICTS)
def test_all_is_well_after_the_last_loss(during: list[str]) -> None:
    """The first good answer behind the last loss says when; behind a loss with nothing after it: never."""
    found = judged(["good nyc"] * 20, during, [])
    last = max((number for number, verdict in counted(during) if not verdict.startswith("good")), default=-1)
    first = next((number for number, verdict in counted(during) if number > last and verdict.startswith("good")), None)
    expected = None if first is None else 1000 * ((first + 0.5) * INTERVAL + TRIP)

    assert (expected is None) == (found.well_after is None)
    assert expected is None or expected == pytest.approx(found.well_after, abs=1)


@given(VERDICTS)
def test_moved_is_the_first_answer_of_another(during: list[str]) -> None:
    """Whatever answered before, the first good answer of any other instance is the move."""
    found = judged(["good nyc"] * 20, during, [])
    moved = next((number for number, verdict in counted(during) if verdict in ("good fra", "good sin")), None)

    assert "nyc" == found.before
    assert (moved is None) == (found.moved_after is None)
    assert moved is None or 1000 * ((moved + 0.5) * INTERVAL + TRIP) == pytest.approx(found.moved_after, abs=1)


@given(VERDICTS)
def test_the_wrong_region_is_neither_the_nearest_nor_the_next(during: list[str]) -> None:
    """For Chicago nyc is right, fra is where it belongs without nyc, and sin is never right."""
    gone = judged(["good nyc"] * 20, during, [])
    alive = judged(["good nyc"] * 20, during, [], takes_out=False)

    known = [verdict for _, verdict in counted(during)]

    assert known.count("good sin") == gone.wrong_region
    assert known.count("good sin") + known.count("good fra") == alive.wrong_region


def test_a_probe_belongs_to_when_it_was_sent() -> None:
    """One that was sent before the event and lost by it is not counted: it was under way."""
    found = judged([*["good nyc"] * 20, "lost -"], ["good fra"] * 20, [])

    assert (0, "fra") == (found.lost, found.after)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("answered", 99.0), ("answered", 101.5)], "alive"),
        ([("answered", 99.0), ("answered", 100.2)], "silent"),
        ([("answered", 99.0), ("reset", 100.05)], "reset"),
        ([("answered", 99.0), ("closed", 100.01)], "closed"),
        ([("answered", 99.0), ("answered", 101.9), ("reset", 102.5)], "alive"),
        ([("reset", 99.0), ("answered", 101.9)], "none"),
        ([], "none"),
    ],
)
def test_what_became_of_the_connection(lines: list[tuple[str, float]], expected: str) -> None:
    """It counts if it was answered before the event; its end counts until the event is undone."""
    probes = [Probe("tcp", CHICAGO.name, when, when, verdict, "nyc") for verdict, when in lines]

    assert expected == measure.outcome(CHICAGO, probes, 100.0, 102.0, takes_out=True).connection


@given(VERDICTS)
def test_settled_is_one_instance_for_a_while(verdicts: list[str]) -> None:
    """Any failure or any other instance within the time, or silence, and it is not settled."""
    probes = log([*verdicts, *["good fra"] * 11])
    now = probes[-1].done

    late = [probe for probe in probes if probe.done > now - 1]
    alike = all(probe.good and probe.instance == "fra" for probe in late)

    assert ("fra" if alike else None) == measure.settled(probes, now, 1.0)
    assert None is measure.settled(probes, now + 2, 1.0)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("answered", "nyc")] * 11, "nyc"),
        ([("answered", "nyc")] * 4, None),
        ([*[("answered", "nyc")] * 6, *[("answered", "fra")] * 5], None),
        ([*[("answered", "nyc")] * 9, ("reset", "-"), ("opened", "-")], None),
        ([], None),
    ],
)
def test_connected_is_one_instance_for_a_while(lines: list[tuple[str, str]], expected: str | None) -> None:
    """A connection that has ended or is new, or one that gets to others, is no sign of calm; what UDP says does not count."""
    probes = [Probe("tcp", CHICAGO.name, 99 + i / 10, 99.05 + i / 10, *line) for i, line in enumerate(lines)]

    assert expected == measure.connected(probes + log(["good nyc"] * 11, 99.0), 100.06, 1.0)


def test_a_line_that_is_being_written_is_left_for_later() -> None:
    """Only whole lines are read."""
    assert [] == measure.read(["udp chicago/anycast 1.0 2.0 good ny", "\n"])


def test_each_region_goes_every_way_that_there_is() -> None:
    """All regions have anycast and the public resolver; one has a provider with a resolver."""
    assert 3 * len(topology.REGIONS) + 1 == len(STREAMS)
    assert [topology.PROVIDER] == [stream.region for stream in STREAMS if stream.way is Way.PROVIDER]
