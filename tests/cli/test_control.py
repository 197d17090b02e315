"""The verbs that speak with a running daemon, against a real door."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from geodns.cli import control, pools
from tests.cli.conftest import Outcome
from tests.support.admin import PROBLEM, Door, opened
from tests.support.daemons import poll

TOKEN = "correct-horse-battery-staple"
Ask = Callable[..., Outcome]

app = typer.Typer()
for verb in (control.status, control.reload, control.drain, control.undrain):
    app.command()(verb)
app.add_typer(pools.app, name="pool")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A door with a token on a unix socket, and a configuration that names both."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "geodns.toml").write_text(f'[admin]\nlisten = "unix:{tmp_path}/admin.sock"\ntoken_file = "token"\n')
    with opened(f"unix:{tmp_path}/admin.sock", token=TOKEN) as door:
        yield door


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs a verb on the configuration."""
    monkeypatch.setenv("GEODNS_CONFIG", str(tmp_path / "geodns.toml"))
    monkeypatch.setenv("LOGNAME", "ada")

    def invoke(*arguments: str) -> Outcome:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


def test_status_tells_the_instance(door: Door, ask: Ask) -> None:
    """One line each: version, state, what is served, the last reload, pools; as JSON what the API tells."""
    told = ask("status")

    assert 0 == told.code
    assert [
        "geodns     1.2.3, process 42, up for 1 d 2 h",
        "state      ready",
        "serving    generation 1, loaded 2026-09-21 14:13:20Z, zones 1",
        "reload     accepted 2026-09-21 14:13:20Z, took 0.25 s",
        "listening  127.0.0.1:53",
        "workers    0: process 43",
        "rates      queries 1,234.5/s",
        "pools      web degraded",
        "overrides  1",
        "catchment  networks 2",
        "cookies    made with secret 1a2b3c4d; accepted too: 5e6f7a8b",
    ] == told.out.splitlines()
    assert door.keeper.status() == ask("status", "--json").json


def test_status_tells_why_it_is_not_ready(door: Door, ask: Ask) -> None:
    """The reasons stand beside the state, and a refused reload is called that, with what it was refused for."""
    door.keeper.reasons, door.keeper.problems = ["drained: kernel"], [PROBLEM | {"line": 2, "severity": "warning"}, PROBLEM]
    told = ask("status").out

    assert "state      NOT READY: drained: kernel\n" in told
    assert "reload     REFUSED 2026-09-21 14:13:20Z, took 0.25 s\n           a.zone:3: no such type (write A)\nlistening" in told


def test_status_is_short_however_much_is_wrong(door: Door, ask: Ask) -> None:
    """Of many errors the first five are shown, and how many more there are."""
    door.keeper.problems = [PROBLEM | {"line": line} for line in range(1, 10)]
    lines = ask("status").out.splitlines()

    assert ["a.zone:5: no such type (write A)", "and 4 more: the log has all of them"] == [line.strip() for line in lines[8:10]]


def test_an_accepted_reload_tells_its_generation(door: Door, ask: Ask) -> None:
    """Exit code 0, and what is served now."""
    told = ask("reload", "--reason", "new zones")

    assert (0, "reloaded: generation 2\n", "") == (told.code, told.out, told.err)


def test_a_refused_reload_prints_every_problem(door: Door, ask: Ask) -> None:
    """Exit code 1, each problem with file, line and remedy as `check` shows it, and what goes on; --force gets through."""
    door.keeper.problems = [PROBLEM, PROBLEM | {"line": 4, "severity": "warning"}]
    told, as_json, forced = ask("reload"), ask("reload", "--json"), ask("reload", "--force")

    assert (1, "") == (told.code, told.out)
    assert [
        "a.zone:3: no such type (write A)",
        "a.zone:4: warning: no such type (write A)",
        "refused: generation 1 is still served",
    ] == told.err.splitlines()
    assert (1, False) == (as_json.code, as_json.json["accepted"])
    assert (0, "reloaded: generation 2") == (forced.code, forced.out.splitlines()[-1])


def test_drain_and_undrain_reach_the_daemon(door: Door, ask: Ask) -> None:
    """Each is done with its reason, and says what that means."""
    told = ask("drain", "--reason", "kernel"), ask("undrain"), ask("drain", "--json")

    assert [0, 0, 0] == [each.code for each in told]
    assert "not ready" in told[0].out
    assert {"draining": True} == told[2].json
    assert [("drain", "kernel"), ("undrain", ""), ("drain", "")] == door.keeper.done


