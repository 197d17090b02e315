"""Owns the verb `check`: every problem of a configuration and all it names, or a summary of what would be served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from geodns.cli.output import (
    FINE,
    PROBLEMS_FOUND,
    ConfigOption,
    JsonOption,
    config_path,
    say,
    say_json,
    show_problems,
    table,
    warn,
)
from geodns.cli.progress import watched
from geodns.daemon import EMBEDDED_WARNING, Loaded, counted, load
from geodns.ops.control import read_token
from geodns.problem import Problem, ProblemsFound, Severity, errors
from geodns.wire import to_text

CREDENTIALS = Path("/run/credentials")
"""Where systemd puts what only a running service can read."""


def check(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="Configuration file.", readable=False)] = None,
    named: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a configuration, its zones, databases and lists, verify its expectations, and report all problems at once."""
    loaded: Loaded | None = None
    problems: tuple[Problem, ...]
    try:
        with watched() as progress:
            loaded = load(config_path(named, config), progress)
        problems = (*loaded.warnings, *_unreadable_token(loaded))
    except ProblemsFound as found:
        problems = found.problems
    if as_json:
        say_json({"problems": [problem.as_json() for problem in problems], "summary": _summary(loaded) if loaded else None})
    else:
        show_problems(problems, to_stderr=False)
        _show(loaded, problems)
    raise typer.Exit(PROBLEMS_FOUND if errors(problems) else FINE)


def _unreadable_token(loaded: Loaded) -> list[Problem]:
    """Why the admin door would stay shut; nothing of a credential, which systemd hands to the service alone."""
    admin = loaded.config.admin
    file = loaded.config.path(admin.token_file)
    if not (admin.listen and admin.token_file) or file.is_relative_to(CREDENTIALS):
        return []
    try:
        read_token(file)
    except ProblemsFound as found:
        return [replace(each, severity=Severity.WARNING) for each in found.problems]
    return []


def _summary(loaded: Loaded) -> dict[str, object]:
    snapshot = loaded.snapshot
    return {
        "configuration": str(loaded.path),
        "zones": [
            {
                "name": to_text(served.contents.origin),
                "file": served.contents.file,
                "serial": served.contents.serial,
                "records": served.contents.record_count,
                "tailored": len(served.tailored),
            }
            for served in snapshot.zones.values()
        ],
        "databases": [{"name": database.name, "built": database.built} for database in snapshot.atlas.databases],
        "embedded": loaded.is_embedded,
        "networks": len(snapshot.atlas.networks),
        "anycast_prefixes": len(snapshot.atlas.anycast),
        "egress_prefixes": len(snapshot.atlas.egress),
        "ladder": list(snapshot.ladder),
        "rule_sets": snapshot.rule_sets,
        "expectations": len(loaded.config.expect),
        "seconds": round(loaded.seconds, 3),
    }


def _show(loaded: Loaded | None, problems: tuple[Problem, ...]) -> None:
    warnings = len(problems) - len(errors(problems))
    if loaded is None:
        say(f"{counted(len(errors(problems)), 'error')}, {counted(warnings, 'warning')}")
        return
    snapshot = loaded.snapshot
    rows = [
        (
            to_text(served.contents.origin),
            served.contents.serial,
            served.contents.record_count,
            len(served.tailored),
            served.contents.file,
        )
        for served in snapshot.zones.values()
    ]
    if rows:
        table(("zone", "serial", "records", "tailored", "file"), rows)
    places = ", ".join(database.name for database in snapshot.atlas.databases)
    networks, prefixes = len(snapshot.atlas.networks), len(snapshot.atlas.anycast)
    say(f"places: {places}; {counted(networks, 'network')} of the config, {counted(prefixes, 'anycast prefix')}")
    for source, as_of, count in snapshot.atlas.egress_maps():
        say(f"egress: {source} of {as_of}, {counted(count, 'egress prefix')}")
    if here := snapshot.atlas.locate_instance():
        say(f"instance: this one of anycast is at {here.location}")
    if loaded.is_embedded:
        warn(f"WARNING: {EMBEDDED_WARNING}")
    compiled, met = counted(snapshot.rule_sets, "rule set"), counted(len(loaded.config.expect), "expectation")
    say(f"{compiled} compiled, {met} met, {loaded.seconds:.2f} s")
    say(f"fine, {counted(warnings, 'warning')}" if warnings else "fine")
