"""The verb `diff`: who gets another answer, exit codes that scripts can rely on, and all problems of both sides at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ZONE = "@ 60 IN SOA ns m 1 1h 15m 2w 5m\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n"
WWW = "www 60 IN A 192.0.2.10\nwww 60 IN GEO continent:EU A 198.51.100.10\n"
CONFIG = '[[zones]]\nname = "example.com"\nfile = "a.zone"\n'

Side = Callable[..., Path]


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """Writes a directory with a configuration and its zone."""

    def written(name: str, records: str = WWW, config: str = CONFIG) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "geodns.toml").write_text(config)
        (directory / "a.zone").write_text(ZONE + records)
        return directory

    return written


def test_the_same_is_the_same(run: Run, side: Side) -> None:
    """Two copies do not differ, nor does a configuration from itself: exit code 0."""
    old, new = side("old"), side("new")

    assert (0, "nothing changes\n", "") == ((told := run("diff", old, new)).code, told.out, told.err)
    assert 0 == run("diff", old, old).code
    assert run("diff", old, new, "--json").json["same"]


def test_what_differs_is_told(run: Run, side: Side) -> None:
    """Directories or files: answers with their clients, and exit code 3; the rough table is named loudly."""
    old, new = side("old"), side("new", WWW.replace("198.51.100.10", "198.51.100.11"))
    told = run("diff", old, new / "geodns.toml")

    assert (3, "") == (told.code, told.err)
    assert "  continent:EU: 198.51.100.10 → 198.51.100.11" in told.out.splitlines()
    assert "87 %" in told.out


def test_json_has_every_move(run: Run, side: Side) -> None:
    """One document with both files, and the plan."""
    old, new = side("old"), side("new", WWW.replace("198.51.100.10", "198.51.100.11"))
    told = run("diff", old, new, "--json")
    [move] = told.json["moves"]

    assert (3, False, str(old / "geodns.toml")) == (told.code, told.json["same"], told.json["old"])
    assert ["198.51.100.10"] == move["shifts"][0]["before"]
    assert {"continent:EU"} == {each["area"] for each in move["areas"]}


def test_names_narrow_it_down(run: Run, side: Side) -> None:
    """Only what these names are answered counts, for the exit code too."""
    old, new = side("old", WWW + "a 60 IN A 192.0.2.1\n"), side("new", WWW + "b 60 IN A 192.0.2.1\n")

    assert (0, "nothing changes\n") == ((told := run("diff", old, new, "--name", "www.example.com")).code, told.out)
    told = run("diff", old, new, "--name", "a.example.com", "--name", "b.example.com")
    assert (3, "a.example.com. A: only old\nb.example.com. A: only new\n") == (told.code, told.out)


def test_a_name_that_nobody_has_is_a_problem(run: Run, side: Side) -> None:
    """It is most likely misspelt, so it does not pass for unchanged."""
    told = run("diff", side("old"), side("new"), "--name", "wwww.example.com")

    assert 1 == told.code
    assert "--name wwww.example.com.: neither configuration has records for it" in told.err


def test_no_name_at_all_is_wrong_usage(run: Run, side: Side) -> None:
    """What is no domain name was typed wrong: exit code 2."""
    assert 2 == run("diff", side("old"), side("new"), "--name", "a..b").code


def test_problems_of_both_sides_come_at_once(run: Run, side: Side) -> None:
    """Nothing is compared, and exit code 1 is no difference."""
    told = run("diff", side("old", "x\n"), side("new", "y\n"))

    assert 1 == told.code
    assert ["old/a.zone:4", "new/a.zone:4"] == [
        "/".join(line.partition(": ")[0].split("/")[-2:]) for line in told.err.splitlines()[:2]
    ]
    assert told.err.endswith("2 errors: nothing is compared\n")


def test_what_a_server_would_refuse_is_told(run: Run, side: Side) -> None:
    """A difference that is too much for a reload without --force is named as such."""
    hosts = "".join(f"host{number} 60 IN A 192.0.2.{number}\n" for number in range(40))
    told = run("diff", side("old", hosts), side("new", ""))

    assert "a running server would refuse this: " in told.out
    assert "40 of 43 records (93.0 %) would go" in told.out
