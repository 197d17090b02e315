"""Owns the command `geodns`: puts the groups of verbs together."""

from __future__ import annotations

from typing import Annotated

import typer

import geodns
from geodns.cli import announce, anycast, check, config, control, diff, explain, geography, pools, serve, zones
from geodns.cli.output import JsonOption, say, say_json

app = typer.Typer(
    name="geodns",
    help="Anycast-aware GeoDNS server: the nearest site by DNS, and the reason why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve.serve)
app.command()(check.check)
app.command()(explain.explain)
app.command()(diff.diff)
app.command()(control.status)
app.command()(control.reload)
app.command()(control.drain)
app.command()(control.undrain)
app.add_typer(pools.app, name="pool")
app.add_typer(announce.app, name="announce")
app.add_typer(anycast.app, name="anycast")
app.add_typer(geography.app, name="geo")
app.add_typer(zones.app, name="zone")
app.add_typer(config.app, name="config")


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        say_json({"version": geodns.__version__})
    else:
        say(f"geodns {geodns.__version__}")


def _tell_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def whole(
    _: Annotated[bool, typer.Option("--version", help="Print the version, as the verb does.", callback=_tell_version)] = False,
) -> None:
    """Anycast-aware GeoDNS server: the nearest site by DNS, and the reason why."""


def main() -> None:
    """Run the command line."""
    app()
