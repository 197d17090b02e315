"""Owns the laws of the funnel: every record arrives whole and once, or is refused to whoever brought it."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator

import pytest

from geodns.server.funnel import Funnel

RECORD = struct.Struct("!BQI")


@pytest.fixture
def funnel() -> Iterator[Funnel]:
    funnel = Funnel(RECORD.size)
    yield funnel
    funnel.close()


def taken(funnel: Funnel) -> list[tuple[int, int, int]]:
    return [record for octets in funnel.take() for record in RECORD.iter_unpack(octets)]


def test_records_come_out_in_order_and_whole(funnel: Funnel) -> None:
    """However many there are, none is cut by the reading of many at once; then there is nothing, and nobody waits."""
    records = [(4, number * 3, number) for number in range(2000)]
    for record in records:
        assert funnel.put(RECORD.pack(*record))

    assert records == taken(funnel)
    assert [] == taken(funnel)


def test_a_full_funnel_refuses_and_works_again(funnel: Funnel) -> None:
    """Nobody waits for room; what was accepted before is all there, and after reading there is room again."""
    accepted = 0
    while funnel.put(RECORD.pack(6, accepted, 1)):
        accepted += 1
    assert not funnel.put(RECORD.pack(6, 0, 2))

    assert [(6, number, 1) for number in range(accepted)] == taken(funnel)
    assert funnel.put(RECORD.pack(6, 7, 3))
    assert [(6, 7, 3)] == taken(funnel)


def test_who_stops_reading_leaves_the_rest(funnel: Funnel) -> None:
    """A reader that has no more time finds the others later."""
    for number in range(5000):
        funnel.put(RECORD.pack(4, number, 0))
    first = [number for _, number, _ in RECORD.iter_unpack(next(funnel.take()))]

    assert 0 < len(first) < 1000
    assert list(range(5000)) == first + [number for _, number, _ in taken(funnel)]


def test_processes_do_not_mix_their_records(funnel: Funnel) -> None:
    """What several processes write at once, some of them gone by then, are their records and no others."""
    children = []
    for writer in range(4):
        pid = os.fork()
        if not pid:
            for _ in range(500):
                funnel.put(RECORD.pack(writer, 0xABCD_EF01_2345_6789 ^ writer, writer))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)

    assert Counter({(writer, 0xABCD_EF01_2345_6789 ^ writer, writer): 500 for writer in range(4)}) == Counter(taken(funnel))
