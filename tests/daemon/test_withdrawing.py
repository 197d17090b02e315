"""Withdrawing without a gate: what the last one announced goes, also where the configuration has changed, or is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geodns.daemon import withdraw
from geodns.daemon.ways import remember
from geodns.ops import config as configuration
from geodns.problem import ProblemsFound

CONFIG = """\
[server]
listen = ["127.0.0.1:5300", "127.9.9.9:5300", "127.8.8.8:5300"]
state = "state"
[announce]
method = "exec"
prefixes = ["127.9.9.0/24"]
[announce.exec]
command = ["tee", "{directory}/told"]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration by which a gate has been at work."""
    (tmp_path / "state").mkdir()
    path = tmp_path / "geodns.toml"
    path.write_text(CONFIG.format(directory=tmp_path))
    remember(configuration.load(path))
    return path


def told(path: Path, name: str = "told") -> dict[str, str] | None:
    """The state of each prefix that the router was told."""
    file = path.parent / name
    if not file.exists():
        return None
    return {prefix: each["state"] for prefix, each in json.loads(file.read_text())["prefixes"].items()}


GONE = {"127.9.9.0/24": "withdrawn"}


@pytest.mark.parametrize("after_stop", [False, True])
@pytest.mark.parametrize("fault", ['prefixes = ["127.9.9.0/24"', 'prefixes = ["nonsense"]', "prefixes = []"])
def test_a_broken_configuration_leaves_no_route(
    fault: str, after_stop: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever broke the file can still withdraw, and so can systemd; what is wrong with the file is said."""
    monkeypatch.setenv("STATE_DIRECTORY", str(path.parent / "state"))  # where the file is no TOML, nothing else tells
    path.write_text(path.read_text().replace('prefixes = ["127.9.9.0/24"]', fault))
    done = withdraw(path, after_stop=after_stop)

    assert GONE == told(path)
    assert done.startswith(f"withdrawn: 127.9.9.0/24; as the last gate did, for {path}")


def test_the_service_has_its_word_where_the_daemon_cannot_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd the runtime directory holds it, and what somebody has put into the state directory does not count."""
    (path.parent / "run").mkdir()
    spoiled = (path.parent / "state" / "announce.way").read_text().replace("/told", "/told-by-a-thief")
    (path.parent / "state" / "announce.way").write_text(spoiled)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(path.parent / "run"))
    remember(configuration.load(path))
    path.write_text("nonsense")

    assert withdraw(path).startswith("withdrawn: 127.9.9.0/24; as the last gate did")
    assert (GONE, None) == (told(path), told(path, "told-by-a-thief"))


def test_what_the_file_no_longer_has_is_withdrawn_too(path: Path) -> None:
    """The gate was killed after somebody had written other prefixes and another program."""
    text = path.read_text().replace("127.9.9.0/24", "127.8.8.0/24").replace("/told", "/told-now")
    path.write_text(text)

    assert "withdrawn: 127.9.9.0/24, 127.8.8.0/24" == withdraw(path)
    assert GONE == told(path)
    assert {"127.8.8.0/24": "withdrawn"} == told(path, "told-now")


def test_without_a_gate_before_a_broken_configuration_is_a_problem(path: Path) -> None:
    """There is nothing to go by."""
    (path.parent / "state" / "announce.way").unlink()
    path.write_text(path.read_text().replace("exec", "magic", 1))
    with pytest.raises(ProblemsFound, match=r"announce\.method"):
        withdraw(path)

    assert told(path) is None


def test_a_stop_that_took_too_long_withdraws(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate hung when it was told to end, and systemd killed it: nobody begins another one."""
    monkeypatch.setenv("SERVICE_RESULT", "timeout")

    assert "withdrawn: 127.9.9.0/24" == withdraw(path, after_stop=True)
    assert GONE == told(path)
