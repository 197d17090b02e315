"""Routers that are slow, refuse, hang or are changed by others: what is wanted arrives in the end, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from time import monotonic

import pytest

from geodns.ops.announce import Reconciler, RouterFault, State
from geodns.ops.announce import _reconciling as room
from geodns.ops.announce._router import States

PREFIX = "198.51.100.0/24"
UP, DOWN = {PREFIX: State.ANNOUNCED}, {PREFIX: State.WITHDRAWN}


class Router:
    """A router that can be made to hang or to refuse, and that others may change."""

    def __init__(self) -> None:
        self.at: list[float] = []  # when it was told
        self.routes: dict[str, State] = {}
        self.told = 0
        self.neighbours: dict[str, str] | None = None
        self.fault = ""
        self.hangs = False
        self.is_late = False
        self.breaks = False

    async def apply(self, states: States) -> None:
        self.told += 1
        self.at.append(monotonic())
        if self.breaks:
            raise ValueError("something that nobody thought of")
        await self._be_so()
        self.routes = {prefix: state for prefix, state in states.items() if state is not State.WITHDRAWN}
        if self.is_late:
            raise RouterFault("no confirmation came")

    async def seen(self) -> dict[str, State] | None:
        await self._be_so()
        return dict(self.routes)

    async def peers(self) -> dict[str, str] | None:
        await self._be_so()
        return self.neighbours

    async def _be_so(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault:
            raise RouterFault(self.fault)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries are tenths of seconds apart."""
    monkeypatch.setattr(room, "_FIRST_DELAY", 0.05)
    monkeypatch.setattr(room, "_LAST_DELAY", 0.2)


@asynccontextmanager
async def at_work(router: Router, *, verify: float = 60.0) -> AsyncIterator[Reconciler]:
    """A reconciler that runs."""
    reconciler = Reconciler(router, timeout=0.2, verify_interval=verify)
    task = asyncio.create_task(reconciler.run())
    try:
        yield reconciler
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(reached: Callable[[], bool]) -> None:
    """Poll with a deadline."""
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.01)


async def test_what_is_wanted_is_told_once() -> None:
    """The same again is nothing new."""
    router = Router()
    async with at_work(router) as reconciler:
        reconciler.want(UP)
        await until(lambda: reconciler.is_settled)
        for _ in range(10):
            reconciler.want(UP)
            await asyncio.sleep(0)
        reconciler.want(DOWN)
        await until(lambda: reconciler.is_settled)

    assert (2, {}) == (router.told, router.routes)


async def test_a_router_that_refuses_is_told_again() -> None:
    """What it had is still reported as announced, with the reason, until it obeys."""
    router = Router()
    async with at_work(router) as reconciler:
        reconciler.want(UP)
        await until(lambda: reconciler.is_settled)
        router.fault = "BIRD refuses its configuration: syntax error"
        reconciler.want(DOWN)
        await until(lambda: reconciler.failures >= 2)

        assert (UP, router.fault, False) == (reconciler.applied, reconciler.trouble, reconciler.is_settled)
        router.fault = ""
        await until(lambda: reconciler.is_settled)

    assert ("", DOWN, {}) == (reconciler.trouble, reconciler.applied, router.routes)


async def test_what_was_done_without_a_word_is_undone() -> None:
    """A router obeys and does not confirm; what it may announce is not told as withdrawn, and taken back."""
    router = Router()
    async with at_work(router) as reconciler:
        reconciler.want(DOWN)
        await until(lambda: reconciler.is_settled)
        router.is_late = True
        reconciler.want(UP)
        await until(lambda: bool(reconciler.trouble))
        assert {} == reconciler.applied
        reconciler.want(DOWN)
        router.is_late = False
        assert not reconciler.is_settled
        await until(lambda: reconciler.is_settled)

    assert ("", DOWN, {}) == (reconciler.trouble, reconciler.applied, router.routes)


async def test_what_was_taken_back_without_a_word_is_not_believed() -> None:
    """A drain that may have been heard is undone by telling, though what was confirmed last is what is wanted again."""
    router = Router()
    async with at_work(router) as reconciler:
        reconciler.want(UP)
        await until(lambda: reconciler.is_settled)
        router.is_late = True
        reconciler.want({PREFIX: State.DRAINED})
        await until(lambda: bool(reconciler.trouble))
        router.is_late = False
        reconciler.want(UP)
        assert not reconciler.is_settled
        await until(lambda: reconciler.is_settled)

    assert UP == router.routes


