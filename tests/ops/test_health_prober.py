"""The schedule of probes against real servers on loopback: shared targets, changes of the set, bounds, and external states."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from geodns.ops.health import ExecCheck, ExternalCheck, NoCheck, NoState, Prober, Result, Target, TcpCheck, _schedule
from tests.support.daemons import Unreached, free_port

Outcomes = list[tuple[Target, Result | NoState]]


async def reached(what: str, is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the loop run until it is so; raises Unreached after the deadline."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Unreached(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.005)


@dataclass
class Site:
    """A server that accepts, keeps count, greets after `greets_after` seconds, and closes."""

    greets_after: float
    port: int = 0
    came: list[float] = field(default_factory=list)
    open: set[asyncio.Transport] = field(default_factory=set)
    most_open: int = 0


class Connection(asyncio.Protocol):
    """One connection to a site."""

    def __init__(self, to: Site) -> None:
        self.to = to

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.to.came.append(time.monotonic())
        self.to.open.add(self.transport)
        self.to.most_open = max(self.to.most_open, len(self.to.open))
        asyncio.get_running_loop().call_later(self.to.greets_after, self.greet)

    def greet(self) -> None:
        self.to.open.discard(self.transport)
        self.transport.write(b"220\r\n")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.to.open.discard(self.transport)


@asynccontextmanager
async def site(greets_after: float = 0.0) -> AsyncIterator[Site]:
    made = Site(greets_after)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(made), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await reached("every connection is closed", lambda: not made.open)


@asynccontextmanager
async def probing(*targets: Target, concurrency: int = 64) -> AsyncIterator[tuple[Prober, Outcomes]]:
    outcomes: Outcomes = []
    prober = Prober(lambda target, outcome: outcomes.append((target, outcome)), concurrency=concurrency, seed=1)
    prober.watch(targets)
    task = asyncio.create_task(prober.run())
    try:
        yield prober, outcomes
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert {asyncio.current_task()} >= {left for left in asyncio.all_tasks() if "Prober" in repr(left.get_coro())}


def tcp(port: int, *, key: str = "key", interval: float = 0.05, timeout: float = 1.0) -> Target:
    return Target("127.0.0.1", TcpCheck(port), timeout, interval, key)


def hanging(number: int, *, interval: float = 60.0, timeout: float = 30.0) -> Target:
    return Target("127.0.0.1", ExecCheck(("/bin/sleep", "30", f"0.{number}")), timeout, interval, f"hanging-{number}")


@pytest.fixture(autouse=True)
def many_looks_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at more often than they need to be in life."""
    monkeypatch.setattr(_schedule, "_LOOK_OUTSIDE", 0.02)


async def test_every_target_is_probed_again_and_again() -> None:
    """Each target gets one probe an interval, ±10 %."""
    async with site() as one, probing(tcp(one.port, interval=0.1), tcp(free_port(), interval=0.1)) as (_prober, outcomes):
        await reached("five rounds", lambda: len(one.came) >= 6)
        verdicts = {target.check: outcome.ok for target, outcome in outcomes if isinstance(outcome, Result)}
        pauses = [later - earlier for earlier, later in zip(one.came, one.came[1:], strict=False)]

    assert [True, False] == sorted(verdicts.values(), reverse=True)
    assert min(pauses) > 0.05  # a connection that is seen late makes the pause after it look shorter


async def test_equal_targets_are_probed_once_at_the_shortest_interval() -> None:
    """However many pools name a target, each round is one connection, as often as the most impatient of them wants."""
    async with site() as one:
        targets = [tcp(one.port, key=str(number), interval=0.1 if number == 3 else 60.0) for number in range(6)]
        async with probing(*targets) as (_prober, outcomes):
            await reached("three rounds", lambda: len(outcomes) >= 3)

    assert {"3"} == {target.key for target, _outcome in outcomes}
    assert abs(len(one.came) - len(outcomes)) <= 1


