"""Owns what is kept beside the answering: checks, the operator's words, remembered state; refuses to answer queries and to load.

The keeper is one process with an event loop. It shows the standings of all endpoints on a board that the answering processes
read, and writes what must outlive it into the notebook, which its successor reads, and into the state directory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from time import time

from geodns import answer, server
from geodns.daemon import pooling
from geodns.daemon.pooling import Seat
from geodns.ops import health, overrides
from geodns.ops.config import Config
from geodns.ops.overrides import Overrides
from geodns.ops.state import Kept, NeverWritten, StateDirectory, Unusable
from geodns.problem import Problem

log = logging.getLogger("geodns.keeper")

NOTEBOOK = 32 << 20  # octets: states of 50,000 addresses
STATE = "pools"  # the file in the state directory
_HISTORY = 100  # transitions remembered of each pool
_ROUND = 0.5  # seconds between looks at the clock: words that end, changes to be written
_SAID = {health.Health.UP, health.Health.DOWN}  # what somebody outside can say; unknown is that nobody has, or not lately
_REFRESH = 30.0  # seconds after which the state is written although nothing has changed, so that it does not grow old


@dataclass(frozen=True, slots=True)
class Remembered:
    """What outlives a keeper: states of checks by seat, the operator's words, what has happened to each pool.

    `draining` is why this instance shall not be sent queries, "" if it may; `failures` counts failed checks by seat.
    """

    states: Mapping[str, health.State]
    overrides: Overrides
    history: Mapping[str, tuple[tuple[float, str], ...]]
    draining: str = ""
    failures: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As values of JSON."""
        return {
            "states": {key: state.to_json() for key, state in self.states.items()},
            "overrides": self.overrides.to_json(),
            "history": {pool: list(map(list, happened)) for pool, happened in self.history.items()},
            "draining": self.draining,
            "failures": dict(self.failures),
        }


NOTHING = Remembered({}, Overrides(), {})


def remembered(value: object) -> Remembered:
    """What `to_json` has written; raises ValueError where it is something else."""
    if not isinstance(value, dict) or not {"states", "overrides", "history"} <= value.keys():
        raise ValueError("it holds no states and overrides")
    try:
        states = {str(key): health.State.from_json(state) for key, state in value["states"].items()}
        history = {
            str(pool): tuple((float(at), str(what)) for at, what in happened) for pool, happened in value["history"].items()
        }
    except (AttributeError, TypeError) as error:
        raise ValueError(f"it holds something else than states and history: {error}") from error
    draining, failures = str(value.get("draining", "")), value.get("failures", {})
    if not isinstance(failures, dict) or not all(isinstance(count, int) for count in failures.values()):
        raise ValueError("it holds something else than numbers of failures")
    return Remembered(states, Overrides.from_json(value["overrides"]), history, draining, failures)


def recall(config: Config, now: float) -> tuple[Remembered, list[Problem]]:
    """What the state directory holds: words of the operator always, states of checks only if they are fresh enough."""
    if not config.server.state:
        return NOTHING, []
    directory = StateDirectory(config.path(config.server.state))
    match directory.read(STATE):
        case NeverWritten():
            return NOTHING, []
        case Unusable(problem):
            return NOTHING, [problem]
        case Kept() as kept:
            try:
                known = remembered(kept.value)
            except ValueError as error:
                return NOTHING, [directory.set_aside(STATE, str(error))]
    if kept.age(now) > config.server.state_max_age:
        return replace(known, states={}), []
    return known, []


def remembered_moment(config: Config) -> tuple[answer.Moment, float]:
    """The standings that a daemon has written last, with reasons, and their age in seconds: infinite where none is fresh."""
    now = time()
    known, age = _look(config, now) if config.pools and config.server.state else (NOTHING, inf)
    return pooling.moment(pooling.seats(config), known.states, known.overrides, now), age


