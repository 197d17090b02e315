"""The verbs of the announce gate where no router is needed: what they say of a gate, and when they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geodns.ops.announce import _files
from geodns.ops.announce._gate import GATE_LOCK, STATUS
from tests.cli.conftest import Outcome

CONFIG = """\
[server]
listen = ["127.0.0.1:5300", "127.9.9.9:5300"]
state = "state"
[announce]
method = "exec"
prefixes = ["127.9.9.0/24"]
[announce.exec]
command = ["tee", "{directory}/told"]
"""
COURSE = {"state": "announced"}
TOLD = {
    "pid": 42,
    "at": 1_790_000_000.0,
    "judged": 0.0,
    "method": "exec",
    "prefixes": [
        {
            "prefix": "127.9.9.0/24",
            "wanted": "withdrawn",
            "announced": "announced",
            "since": 1_790_000_000.0,
            "why": "withdrawn: refused",
            "good": 0,
            "bad": 3,
            "held": "",
            "hold_down": 7.4,
            "flaps": 1.96,
            "transitions": 3,
        }
    ],
    "checks": [
        {"target": "127.0.0.1:5300", "prefix": "", "faults": []},
        {"target": "127.9.9.9:5300", "prefix": "127.9.9.0/24", "faults": ["by UDP: refused", "by TCP: refused"]},
    ],
    "siblings": [{"address": "192.0.2.1:53", "fault": ""}, {"address": "192.0.2.2:53", "fault": "no reply in 1 s"}],
    "lease": {"fault": "", "pid": 41, "age": 0.5, "draining": ""},
    "router": {"trouble": "tee exits with 1", "failures": 2, "drifts": 1, "settled": False},
    "asked": 4.0,
    "courses": {"127.9.9.0/24": COURSE},
}

Run = Callable[..., Outcome]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration, and the state directory that it names."""
    (tmp_path / "geodns.toml").write_text(CONFIG.format(directory=tmp_path))
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def geodns(site: Path, run: Run) -> Run:
    """Runs `geodns` on that configuration."""
    return lambda *arguments: run(*arguments, "--config", site / "geodns.toml")


def test_a_gate_is_told_line_by_line(site: Path, geodns: Run) -> None:
    """Gate, lease, prefixes with their reasons, checks, siblings, router."""
    _files.write(site / "state" / STATUS, {**TOLD, "renewed": _files.now()})
    lock = _files.Lock(site / "state" / GATE_LOCK)
    lock.take()
    try:
        told = geodns("announce", "status")
    finally:
        lock.release()

    assert 0 == told.code, told.err
    assert [
        "lease      held by process 41",
        "prefix     127.9.9.0/24 announced, withdrawn is wanted, since 2026-09-21 14:13:20Z",
        "           withdrawn: refused",
        "           2.0 flaps remembered, held down for 7 s more",
        "check      127.0.0.1:5300: right",
        "check      127.9.9.9:5300: by UDP: refused; by TCP: refused",
        "sibling    192.0.2.1:53: answers",
        "sibling    192.0.2.2:53: no reply in 1 s",
        "router     tee exits with 1; 2 failures, 1 times changed by others",
    ] == told.out.splitlines()[1:]
    assert told.out.startswith("gate       process 42, exec, looked 0.")


def test_a_gate_that_is_gone_is_told(site: Path, geodns: Run) -> None:
    """Exit code 1, and what it said last; as JSON, too."""
    assert (1, "gate       none has been at work since this machine started\n") == (
        (told := geodns("announce", "status")).code,
        told.out,
    )
    assert geodns("announce", "status", "--json").json is None
    _files.write(site / "state" / STATUS, {**TOLD, "renewed": _files.now() - 90})
    gone = geodns("announce", "status", "--json")

    assert (1, False) == (gone.code, gone.json["alive"])
    assert "NOT AT WORK, for 1 min 30 s" in geodns("announce", "status").out


@pytest.mark.parametrize("text", ["", "[]", "{", '{"boot": ""}'])
def test_a_spoiled_status_is_a_problem(text: str, site: Path, geodns: Run) -> None:
    """With a remedy, and no traceback."""
    (site / "state" / STATUS).write_text(text or "nonsense")
    told = geodns("announce", "status")

    assert 1 == told.code
    assert "makes no sense" in told.err or "none has been at work" in told.out


