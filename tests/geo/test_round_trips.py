"""Owns the laws of round trips: what is put together is exact, what is kept is bounded, what is forgotten is counted."""

from __future__ import annotations

import json
from collections import Counter
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.round_trips import BOUNDS, Prefix, RoundTrips, Table, Window, block_of, summed

MICROSECONDS = st.integers(1, 5_000_000)
MEASURED = st.lists(MICROSECONDS, max_size=60)
PREFIXES = st.tuples(st.just(4), st.integers(0, 600).map(lambda number: number << 13)) | st.tuples(
    st.just(6), st.integers(0, 300).map(lambda number: 0x20010DB8 << 32 | number << 16)
)
"""Networks of more blocks than one, and many of the same block."""
STREAM = st.lists(st.tuples(PREFIXES, MICROSECONDS), max_size=400)
CAPACITY = 64


def trips(measured: list[int]) -> RoundTrips:
    found = RoundTrips()
    for microseconds in measured:
        found.note(microseconds)
    return found


def network(number: int, block: int = 0) -> Prefix:
    return 4, block << 16 | number << 8


# --- of one network ---------------------------------------------------------------------------------------------------


@given(MEASURED, MEASURED, MEASURED)
def test_what_is_put_together_is_as_if_noted_at_once(first: list[int], second: list[int], third: list[int]) -> None:
    """Adding is exact, in whatever order and grouping."""
    whole = trips(first + second + third)
    left = summed([trips(third), trips(first), trips(second)])
    inner = summed([trips(second), trips(third)])

    assert whole == left == summed([trips(first), inner])
    assert len(first + second + third) == sum(whole.classes.values()) == whole.count