async def test_targets_that_stay_keep_their_schedule() -> None:
    """To watch the same targets over and over neither delays nor hastens their probes."""
    async with site() as one, probing(tcp(one.port, interval=0.1)) as (prober, outcomes):
        await reached("the first round", lambda: bool(outcomes))
        started = time.monotonic()
        while time.monotonic() < started + 0.5:
            prober.watch([tcp(one.port, interval=0.1), tcp(one.port, interval=9.0)])
            await asyncio.sleep(0.01)

    assert len(one.came) in range(2, 9)


async def test_targets_that_go_are_cancelled_and_new_ones_come() -> None:
    """A target that is gone is not reported again, its running probe ends, and a new one is probed within its interval."""
    async with site() as one, site() as two, probing(tcp(one.port), hanging(1, interval=0.01)) as (prober, outcomes):
        await reached("the first", lambda: bool(outcomes))
        await reached("the hanging one runs", lambda: any("_probe" in repr(task) for task in asyncio.all_tasks()))
        prober.watch([tcp(two.port)])
        outcomes.clear()
        await reached("the second", lambda: len(outcomes) >= 3)

    assert {tcp(two.port)} == {target for target, _outcome in outcomes}


async def test_a_shorter_interval_counts_at_once() -> None:
    """A target whose interval shrinks from an hour to a moment does not wait for the hour to end."""
    async with site() as one, probing(tcp(one.port, interval=3600.0)) as (prober, outcomes):
        prober.watch([tcp(one.port, interval=0.05)])
        await reached("two rounds", lambda: len(outcomes) >= 2)


async def test_slow_probes_do_not_delay_others() -> None:
    """While some probes hang, the others keep their rounds; with every place taken they wait, and go on after."""
    async with site() as one:
        slow = [hanging(number, interval=0.01) for number in range(3)]
        async with probing(tcp(one.port), *slow, concurrency=4) as (_prober, outcomes):
            await reached("ten rounds", lambda: len(outcomes) >= 10)
        short = [hanging(number, interval=0.01, timeout=0.1) for number in range(8)]
        async with probing(tcp(one.port), *short, concurrency=2) as (_prober, crowded):
            await reached("a round", lambda: any(target.key == "key" for target, _outcome in crowded))

    assert {"key"} == {target.key for target, _outcome in outcomes}


async def test_no_more_probes_run_than_may() -> None:
    """However many targets are due, no more connections are open than `concurrency`."""
    async with site(greets_after=0.01) as one:
        program = ("/bin/bash", "-c", f"read -r line < /dev/tcp/127.0.0.1/{one.port}")
        targets = [Target("127.0.0.1", ExecCheck((*program, str(number))), 5.0, 0.01, str(number)) for number in range(20)]
        async with probing(*targets, concurrency=3) as (_prober, outcomes):
            await reached("everybody had a turn", lambda: len({target for target, _outcome in outcomes}) == 20)

    assert one.most_open in range(2, 4)
    assert {""} == {outcome.error for _target, outcome in outcomes if isinstance(outcome, Result)}


async def test_a_late_round_is_not_made_up_for() -> None:
    """After the loop stood still for ten intervals there is one round, not ten."""
    async with site() as one, probing(tcp(one.port, interval=0.05)) as (_prober, outcomes):
        await reached("the first round", lambda: bool(outcomes))
        before = len(outcomes)
        time.sleep(0.5)  # a process that was stopped
        await asyncio.sleep(0.02)

    assert 1 >= len(outcomes) - before


