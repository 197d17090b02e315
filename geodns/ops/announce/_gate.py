"""Owns the gate: judge, remember, tell the routers and say so, round after round; refuses to know how any of it is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, time
from typing import Any

from geodns.ops.announce import _files
from geodns.ops.announce._asking import Asked, Target, ask, ask_siblings, targets
from geodns.ops.announce._course import Course, Rules, State, adopted, advance, decayed
from geodns.ops.announce._judgement import Evidence, Verdict, desired
from geodns.ops.announce._lease import Lease, look
from geodns.ops.announce._questions import Question, fault, shape_fault
from geodns.ops.announce._reconciling import Reconciler
from geodns.ops.announce._router import ESTABLISHED, Peers
from geodns.problem import Problem, ProblemsFound

log = logging.getLogger("geodns.announce")

_SIGN_OF_LIFE = 5.0  # seconds between signs, at most: a long interval is no hang
_NAMED = 10  # peers, of a router that may have thousands
STATUS, GATE_LOCK = "announce.status", "announce.gate.lock"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a gate looks after, as the configuration has it; `addresses` are the service addresses of all prefixes.

    `gone` are prefixes that the gate before looked after, by the same way: they are never announced.
    """

    directory: Path
    method: str
    prefixes: tuple[str, ...]
    addresses: tuple[str, ...]
    require_pools: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    interval: float = 1.0
    timeout: float = 1.0
    lease_max_age: float = 5.0
    rules: Rules = field(default_factory=Rules)
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round has found out."""

    lease: Lease | None
    lost: str
    checks: dict[Target, tuple[str, ...]]
    missing: dict[str, tuple[str, ...]]
    siblings: dict[str, str]
    sent: int = 0
    at: float = 0.0


class Gate:
    """One gate for one state directory. `tell` gets a sentence after each round, `live` is called then."""

    def __init__(
        self,
        plan: Plan,
        reconciler: Reconciler,
        *,
        tell: Callable[[str], None] = lambda _: None,
        live: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan = plan
        self.reconciler = reconciler
        self._tell = tell
        self._live = live
        self._lock = _files.Lock(plan.directory / GATE_LOCK)
        self._file = plan.directory / STATUS
        self._judged: float | None = None
        self._questions: tuple[Question, ...] = ()
        self._unwritten = ""
        self._last = _Round(None, "", {}, {}, {})
        reconciler.told = lambda: self._write(self._last)
        self.courses: dict[str, Course] = {}

    def open(self) -> None:
        """Become the gate of this state directory; raises ProblemsFound if there is one, or nothing can be written there."""
        try:
            holder = self._lock.take()
            if holder is not None:
                message = f"another gate (process {holder or 'unknown'}) is at work in {self.plan.directory}"
                raise ProblemsFound([Problem("", 0, message, "stop it first: two would undo each other's work")])
            known = self._recalled()
            _files.write(self._file, self._status(self._last) if known is None else known)
        except OSError as error:
            message = f"server.state: {self.plan.directory}: {error.strerror}"
            raise ProblemsFound([Problem("", 0, message, "let the gate's user write there: it is the daemon's, too")]) from None

    def _recalled(self) -> dict[str, Any] | None:
        try:
            return _files.read(self._file)
        except ValueError:
            return None

    async def adopt(self) -> None:
        """Take over what is announced already: as the router tells, or where it cannot, as the gate before has left it."""
        moment, known = _files.now(), (self._recalled() or {}).get("courses")
        told: dict[str, Course] = {}
        for prefix, value in known.items() if isinstance(known, dict) else ():
            try:
                told[str(prefix)] = Course.from_json(value)
            except (ValueError, TypeError) as error:
                log.warning("what the gate before knew of %s is not used: %s", prefix, error)
        seen = await self.reconciler.seen()
        for prefix in self.plan.prefixes:
            before = told.get(prefix) or Course(since=moment)
            if seen is not None and seen.get(prefix, State.WITHDRAWN) is not before.state:
                before = replace(before, state=seen.get(prefix, State.WITHDRAWN), since=moment)
            self.courses[prefix] = adopted(before, moment)
            if before.state is not State.WITHDRAWN:
                log.info("%s is %s already: that stays until the first judgement", prefix, before.state)

    async def run(self, ended: asyncio.Event) -> None:
        """Judge again and again, until the end is wanted."""
        while not ended.is_set():
            due = perf_counter() + self.plan.interval
            await self.judge()
            while True:
                self._live()
                left = max(due - perf_counter(), 0.01)
                try:
                    async with asyncio.timeout(min(left, _SIGN_OF_LIFE)):
                        await ended.wait()
                except TimeoutError:
                    pass
                if ended.is_set() or perf_counter() >= due:
                    break

    async def judge(self) -> None:
        """One round: look, decide, tell."""
        found = await self._look()
        moment = _files.now()
        lease = found.lease
        evidence = Evidence(
            lease=found.lost,
            ready=lease.ready if lease else (),
            self_checks=self._checks(found),
            pools=[pool for pool in self.plan.require_pools if lease and pool in lease.pools_down],
            drained=lease.draining if lease else "",
        )
        last = "" if evidence.drained and not evidence.lease else self._last_instance(found)
        for prefix, wish in desired(self.plan.prefixes, evidence).items():
            course, sentence = advance(self.courses[prefix], wish, moment, self.plan.rules, last=last)
            self.courses[prefix] = course
            if sentence:
                log.log(
                    logging.INFO if wish.verdict in {Verdict.GOOD, Verdict.DRAIN} else logging.WARNING, "%s %s", prefix, sentence
                )
        self._judged = moment
        self._want()
        self._write(found)
        self._tell(self.sentence())

    def _want(self) -> None:
        states = {prefix: course.state for prefix, course in self.courses.items()}
        self.reconciler.want(dict.fromkeys(self.plan.gone, State.WITHDRAWN) | states)

    async def _look(self) -> _Round:
        lease, lost = look(self.plan.directory, _files.now(), self.plan.lease_max_age)
        if lease and lease.questions:
            self._questions = lease.questions
        asked, missing = Asked({}, 0), dict[str, tuple[str, ...]]()
        siblings = ask_siblings(self.plan.siblings, self._questions[:1], self.plan.timeout)
        if lease and not lost:
            where, missing = targets(self.plan.prefixes, self.plan.addresses, lease.listening)
            questions = [each for each in lease.questions if each.pool not in lease.pools_down]
            judge = shape_fault if lease.changing else fault
            asked, beside = await asyncio.gather(ask(where, questions, self.plan.timeout, judge), siblings)
        else:
            beside = await siblings
        return _Round(lease, lost, asked.faults, missing, beside, asked.sent, _files.now())

    def _checks(self, found: _Round) -> dict[str, Sequence[str]] | None:
        if found.lost:
            return None
        asked = Asked(found.checks, found.sent)
        return {prefix: (*found.missing.get(prefix, ()), *asked.of_prefix(prefix)) for prefix in self.plan.prefixes}

    def _last_instance(self, found: _Round) -> str:
        """Why this may be the last instance; "" if another answers, or if no other is known."""
        if not self.plan.siblings or not all(found.siblings.values()):
            return ""
        return f"last instance, for none of {len(self.plan.siblings)} siblings answers"

    async def leave(self, patience: float) -> None:
        """Withdraw everything in order, and wait for the router as long as is sensible."""
        moment = _files.now()
        for prefix, course in self.courses.items():
            if course.state is not State.WITHDRAWN:
                log.info("%s withdrawn: the gate ends", prefix)
                self.courses[prefix] = Course(
                    since=moment, why="withdrawn: the gate has ended", transitions=course.transitions + 1
                )
        self._want()
        try:
            async with asyncio.timeout(patience):
                await self.reconciler.settled.wait()
        except TimeoutError:
            log.error("the gate ends, and the router may still announce: %s", self.reconciler.trouble or "it has not confirmed")
        self._write(_Round(None, "the gate has ended", {}, {}, {}))

    def close(self) -> None:
        """Let another gate begin."""
        self._lock.release()

    def sentence(self) -> str:
        """All prefixes in one line."""
        parts = [
            f"{prefix} {course.state}" + (f" ({course.held})" if course.held else "") for prefix, course in self.courses.items()
        ]
        trouble = f"; router: {self.reconciler.trouble}" if self.reconciler.trouble else ""
        return ", ".join(parts) + trouble

    def _write(self, found: _Round) -> None:
        self._last = found
        try:
            _files.write(self._file, self._status(found))
        except OSError as error:
            if error.strerror != self._unwritten:
                log.error("%s cannot be written: %s", self._file, error.strerror)
            self._unwritten = error.strerror or str(error)
        else:
            self._unwritten = ""

    def _status(self, found: _Round) -> dict[str, Any]:
        """What the daemon and the operator are shown, and a successor remembers; times are Unix time."""
        moment, unix = _files.now(), time()
        lease = found.lease
        return {
            "pid": self._lock.pid,
            "at": unix,
            "renewed": moment,
            "judged": self._judged,
            "method": self.plan.method,
            "prefixes": [self._prefix(prefix, course, moment, unix) for prefix, course in self.courses.items()],
            "checks": [
                {"target": str(target), "prefix": target.prefix, "faults": list(faults)}
                for target, faults in found.checks.items()
            ],
            "siblings": [{"address": address, "fault": fault} for address, fault in found.siblings.items()],
            "lease": {
                "fault": found.lost,
                "pid": lease.pid if lease else None,
                "age": max(moment - lease.renewed, 0.0) if lease else None,
                "draining": lease.draining if lease else "",
            },
            "router": {
                "trouble": self.reconciler.trouble,
                "failures": self.reconciler.failures,
                "drifts": self.reconciler.drifts,
                "settled": self.reconciler.is_settled,
                "peers": _counted(self.reconciler.peers),
            },
            "asked": found.sent / self.plan.interval,
            "courses": {prefix: course.to_json() for prefix, course in self.courses.items()},
        }

    def _prefix(self, prefix: str, course: Course, moment: float, unix: float) -> dict[str, Any]:
        confirmed = (self.reconciler.applied or {}).get(prefix)
        return {
            "prefix": prefix,
            "wanted": course.state.value,
            "announced": confirmed.value if confirmed else "unknown",
            "since": unix - (moment - course.since),
            "why": course.why,
            "good": course.good,
            "bad": course.bad,
            "held": course.held,
            "hold_down": max(course.until - moment, 0.0),
            "flaps": round(decayed(course, moment, self.plan.rules), 2),
            "transitions": course.transitions,
        }


def _counted(peers: Peers | None) -> dict[str, Any] | None:
    """How many peers there are to whom routes are told, and how many others, with the first of those."""
    if peers is None:
        return None
    down = [f"{name} ({state})" for name, state in peers.items() if state != ESTABLISHED]
    return {"established": len(peers) - len(down), "down": len(down), "first_down": down[:_NAMED]}
