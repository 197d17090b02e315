"""Nothing of the lab outlives it, and where it cannot stand it says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import cage
from tests.lab.__main__ import main
from tests.lab.topology import NODES
from tests.lab.world import ROOT
from tests.support.daemons import REPOSITORY, poll

MANY = 15  # processes: routers and wires at least


@pytest.fixture
def rooted() -> None:
    """Skip where the lab cannot stand."""
    if reason := cage.why_not():
        pytest.skip(reason)


def descendants(pid: int) -> set[int]:
    """All processes below one, by their ids out here."""
    found: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            found |= {child} | descendants(child)
    return found


def traces() -> set[str]:
    """What the lab could leave behind: namespaces and devices of its names, its directory, mounts there."""
    said = [
        subprocess.run(words, capture_output=True, text=True, check=True).stdout
        for words in (("ip", "netns", "list"), ("ip", "-o", "link"))
    ]
    words = {word.rstrip(":") for text in said for word in text.split()}
    mounted = {line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()}
    return (words & set(NODES)) | {path for path in mounted if Path(path).name in NODES or str(ROOT) in path} | set(_directory())


def _directory() -> list[str]:
    return [str(ROOT)] if ROOT.exists() else []


@pytest.fixture
def standing(rooted: None) -> Iterator[subprocess.Popen[bytes]]:
    """A lab with its routers running."""
    process = subprocess.Popen([sys.executable, "-m", "tests.lab", "--events", "refused"], cwd=REPOSITORY, stderr=subprocess.PIPE)
    poll("the lab stands", lambda: len(descendants(process.pid)) >= MANY)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_lab(number: signal.Signals, standing: subprocess.Popen[bytes]) -> None:
    """However it is ended, kill -9 included, no process, namespace, device, mount or file stays."""
    inside = descendants(standing.pid)
    standing.send_signal(number)
    standing.wait(10)

    poll("all its processes are gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in inside))
    assert set() == traces()


@pytest.mark.slow
def test_nothing_outlives_its_first_process(standing: subprocess.Popen[bytes]) -> None:
    """If the lab's first process dies, the others do, and the runner says that there is no result."""
    [first] = map(int, Path(f"/proc/{standing.pid}/task/{standing.pid}/children").read_text().split())
    inside = descendants(standing.pid)
    os.kill(first, signal.SIGKILL)
    _, said = standing.communicate(timeout=10)

    assert standing.returncode
    assert b"ended without a result" in said
    poll("all its processes are gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in inside))


def test_without_root_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root is told so, and nothing is started."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["tests.lab"])
    with pytest.raises(SystemExit, match="nothing is measured: only root"):
        main()


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian packages that are missing are all named."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cage, "PACKAGES", {"no-such-program": "no-such-package", "nor-this": "another"})

    assert "not installed: another no-such-package (Debian packages)" == cage.why_not()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--events", "quake"], "no such event: quake"), (["--plot", "result.png"], "a file that ends in .svg")],
)
def test_wrong_options_are_refused(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option is an error before anything is started."""
    monkeypatch.setattr(sys, "argv", ["tests.lab", *words])
    with pytest.raises(SystemExit, match="2"):
        main()

    assert said in capsys.readouterr().err
