"""The lab itself, in its short form: what an event does to the clients of an instance, by laws that hold on any machine.

Times are bounded generously, for the machine may be busy: it is order and loss that count.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import cage, topology
from tests.lab.events import SHORT
from tests.lab.measure import STREAMS, Outcome, Way
from tests.lab.test_cage import traces
from tests.support.daemons import REPOSITORY

pytestmark = pytest.mark.slow

TARGET, NEXT = "nyc", "fra"
STRAY = 0.03  # share of probes that a busy machine may lose by itself
LONGEST = 20.0  # s: far beyond every interval and TTL of the short form


@dataclass(frozen=True, slots=True)
class Run:
    """What the lab has left: its result, and what it printed and drew."""

    found: dict[str, Any]
    printed: str
    plot: Path
    file: Path

    def event(self, name: str) -> dict[str, Any]:
        [event] = [event for event in self.found["events"] if event["name"] == name]
        return dict(event)

    def outcomes(self, event: str, ways: Iterable[Way]) -> list[Outcome]:
        """What happened to the target's clients on these ways."""
        wanted = {way.value for way in ways}
        all_of_them = [Outcome(**each) for each in self.event(event)["outcomes"]]
        return [each for each in all_of_them if each.before == TARGET and each.way in wanted]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, which all laws are about."""
    if reason := cage.why_not():
        pytest.skip(reason)
    file, plot = tmp_path_factory.mktemp("lab") / "result.json", tmp_path_factory.mktemp("lab") / "result.svg"
    words = [sys.executable, "-m", "tests.lab", "--short", "--json", str(file), "--plot", str(plot)]
    ran = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    return Run(json.loads(file.read_text()), ran.stdout, plot, file)


GEODNS = (Way.PROVIDER, Way.SUBNET, Way.PLAIN)
MOVING = ("drain", "kill", "hang")


@pytest.mark.timeout(300)
def test_it_reports_every_event(run: Run) -> None:
    """Its table, its file and its plot have all events of the short form, and reading the file again tells the same."""
    again = subprocess.run(
        [sys.executable, "-m", "tests.lab", "--read", str(run.file)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert list(SHORT) == [event["name"] for event in run.found["events"]]
    assert all(name in run.printed and name in run.plot.read_text() for name in SHORT)
    assert run.printed == again.stdout


@pytest.mark.parametrize("name", SHORT)
def test_clients_get_where_they_should_and_come_back(run: Run, name: str) -> None:
    """All clients move in time, and when it is over all is as before."""
    event = run.event(name)

    assert (True, True) == (event["moved"], event["returned"])


@pytest.mark.parametrize("name", MOVING)
def test_an_event_moves_its_clients_to_the_next_instance(run: Run, name: str) -> None:
    """Anycast and GeoDNS alike: whoever the target served is served by the next instance."""
    outcomes = run.outcomes(name, Way)

    assert len(outcomes) > len(topology.REGIONS)
    assert {NEXT} == {outcome.after for outcome in outcomes}


@pytest.mark.parametrize("name", SHORT)
def test_other_instances_clients_notice_nothing(run: Run, name: str) -> None:
    """Where another instance is nearest, anycast loses nothing and goes nowhere."""
    others = [Outcome(**each) for each in run.event(name)["outcomes"] if each["way"] == "anycast" and each["before"] != TARGET]

    assert {"fra", "sin"} == {outcome.before for outcome in others}
    assert all(outcome.lost <= STRAY * outcome.sent and outcome.moved_after is None for outcome in others)


def test_a_drain_loses_nothing(run: Run) -> None:
    """Who is told to leave while the instance still answers loses no query; only anycast breaks open connections."""
    outcomes = run.outcomes("drain", Way)

    assert all(outcome.lost <= STRAY * outcome.sent for outcome in outcomes)
    assert {"reset"} == {outcome.connection for outcome in outcomes if outcome.way == "anycast"}
    assert {"alive"} == {outcome.connection for outcome in outcomes if outcome.way != "anycast"}


@pytest.mark.parametrize("name", ["kill", "hang"])
def test_a_failure_loses_what_was_asked_until_it_was_noticed(run: Run, name: str) -> None:
    """Something is lost, for a bounded time: until the gate withdraws, or until the check fails and the TTL is over."""
    for outcome in run.outcomes(name, Way):
        assert outcome.lost
        assert outcome.well_after is not None
        assert outcome.well_after < 1000 * LONGEST


def test_a_hang_without_a_gate_is_a_black_hole(run: Run) -> None:
    """The control experiment: BIRD announces on, and every query is lost to the end, while GeoDNS moves its clients."""
    for outcome in run.outcomes("no-gate", [Way.ANYCAST]):
        assert outcome.lost == outcome.sent > 0
        assert (None, None, "silent") == (outcome.after, outcome.well_after, outcome.connection)
    assert {NEXT} == {outcome.after for outcome in run.outcomes("no-gate", GEODNS)}


def test_without_client_subnets_everybody_is_where_the_resolver_is(run: Run) -> None:
    """A far resolver that tells nobody where its clients are gets the instance nearest to itself for all of them."""
    before = {each["region"]: each["before"] for each in run.event("kill")["outcomes"] if each["way"] == Way.PLAIN.value}

    assert {region.name: TARGET for region in topology.REGIONS} == before


def test_with_client_subnets_everybody_is_at_the_nearest(run: Run) -> None:
    """The same resolver, when it sends client subnets, gets each client its nearest instance."""
    before = {each["region"]: each["before"] for each in run.event("kill")["outcomes"] if each["way"] == Way.SUBNET.value}

    assert {region.name: topology.nearest(region).name for region in topology.REGIONS} == before


def test_no_round_trip_is_shorter_than_its_way(run: Run) -> None:
    """The wires hold each frame as long as light needs."""
    ways = {"chicago": ("chicago", "arc-ash", "nyc"), "saopaulo": ("saopaulo", "arc-ash", "nyc")}
    for outcome in run.outcomes("kill", [Way.ANYCAST]):
        assert outcome.round_trip_before is not None
        assert topology.path_milliseconds(ways[outcome.region]) <= outcome.round_trip_before


def test_nothing_is_left_behind(run: Run) -> None:
    """No namespace, device, mount or file of its names outlives it."""
    assert len(STREAMS) == len(run.event("drain")["outcomes"])
    assert set() == traces()
