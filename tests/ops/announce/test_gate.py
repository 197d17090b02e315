"""The gate between a lease and a router, with real files: what it takes over, tells and leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from dnslib import QTYPE, RR, DNSRecord

from geodns.ops.announce import Gate, Holder, Lease, Plan, Question, Reconciler, Rules, State, _files, _gate, now, status
from geodns.ops.announce._gate import STATUS
from geodns.ops.announce._router import States
from geodns.problem import ProblemsFound
from tests.support.instances import served

PREFIX = "127.53.53.0/24"
SOA = Question("example.com", "SOA", serial=7)
SOA_OF_NOW = Question("example.com", "SOA", serial=8)
POOLED = Question("app.example.com", "A", answer=("192.0.2.80",), pool="app")


class Router:
    """A router that remembers; `mute` if it cannot be asked, and stuck if it is never done."""

    def __init__(self, *announced: str, mute: bool = False) -> None:
        self.routes = dict.fromkeys(announced, State.ANNOUNCED)
        self.mute = mute
        self.stuck = False
        self.told: list[dict[str, State]] = []

    async def apply(self, states: States) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.told.append(dict(states))
        self.routes = {prefix: state for prefix, state in states.items() if state is not State.WITHDRAWN}

    async def seen(self) -> dict[str, State] | None:
        return None if self.mute else dict(self.routes)

    async def peers(self) -> dict[str, str] | None:
        return None if self.mute else {"transit1": "established", "transit2": "active"}


@asynccontextmanager
async def gate(directory: Path, router: Router, **changed: object) -> AsyncIterator[Gate]:
    """A gate that is open, has taken over what there was, and whose router is told."""
    rules = Rules(rise=1, fall=2, hold_down=0.0, adopt=60.0, drain_soft=0.0)
    plan = Plan(directory, "exec", (PREFIX,), ("127.53.53.53",), timeout=0.2, rules=rules, **changed)  # type: ignore[arg-type]
    reconciler = Reconciler(router, timeout=0.3, verify_interval=60.0)
    made = Gate(plan, reconciler)
    made.open()
    task = asyncio.create_task(reconciler.run())
    try:
        await made.adopt()
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        made.close()


def lease(directory: Path, **said: object) -> None:
    """The daemon says something, whose addresses nobody answers at."""
    told = Lease(1, now(), **{"listening": ("127.53.53.53:9",), "questions": (SOA,), **said})  # type: ignore[arg-type]
    holder = Holder(directory)
    assert "" == holder.renew(told)
    holder.release()


async def settled(made: Gate) -> None:
    """Wait until the router has heard it."""
    async with asyncio.timeout(5):
        await made.reconciler.settled.wait()


async def test_a_long_interval_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come while the next judgement is waited for, and the end is heard at once."""
    monkeypatch.setattr(_gate, "_SIGN_OF_LIFE", 0.02)
    signs, ended = 0, asyncio.Event()

    def live() -> None:
        nonlocal signs
        signs += 1
        if signs == 5:
            ended.set()

    async with gate(tmp_path, Router(), interval=60.0) as made, asyncio.timeout(10):
        made._live = live
        await made.run(ended)

    assert 5 == signs


async def test_without_a_daemon_nothing_is_announced(tmp_path: Path) -> None:
    """The router is told so at once, whatever it had: there is no lease at all."""
    router = Router(PREFIX)
    async with gate(tmp_path, router) as made:
        assert State.ANNOUNCED is made.courses[PREFIX].state
        await made.judge()
        await settled(made)

    assert {} == router.routes
    told = status(tmp_path)
    assert told
    assert (False, f"withdrawn: no daemon has a lease in {tmp_path}") == (told["alive"], told["prefixes"][0]["why"])


async def test_the_router_knows_better_than_a_file(tmp_path: Path) -> None:
    """What somebody has withdrawn meanwhile is not announced again, for the gate before believed it to be."""
    router = Router(PREFIX)
    async with gate(tmp_path, router) as made:
        lease(tmp_path)
        await made.judge()
    assert State.ANNOUNCED is made.courses[PREFIX].state
    router.routes.clear()
    async with gate(tmp_path, router) as made:
        assert State.WITHDRAWN is made.courses[PREFIX].state


async def test_a_router_that_does_not_tell_is_believed_to_be_as_it_was_left(tmp_path: Path) -> None:
    """Then the file of the gate before is all there is; without one nothing is announced."""
    router = Router(mute=True)
    async with gate(tmp_path, router) as made:
        assert State.WITHDRAWN is made.courses[PREFIX].state
        made.courses[PREFIX] = made.courses[PREFIX].from_json(made.courses[PREFIX].to_json() | {"state": "announced"})
        lease(tmp_path)
        await made.judge()
    async with gate(tmp_path, router) as made:
        assert State.ANNOUNCED is made.courses[PREFIX].state


