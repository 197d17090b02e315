"""The verbs about cookie secrets: a roll-over step by step, without a secret on any screen."""

from __future__ import annotations

import os
import time
from pathlib import Path

from geodns.answer import fingerprint
from geodns.ops import cookie_file
from tests.cli.conftest import Run


def test_a_whole_roll_over(run: Run, tmp_path: Path) -> None:
    """add, add, promote, wait, retire: each step tells what comes next, and the file follows."""
    file = tmp_path / "cookies.secret"
    first = run("cookie", "add", str(file))
    [old] = cookie_file.read(file)
    added = run("cookie", "add", str(file))
    new = cookie_file.read(file)[1]
    promoted = run("cookie", "promote", str(file))
    early = run("cookie", "retire", str(file))
    hours_ago = time.time() - 2 * 3600
    os.utime(file, (hours_ago, hours_ago))
    retired = run("cookie", "retire", str(file))

    assert [0, 0, 0, 1, 0] == [outcome.code for outcome in (first, added, promoted, early, retired)]
    assert "geodns cookie promote" not in first.out
    assert "next: copy the file to every sibling and reload each; once all accept the new one: geodns cookie promote" in added.out
    assert "an hour after the last one: geodns cookie retire" in promoted.out
    assert "wait 65 minutes, or say --now" in early.err
    assert (new,) == cookie_file.read(file)
    shown = "".join(outcome.out + outcome.err for outcome in (first, added, promoted, early, retired))
    assert old.hex() not in shown
    assert new.hex() not in shown


def test_fingerprints_are_told_for_programs(run: Run, tmp_path: Path) -> None:
    """`show --json`, of the file that the configuration names."""
    (tmp_path / "geodns.toml").write_text('server.cookie_secrets = "shared/cookies"\n')
    (tmp_path / "shared").mkdir()
    config = ("--config", str(tmp_path / "geodns.toml"))
    run("cookie", "add", *config)
    run("cookie", "add", *config)
    marks = list(map(fingerprint, cookie_file.read(tmp_path / "shared" / "cookies")))
    told = run("cookie", "show", "--json", *config)

    assert {
        "file": str(tmp_path / "shared" / "cookies"),
        "secrets": [{"fingerprint": marks[0], "makes": True}, {"fingerprint": marks[1], "makes": False}],
    } == told.json


def test_what_is_wrong_is_told(run: Run, tmp_path: Path) -> None:
    """No file named, a bad file, and a step that cannot be taken: a message, a remedy, an exit code."""
    (tmp_path / "geodns.toml").write_text("")
    (tmp_path / "bad").write_text("x\n")
    (tmp_path / "bad").chmod(0o600)
    unnamed = run("cookie", "show", "--config", str(tmp_path / "geodns.toml"))
    bad = run("cookie", "promote", str(tmp_path / "bad"))

    assert (1, 1) == (unnamed.code, bad.code)
    assert "server.cookie_secrets is not set (name a file, or set it)" in unnamed.err
    assert "is no secret of 128 bits" in bad.err
