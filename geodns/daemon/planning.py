"""Owns the plan of a reload: what would change, and what is too much to change unasked; refuses to load, and to put it to use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from pydantic import BaseModel

from geodns import answer, geo, wire, zone
from geodns.answer.moves import Comparison, Move, Parts, Question, Shift, Told
from geodns.daemon.loading import Loaded, counted
from geodns.geo.weights import AREAS
from geodns.ops.config import Pool
from geodns.problem import Problem
from geodns.zone.changes import changes

LARGEST_LOSS = 0.3
"""The part of a zone's records that a reload may take away unasked: octoDNS, too, stops short of a plan that deletes 30 %."""

_FEW = 10  # records that may go whatever part of the zone they are: who tries things out is not to be in the way of himself
_SHOWN_REFUSALS = 100
_SHOWN = 20  # lines of one kind
_SHOWN_SHIFTS = 5  # of one name
_LEAST_TIME = 0.2  # s for the names whose answers differ by client, at least; else a twentieth of what loading took
_PART_OF_LOAD = 0.05
_PREFIXES = 16  # listed of each shift, where details are wanted
_DETAILED_TIME = float("inf")


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """A zone that is served before and after, and not the same."""

    origin: str
    serials: tuple[int, int]
    records: tuple[int, int]
    added: int
    changed: int
    removed: int

    @property
    def removed_share(self) -> float:
        """The part of its records that goes."""
        return self.removed / self.records[0]


@dataclass(frozen=True, slots=True)
class RuleMoves:
    """Names whose clients of one rule, or pool, get another answer; `parts` are those of the name where they are most."""

    rule: str
    names: int
    parts: Parts


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload changes. Zones, names and questions are in the order of their names; texts are absolute names.

    `compared` of `comparable` questions whose answers differ by client were compared; without details time is limited. Only a
    detailed plan has the others that were compared, prefixes, countries, and the questions that one side alone has.
    """

    zones_added: tuple[str, ...]
    zones_removed: tuple[str, ...]
    zones: tuple[ZoneChange, ...]
    moves: tuple[Move, ...]
    compared: int
    comparable: int
    only_old: tuple[Question, ...]
    only_new: tuple[Question, ...]
    pools: tuple[str, ...]
    settings: tuple[str, ...]
    databases: tuple[str, ...]
    problems: tuple[Problem, ...] = field(default=())
    """What is too much to change unasked: the reload is to be refused unless it is forced."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes but maybe the age of databases."""
        return not (self.zones_added or self.zones_removed or self.zones or self.moves or self.pools or self.settings)

    @property
    def rules(self) -> tuple[RuleMoves, ...]:
        """Moves by the rule that named the clients before and after."""
        found: dict[str, dict[tuple[wire.Name, int], Parts]] = {}
        for move in self.moves:
            for shift in move.shifts:
                by_name = found.setdefault(_by(shift), {})
                before = by_name.get((move.name, move.rdtype), Parts())
                by_name[move.name, move.rdtype] = Parts(before.ipv4 + shift.parts.ipv4, before.ipv6 + shift.parts.ipv6)
        rules = [RuleMoves(rule, len(names), _largest(names.values())) for rule, names in found.items()]
        return tuple(sorted(rules, key=lambda each: (-each.parts.ipv4 - each.parts.ipv6, each.rule)))

    def as_json(self) -> dict[str, Any]:
        """A plain object for `json.dumps`; parts are of 1."""
        return {
            "zones_added": list(self.zones_added),
            "zones_removed": list(self.zones_removed),
            "zones": [_zone_json(each) for each in self.zones],
            "questions": {"compared": self.compared, "of": self.comparable},
            "moves": [_move_json(move) for move in self.moves],
            "rules": [{"rule": each.rule, "names": each.names, **_parts_json(each.parts)} for each in self.rules],
            "only_old": [_question_json(each) for each in self.only_old],
            "only_new": [_question_json(each) for each in self.only_new],
            "pools": list(self.pools),
            "settings": list(self.settings),
            "databases": list(self.databases),
            "refusals": [problem.message for problem in self.problems],
        }

    def lines(self) -> list[str]:
        """In words: nothing for what stays, at most twenty lines of each kind."""
        shifting = (line for move in self.moves for line in _move_lines(move))
        listed = [
            *_some("zone", (f"{origin} is new" for origin in self.zones_added)),
            *_some("zone", (f"{origin} goes" for origin in self.zones_removed)),
            *_some("zone", map(_zone_line, self.zones)),
            *(f"pool {line}" for line in self.pools),
            *(f"setting {key} changes" for key in self.settings),
            *(f"database {line}" for line in self.databases),
            *_some("only old:", map(_question_text, self.only_old)),
            *_some("only new:", map(_question_text, self.only_new)),
            *_some("answer", shifting, " (more in JSON)"),
            *([] if len(self.moves) == 1 else _some("by rule:", map(_rule_line, self.rules))),
        ]
        if self.compared < self.comparable:
            listed.append(f"answers by place: {self.compared} of {self.comparable} were compared, for time was short")
        return listed or ["nothing changes"]