async def test_a_lease_that_ends_withdraws_at_once_and_a_failure_after_some(tmp_path: Path) -> None:
    """One failing judgement is not enough, two are."""
    router = Router(PREFIX)
    async with gate(tmp_path, router) as made:
        states = []
        for _ in range(2):
            lease(tmp_path)
            await made.judge()
            states.append(made.courses[PREFIX].state)

    assert [State.ANNOUNCED, State.WITHDRAWN] == states
    assert "by UDP: Connection refused" in made.courses[PREFIX].why


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({}, State.WITHDRAWN),
        ({"changing": True}, State.ANNOUNCED),
        ({"questions": (POOLED,)}, State.WITHDRAWN),
        ({"questions": (SOA_OF_NOW, POOLED), "pools_down": ("app",)}, State.ANNOUNCED),
    ],
    ids=["an old serial", "an old serial while it changes", "a wrong address", "a wrong address of a pool that is down"],
)
async def test_what_may_be_wrong_for_now_is_not_held_against_it(said: dict[str, object], state: State, tmp_path: Path) -> None:
    """While generations change values may be either's, and a pool that is down answers what its policy is."""
    router = Router(PREFIX)
    async with served(_answer, "127.53.53.53") as port, gate(tmp_path, router) as made:
        for _ in range(3):
            lease(tmp_path, **{"listening": (f"127.53.53.53:{port}",), **said})
            await made.judge()

    assert state is made.courses[PREFIX].state, made.courses[PREFIX].why


def _answer(asked: DNSRecord, *, by_tcp: bool) -> DNSRecord:
    reply = asked.reply()
    rdata = "SOA ns.example.com. host.example.com. 8 1 1 1 1" if asked.q.qtype == QTYPE.SOA else "A 192.0.2.9"
    reply.add_answer(*RR.fromZone(f"{asked.q.qname} 60 IN {rdata}"))
    return reply


async def test_the_last_instance_is_held_even_without_a_lease(tmp_path: Path) -> None:
    """Nobody else answers, so what is announced stays, and the status says why."""
    router = Router(PREFIX)
    async with gate(tmp_path, router, siblings=("127.0.0.1:9",)) as made:
        for _ in range(3):
            await made.judge()
        told = status(tmp_path)

    assert told
    assert "last instance, for none of 1 siblings answers" == told["prefixes"][0]["held"]
    assert State.ANNOUNCED is router.routes[PREFIX]


async def test_an_operator_may_take_the_last_instance_away(tmp_path: Path) -> None:
    """A drain is a will, not a failure."""
    router = Router(PREFIX)
    async with gate(tmp_path, router, siblings=("127.0.0.1:9",)) as made:
        for _ in range(3):
            lease(tmp_path, draining="kernel")
            await made.judge()
        await settled(made)

    assert {} == router.routes


async def test_whoever_ends_it_withdraws(tmp_path: Path) -> None:
    """In order, and the next gate begins withdrawn."""
    router = Router(PREFIX)
    async with gate(tmp_path, router) as made:
        await made.leave(5.0)

    assert {} == router.routes
    told = status(tmp_path)
    assert told
    assert ("withdrawn", "withdrawn") == (told["prefixes"][0]["wanted"], told["prefixes"][0]["announced"])


async def test_a_stuck_router_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """It says that the prefix may still be announced."""
    router = Router(PREFIX)
    router.stuck = True
    async with gate(tmp_path, router) as made:
        async with asyncio.timeout(5):
            await made.leave(0.5)

    told = status(tmp_path)
    assert told
    assert "unknown" == told["prefixes"][0]["announced"]


async def test_there_is_one_gate_for_a_directory(tmp_path: Path) -> None:
    """The second is told who is the first."""
    async with gate(tmp_path, Router()):
        with pytest.raises(ProblemsFound, match="another gate"):
            Gate(Plan(tmp_path, "exec", (PREFIX,), ()), Reconciler(Router(), timeout=1, verify_interval=60)).open()


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"boot": "another"}'])
async def test_a_spoiled_status_is_begun_anew(text: str, tmp_path: Path) -> None:
    """What the gate before has left makes no sense: the router is asked."""
    (tmp_path / STATUS).write_text(text)
    async with gate(tmp_path, Router(PREFIX)) as made:
        assert State.ANNOUNCED is made.courses[PREFIX].state


async def test_a_spoiled_course_is_not_believed(tmp_path: Path) -> None:
    """One prefix of the file may be wrong."""
    _files.write(tmp_path / STATUS, {"courses": {PREFIX: {"state": "announced"}}})
    async with gate(tmp_path, Router(mute=True)) as made:
        assert State.WITHDRAWN is made.courses[PREFIX].state


async def test_the_status_counts_peers(tmp_path: Path) -> None:
    """Those to whom routes are told, and the first of the others by name."""
    async with gate(tmp_path, Router()) as made:
        await made.judge()
        async with asyncio.timeout(5):
            while (told := status(tmp_path)) is None or told["router"]["peers"] is None:
                await asyncio.sleep(0.01)

    assert {"established": 1, "down": 1, "first_down": ["transit2 (active)"]} == told["router"]["peers"]


async def test_a_prefix_that_is_gone_from_the_configuration_is_withdrawn(tmp_path: Path) -> None:
    """Whatever is judged of the others."""
    router = Router(PREFIX, "127.8.8.0/24")
    async with gate(tmp_path, router, gone=("127.8.8.0/24",), siblings=("127.0.0.1:9",)) as made:
        await made.judge()
        await settled(made)

    assert [PREFIX] == list(router.routes)
