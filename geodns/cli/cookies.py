"""Owns the verbs about the cookie secrets that siblings share."""

from __future__ import annotations

import secrets as chance
from pathlib import Path
from typing import Annotated

import typer

from geodns import answer
from geodns.cli.output import (
    PROBLEMS_FOUND,
    ConfigOption,
    JsonOption,
    config_path,
    refuse,
    say,
    say_json,
    show_problems,
    table,
)
from geodns.ops import config as configuration
from geodns.ops import cookie_file
from geodns.problem import Problem, ProblemsFound
from geodns.wire.cookies import SECRET

app = typer.Typer(help="The secrets of DNS cookies that siblings share.", no_args_is_help=True)

FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="File of secrets; else server.cookie_secrets of the configuration.", readable=False),
]


@app.callback()
def group() -> None:
    """The secrets of DNS cookies that siblings share."""


@app.command()
def show(file: FileArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell the fingerprint of each secret, by which siblings can be seen to have the same; never a secret."""
    path = _file(file, config)
    try:
        _say(path, cookie_file.read(path), as_json=as_json)
    except ProblemsFound as found:
        refuse(found.problems)


@app.command()
def add(file: FileArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Begin a roll-over: add a new secret, accepted but not used yet. Makes the file if there is none."""
    fresh = chance.token_bytes(SECRET)
    then = "once all accept the new one: geodns cookie promote"
    _step(_file(file, config), lambda known, _rested: cookie_file.add(known, fresh), then, as_json=as_json)


@app.command()
def promote(file: FileArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Go on with it: cookies are made with the new secret, the old one is still accepted."""
    then = "an hour after the last one: geodns cookie retire"
    _step(_file(file, config), lambda known, _rested: cookie_file.promote(known), then, as_json=as_json)


@app.command()
def retire(
    file: FileArgument = None,
    now: Annotated[bool, typer.Option("--now", help="Also if the file changed less than 65 minutes ago.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End it: only the secret that makes cookies stays."""
    settled = float(cookie_file.SETTLED) if now else 0.0
    _step(_file(file, config), lambda known, rested: cookie_file.retire(known, max(rested, settled)), "", as_json=as_json)


def _file(file: Path | None, config: Path | None) -> Path:
    if file:
        return file
    path = config_path(config)
    try:
        loaded = configuration.load(path)
    except ProblemsFound as found:
        refuse(found.problems)
    if not loaded.server.cookie_secrets:
        refuse([Problem(str(path), 0, "server.cookie_secrets is not set", "name a file, or set it")])
    return loaded.path(loaded.server.cookie_secrets)


def _step(file: Path, step: cookie_file.Step, then: str, *, as_json: bool) -> None:
    """Take one step and tell what comes next; exit code 1 where it cannot be taken."""
    try:
        secrets = cookie_file.change(file, step)
    except ProblemsFound as found:
        refuse(found.problems)
    except cookie_file.NotNow as why:
        show_problems([Problem(str(file), 0, str(why), why.remedy)])
        raise typer.Exit(PROBLEMS_FOUND) from None
    _say(file, secrets, as_json=as_json)
    if not as_json:
        say("next: copy the file to every sibling and reload each" + (f"; {then}" if then and len(secrets) > 1 else ""))


def _say(file: Path, secrets: cookie_file.Secrets, *, as_json: bool) -> None:
    uses = [
        ("makes cookies" if number == 0 else "is accepted", answer.fingerprint(secret)) for number, secret in enumerate(secrets)
    ]
    if as_json:
        say_json({"file": str(file), "secrets": [{"fingerprint": mark, "makes": use == "makes cookies"} for use, mark in uses]})
        return
    table(("secret", "use"), [(mark, use) for use, mark in uses])
