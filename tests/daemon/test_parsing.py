"""Owns the laws of loading zones in several processes: nothing but the time differs."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.daemon import parsing
from geodns.daemon.parsing import Source, load_zones, shares
from geodns.wire import from_text

HEAD = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns.example.net.\n"
BODY = "www A 192.0.2.1\nwww GEO continent:EU A 198.51.100.1\n*.a.b TXT x\nsub NS ns.example.net.\nd DNAME example.org.\n"
POOLED = "pool POOL somebody\npool A 192.0.2.7\n"
FAULTS = "www A 192.0.2.256\nwww GEO nowhere A 192.0.2.3\nno-ttl-of-its-own AAAA ::g\nlost POOL nobody\n"


def fault(selector: str) -> str | None:
    return "is nowhere" if selector == "nowhere" else None


def pool_fault(pool: str) -> str | None:
    return "is no pool" if pool == "nobody" else None


FAULTS_OF = (fault, pool_fault)


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Forty zones of different sizes, some with faults, and one that does not exist."""
    made = []
    for number in range(40):
        path = tmp_path / f"{number}.zone"
        filling = "".join(f"h{host} A 192.0.2.{host}\n" for host in range(number))
        path.write_text(HEAD + BODY + POOLED + filling + (FAULTS if number % 7 == 3 else ""))
        made.append((path, from_text(f"zone{number}.example")))
    return [*made, (tmp_path / "missing.zone", from_text("missing.example"))]


def progress_of(sources: list[Source]) -> tuple[list[parsing.Parsed], list[int]]:
    told: list[int] = []
    return load_zones(sources, FAULTS_OF, told.append), told


def test_several_processes_find_what_one_finds(sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    """Zones, problems and their order are the same, and progress is told of each file, whether files are spread or not."""
    expected, expected_told = progress_of(sources)
    monkeypatch.setattr(parsing, "WORTH_SPREADING", 0)
    monkeypatch.setattr(parsing, "_cores", lambda: 3)
    actual, told = progress_of(sources)

    assert expected == actual
    assert list(range(1, len(sources) + 1)) == expected_told == told
    assert 7 == sum(contents is None for contents, _ in actual)


def test_what_a_killed_process_leaves_is_still_loaded(sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process is killed in the middle of its share, this one loads the rest."""
    expected, _ = progress_of(sources)
    here = os.getpid()

    def deadly(selector: str) -> str | None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return fault(selector)

    monkeypatch.setattr(parsing, "WORTH_SPREADING", 0)
    monkeypatch.setattr(parsing, "_cores", lambda: 2)

    assert expected == load_zones(sources, (deadly, pool_fault), lambda _done: None)
    assert [] == multiprocessing.active_children()


@pytest.mark.timeout(20)
def test_a_process_forked_by_a_signal_does_not_hold_up_a_load(sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that a signal's handler forks between two steps of spreading inherits no pipe whose end is waited for."""
    expected, _ = progress_of(sources)
    forked: list[int] = []

    def fork(_number: int, _frame: object) -> None:
        if not (pid := os.fork()):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pause()
        forked.append(pid)

    class Interrupted(multiprocessing.context.ForkContext):
        def Pipe(self, duplex: bool = True) -> Any:  # noqa: N802
            ends = super().Pipe(duplex)
            os.kill(os.getpid(), signal.SIGHUP)
            return ends

    monkeypatch.setattr(multiprocessing, "get_context", lambda _method: Interrupted())
    monkeypatch.setattr(parsing, "WORTH_SPREADING", 0)
    monkeypatch.setattr(parsing, "_cores", lambda: 2)
    before = signal.signal(signal.SIGHUP, fork)
    try:
        assert expected == load_zones(sources, FAULTS_OF, lambda _done: None)
        assert 2 == len(forked)
    finally:
        signal.signal(signal.SIGHUP, before)
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_process_with_threads_is_not_forked(sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would stay locked in a child for ever, so beside threads all is loaded here."""
    loaded_by: set[int] = set()

    def noting(_selector: str) -> str | None:
        loaded_by.add(os.getpid())
        return None

    monkeypatch.setattr(parsing, "WORTH_SPREADING", 0)
    monkeypatch.setattr(parsing, "_cores", lambda: 2)
    thread = threading.Thread(target=load_zones, args=(sources, (noting, pool_fault), lambda _done: None))
    thread.start()
    thread.join()

    assert {os.getpid()} == loaded_by


@given(st.lists(st.integers(0, 10**6), max_size=200), st.integers(1, 16))
def test_shares_are_complete_and_nearly_equal(sizes: list[int], count: int) -> None:
    """Each file is in exactly one share, and no share is larger than the smallest by more than the largest file."""
    dealt = shares(sizes, count)
    octets = [sum(max(1, sizes[index]) for index in share) for share in dealt]

    assert list(range(len(sizes))) == sorted(index for share in dealt for index in share)
    assert count == len(dealt)
    assert max(octets) - min(octets) <= max([1, *sizes])
