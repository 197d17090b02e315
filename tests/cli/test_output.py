"""How the front door speaks: plain tables, problems, numbers, and which configuration is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from geodns.cli import output
from geodns.daemon import DEMONSTRATION, counted
from geodns.problem import Problem, Severity

PROBLEMS = [
    Problem("a.zone", 3, "is [wrong]", "make it right"),
    Problem("", 0, "is odd", severity=Severity.WARNING),
]


def test_a_table_is_plain_columns_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are padded to the widest cell, nothing is drawn, no line ends in blanks."""
    output.table(("name", "n", "file"), [("a", 1, "x"), ("bcdefg", 234, "")])

    assert "name    n    file\na       1    x\nbcdefg  234\n" == capsys.readouterr().out


def test_problems_are_lines_without_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem is one whole line of standard error, brackets included."""
    output.show_problems(PROBLEMS)

    assert "a.zone:3: is [wrong] (make it right)\nwarning: is odd\n" == capsys.readouterr().err


def test_a_long_problem_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Problems are not wrapped at some width: grep must find them whole."""
    output.show_problems([Problem("f", 1, "word " * 100)])

    assert 1 == capsys.readouterr().err.count("\n")


@pytest.mark.parametrize(("so", "said"), [("", "1 error\n"), ("nothing is served", "1 error: nothing is served\n")])
def test_refusing_shows_all_and_exits_with_1(so: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem is shown, errors are counted, and what follows is said."""
    with pytest.raises(typer.Exit) as left:
        output.refuse(PROBLEMS, so)

    assert 1 == left.value.exit_code
    assert capsys.readouterr().err.endswith(f"warning: is odd\n{said}")


def test_a_problem_for_programs_has_every_field() -> None:
    """The JSON form has file, line, severity, message and remedy."""
    assert {
        "file": "a.zone",
        "line": 3,
        "severity": "error",
        "message": "is [wrong]",
        "remedy": "make it right",
    } == PROBLEMS[0].as_json()


@pytest.mark.parametrize(
    ("count", "what", "words"),
    [(0, "error", "0 errors"), (1, "error", "1 error"), (2, "error", "2 errors"), (2, "prefix", "2 prefixes")],
)
def test_numbers_agree_with_their_words(count: int, what: str, words: str) -> None:
    """One is singular, all else plural."""
    assert words == counted(count, what)


def test_which_configuration_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is named wins over $GEODNS_CONFIG, that over the system's file, that over the demonstration."""
    system, named, variable = tmp_path / "system.toml", tmp_path / "named.toml", tmp_path / "variable.toml"
    monkeypatch.setattr(output, "SYSTEM_CONFIG", system)
    monkeypatch.delenv("GEODNS_CONFIG", raising=False)
    meant = [output.config_path(None)]
    system.touch()
    meant.append(output.config_path(None, None))
    monkeypatch.setenv("GEODNS_CONFIG", str(variable))
    meant += [output.config_path(None), output.config_path(None, named), output.config_path(named, named)]

    assert [DEMONSTRATION, system, variable, named, named] == meant


def test_two_configurations_are_wrong_usage(tmp_path: Path) -> None:
    """Which of two would be meant is not guessed."""
    with pytest.raises(typer.BadParameter, match=r"one\.toml and .*two\.toml"):
        output.config_path(tmp_path / "two.toml", tmp_path / "one.toml")


def test_colours_are_for_who_wants_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes them away, from problems and from lines that should be noticed; what is piped has none anyway."""
    said = {}
    for variables in ({}, {"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}):
        with monkeypatch.context() as patch:
            for name in ("FORCE_COLOR", "NO_COLOR"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setenv("TERM", "xterm")
            output.warn("look [here]")
            output.show_problems(PROBLEMS, to_stderr=False)
        said[len(variables)] = capsys.readouterr().out

    assert "look [here]\na.zone:3: is [wrong] (make it right)\nwarning: is odd\n" == said[0]
    assert {"\x1b[1;33m", "\x1b[31m", "\x1b[33m"} <= {f"\x1b{part.partition('m')[0]}m" for part in said[1].split("\x1b")}
    assert not {"33", "31"} & {part.partition("m")[0].split(";")[-1] for part in said[2].split("\x1b[")}
