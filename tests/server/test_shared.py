"""Owns the laws of memory that processes share: sums that only grow, changes that are seen, texts that are whole."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.server.shared import Board, NoRow, Slate, Tally


def in_a_child(work: object) -> None:
    """Run something in a forked process, and wait for it."""
    pid = os.fork()
    if not pid:
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_what_a_child_publishes_is_in_the_sum_even_when_it_is_gone() -> None:
    """Rows of the living and of the dead are summed, and a row that is used again begins at nothing."""
    tally = Tally(2, 4)
    first, second = tally.take(), tally.take()
    in_a_child(lambda: tally.publish(first, [1, 2, 3, 4]))
    tally.publish(second, [10, 0, 0, 0])
    assert [11, 2, 3, 4] == tally.totals(4)

    tally.give_back(first)
    assert [11, 2, 3, 4] == tally.totals(4)
    tally.publish(tally.take(), [5])

    assert [16, 2, 3] == tally.totals(3)


def test_there_are_as_many_rows_as_were_asked_for() -> None:
    """One process too many is refused, not counted into somebody else's row."""
    tally = Tally(1, 1)
    tally.take()
    with pytest.raises(NoRow):
        tally.take()


def test_a_board_shows_changes_and_only_changes() -> None:
    """The version moves when another process writes other octets, and stays when it writes the same."""
    board = Board(3)
    before = board.version
    board.write(b"\0\0\0")
    assert before == board.version

    in_a_child(lambda: board.write(b"abc"))

    assert (b"abc", True) == (board.read(), board.version != before)


def test_a_new_writer_tells_what_its_predecessor_could_not() -> None:
    """A writer that was killed between the octets and their version leaves a change that nobody knows of."""
    board = Board(3)
    board.write(b"abc")
    before = board.version
    board.write(b"abc", anyway=True)

    assert (b"abc", True) == (board.read(), board.version != before)


def test_a_board_counts_on_beyond_an_octet() -> None:
    """No two of 65,536 successive versions are the same."""
    board = Board(1)
    versions = set()
    for number in range(600):
        board.write(bytes((number % 2 + 1,)))
        versions.add(board.version)

    assert 600 == len(versions)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_a_slate_holds_what_was_written_last(texts: list[bytes]) -> None:
    """Whatever was written before, long or short, the last text comes out."""
    slate = Slate(40)
    for text in texts:
        slate.write(text)

    assert texts[-1] == slate.read()


def test_a_text_that_is_too_long_leaves_the_old_one() -> None:
    """Nothing is cut: it is refused."""
    slate = Slate(4)
    slate.write(b"old")
    with pytest.raises(ValueError, match="5 octets, more than the 4"):
        slate.write(b"newer")

    assert b"old" == slate.read()


def test_a_text_is_whole_however_often_it_is_replaced() -> None:
    """Who reads while another process writes gets a text that was written, never none and never parts of two."""
    texts = [bytes((number,)) * size for number, size in ((65, 200), (66, 100_000), (67, 3))]
    slate = Slate(100_000)
    slate.write(texts[0])
    writer = os.fork()
    if not writer:
        while True:
            for text in texts:
                slate.write(text)
    try:
        read = {slate.read() for _ in range(3000)}
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)

    assert read <= set(texts)
    assert slate.read() in texts