@given(st.lists(st.integers(BOUNDS[0] + 1, BOUNDS[-1]), min_size=1, max_size=60), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_a_quantile_is_right_within_its_class(measured: list[int], part: float) -> None:
    """Half a class at most, 9 %, from the value that stands there in the ordered list; never below the fastest."""
    exact = sorted(measured)[max(ceil(part * len(measured)), 1) - 1]
    told = trips(measured).quantile(part)

    assert told == pytest.approx(exact, rel=0.095)
    assert told >= min(measured)


@given(st.lists(MICROSECONDS, min_size=1, max_size=60))
def test_a_slow_client_does_not_hide_the_fastest(measured: list[int]) -> None:
    """The fastest round trip is exact, and a later slow one changes nothing of it."""
    found = trips(measured)
    found.note(5_000_000)

    assert min(measured) == found.fastest


def test_nothing_measured_has_no_quantile() -> None:
    """No number is made up."""
    with pytest.raises(ValueError, match="nothing was measured"):
        RoundTrips().quantile(0.5)


# --- of many networks -------------------------------------------------------------------------------------------------


@given(STREAM)
def test_a_table_is_bounded_and_loses_nothing_uncounted(stream: list[tuple[Prefix, int]]) -> None:
    """No more networks than there is room for, no block with more than its part; kept and forgotten are all that came."""
    table = Table(CAPACITY)
    pushed = sum(table.note(prefix, microseconds) for prefix, microseconds in stream)
    blocks = Counter(block_of(prefix) for prefix in table.networks)

    assert len(table.networks) <= CAPACITY
    assert max(blocks.values(), default=0) <= CAPACITY // 32
    assert len(stream) == sum(kept.count for kept in table.networks.values()) + table.forgotten_round_trips
    assert pushed == table.forgotten_networks


@given(STREAM)
def test_who_comes_often_is_never_forgotten(stream: list[tuple[Prefix, int]]) -> None:
    """A network with more than its part of all round trips, and of those of its block, is in the table in the end."""
    table = Table(CAPACITY)
    for prefix, microseconds in stream:
        table.note(prefix, microseconds)
    counts = Counter(prefix for prefix, _ in stream)
    blocks = Counter(block_of(prefix) for prefix, _ in stream)
    often = {
        prefix
        for prefix, count in counts.items()
        if count > len(stream) / CAPACITY and count > blocks[block_of(prefix)] / (CAPACITY // 32)
    }

    assert often <= set(table.networks)


def test_what_fits_is_exact() -> None:
    """As long as there is room, every network has all of its round trips."""
    table = Table(256)
    for number in range(200):
        for microseconds in range(1, number % 7 + 2):
            table.note(network(0, number), 1000 * microseconds)

    assert {network(0, number): number % 7 + 1 for number in range(200)} == {
        prefix: kept.count for prefix, kept in table.networks.items()
    }
    assert (0, 0) == (table.forgotten_networks, table.forgotten_round_trips)


@pytest.mark.parametrize("version", [4, 6])
def test_one_who_has_a_block_to_himself_pushes_out_his_own(version: int) -> None:
    """A million networks of one operator take one 32nd of the table, and everybody else stays."""
    table = Table(1024)
    others = [(version, number << (16 if version == 4 else 32)) for number in range(900)]
    for prefix in others:
        table.note(prefix, 5000)  # type: ignore[arg-type]
    for number in range(20_000):
        hostile = 0xCB00 << 16 | number % 65_536 if version == 4 else 0x2A00_0000 << 32 | number << 16
        table.note((version, hostile), 1)  # type: ignore[arg-type]

    assert set(others) <= set(table.networks)
    assert 1024 // 32 + 900 == len(table.networks)
    assert 20_000 - 32 == table.forgotten_networks
    assert len(table._lightest) <= 4 * 1024 + 1  # what it remembers of those that went is bounded, too


def test_one_with_many_blocks_is_seen_at_work() -> None:
    """Who has more blocks than there are places does push out what is rare, but not what is frequent, and it is counted."""
    table = Table(256)
    for _ in range(500):
        table.note(network(1), 7000)
    for block in range(1, 20_000):
        table.note(network(0, block), 9000)

    assert 500 == table.networks[network(1)].count
    assert 20_000 - 256 == table.forgotten_networks


@given(STREAM)
def test_a_table_goes_on_after_it_was_written_down(stream: list[tuple[Prefix, int]]) -> None:
    """What is read back is what was written, and behaves the same from then on as far as numbers go."""
    first, rest = stream[: len(stream) // 2], stream[len(stream) // 2 :]
    table = Table(CAPACITY)
    for prefix, microseconds in first:
        table.note(prefix, microseconds)
    read = Table.from_json(json.loads(json.dumps(table.to_json())), CAPACITY)
    assert table.networks == read.networks

    for prefix, microseconds in rest:
        read.note(prefix, microseconds)
    assert len(read.networks) <= CAPACITY
    assert len(stream) == sum(kept.count for kept in read.networks.values()) + read.forgotten_round_trips


def test_a_smaller_table_keeps_the_most_frequent() -> None:
    """What a reload leaves no room for is forgotten, and counted."""
    table = Table(256)
    for number in range(100):
        for _ in range(number + 1):
            table.note(network(0, number), 1000)
    read = Table.from_json(table.to_json(), 60)

    assert {network(0, number) for number in range(40, 100)} == set(read.networks)
    assert (40, sum(range(1, 41))) == (read.forgotten_networks, read.forgotten_round_trips)


# --- of a time --------------------------------------------------------------------------------------------------------


def test_a_window_shows_the_last_half_and_this_one() -> None:
    """What is older than the window is gone, what is younger than half of it is there."""
    window = Window(100.0, 256, now=0.0)
    seen = []
    for now in range(0, 300, 10):
        window.turn(float(now))
        window.note(network(0, now), 1000)
        seen.append((now, sorted(number >> 16 for _, number in window.networks()), window.began))

    for now, numbers, began in seen:
        assert set(range(max(0, now - 50), now + 1, 10)) <= set(numbers)
        assert min(numbers) > now - 100
        assert began == min(numbers)


def test_both_halves_are_put_together() -> None:
    """A network that came in both has all of its round trips, and counts once."""
    window = Window(100.0, 256, now=0.0)
    window.note(network(1), 3000)
    window.turn(60.0)
    window.note(network(1), 2000)

    assert {network(1): trips([3000, 2000])} == window.networks()
    assert 1 == window.size


@pytest.mark.parametrize(("now", "left", "began"), [(-1000.0, 1, -1000.0), (100.0, 0, 100.0), (1e9, 0, 1e9)])
def test_a_clock_that_jumps_ends_nothing_but_what_is_old(now: float, left: int, began: float) -> None:
    """Set back it shortens nothing; set forward it is as if that time had passed."""
    window = Window(100.0, 256, now=0.0)
    window.note(network(1), 3000)
    window.turn(now)

    assert (left, began) == (window.size, window.began)


def test_a_window_goes_on_after_it_was_written_down() -> None:
    """Halves, their times and what was forgotten are read back, also where the length is another by now."""
    window = Window(100.0, 256, now=0.0)
    window.note(network(1), 3000)
    window.turn(60.0)
    window.note(network(2), 3000)
    read = Window.from_json(json.loads(json.dumps(window.to_json())), 200.0, 256)
    assert (window.networks(), 0.0) == (read.networks(), read.began)

    read.turn(159.0)
    assert 2 == read.size
    read.turn(160.0)
    assert [network(2)] == list(read.networks())


@pytest.mark.parametrize(
    "value", [None, {}, {"began": 0, "turned": 0, "tables": []}, {"began": 0, "turned": 0, "tables": [1, 2]}]
)
def test_what_is_no_window_is_refused(value: object) -> None:
    """Nothing is read out of something else."""
    with pytest.raises(ValueError, match="no round trips"):
        Window.from_json(value, 100.0, 256)
