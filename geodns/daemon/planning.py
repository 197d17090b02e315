"""Owns the plan of a reload: what would change, and what is too much to change unasked; refuses to load, and to put it to use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Any

from pydantic import BaseModel

from geodns import wire
from geodns.answer import move_words
from geodns.answer.moves import Comparison, Move, Parts, Question
from geodns.daemon.loading import Loaded, counted
from geodns.geo import Database, Location, Network
from geodns.geo.weights import AREAS
from geodns.ops.config import Config, Pool
from geodns.problem import Problem
from geodns.zone.changes import changes

LARGEST_LOSS = 0.3
"""The part of a zone's records that a reload may take away unasked; at 30 % octoDNS stops too."""

FEW = 10
"""Records that may go whatever part of the zone they are: who tries things out with a small zone is not to be in his own way."""

_SHOWN = 20  # lines of one kind
_SHOWN_MOVES = 10  # of some lines each
_SHOWN_REFUSALS = 100
_LEAST_TIME = 0.2  # s for comparing answers by place; where loading takes long, this part of that
_PART_OF_LOAD = 0.05
_PREFIXES = 16  # listed of each shift, where details are wanted


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """A zone that is served before and after, and not the same; pairs are before and after."""

    origin: str
    file: str
    serials: tuple[int, int]
    records: tuple[int, int]
    added: int
    changed: int
    removed: int

    def __str__(self) -> str:
        before, after = self.serials
        serial = f"serial {before} → {after}" if before != after else f"serial {before} as before"
        kinds = ((self.added, "added"), (self.changed, "changed"), (self.removed, "removed"))
        told = ", ".join(f"{counted(number, 'record')} {what}" for number, what in kinds if number)
        return f"{self.origin}: {serial}; {told}, of {self.records[0]}"

    def as_json(self) -> dict[str, Any]:
        """A plain object."""
        return {
            "zone": self.origin,
            "file": self.file,
            "serial_before": self.serials[0],
            "serial_after": self.serials[1],
            "records_before": self.records[0],
            "records_after": self.records[1],
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "removed_share": self.removed / self.records[0],
        }


