"""Owns the law of what the supervisor tells the keeper: whatever there is to tell, it can be told."""

from __future__ import annotations

import pytest

from geodns.daemon import report
from geodns.daemon.report import CAPACITY, Report
from geodns.problem import Problem
from geodns.server import Slate

ZONE = {"zone": "a-zone-of-many.example.", "file": "/etc/geodns/zones/a-zone-of-many.example.zone", "changed": 1}
PLANS: list[dict[str, object]] = [
    {"zones": [ZONE] * 100_000},
    {"zones_added": ["a-zone-of-many.example."] * 1_000_000},
    {"moves": [{"shifts": [{"before": ["x" * 200] * 10}] * 10}] * 500},
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: next(iter(plan)))
def test_a_plan_of_any_size_is_told(plan: dict[str, object]) -> None:
    """A reload that changes very much must not end the server that has accepted it: lists are cut."""
    slate = Slate(CAPACITY)
    told = Report(1, 0.0)
    told.note_reload(0.0, [], accepted=True, planned=plan)
    told.write(slate)
    last = report.read(slate).last_reload

    assert last is not None
    assert last.plan is not None
    assert (True, plan.keys()) == (last.accepted, last.plan.keys())


def test_problems_of_any_length_are_told() -> None:
    """Nor may a refused one: long sentences are cut."""
    slate = Slate(CAPACITY)
    told = Report(1, 0.0)
    told.note_reload(0.0, [Problem("", 0, "ü" * 10_000, "mend it")] * 5000, accepted=False)
    told.write(slate)
    last = report.read(slate).last_reload

    assert last is not None
    assert (False, "mend it") == (last.accepted, last.problems[0]["remedy"])


def test_what_is_not_too_long_is_told_whole() -> None:
    """Nothing is cut without need."""
    slate = Slate(CAPACITY)
    told = Report(1, 0.0)
    told.note_reload(0.0, [], accepted=True, planned={"zones": [ZONE] * 1000})
    told.write(slate)

    assert told.last_reload == report.read(slate).last_reload
