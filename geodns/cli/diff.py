"""Owns the verb `diff`: what would be answered otherwise, and to whom, if one configuration took the place of another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from geodns import daemon, geo, wire
from geodns.cli.output import FINE, JsonOption, refuse, say, say_json, usage, warn
from geodns.cli.progress import watched
from geodns.daemon import planning
from geodns.problem import Problem, ProblemsFound, errors

DIFFERENT = 3
"""Exit code where the two differ. 1 is kept for problems: a script must not take a broken file for a difference."""

_CONFIGURATION = "geodns.toml"


def diff(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", readable=False, help=f"A configuration, or a directory with {_CONFIGURATION} in it.")
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", readable=False, help="Another one.")],
    name: Annotated[list[str], typer.Option(help="Only what this name is answered; may be given several times.")] = [],  # noqa: B006  # typer's way
    as_json: JsonOption = False,
) -> None:
    """Tell which clients get another answer from NEW than from OLD: by name, prefix, part of address space and country.

    Clients count where their own address is, resolvers of an egress map where that has them; every endpoint is taken to be up.
    Exit code: 0 for the same, 3 for a difference.
    """
    names = [_owner(text) for text in name]
    problems: list[Problem] = []
    paths = [path / _CONFIGURATION if path.is_dir() else path for path in (old, new)]
    loads = [loaded for path in dict.fromkeys(paths) for loaded in _loaded(path, problems)]
    problems += _unknown(names, loads) if not problems else ()
    if problems:
        refuse(list(dict.fromkeys(problems)), "nothing is compared")
    before, after = loads[0], loads[-1]
    try:
        told = planning.details(before, after, names)
    except geo.BadDatabase as error:
        refuse([daemon.unusable(error)])
    if as_json:
        say_json({"old": str(paths[0]), "new": str(paths[1]), "same": told.is_empty, **told.as_json()})
    else:
        for line in told.lines():
            say(line)
        for problem in told.problems:
            say(f"a running server would refuse this: {problem}")
        if after.is_embedded and told.moves:
            warn(f"WARNING: {daemon.EMBEDDED_WARNING}")
    raise typer.Exit(FINE if told.is_empty else DIFFERENT)


def _owner(text: str) -> wire.Name:
    try:
        return wire.from_text(text)
    except wire.BadName as error:
        usage(f"{text!r} is no domain name: {error}")


def _loaded(path: Path, problems: list[Problem]) -> Iterator[daemon.Loaded]:
    """A load, if it can be had; else all that is wrong with it is added to `problems`. Warnings are the business of `check`."""
    try:
        with watched() as progress:
            yield daemon.load(path, progress)
    except ProblemsFound as found:
        problems += errors(found.problems)


def _unknown(names: list[wire.Name], loads: list[daemon.Loaded]) -> Iterator[Problem]:
    """Names that have no records anywhere: most likely misspelt."""
    for name in names:
        nodes = (served.contents.nodes.get(name) for each in loads for served in each.snapshot.zones.values())
        if not any(node and (node.rrsets or node.pool) for node in nodes):
            remedy = "name an owner of records; for names that a wildcard stands for, that is the wildcard"
            yield Problem("", 0, f"--name {wire.to_text(name)}: neither configuration has records for it", remedy)
