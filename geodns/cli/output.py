"""Owns how the front door speaks: tables, problems, JSON, exit codes; refuses to know what they are about."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from geodns.daemon import DEMONSTRATION, counted
from geodns.problem import Problem, errors

FINE, PROBLEMS_FOUND = 0, 1  # 2, wrong usage, is typer's own
SYSTEM_CONFIG = Path("/etc/geodns/geodns.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        readable=False,  # or typer would judge it, with a code of its own: what cannot be read is a problem like any other
        help=f"Configuration file; else $GEODNS_CONFIG, {SYSTEM_CONFIG}, or the demonstration.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def config_path(*named: Path | None) -> Path:
    """The configuration that is meant: what was named, else $GEODNS_CONFIG, the system's, or the demonstration.

    Two different ones are wrong usage.
    """
    paths = sorted({path for path in named if path is not None})
    if len(paths) > 1:
        usage(f"two configurations are named: {paths[0]} and {paths[1]}")
    if paths:
        return paths[0]
    if from_environment := os.environ.get("GEODNS_CONFIG"):
        return Path(from_environment)
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else DEMONSTRATION


def say(text: str = "") -> None:
    """One line to standard output, exactly as it is."""
    sys.stdout.write(text + "\n")


def say_json(value: object) -> None:
    """A JSON document to standard output."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table: drawn on a terminal, else columns of plain text that awk can read."""
    texts = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        drawn = Table(*headers, header_style="bold")
        for row in texts:
            drawn.add_row(*row)
        Console().print(drawn, markup=False)
        return
    widths = [max(len(line[column]) for line in [list(headers), *texts]) for column in range(len(headers))]
    for line in [headers, *texts]:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def warn(text: str, style: str = "bold yellow") -> None:
    """Print a line that should be noticed: in yellow on a terminal, unless NO_COLOR (https://no-color.org) is set."""
    Console(soft_wrap=True, highlight=False, markup=False).print(text, style=style)


def show_problems(problems: Iterable[Problem], *, to_stderr: bool = True) -> None:
    """One line a problem, in red or yellow on a terminal."""
    console = Console(stderr=to_stderr, soft_wrap=True, highlight=False, markup=False)
    for problem in problems:
        console.print(str(problem), style="red" if problem.is_error else "yellow")


def refuse(problems: Sequence[Problem], so: str = "") -> NoReturn:
    """Show every problem, say how many there are and what follows from it, and end with exit code 1."""
    show_problems(problems)
    count = counted(len(errors(problems)), "error")
    Console(stderr=True, soft_wrap=True).print(f"{count}: {so}" if so else count, style="bold red")
    raise typer.Exit(PROBLEMS_FOUND)


def usage(message: str) -> NoReturn:
    """Say what was wrong with the command itself, and end with exit code 2."""
    raise typer.BadParameter(message)
