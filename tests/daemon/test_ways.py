"""What the gate needs of a machine: each lack is a warning with its line, and paths start at the directory of the file."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geodns.daemon import load
from geodns.daemon.ways import gate_needs, remember, remembered, router, way
from geodns.ops import config as configuration
from geodns.ops.announce import Program, State, Vtysh

HEAD = '[server]\nlisten = ["127.0.0.1:5300", "{address}:5300"]\nstate = "state"\n[announce]\nprefixes = ["{prefix}"]\n'
LOOPBACK, PUBLIC = ("127.9.9.9", "127.9.9.0/24"), ("198.51.100.53", "198.51.100.0/24")
EXEC = 'method = "exec"\n[announce.exec]\ncommand = ["{command}"]\n'
BIRD = 'method = "bird"\n[announce.bird]\nsocket = "{socket}"\n'
INCLUDE = BIRD + 'include = "{include}"\n'
PROTOCOLS = BIRD + 'protocols = { "198.51.100.0/24" = "anycast4" }\n'
FRR = 'method = "frr"\n[announce.frr]\nvtysh = "{vtysh}"\nasn = 64500\n'


def site(directory: Path, announce: str, **words: str) -> Path:
    """A configuration that announces."""
    address, prefix = LOOPBACK if '"exec"' in announce else PUBLIC
    path = directory / "geodns.toml"
    text = HEAD.replace("{address}", address).replace("{prefix}", prefix) + announce
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    path.write_text(text)
    return path


def lacks(path: Path) -> list[tuple[int, str]]:
    """What a check warns of, by line; that there are no zones apart."""
    return [(problem.line, problem.message) for problem in load(path).warnings if problem.line]


def listening(path: Path) -> None:
    """A control socket that nobody listens at any more."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def program(path: Path, *, mode: int = 0o755) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)


NEEDS: dict[str, tuple[str, dict[str, str], Callable[[Path], object], list[tuple[int, str]]]] = {
    "a name in PATH": (EXEC, {"command": "tee"}, lambda _: None, []),
    "no name in PATH": (
        EXEC,
        {"command": "no-such-program"},
        lambda _: None,
        [(8, "announce.exec.command: there is no program 'no-such-program' in PATH")],
    ),
    "a program beside the file": (EXEC, {"command": "./tell"}, lambda here: program(here / "tell"), []),
    "no program": (EXEC, {"command": "./tell"}, lambda _: None, [(8, "announce.exec.command: there is no {here}/tell")]),
    "a program that cannot be run": (
        EXEC,
        {"command": "./tell"},
        lambda here: program(here / "tell", mode=0o644),
        [(8, "announce.exec.command: {here}/tell cannot be run")],
    ),
    "no program that shows": (
        EXEC + 'show = ["./show"]\n',
        {"command": "tee"},
        lambda _: None,
        [(9, "announce.exec.show: there is no {here}/show")],
    ),
    "no vtysh": (FRR, {"vtysh": "bin/vtysh"}, lambda _: None, [(8, "announce.frr.vtysh: there is no {here}/bin/vtysh")]),
    "BIRD runs": (PROTOCOLS, {"socket": "ctl"}, lambda here: listening(here / "ctl"), []),
    "no BIRD": (PROTOCOLS, {"socket": "ctl"}, lambda _: None, [(8, "announce.bird.socket: there is no {here}/ctl")]),
    "another file": (
        PROTOCOLS,
        {"socket": "ctl"},
        lambda here: (here / "ctl").touch(),
        [(8, "announce.bird.socket: {here}/ctl is no socket")],
    ),
    "a path that is too long": (
        PROTOCOLS,
        {"socket": f"/run/{'a' * 103}"},
        lambda _: None,
        [(8, f"announce.bird.socket: /run/{'a' * 103} is too long for a socket")],
    ),
    "no directory": (
        INCLUDE,
        {"socket": "ctl", "include": "/run/geodns-no-such-directory/bird.conf"},
        lambda here: listening(here / "ctl"),
        [(9, "announce.bird.include: there is no directory /run/geodns-no-such-directory")],
    ),
    "a file that lasts": (
        INCLUDE,
        {"socket": "ctl", "include": "bird.conf"},
        lambda here: listening(here / "ctl"),
        [
            (
                9,
                "announce.bird.include: {here}/bird.conf outlives a restart of the machine: "
                "BIRD would announce what was right before it",
            )
        ],
    ),
    "ExaBGP": ('method = "exabgp"\n', {}, lambda _: None, []),
}