async def test_a_router_that_goes_on_refusing_is_told_less_and_less_often(caplog: pytest.LogCaptureFixture) -> None:
    """The pause begins with the first delay, doubles, and ends at the longest; the log has one line, not one for each try."""
    router = Router()
    router.fault = "BIRD cannot be reached"
    async with at_work(router) as reconciler:
        reconciler.want(UP)
        await until(lambda: router.told >= 6)
    pauses = [later - earlier for earlier, later in pairwise(router.at)]

    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.2, 0.2), strict=False)), pauses
    assert ["BIRD cannot be reached; what was announced before may still be"] == [record.message for record in caplog.records]


async def test_who_is_being_announced_is_not_told_as_withdrawn() -> None:
    """Not for a moment: a gate that is killed in the middle must not leave word that nothing is announced."""
    router = Router()
    told: list[dict[str, State] | None] = []
    async with at_work(router) as reconciler:
        reconciler.want(DOWN)
        await until(lambda: reconciler.is_settled)
        router.hangs = True
        reconciler.told = lambda: told.append(reconciler.applied)
        reconciler.want(UP)
        await until(lambda: router.told == 2)
        assert [{}] == told
        router.hangs = False
        await until(lambda: reconciler.is_settled)

    assert UP == told[-1]


async def test_a_fault_of_ours_ends_no_reconciler() -> None:
    """It is told as trouble, and the router is told again."""
    router = Router()
    router.breaks = True
    async with at_work(router) as reconciler:
        reconciler.want(UP)
        await until(lambda: "by a fault of our own: ValueError" in reconciler.trouble)
        router.breaks = False
        await until(lambda: reconciler.is_settled)

    assert UP == router.routes


async def test_a_router_that_hangs_holds_nobody_up() -> None:
    """To want something takes no time, and after the time-out there is a sentence."""
    router = Router()
    router.hangs = True
    async with at_work(router) as reconciler:
        began = monotonic()
        reconciler.want(UP)
        assert monotonic() - began < 0.05
        await until(lambda: bool(reconciler.trouble))
        assert "the router has not answered for 0.2 s" == reconciler.trouble
        assert await reconciler.seen() is None
        router.hangs = False
        await until(lambda: reconciler.is_settled)

    assert UP == router.routes


async def test_what_changes_while_the_router_hangs_is_what_counts() -> None:
    """It hears the last word only."""
    router = Router()
    router.hangs = True
    async with at_work(router) as reconciler:
        reconciler.want(UP)
        await until(lambda: router.told == 1)
        reconciler.want(DOWN)
        router.hangs = False
        await until(lambda: reconciler.is_settled)

    assert {} == router.routes


async def test_drift_is_counted_and_repaired() -> None:
    """What somebody else takes away comes back, and what he adds goes."""
    router = Router()
    async with at_work(router, verify=0.1) as reconciler:
        reconciler.want(UP)
        await until(lambda: reconciler.is_settled)
        router.routes.clear()
        await until(lambda: reconciler.drifts == 1 and reconciler.is_settled)
        assert UP == router.routes
        router.routes[PREFIX] = State.DRAINED
        await until(lambda: reconciler.drifts == 2 and reconciler.is_settled)

    assert UP == router.routes


async def test_a_router_that_could_not_be_asked_is_asked_soon_again() -> None:
    """Meanwhile nobody knows whether it announces still; once it answers, no trouble is left, and it is not told anew."""
    router = Router()
    async with at_work(router, verify=0.3) as reconciler:
        reconciler.want(UP)
        await until(lambda: reconciler.is_settled)
        router.fault = "BIRD cannot be reached"
        await until(lambda: bool(reconciler.trouble))
        assert (UP, False) == (reconciler.applied, reconciler.is_settled)
        router.fault = ""
        await until(lambda: reconciler.is_settled)

    assert ("", 1, 0) == (reconciler.trouble, router.told, reconciler.drifts)


async def test_peers_are_known_and_decide_nothing() -> None:
    """They are counted after each word and look; a router that has none established is told and trusted as ever."""
    router = Router()
    router.neighbours = {"transit": "active"}
    async with at_work(router, verify=0.1) as reconciler:
        reconciler.want(UP)
        await until(lambda: reconciler.peers == {"transit": "active"})
        assert (True, UP) == (reconciler.is_settled, router.routes)
        router.neighbours = None
        await until(lambda: reconciler.peers is None)

    assert ("", 0, 1) == (reconciler.trouble, reconciler.failures, router.told)
