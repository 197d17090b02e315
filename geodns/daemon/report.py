"""Owns what the supervisor tells the keeper: generations, reloads, workers; refuses to know how either of them works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from time import time
from typing import Any

from geodns import server
from geodns.problem import Problem

CAPACITY = 4 << 20  # octets
_MOST = 1000  # problems told
_LISTED = (1000, 100, 10, 1)  # entries of each list of changes: the first number with which a report is short enough
_LONGEST = 1000  # characters of each text in such a report


@dataclass(frozen=True, slots=True)
class Reload:
    """How the last reload went; times are Unix time and seconds."""

    at: float
    accepted: bool
    seconds: float
    problems: tuple[dict[str, object], ...] = ()
    plan: dict[str, object] | None = None


@dataclass(slots=True)
class Report:
    """The state of the whole server, as its supervisor knows it: counts of reloads include the refused ones.

    `answering` tells whether the current generation does, in every slot, `leaving` that it ends when clients have left.
    """

    pid: int
    started: float
    generation: int = 1
    loaded_at: float = 0.0
    attempts: int = 0
    refused: int = 0
    deaths: int = 0
    answering: bool = False
    leaving: bool = False
    listening: tuple[str, ...] = ()
    workers: dict[int, int] = field(default_factory=dict)
    last_reload: Reload | None = None

    def note_reload(
        self, seconds: float, problems: Sequence[Problem], *, accepted: bool, planned: dict[str, object] | None = None
    ) -> None:
        """Remember how a reload went that took so long, and what it has changed: the first of each kind."""
        self.attempts += 1
        self.refused += not accepted
        if accepted:
            self.loaded_at = time()
        kept = _cut(planned, _LISTED[0])
        self.last_reload = Reload(
            time() - seconds, accepted, seconds, tuple(problem.as_json() for problem in problems[:_MOST]), kept
        )

    def note_workers(self, supervisor: server.Supervisor) -> bool:
        """Take over which process is in which slot, and whether all of them answer; says whether anything is new."""
        news = (supervisor.pids(), supervisor.deaths, supervisor.generation, supervisor.answering)
        if news == (self.workers, self.deaths, self.generation, self.answering):
            return False
        self.workers, self.deaths, self.generation, self.answering = news
        return True

    def write(self, slate: server.Slate) -> None:
        """Show it to the keeper. What is too long is cut: nothing that a reload has to tell may end the server."""
        told = asdict(self)
        octets = json.dumps(told).encode()
        for entries in _LISTED:
            if len(octets) <= slate.capacity:
                break
            octets = json.dumps(told | {"last_reload": _cut(told["last_reload"], entries)}).encode()
        slate.write(octets)


def _cut(value: Any, entries: int) -> Any:
    """The same with short lists and texts."""
    match value:
        case str():
            return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        case dict():
            return {key: _cut(each, entries) for key, each in value.items()}
        case list() | tuple():
            return [_cut(each, entries) for each in value[:entries]]
        case _:
            return value


def read(slate: server.Slate) -> Report:
    """What the supervisor has shown last; raises ValueError if it has shown nothing yet."""
    told = json.loads(slate.read())
    last = told.pop("last_reload")
    told["workers"] = {int(slot): pid for slot, pid in told["workers"].items()}
    if last:
        last["problems"] = tuple(last["problems"])
    return Report(**told, last_reload=Reload(**last) if last else None)