def test_withdraw_tells_the_router_and_the_next_gate(site: Path, geodns: Run) -> None:
    """The router hears it, and the next gate does not believe what the last one wrote."""
    _files.write(site / "state" / STATUS, {**TOLD, "renewed": _files.now()})
    told = geodns("announce", "withdraw")

    assert (0, "withdrawn: 127.9.9.0/24\n") == (told.code, told.out)
    assert "withdrawn" == json.loads((site / "told").read_text())["prefixes"]["127.9.9.0/24"]["state"]
    kept = _files.read(site / "state" / STATUS)
    assert kept
    assert {"127.9.9.0/24": {"state": "withdrawn"}} == kept["courses"]


@pytest.mark.parametrize(("result", "judged", "done"), [("success", 0, True), ("watchdog", 1, False), ("core-dump", 60, True)])
def test_after_a_crash_the_next_gate_takes_over(
    result: str, judged: float, done: bool, site: Path, geodns: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop withdraws; a crash does not, unless nobody has judged for long."""
    monkeypatch.setenv("SERVICE_RESULT", result)
    _files.write(site / "state" / STATUS, {**TOLD, "renewed": _files.now(), "judged": _files.now() - judged})
    told = geodns("announce", "withdraw", "--after-stop")

    assert 0 == told.code
    assert done == (site / "told").exists()


def test_a_router_that_fails_is_a_problem(site: Path, geodns: Run) -> None:
    """Exit code 1: it may still announce."""
    (site / "geodns.toml").write_text(CONFIG.replace('"tee", "{directory}/told"', '"false"'))
    told = geodns("announce", "withdraw")

    assert 1 == told.code
    assert "false exits with 1: it says nothing (the prefixes may still be announced: see the router)" in told.err


def test_a_gate_that_exabgp_should_run_is_refused_elsewhere(site: Path) -> None:
    """Under systemd, or by hand, it would speak to nobody."""
    text = CONFIG.replace('"exec"', '"exabgp"').replace("127.9.9.9", "198.51.100.9").replace("127.9.9.0", "198.51.100.0")
    (site / "geodns.toml").write_text(text.partition("[announce.exec]")[0])
    command = (sys.executable, "-m", "geodns", "announce", "run", str(site / "geodns.toml"))
    nothing = subprocess.DEVNULL
    told = subprocess.run(command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, text=True, timeout=30, check=False)

    assert 1 == told.returncode
    assert "ExaBGP does not run this gate: standard input and output are no pipes (name it in ExaBGP's configuration" in (
        " ".join(told.stderr.split())
    )


def test_peers_are_told(site: Path, geodns: Run) -> None:
    """How many are established, and who is not; that nobody hears it is said outright."""
    for peers, expected in (
        ({"established": 2, "down": 0, "first_down": []}, "2 of 2 established"),
        ({"established": 1, "down": 2, "first_down": ["up2 (active)"]}, "1 of 3 established; not up2 (active) and others"),
        (
            {"established": 0, "down": 1, "first_down": ["up1 (idle)"]},
            "NONE of 1 established; not up1 (idle): what is announced reaches nobody by BGP",
        ),
        ({"established": 0, "down": 0, "first_down": []}, "none of BGP"),
    ):
        router = {**TOLD["router"], "peers": peers}  # type: ignore[dict-item]
        _files.write(site / "state" / STATUS, {**TOLD, "router": router, "renewed": _files.now()})
        assert f"peers      {expected}" == geodns("announce", "status").out.splitlines()[-1]


@pytest.mark.parametrize("verb", ["run", "withdraw"])
def test_nothing_to_announce_is_a_problem(verb: str, site: Path, geodns: Run) -> None:
    """A gate without [announce] has nothing to do."""
    (site / "geodns.toml").write_text("")
    told = geodns("announce", verb)

    assert 1 == told.code
    assert "announce.method: is missing, so there is nothing to announce" in told.err


def test_a_state_directory_that_cannot_be_written_is_a_problem(site: Path, geodns: Run) -> None:
    """The gate ends before it tells anybody anything."""
    (site / "state").rmdir()
    (site / "state").write_text("a file")
    told = geodns("announce", "run")

    assert 1 == told.code
    assert "server.state" in told.err
    assert not (site / "told").exists()