def plan(old: Loaded, new: Loaded) -> Plan:
    """What it would change to serve `new` instead of `old`, within a small part of the time that loading took."""
    limit = max(_LEAST_TIME, new.seconds * _PART_OF_LOAD)
    return _Planner(old, new, Comparison(old.snapshot, new.snapshot), ()).plan(limit, detailed=False)


def details(old: Loaded, new: Loaded, names: Collection[wire.Name] = ()) -> Plan:
    """The same to the last prefix, however long it takes: every changed question, by country of `new`'s databases.

    With `names` only what these names are answered is looked at. Raises BadDatabase.
    """
    [areas] = new.snapshot.atlas.partitions([AREAS])
    return _Planner(old, new, Comparison(old.snapshot, new.snapshot, areas, _PREFIXES), names).plan(
        _DETAILED_TIME, detailed=True
    )


class _Planner:
    """One comparison of two loads, on its way to a plan."""

    def __init__(self, old: Loaded, new: Loaded, comparison: Comparison, names: Collection[wire.Name]) -> None:
        self.old, self.new = old, new
        self.before, self.after = old.snapshot.zones, new.snapshot.zones
        self.comparison = comparison
        self.names = names

    def plan(self, limit: float, *, detailed: bool) -> Plan:
        gone, come = (self._wanted(one.keys() - other.keys()) for one, other in self._both_ways())
        zones: list[ZoneChange] = []
        questions: list[Question] = []
        lone: tuple[list[Question], list[Question]] = ([], [])
        for origin in sorted(self.before.keys() & self.after.keys()):
            found = changes(self.before[origin].contents, self.after[origin].contents)
            owners = self._wanted(found.owners)
            if found.total and (owners or not self.names):
                zones.append(_zone_change(self.before[origin].contents, self.after[origin].contents, found))
            differing = [each for each in self.comparison.differing(origin) if not self.names or each[1] in self.names]
            questions += differing
            if detailed:
                questions += sorted(set(self.comparison.common(origin, owners)) - set(differing))
                for listed, more in zip(lone, self.comparison.lone(origin, owners), strict=True):
                    listed += more
        moves, compared = self._moves(questions, limit)
        return Plan(
            tuple(map(wire.to_text, come)),
            tuple(map(wire.to_text, gone)),
            tuple(zones),
            tuple(moves),
            compared,
            len(questions),
            *map(tuple, lone),
            *self._of_config(),
            problems=tuple(self._refusals(zones)),
        )

    def _both_ways(self) -> Iterator[tuple[Any, Any]]:
        yield self.before, self.after
        yield self.after, self.before

    def _wanted(self, names: Iterable[wire.Name]) -> list[wire.Name]:
        return sorted(name for name in names if not self.names or name in self.names)

    def _moves(self, questions: Sequence[Question], limit: float) -> tuple[list[Move], int]:
        """What moves among the questions that time allows for, and how many those were."""
        due = monotonic() + limit
        found = []
        for number, question in enumerate(questions):
            if number and monotonic() > due:
                return found, number
            if move := self.comparison.move(question):
                found.append(move)
        return found, len(questions)