def _look(config: Config, now: float) -> tuple[Remembered, float]:
    kept = StateDirectory(config.path(config.server.state)).look(STATE)
    if not isinstance(kept, Kept):
        return NOTHING, inf
    try:
        known = remembered(kept.value)
    except ValueError:
        return NOTHING, inf
    age = kept.age(now)
    return (known, age) if age <= config.server.state_max_age else (replace(known, states={}), inf)


def hand_over(known: dict[str, object], notebook: server.Slate) -> None:
    """Leave for the next keeper what is known, as `Remembered` writes it; raises ValueError if there is no room for so much."""
    notebook.write(json.dumps(known).encode())


def from_notebook(notebook: server.Slate, config: Config) -> Remembered:
    """What the last keeper has left; if there was none, what the state directory holds."""
    octets = notebook.read()
    return remembered(json.loads(octets)) if octets else recall(config, time())[0]


class Keeping:
    """Checks, words and state of one generation's pools."""

    def __init__(self, config: Config, board: server.Board, notebook: server.Slate) -> None:
        self.config = config
        self._board = board
        self._notebook = notebook
        self._directory = StateDirectory(config.path(config.server.state)) if config.server.state else None
        self.seats = pooling.seats(config)
        self._told = pooling.by_target(self.seats)
        self._octets = bytearray(len(self.seats))
        self._written = 0.0
        self._writing = threading.Lock()
        self._number = self._number_on_disk = 0  # of what was known at one moment after the other
        self.known = pooling.tree(config)
        known = from_notebook(notebook, config)
        keys = {seat.key for seat in self.seats if seat.target}
        self.states = {key: state for key, state in known.states.items() if key in keys}
        self.words, gone = known.overrides.restricted_to(self.known)
        self.history = {pool: deque(known.history.get(pool, ()), _HISTORY) for pool in config.pools}
        self.draining = known.draining
        self.failures = {key: count for key, count in known.failures.items() if key in keys}
        self.moved = asyncio.Event()
        """Set whenever something has happened to a pool; who waits for it clears it."""
        self._external: list[tuple[str, bool, float]] = []
        for word in gone:
            log.info("%s: %s is over, for there is no such endpoint any more", "/".join(word.path), word.word)
        self._dirty = bool(gone)
        self.prober = health.Prober(self._heard)
        for seat in self.seats:  # what somebody outside has said ages as if nothing had happened
            state = self.states.get(seat.key)
            if state and seat.target and isinstance(seat.target.check, health.ExternalCheck) and state.health in _SAID:
                self._external.append((seat.target.key, state.health is health.Health.UP, state.checked))

    @property
    def is_unwritten(self) -> bool:
        """Whether something that should outlive this process could not be written."""
        return self._directory is not None and self._directory.troubled

    def unready(self) -> list[str]:
        """Why clients might be sent to endpoints of which nothing is known yet; [] once each was checked, or is remembered."""
        waiting = {seat.path[0] for seat in self.seats if self._awaited(seat)}
        return [f"pool {pool}: not every endpoint was checked yet" for pool in sorted(waiting)]

    def _awaited(self, seat: Seat) -> bool:
        if seat.target is None or isinstance(seat.target.check, health.ExternalCheck):
            return False
        return seat.key not in self.states

    async def run(self) -> None:
        """Probe, look at the clock and write, until cancelled; then write once more."""
        self.prober.watch(self._told)
        for key, up, checked in self._external:
            self.prober.post(key, up, checked)
        self._show(anyway=True)
        tasks = {asyncio.create_task(self.prober.run()), asyncio.create_task(self._keep_writing())}
        try:
            while not any(task.done() for task in tasks):
                self.tick(time())
                await asyncio.wait(tasks, timeout=_ROUND, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:  # they end by themselves only by a fault of our own: better to begin anew than to check nothing
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._save()

    async def _keep_writing(self) -> None:
        while True:
            await self.write_if_due(time())
            await asyncio.sleep(_ROUND)

    async def write_if_due(self, now: float) -> None:
        """Write what has changed, or is old. A disk that takes its time holds up neither checks nor the lease."""
        if self._dirty or abs(now - self._written) > _REFRESH:  # abs: the clock may have been set back
            known = self._handed_over()
            if self.config.pools:
                await asyncio.to_thread(self._write, self._number, known)

    def tick(self, now: float) -> None:
        """End the words whose time is over."""
        self.words, over = self.words.expired(now)
        for word in over:
            what = f"{'/'.join(word.path)}: {word.word} is over"
            log.info("%s", what)
            self._note(word.path[0], what, now)
        if over:
            self._show()

    def _heard(self, target: health.Target, outcome: health.Result | health.NoState) -> None:
        """A probe's result, for every seat that it is about."""
        now = time()
        for seat in self._told.get(target, ()):
            before = self.states.get(seat.key, health.State())
            after = self.states[seat.key] = health.advance(before, outcome, now, seat.rise, seat.fall)
            if isinstance(outcome, health.Result) and not outcome.ok:
                self.failures[seat.key] = self.failures.get(seat.key, 0) + 1
            if after.health is not before.health:
                self._say(seat, before, after, now)
            self._octets[seat.slot] = pooling.standing(seat, self.states, self.words, now).octet
        self._board.write(bytes(self._octets))

    def _say(self, seat: Seat, before: health.State, after: health.State, now: float) -> None:
        why = f": {after.last.error}" if after.last and after.last.error else ""
        what = f"{'/'.join(seat.path)} ({seat.address}) is {after.health.value}, was {before.health.value}{why}"
        log.log(logging.WARNING if after.health is health.Health.DOWN else logging.INFO, "pool %s", what)
        self._note(seat.path[0], what, now)

    def _note(self, pool: str, what: str, now: float) -> None:
        if pool in self.history:
            self.history[pool].append((now, what))
        self.moved.set()
        self._dirty = True

    def say_word(
        self, pattern: str, word: overrides.Word | overrides.Auto, *, seconds: float | None, reason: str, who: str
    ) -> list[str]:
        """The operator's word about all that a pattern names; the paths that it has changed. Raises BadPattern."""
        now = time()
        until = now + seconds if seconds is not None else None
        self.words, touched = self.words.set(pattern, word, now=now, until=until, reason=reason, who=who, known=self.known)
        for path in touched:
            what = f"{'/'.join(path)} is set to {word} by {who or 'somebody'}" + (f": {reason}" if reason else "")
            self._note(path[0], what, now)
        self._show()
        self._save()
        return ["/".join(path) for path in touched]

    def drain(self, reason: str) -> None:
        """Say that this instance shall not be sent queries, or with "" that it may."""
        self.draining = reason
        log.info("draining: %s", reason) if reason else log.info("no longer draining")
        self._save(anyway=True)

    def post_state(self, key: str, *, up: bool) -> None:
        """A state that somebody outside knows; raises KeyError for no endpoint with an external check."""
        self.prober.post(key, up, time())

    def _show(self, *, anyway: bool = False) -> None:
        """Put the standings on the board, for the processes that answer; `anyway` tells them even if nothing is new there."""
        now = time()
        self._octets[:] = pooling.standings(self.seats, self.states, self.words, now)
        self._board.write(bytes(self._octets), anyway=anyway)

    def _save(self, *, anyway: bool = False) -> None:
        """Write at once, so that who is told of it can rely on it."""
        known = self._handed_over()
        if self.config.pools or anyway:  # else there is nothing that a start would ask for
            self._write(self._number, known)

    def _handed_over(self) -> dict[str, object]:
        """What is known now, which a successor can have from the notebook already."""
        history = {pool: tuple(happened) for pool, happened in self.history.items()}
        known = Remembered(self.states, self.words, history, self.draining, self.failures).to_json()
        try:
            hand_over(known, self._notebook)
        except ValueError as error:
            log.error("states of checks are not handed on: %s", error)
        self._number += 1
        self._dirty, self._written = False, time()
        return known

    def _write(self, number: int, known: dict[str, object]) -> None:
        """Write what was known at a moment, unless a later one is on the disk already; from any thread."""
        with self._writing:
            if self._directory and number > self._number_on_disk:
                self._directory.write(STATE, known)
                self._number_on_disk = number
