"""The command as a whole: version, help, wrong usage, and that it can be started as a program."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import geodns
from geodns.cli.app import app
from tests.cli.conftest import Run


def commands(command: Any, verb: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of commands, with the words that call it."""
    yield verb, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*verb, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
VERBS = sorted(COMMANDS)


def test_the_version_is_the_packages(run: Run) -> None:
    """`version` prints name and version, with --json an object."""
    assert (0, f"geodns {geodns.__version__}\n", "") == (lambda told: (told.code, told.out, told.err))(run("version"))
    assert {"version": geodns.__version__} == run("version", "--json").json
    assert run("version") == run("--version")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_verb_has_help(run: Run, verb: tuple[str, ...], option: str) -> None:
    """Help is printed with exit code 0, and no word of it is lost as markup."""
    told = run(*verb, option)

    assert 0 == told.code
    assert "Usage: " in told.out
    assert "[default: $" not in told.out
    written = [COMMANDS[verb].help or "", *(getattr(parameter, "help", "") or "" for parameter in COMMANDS[verb].params)]
    assert [] == [word for text in written for word in re.findall(r"\[\S+\]", text) if word not in told.out]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_arguments_are_called_as_in_the_documentation(verb: tuple[str, ...]) -> None:
    """In capitals, as the page about the commands writes them."""
    arguments = [parameter for parameter in COMMANDS[verb].params if parameter.param_type_name == "argument"]

    assert [] == [argument.name for argument in arguments if (argument.metavar or "a") != (argument.metavar or "").upper()]


@pytest.mark.parametrize("verb", [("serve",), ("check",), ("explain",), ("geo", "lookup")], ids=" ".join)
def test_help_tells_which_configuration_is_meant(run: Run, verb: tuple[str, ...]) -> None:
    """A verb that takes a configuration says what is taken when none is named."""
    assert "$GEODNS_CONFIG" in run(*verb, "--help").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("srve",),
        ("serve", "--port", "53"),
        ("check", "one", "two"),
        ("explain",),
        ("geo", "lookup"),
        ("geo", "update", "dbip-country"),
        ("zone", "show"),
        ("version", "now"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    """What the command line cannot mean is refused with 2, on standard error."""
    told = run(*arguments)

    assert (2, "") == (told.code, told.out)
    assert told.err


@pytest.mark.parametrize("group", [(), ("geo",), ("zone",), ("config",)], ids=" ".join)
def test_a_group_without_a_verb_shows_its_verbs(run: Run, group: tuple[str, ...]) -> None:
    """Naming a group alone shows what is in it, and is wrong usage."""
    told = run(*group)

    assert 2 == told.code
    assert "Commands" in told.out + told.err


@pytest.mark.slow
def test_the_package_is_a_program() -> None:
    """`python -m geodns` is the command, with its exit codes."""
    found = [
        subprocess.run([sys.executable, "-m", "geodns", *arguments], capture_output=True, text=True, timeout=60, check=False)
        for arguments in (("version",), ("check", "/no/such/file.toml"), ("no-such-verb",))
    ]

    assert [0, 1, 2] == [process.returncode for process in found]
    assert f"geodns {geodns.__version__}\n" == found[0].stdout
    assert "/no/such/file.toml: there is no such file" in found[1].stdout