@pytest.mark.parametrize("verb", [("status",), ("reload",), ("drain",), ("undrain",), ("pool", "list"), ("pool", "show", "web")])
def test_without_a_daemon_that_is_said(tmp_path: Path, ask: Ask, verb: tuple[str, ...]) -> None:
    """Exit code 1, and where it was looked for."""
    (tmp_path / "geodns.toml").write_text(f'[admin]\nlisten = "unix:{tmp_path}/admin.sock"\n')
    told = ask(*verb)

    assert (1, "") == (told.code, told.out)
    assert (
        f"nobody answers at unix:{tmp_path}/admin.sock "
        f"(is geodns running? the admin door of this configuration is unix:{tmp_path}/admin.sock)\n"
    ) == told.err


def test_a_configuration_or_token_that_cannot_be_read_is_a_problem(tmp_path: Path, ask: Ask) -> None:
    """What hinders before anything is asked is shown with its place."""
    (tmp_path / "geodns.toml").write_text('[admin]\ntoken_file = "none"\n')
    no_token = ask("status")
    (tmp_path / "geodns.toml").write_text("[admin]\nlisten = 3\n")
    no_configuration = ask("status")

    assert (1, 1) == (no_token.code, no_configuration.code)
    assert f"{tmp_path}/none: admin.token_file: there is no such file" in no_token.err
    assert f"{tmp_path}/geodns.toml:2: admin.listen: expected text" in no_configuration.err


@pytest.mark.slow
def test_watching_goes_on_when_the_daemon_is_gone(tmp_path: Path) -> None:
    """Without a terminal there is one JSON document a second, an error while nobody answers, and Ctrl-C ends it with 0."""
    (tmp_path / "geodns.toml").write_text(f'[admin]\nlisten = "unix:{tmp_path}/admin.sock"\n')
    script = "import typer; from geodns.cli.control import status; typer.run(status)"
    command = [sys.executable, "-c", script, "--watch", "--json", "--config", str(tmp_path / "geodns.toml")]
    out = tmp_path / "out"
    with opened(f"unix:{tmp_path}/admin.sock") as door, out.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
        try:
            poll("two are told", lambda: out.read_text().count("\n") >= 2)
        except BaseException:
            process.kill()
            raise
    try:
        poll("the error is told", lambda: '"error"' in out.read_text())
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(10)
    finally:
        process.kill()
        process.wait()

    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert door.keeper.status() == told[0]
    assert told[-1]["error"].startswith("nobody answers")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (86_400, "1 d"), (90_061, "1 d 1 h")]
)
def test_lengths_of_time_are_told_in_two_units(seconds: float, text: str) -> None:
    """The largest two that are not 0."""
    assert text == control.lasted(seconds)


ALONE = {"established": 0, "down": 2, "first_down": ["up1 (active)", "up2 (idle)"]}


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (None, "NO GATE is at work: start `geodns announce run`"),
        ({"alive": False}, "NO GATE is at work: start `geodns announce run`"),
        ({"alive": True, "router": {}}, "198.51.100.0/24 announced (withdrawn is wanted); draining"),
        ({"alive": True, "router": {"peers": None}}, "198.51.100.0/24 announced (withdrawn is wanted); draining"),
        (
            {"alive": True, "router": {"peers": ALONE | {"established": 1}}},
            "198.51.100.0/24 announced (withdrawn is wanted); draining",
        ),
        (
            {"alive": True, "router": {"peers": ALONE}},
            "198.51.100.0/24 announced (withdrawn is wanted); draining; to NOBODY: none of 2 BGP peers is established",
        ),
    ],
)
def test_what_is_announced_is_told_in_a_line(gate: dict[str, object] | None, expected: str) -> None:
    """Prefixes, how far a drain is, and whether anybody hears of it; also by a gate that is older and tells nothing of that."""
    prefix = {"prefix": "198.51.100.0/24", "announced": "announced", "wanted": "withdrawn"}
    told = {"gate": gate and {"prefixes": [prefix], **gate}, "departure": "draining"}

    assert expected == control.announced(told)
