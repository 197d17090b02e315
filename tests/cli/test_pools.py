"""The verbs about pools, against a real door."""

from __future__ import annotations

import pytest

from tests.cli.test_control import Ask, ask, door
from tests.support.admin import Door

__all__ = ["ask", "door"]


def test_pools_are_listed(door: Door, ask: Ask) -> None:
    """One line a pool: its state and how many addresses may be answered; as JSON what the API tells."""
    told = ask("pool", "list")

    assert 0 == told.code
    assert [["web", "degraded", "2/3", "1/2", "up", "nearest", "30", "1"]] == [line.split() for line in told.out.splitlines()[1:]]
    assert door.keeper.pools() == ask("pool", "list", "--json").json


def test_a_pool_is_shown_with_health_words_and_history(door: Door, ask: Ask) -> None:
    """Each address has its health and what the operator or the last check says of it, then comes what happened."""
    told = ask("pool", "show", "web")
    lines = told.out.splitlines()

    assert 0 == told.code
    assert "web: steering nearest, TTL 30 s, check http, when all are down: all, degraded" == lines[0]
    assert [
        ["fra/fra1", "192.0.2.1", "up", "yes"],
        ["fra/fra1", "2001:db8::1", "up", "yes"],
        ["nyc/nyc1", "198.51.100.1", "down", "no"],
    ] == [line.split()[:4] for line in lines[2:5]]
    assert lines[4].endswith("drain until 2027-01-15 08:00:00Z by ops (unix): disks")
    assert "2026-09-21 14:13:20Z  nyc/nyc1 198.51.100.1 is down: connection refused" == lines[5]
    assert door.keeper.pool("web") == ask("pool", "show", "web", "--json").json


def test_an_unknown_pool_is_told(door: Door, ask: Ask) -> None:
    """Exit code 1 with the remedy of the API."""
    told = ask("pool", "show", "wbe")

    assert (1, "there is no pool 'wbe' (did you mean 'web'?)\n") == (told.code, told.err)


def test_a_word_is_set_for_a_time(door: Door, ask: Ask) -> None:
    """Pattern, word, time and reason reach the daemon, with who says it; what it holds for is told."""
    told = ask("pool", "set", "web/*", "drain", "--for", "1h30m", "--reason", "disks"), ask("pool", "set", "web", "auto")

    assert [(0, "web/*: drain for 1 h 30 min\n"), (0, "web: auto\n")] == [(each.code, each.out) for each in told]
    assert [
        ("override", "web/*", "drain", 5400.0, "disks", "ada (unix)"),
        ("override", "web", "auto", None, "", "ada (unix)"),
    ] == door.keeper.done


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("wbe", "up"), 1, "nothing is called 'wbe' (did you mean 'web'?)"),
        (("web", "sideways"), 2, "'sideways' is not one of"),
        (("web", "up", "--for", "soon"), 2, "--for soon: "),
        (("web", "auto", "--for", "1h"), 2, "ends an override"),
    ],
)
def test_a_word_that_makes_no_sense_is_told(door: Door, ask: Ask, arguments: tuple[str, ...], code: int, said: str) -> None:
    """What the daemon refuses is exit code 1, what is no sound command 2; nothing is set."""
    told = ask("pool", "set", *arguments)

    assert code == told.code
    assert said in " ".join(told.err.replace("│", " ").split())
    assert [] == door.keeper.done