@pytest.mark.parametrize("case", NEEDS)
def test_what_is_missing_is_a_warning(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At its line, with a remedy, and nothing is refused: the check may run on another machine than the gate."""
    here = tmp_path_factory.mktemp("w")
    monkeypatch.chdir("/")
    announce, words, prepare, expected = NEEDS[case]
    prepare(here)
    path = site(here, announce, **words)

    assert [(line, text.replace("{here}", str(here))) for line, text in expected] == lacks(path)
    assert all(problem.remedy for problem in gate_needs(configuration.load(path), path))


async def test_programs_are_looked_for_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the gate runs."""
    monkeypatch.chdir("/")
    teller = tmp_path / "tell"
    teller.write_text(f"#!{sys.executable}\nimport sys\nopen({str(tmp_path / 'told')!r}, 'w').write(sys.stdin.read())\n")
    teller.chmod(0o755)
    made = router(configuration.load(site(tmp_path, EXEC, command="./tell")), lambda: None)
    assert isinstance(made, Program)
    await made.apply({"127.9.9.0/24": State.WITHDRAWN})
    assert "127.9.9.0/24" in (tmp_path / "told").read_text()

    teller.rename(tmp_path / "vtysh")
    (tmp_path / "told").unlink()
    made = router(configuration.load(site(tmp_path, FRR, vtysh="./vtysh")), lambda: None)
    assert isinstance(made, Vtysh)
    await made.apply({})
    assert "" == (tmp_path / "told").read_text()


@pytest.mark.parametrize(
    ("announce", "words"),
    [
        (EXEC + 'show = ["./show"]\n', {"command": "./tell"}),
        (INCLUDE, {"socket": "ctl", "include": "bird.conf"}),
        (PROTOCOLS, {"socket": "/run/bird.ctl"}),
        (FRR + 'route_map = "out"\n', {"vtysh": "vtysh"}),
        ('method = "exabgp"\n', {}),
    ],
)
def test_the_way_is_remembered(announce: str, words: dict[str, str], tmp_path: Path) -> None:
    """All of it that takes to withdraw, and from wherever it is recalled."""
    config = configuration.load(site(tmp_path, announce, **words))
    (tmp_path / "state").mkdir()
    remember(config)
    known = remembered(tmp_path / "state")

    assert known
    assert way(config) == way(known)
    assert config.path(config.server.state) == known.path(known.server.state)


def test_a_way_that_another_user_wrote_is_not_believed(tmp_path: Path) -> None:
    """Whoever has taken the service over must not choose what root runs next."""
    config = configuration.load(site(tmp_path, EXEC, command="tee"))
    (tmp_path / "state").mkdir()
    assert remembered(tmp_path / "state") is None
    remember(config)
    assert remembered(tmp_path / "state")
    if subprocess.run(["chown", "12345", tmp_path / "state" / "announce.way"], capture_output=True, check=False).returncode:
        pytest.skip("only root may give files away")

    assert remembered(tmp_path / "state") is None


@pytest.mark.parametrize("text", ["", "[]", '{"announce": {"method": "magic"}}', "{}"])
def test_a_spoiled_way_is_none(text: str, tmp_path: Path) -> None:
    """Nothing is run out of what makes no sense."""
    (tmp_path / "announce.way").write_text(text)

    assert remembered(tmp_path) is None
