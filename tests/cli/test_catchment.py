"""The verb that tells whom anycast brings, against a real door."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from geodns.cli.catchment import catchment
from tests.cli.conftest import Outcome
from tests.cli.test_control import door
from tests.support.admin import CATCHMENT, Door

__all__ = ["door"]

NOWHERE = CATCHMENT["worst"][0]["instead"][0] | {"site": None, "endpoint": None, "best_ms": None}

app = typer.Typer()
app.command()(catchment)


def ask(door: Door, monkeypatch: pytest.MonkeyPatch, *arguments: str, **told: Any) -> Outcome:
    """Runs the verb, where the door tells this."""
    monkeypatch.setenv("GEODNS_CONFIG", f"{door.listen.removeprefix('unix:').removesuffix('admin.sock')}geodns.toml")
    door.keeper.seen = CATCHMENT | told
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return Outcome(result.exit_code, result.stdout, result.stderr)


def test_regions_and_the_worst_prefixes_are_told(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table by region, one by prefix with the site of the pool, the numbers of each bad verdict, and what verdicts mean."""
    told = ask(door, monkeypatch)

    assert 0 == told.code
    assert told.out.splitlines() == [
        "2 prefixes, 42 round trips since 2026-09-21 14:13:20Z",
        "",
        "region      prefixes  round trips  fastest  median  p90",
        "country:DE  1         40           180 ms   196 ms  391 ms",
        "unknown     1         2            3.1 ms   4.2 ms  8.4 ms",
        "",
        "prefix           region      AS     round trips  fastest  median  within     verdict    instead  at best",
        "198.51.100.0/24  country:DE  64500  40           180 ms   196 ms  18,000 km  polarised  web/fra  1.6 ms (160 km)",
        "",
        "198.51.100.0/24 is polarised: at best 180 ms, fra would be about 13.2 ms",
        "polarised: routing brings it here, although another site is nearer and would be much faster",
    ]
    assert CATCHMENT == ask(door, monkeypatch, "--json").json


def test_options_reach_the_daemon(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many, of how many round trips, compared with which pool; one that there is not is told with those that there are."""
    few, least = ask(door, monkeypatch, "--worst", "0", "--json"), ask(door, monkeypatch, "--min-samples", "41", "--json")
    wrong = ask(door, monkeypatch, "--pool", "wbe")

    assert ([], []) == (few.json["worst"], least.json["worst"])
    assert 1 == wrong.code
    assert "there is no pool 'wbe'; known: web" in wrong.err


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"measured": False, "why_not": "catchment.enabled is false"}, ["not measured: catchment.enabled is false"]),
        (
            {"networks": 0, "round_trips": 0, "worst": [], "regions": []},
            ["0 prefixes, 0 round trips since 2026-09-21 14:13:20Z"],
        ),
        ({"compared": 0, "worst": []}, ["no prefix has 5 round trips or more"]),
        ({"place": None}, ["where this instance is was not told (server.place): prefixes are judged"]),
        ({"forgotten": {"networks": 7, "round_trips": 9}}, ["because others came more often: 7 prefixes, 9 round trips"]),
        ({"worst": [CATCHMENT["worst"][0] | {"instead": [], "asn": None}]}, ["country:DE  -   40", "polarised  -        -"]),
        ({"worst": [CATCHMENT["worst"][0] | {"instead": [NOWHERE]}]}, ["web/-    -"]),
    ],
)
def test_what_there_is_to_say_is_said(door: Door, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], said: list[str]) -> None:
    """Off, empty, too little, forgotten, without place, pool or site: each is told in words."""
    outcome = ask(door, monkeypatch, **told)

    assert 0 == outcome.code
    assert [] == [text for text in said if text not in outcome.out], outcome.out