@dataclass(frozen=True, slots=True)
class RuleMoves:
    """Questions whose clients of one rule, or pool, get another answer; `parts` are the largest of any of these questions."""

    rule: str
    questions: int
    parts: Parts

    def __str__(self) -> str:
        if self.parts == Parts():
            return f"{self.rule}: {counted(self.questions, 'answer')}, {move_words.PLACELESS}"
        most = "" if self.questions == 1 else "up to "
        return f"{self.rule}: {counted(self.questions, 'answer')}, {most}{move_words.parts_text(self.parts)}"

    def as_json(self) -> dict[str, Any]:
        """A plain object."""
        return {"rule": self.rule, "questions": self.questions, **move_words.parts_json(self.parts)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload changes; `problems` say what is too much to change unless it is forced.

    `compared` of `comparable` questions were compared: those whose answers differ by client, which is limited in time, or with
    details all at which records differ. `only_old` and `only_new` are questions that one side alone has records for.
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
    lists: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes but maybe databases, lists and maps of which nobody's answer depends."""
        zones = self.zones_added or self.zones_removed or self.zones
        return not (zones or self.moves or self.only_old or self.only_new or self.pools or self.settings)

    @property
    def rules(self) -> tuple[RuleMoves, ...]:
        """Moves of clients by the rule that names them, those that move most first."""
        found: dict[str, dict[tuple[wire.Name, int], Parts]] = {}
        for move in self.moves:
            for shift in move.shifts:
                if shift.resolvers:
                    continue  # their parts are of something else
                of_rule = found.setdefault(move_words.by_text(shift), {})
                sum_ = of_rule.get((move.name, move.rdtype), Parts())
                of_rule[move.name, move.rdtype] = Parts(sum_.ipv4 + shift.parts.ipv4, sum_.ipv6 + shift.parts.ipv6)
        rules = (RuleMoves(rule, len(parts), _largest(parts.values())) for rule, parts in found.items())
        return tuple(sorted(rules, key=lambda each: (-each.parts.ipv4 - each.parts.ipv6, each.rule)))

    def as_json(self) -> dict[str, Any]:
        """A plain object for `json.dumps`; parts are of 1."""
        return {
            "zones_added": list(self.zones_added),
            "zones_removed": list(self.zones_removed),
            "zones": [each.as_json() for each in self.zones],
            "compared": self.compared,
            "comparable": self.comparable,
            "moves": [move_words.as_json(move) for move in self.moves],
            "rules": [each.as_json() for each in self.rules],
            "only_old": [_question_json(each) for each in self.only_old],
            "only_new": [_question_json(each) for each in self.only_new],
            "pools": list(self.pools),
            "settings": list(self.settings),
            "databases": list(self.databases),
            "lists": list(self.lists),
            "refusals": [str(problem) for problem in self.problems],
        }

    def lines(self) -> list[str]:
        """In words: nothing of what stays, and of each kind the first ten or twenty."""
        listed = [
            *_some("new zones", (f"zone {origin}: is served" for origin in self.zones_added)),
            *_some("zones that go", (f"zone {origin}: is served no more" for origin in self.zones_removed)),
            *_some("zones", (f"zone {each}" for each in self.zones)),
            *_some("pools", (f"pool {each}" for each in self.pools)),
            *_some("settings", (f"setting {each}: changes" for each in self.settings)),
            *_some("databases", (f"database {each}" for each in self.databases)),
            *_some("lists", self.lists),
            *_some("names", (f"{move_words.question_text(*each[1:])}: only old" for each in self.only_old)),
            *_some("names", (f"{move_words.question_text(*each[1:])}: only new" for each in self.only_new)),
            *_some("names", ("\n".join(move_words.lines(move)) for move in self.moves), _SHOWN_MOVES),
            *(_some("rules", (f"by rule {each}" for each in self.rules)) if len(self.moves) > 1 else ()),
        ]
        if self.compared < self.comparable:
            listed.append(f"answers by place: the first {self.compared} of {self.comparable} were compared, for time was short")
        return [line for each in listed for line in each.split("\n")] or ["nothing changes"]


def plan(old: Loaded, new: Loaded) -> Plan:
    """What it would change to serve `new` instead of `old`, found in a small part of the time that loading took."""
    limit = max(_LEAST_TIME, new.seconds * _PART_OF_LOAD)
    return _Planner(old, new, Comparison(old.snapshot, new.snapshot), limit).whole(detailed=False)


def details(old: Loaded, new: Loaded, names: Collection[wire.Name] = ()) -> Plan:
    """The same to prefixes and countries, by the databases of `new`, however long it takes; raises BadDatabase.

    With `names` the plan is about what these are answered, and nothing else.
    """
    [areas] = new.snapshot.atlas.partitions([AREAS])
    planner = _Planner(old, new, Comparison(old.snapshot, new.snapshot, areas, _PREFIXES), inf)
    return planner.named(names) if names else planner.whole(detailed=True)


Owners = Mapping[wire.Name, Sequence[wire.Name]]
"""Names by the zone that they are in."""


class _Planner:
    """Two loads on their way to a plan; `limit` is how many seconds the comparing of answers may take."""

    def __init__(self, old: Loaded, new: Loaded, comparison: Comparison, limit: float) -> None:
        self._old, self._new = old, new
        self._before, self._after = old.snapshot.zones, new.snapshot.zones
        self._comparison = comparison
        self._limit = limit

    def whole(self, *, detailed: bool) -> Plan:
        """Everything that changes; only where details are wanted also what is the same for every client."""
        zones, owners = self._zones()
        questions = [each for origin in self._both() for each in self._comparison.differing(origin)]
        gone: list[Question] = []
        come: list[Question] = []
        if detailed:
            questions = list({*questions, *self._common(owners)})
            gone, come = self._lone(owners)
        moves, compared = self._moves(sorted(questions, key=_canonical))
        config, other = self._old.config, self._new.config
        return Plan(
            zones_added=tuple(map(wire.to_text, sorted(self._after.keys() - self._before.keys()))),
            zones_removed=tuple(map(wire.to_text, sorted(self._before.keys() - self._after.keys()))),
            zones=tuple(zones),
            moves=tuple(moves),
            compared=compared,
            comparable=len(questions),
            only_old=tuple(gone),
            only_new=tuple(come),
            pools=tuple(_pools(config.pools, other.pools)),
            settings=tuple(_settings(self._old, self._new)),
            databases=tuple(_databases(_by_path(self._old), _by_path(self._new))),
            lists=tuple(_lists(self._old, self._new)),
            problems=tuple(self._refusals(zones)),
        )

    def named(self, names: Collection[wire.Name]) -> Plan:
        """What changes for some names."""
        origins = sorted(self._before.keys() | self._after.keys())
        owners = {origin: sorted(name for name in set(names) if wire.is_subdomain(name, origin)) for origin in origins}
        questions = self._common({origin: owners[origin] for origin in self._both()})
        moves, compared = self._moves(sorted(questions, key=_canonical))
        gone, come = self._lone(owners)
        return Plan((), (), (), tuple(moves), compared, len(questions), tuple(gone), tuple(come), (), (), (), (), ())

    def _both(self) -> list[wire.Name]:
        """The zones that are served before and after."""
        return sorted(self._before.keys() & self._after.keys())

    def _zones(self) -> tuple[list[ZoneChange], dict[wire.Name, tuple[wire.Name, ...]]]:
        """The zones that change, and by zone the names at which they do."""
        zones: list[ZoneChange] = []
        owners: dict[wire.Name, tuple[wire.Name, ...]] = {}
        for origin in self._both():
            before, after = self._before[origin].contents, self._after[origin].contents
            found = changes(before, after)
            if found.total:
                owners[origin] = found.owners
                serials, records = (before.serial, after.serial), (before.record_count, after.record_count)
                kinds = found.added, found.changed, found.removed
                zones.append(ZoneChange(wire.to_text(origin), after.file, serials, records, *kinds))
        return zones, owners

    def _common(self, owners: Owners) -> list[Question]:
        return [each for origin, names in owners.items() for each in self._comparison.common(origin, names)]

    def _lone(self, owners: Owners) -> tuple[list[Question], list[Question]]:
        found = [self._comparison.lone(origin, names) for origin, names in owners.items()]
        gone, come = ([each for pair in found for each in pair[side]] for side in (0, 1))
        return sorted(gone, key=_canonical), sorted(come, key=_canonical)

    def _moves(self, questions: Sequence[Question]) -> tuple[list[Move], int]:
        """What moves among the questions that time allows for, and how many those are."""
        due = monotonic() + self._limit
        found: list[Move] = []
        for number, question in enumerate(questions):
            if number and monotonic() > due:
                return found, number
            if move := self._comparison.move(question):
                found.append(move)
        return found, len(questions)

    def _refusals(self, zones: Sequence[ZoneChange]) -> Iterator[Problem]:
        """Everything that goes and is too much, zone by zone; many small zones are as much as a large one."""
        removed = [self._before[origin].contents for origin in sorted(self._before.keys() - self._after.keys())]
        losses = [(f"zone {each.origin}", each.file, each.removed, each.records[0]) for each in zones]
        losses += (
            (f"zone {wire.to_text(each.origin)}", str(self._new.path), each.record_count, each.record_count) for each in removed
        )
        found = [loss for loss in losses if _is_too_much(*loss[2:])]
        whole = ("all zones together", str(self._new.path), sum(loss[2] for loss in losses), self._old.records)
        if not found and _is_too_much(*whole[2:]):
            found = [whole]
        remedy = "if that is meant: geodns reload --force"
        for what, file, lost, records in found[:_SHOWN_REFUSALS]:
            part = move_words.part_text(lost / records)
            of = f"{lost} of {records} records ({part})" if lost < records else f"all {counted(records, 'record')}"
            yield Problem(file, 0, f"{what}: {of} would go", remedy)
        if more := found[_SHOWN_REFUSALS:]:
            yield Problem(str(self._new.path), 0, f"{counted(len(more), 'more zone')} would lose as much", remedy)


def _is_too_much(lost: int, records: int) -> bool:
    return lost > FEW and lost > LARGEST_LOSS * records


def _pools(old: Mapping[str, Pool], new: Mapping[str, Pool]) -> Iterator[str]:
    """Each pool that changes, and how."""
    yield from (f"{name}: is there" for name in new if name not in old)
    yield from (f"{name}: is there no more" for name in old if name not in new)
    for name, before in old.items():
        after = new.get(name)
        if after is None or before == after:
            continue
        listed, others = ({each.name: each for each in pool.endpoints} for pool in (before, after))
        told = [f"endpoint {each} is there" for each in others if each not in listed]
        told += (f"endpoint {each} is there no more" for each in listed if each not in others)
        for each in (name for name in listed if name in others):
            told += (f"endpoint {each} {what}" for what in _fields(listed[each], others[each]))
        told += _fields(before, after, "endpoints")
        yield f"{name}: {', '.join(told) or 'endpoints in another order'}"


def _fields(old: BaseModel, new: BaseModel, *left_out: str) -> list[str]:
    """The keys of a table that change; short values are told."""
    told: list[str] = []
    for key in type(old).model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before == after or key in left_out:
            continue
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            told += (f"{key}.{what}" for what in _fields(before, after))
        elif isinstance(before, int | float | str) and isinstance(after, int | float | str):
            told.append(f"{key} {before!r} → {after!r}" if "" in (before, after) else f"{key} {before} → {after}")
        else:
            told.append(f"{key} changes")
    return told


def _settings(old: Loaded, new: Loaded) -> Iterator[str]:
    """The other keys of the configuration that change, or what they name; expectations change no answer."""
    secrets = "server.cookie_secrets"
    if old.config.server.cookie_secrets == new.config.server.cookie_secrets:
        yield from [secrets] if old.snapshot.cookie_secrets != new.snapshot.cookie_secrets else []
    for key in Config.model_fields:
        before, after = getattr(old.config, key), getattr(new.config, key)
        if before == after or key in {"pools", "zones", "expect"}:
            continue
        if isinstance(before, BaseModel):
            yield from (f"{key}.{name}" for name in type(before).model_fields if getattr(before, name) != getattr(after, name))
        else:
            yield key


def _by_path(loaded: Loaded) -> dict[str, Database]:
    return dict(zip(loaded.config.geo.databases, loaded.snapshot.atlas.databases, strict=False))


def _databases(old: Mapping[str, Database], new: Mapping[str, Database]) -> Iterator[str]:
    """The databases that are others, or other builds."""
    yield from (f"{path}: is asked" for path in new if path not in old)
    yield from (f"{path}: is asked no more" for path in old if path not in new)
    for path in old:
        if path in new and old[path].built != new[path].built:
            yield f"{path}: built {_day(old[path].built)} → {_day(new[path].built)}"


_Prefixes = Mapping[Network, Location]


def _lists(old: Loaded, new: Loaded) -> Iterator[str]:
    """The lists of anycast prefixes and the egress maps that say something else, by what the configuration calls them."""
    listed, relisted = ({text: _listed(side, text) for text in side.config.geo.anycast} for side in (old, new))
    yield from _differing("anycast list", listed, relisted)
    mapped, remapped = ({text: _mapped(side, text) for text in side.config.geo.egress} for side in (old, new))
    yield from _differing("egress map", mapped, remapped)


def _differing(word: str, old: Mapping[str, _Prefixes], new: Mapping[str, _Prefixes]) -> Iterator[str]:
    yield from (f"{word} {path}: is asked" for path in new if path not in old)
    yield from (f"{word} {path}: is asked no more" for path in old if path not in new)
    for path, before in old.items():
        after = new.get(path, before)
        counts = (
            (len(after.keys() - before.keys()), "is there", "are there"),
            (len(before.keys() - after.keys()), "is there no more", "are there no more"),
            (sum(before[each] != after[each] for each in before.keys() & after.keys()), "is elsewhere", "are elsewhere"),
        )
        told = [f"{counted(count, 'prefix')} {one if count == 1 else many}" for count, one, many in counts if count]
        if told:
            yield f"{word} {path}: {', '.join(told)}"


def _listed(loaded: Loaded, text: str) -> dict[Network, Location]:
    source = str(loaded.config.path(text))
    return {prefix.network: Location() for prefix in loaded.snapshot.atlas.anycast if prefix.source == source}


def _mapped(loaded: Loaded, text: str) -> dict[Network, Location]:
    source = str(loaded.config.path(text))
    return {prefix.network: prefix.location for prefix in loaded.snapshot.atlas.egress if prefix.source == source}


def _day(built: int | None) -> str:
    return "unknown" if built is None else f"{datetime.fromtimestamp(built, UTC):%Y-%m-%d}"


def _largest(parts: Iterable[Parts]) -> Parts:
    listed = list(parts)
    return Parts(max(each.ipv4 for each in listed), max(each.ipv6 for each in listed))


def _question_json(question: Question) -> dict[str, str]:
    _, name, rdtype = question
    text, _, rdtext = move_words.question_text(name, rdtype).rpartition(" ")
    return {"name": text, "type": rdtext}


def _canonical(question: Question) -> tuple[tuple[bytes, ...], int]:
    """Names below a name right behind it (RFC 4034 §6.1)."""
    _, name, rdtype = question
    return tuple(reversed(wire.labels(name))), rdtype


def _some(what: str, texts: Iterable[str], shown: int = _SHOWN) -> list[str]:
    """The first of many, and how many more there are."""
    listed = list(texts)
    more = len(listed) - shown
    return listed if more <= 0 else [*listed[:shown], f"… and {more} more {what}"]
