"""Owns the verbs about places: looking addresses up, and fetching databases."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from geodns import daemon, geo
from geodns.cli.output import ConfigOption, JsonOption, config_path, refuse, say, say_json, show_problems, usage, warn
from geodns.cli.progress import downloading
from geodns.ops import config as configuration
from geodns.ops import geo_update
from geodns.problem import Problem, ProblemsFound, errors

app = typer.Typer(help="Places: look addresses up, fetch databases.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Places."""


@app.command()
def lookup(
    addresses: Annotated[list[str], typer.Argument(metavar="IP", help="Addresses to look up.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where addresses are, who says so, and whether that may be believed: an anycast address has no place."""
    places = [place_of(text) for text in addresses]
    atlas = atlas_of(config_path(config))
    try:
        located = [atlas.locate(place) for place in places]
        egress = [atlas.locate_egress(place) for place in places]
    except geo.BadDatabase as error:
        refuse([daemon.unusable(error)])
    if as_json:
        say_json([_json(*each) for each in zip(addresses, located, egress, strict=True)])
        return
    for text, found, resolver in zip(addresses, located, egress, strict=True):
        say(f"{text}  ({found.network})")
        if found.state is geo.State.ANYCAST:
            warn(f"  anycast: location means nothing; {found.why}", "yellow")
        elif found.state is not geo.State.LOCATED:
            say(f"  not used: {found.why}")
        elif found.named:
            say(f"  {found.why}")
        for attribute, value in found.location.known().items():
            say(f"  {attribute:<12}{'yes' if value is True else value}   [{found.sources.get(attribute, 'anycast list')}]")
        if resolver:
            say(f"  as a sender: {resolver.why}")
            if resolver.state is geo.State.LOCATED:
                say(f"    so queries from here without a usable client subnet count as from {resolver.location}")
    if atlas.databases == (geo.embedded(),):
        warn(f"WARNING: {daemon.EMBEDDED_WARNING}")


def place_of(text: str) -> geo.Place:
    """An address as what is looked up; wrong usage if it is none."""
    try:
        address = ip_address(text)
    except ValueError as error:
        usage(f"{error}: write one address" + (f", such as {text.partition('/')[0]}" if "/" in text else ""))
    return geo.place_of(address.version, int(address))


def atlas_of(path: Path) -> geo.Atlas:
    """The databases, networks and lists of a configuration; every problem is shown, and an error ends the command."""
    problems: list[Problem] = []
    try:
        atlas = daemon.load_atlas(configuration.load(path), problems)
    except ProblemsFound as found:
        refuse(found.problems)
    if errors(problems):
        refuse(problems)
    show_problems(problems)
    return atlas


def _json(text: str, found: geo.Located, resolver: geo.Located | None) -> dict[str, object]:
    return {
        "address": text,
        "network": str(found.network),
        "state": found.state.name.lower(),
        "why": found.why,
        "location": _location(found),
        "sources": found.sources,
        "egress": {"why": resolver.why, "location": _location(resolver), "sources": resolver.sources} if resolver else None,
    }


def _location(found: geo.Located) -> dict[str, object]:
    return {key: None if value == "" else value for key, value in asdict(found.location).items()}


@app.command()
def update(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"Which database: {', '.join(geo_update.SOURCES)}.")],
    to: Annotated[Path, typer.Option(help="Path of the .mmdb file to write or replace.", readable=False)],
    account: Annotated[str, typer.Option(envvar="GEODNS_MAXMIND_ACCOUNT", help="MaxMind account number.")] = "",
    licence_key: Annotated[
        str, typer.Option(envvar="GEODNS_MAXMIND_LICENCE_KEY", help="MaxMind licence key.", show_envvar=True)
    ] = "",
    base_url: Annotated[str, typer.Option(help="Another place to fetch from, for example a mirror of your own.")] = "",
    proxy: Annotated[str, typer.Option(help="HTTP proxy; else what HTTPS_PROXY and its kin say.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file even by an older or different database.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a full database, verify it, and swap it in whole; the one in place stays if anything fails."""
    request = geo_update.UpdateRequest(source, to, account, licence_key, base_url, proxy, force=force)
    try:
        with downloading(source) as (progress, task):
            today = datetime.now(tz=UTC).date()
            result = geo_update.update(request, lambda done, total: progress.update(task, completed=done, total=total), today)
    except ProblemsFound as found:
        refuse(found.problems, "nothing was changed")
    _tell(result, as_json=as_json)


def _tell(result: geo_update.UpdateResult, *, as_json: bool) -> None:
    if as_json:
        build = result.build
        say_json(
            {
                "outcome": result.outcome.value,
                "file": str(result.destination),
                "url": result.url,
                "type": build.database_type,
                "built": build.built.isoformat(),
                "attribution": result.attribution,
            }
        )
        return
    say(str(result))
    say(result.attribution)
