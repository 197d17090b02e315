"""Owns the verbs about the configuration file's form."""

from __future__ import annotations

import typer

from geodns.cli.output import say, say_json
from geodns.ops import config as configuration

app = typer.Typer(help="The configuration file.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The configuration file."""


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and other programs."""
    say_json(configuration.schema())


@app.command()
def example() -> None:
    """Print a configuration with every key, its default and a comment: a file to begin with."""
    say(configuration.example().rstrip())