async def test_a_listener_that_fails_does_not_stop_the_rounds(caplog: pytest.LogCaptureFixture) -> None:
    """An exception of whoever takes the results is logged, and the next round comes."""
    taken: list[Target] = []

    def take(target: Target, _outcome: Result | NoState) -> None:
        taken.append(target)
        raise KeyError("oops")

    prober = Prober(take)
    prober.watch([tcp(free_port())])
    task = asyncio.create_task(prober.run())
    with caplog.at_level(logging.ERROR, "geodns.health"):
        await reached("three rounds", lambda: len(taken) >= 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert {"the result of key could not be taken"} == {record.message for record in caplog.records}


async def test_what_is_not_checked_is_never_reported() -> None:
    """Neither NoCheck nor external targets have rounds."""
    silent = Target("127.0.0.1", NoCheck(), 1.0, 0.01, "silent")
    async with site() as one, probing(silent, external("posted", None), tcp(one.port)) as (_prober, outcomes):
        await reached("three rounds", lambda: len(one.came) >= 3)

    assert 0 == Counter(target.key for target, _outcome in outcomes)["silent"]


# ---- external states


def external(key: str, file: Path | None, max_age: float = 60.0) -> Target:
    return Target("127.0.0.1", ExternalCheck(file, max_age), 1.0, 5.0, key)


def words(outcomes: Sequence[tuple[Target, Result | NoState]], key: str) -> list[str]:
    """What was reported of a target, as words."""
    return [
        "none" if isinstance(outcome, NoState) else "up" if outcome.ok else "down"
        for target, outcome in outcomes
        if target.key == key
    ]


async def test_a_posted_state_is_reported_at_once_and_expires() -> None:
    """A post is reported before `post` returns, also one that says the same again, and once it is too old it is no state."""
    async with probing(external("a", None, max_age=0.5), external("b", None)) as (prober, outcomes):
        await reached("nothing is known", lambda: len(outcomes) == 2)
        now = time.time()
        for shift, up in ((0.0, False), (0.1, True), (0.2, True)):
            prober.post("a", up, now + shift)
        at_once = words(outcomes, "a")
        await reached("expiry", lambda: words(outcomes, "a")[-1] == "none")

    assert ["none", "down", "up", "up"] == at_once
    assert ["none"] == words(outcomes, "b")


async def test_a_state_posted_before_the_run_ages_from_its_own_time() -> None:
    """What is remembered from before a restart is posted with its own time, and is too old when that is long ago."""
    outcomes: Outcomes = []
    prober = Prober(lambda target, outcome: outcomes.append((target, outcome)))
    prober.watch([external("new", None), external("old", None)])
    prober.post("new", up=False, now=time.time() - 30)
    prober.post("old", up=False, now=time.time() - 90)

    assert ["down"] == words(outcomes, "new")
    assert ["none"] == words(outcomes, "old")


async def test_a_post_for_an_unknown_key_is_refused() -> None:
    """Only external targets that are watched can be posted for."""
    async with probing(external("a", None), tcp(free_port(), key="b")) as (prober, _outcomes):
        for key in ("b", "c"):
            with pytest.raises(KeyError):
                prober.post(key, up=True, now=time.time())


async def test_a_watched_file_is_followed(tmp_path: Path) -> None:
    """A change of the file is reported within seconds, for each of the targets in it, and an old file is no state."""
    file = tmp_path / "states.json"
    file.write_text('{"a": "up", "b": "down"}')
    targets = [external(key, file) for key in "abc"]
    async with probing(*targets) as (_prober, outcomes):
        await reached("the first reading", lambda: len(outcomes) == 3)
        first = {key: words(outcomes, key) for key in "abc"}
        (tmp_path / "new").write_text('{"a": "down", "b": "down", "c": "up"}')
        (tmp_path / "new").replace(file)
        await reached("the change", lambda: words(outcomes, "c")[-1] == "up")
        changed = {key: words(outcomes, key)[-1] for key in "abc"}
        os.utime(file, (time.time() - 90, time.time() - 90))
        await reached("too old", lambda: words(outcomes, "c")[-1] == "none")

    assert {"a": ["up"], "b": ["down"], "c": ["none"]} == first
    assert {"a": "down", "b": "down", "c": "up"} == changed


async def test_the_younger_of_post_and_file_counts(tmp_path: Path) -> None:
    """A post overrides an older file, and a file that is written after a post overrides the post."""
    file = tmp_path / "state"
    file.write_text("up")
    os.utime(file, (time.time() - 10, time.time() - 10))
    async with probing(external("a", file)) as (prober, outcomes):
        await reached("the file", lambda: words(outcomes, "a") == ["up"])
        prober.post("a", up=False, now=time.time() - 5)
        os.utime(file)
        await reached("the file again", lambda: words(outcomes, "a") == ["up", "down", "up"])


def test_external_targets_are_told_apart_by_key() -> None:
    """Two endpoints at one address have their own external states, as nothing is probed that could be shared."""
    assert 2 == len({external("a", None), external("b", None), replace(external("a", None), interval=1.0)})
