"""Owns the verbs about pools of the running daemon: what they are, how they are, and the operator's word on them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from geodns.cli.control import ReasonOption, lasted, moment, running
from geodns.cli.output import ConfigOption, JsonOption, say, say_json, table, usage
from geodns.cli.what_if import what_if
from geodns.ops.overrides import BadDuration, parse_duration

app = typer.Typer(help="Pools: of the running daemon, or what would become of them.", no_args_is_help=True)
app.command("what-if")(what_if)


class Word(StrEnum):
    """What an operator may say of a pool, a site or an endpoint."""

    UP = "up"
    DOWN = "down"
    DRAIN = "drain"
    AUTO = "auto"


@app.callback()
def group() -> None:
    """Pools: of the running daemon, or what would become of them."""


@app.command("list")
def list_pools(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell every pool and how many of its addresses may be answered."""
    with running(config) as control:
        pools = control.pools()
    if as_json:
        say_json(pools)
    elif pools:
        table(("pool", "state", "eligible", "sites", "steering", "ttl", "overrides"), map(_row, pools))
    else:
        say("no pools are configured")


def _row(pool: dict[str, Any]) -> tuple[object, ...]:
    addresses = [address for _, _, address in _addresses(pool)]
    eligible = sum(address["eligible"] for address in addresses)
    state = "down" if not eligible else "degraded" if pool["degraded"] else "up"
    sites = f"{sum(site['up'] for site in pool['sites'])}/{len(pool['sites'])} up"
    overrides = sum(endpoint["override"] is not None for site in pool["sites"] for endpoint in site["endpoints"])
    return pool["name"], state, f"{eligible}/{len(addresses)}", sites, pool["steering"], pool["ttl"], overrides


def _addresses(pool: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Site, endpoint and address, each as the API tells it."""
    for site in pool["sites"]:
        for endpoint in site["endpoints"]:
            for address in endpoint["addresses"]:
                yield site, endpoint, address


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the pool.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a pool's addresses, their health and why, and what happened to it lately."""
    with running(config) as control:
        pool = control.pool(name)
    if as_json:
        say_json(pool)
        return
    degraded = ", degraded" if pool["degraded"] else ""
    means = f"steering {pool['steering']}, TTL {pool['ttl']} s, check {pool['check']['type']}"
    say(f"{pool['name']}: {means}, when all are down: {pool['when_all_down']}{degraded}")
    rows = [
        (
            f"{site['name']}/{endpoint['name']}",
            address["address"],
            address["health"],
            "yes" if address["eligible"] else "no",
            _weight(endpoint),
            "-" if address["duration"] is None else f"{address['duration'] * 1000:.1f} ms",
            moment(address["since"] or 0),
            _remark(endpoint["override"], address),
        )
        for site, endpoint, address in _addresses(pool)
    ]
    table(("endpoint", "address", "health", "eligible", "weight", "took", "since", "remark"), rows)
    for event in pool["history"]:
        say(f"{moment(event['at'])}  {event['what']}")


def _weight(endpoint: dict[str, Any]) -> str:
    return f"{endpoint['weight']:g}"


def _remark(override: dict[str, Any] | None, address: dict[str, Any]) -> str:
    """The operator's word, else what the last check said."""
    if override is None:
        return str(address["error"])
    until = f" until {moment(override['until'])}" if override["until"] else ""
    why = f": {override['reason']}" if override["reason"] else ""
    return f"{override['word']}{until} by {override['who']}{why}"


@app.command("set")
def set_word(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="POOL, POOL/SITE or POOL/SITE/ENDPOINT; * and ? stand for any characters.")
    ],
    word: Annotated[Word, typer.Argument(metavar="WORD", help='What holds whatever checks say; "auto" ends it.')],
    lasting: Annotated[str, typer.Option("--for", help="For how long, as in 30m or 1h30m; else until it is ended.")] = "",
    reason: ReasonOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Overrule the health checks of pools, sites or endpoints, or end that."""
    seconds = _seconds(lasting, word)
    with running(config) as control:
        told = control.override(pattern, word, seconds=seconds, reason=reason)
    if as_json:
        say_json(told)
        return
    for path in told.get("touched", [pattern]):
        say(f"{path}: {word}" + (f" for {lasted(seconds)}" if seconds else ""))


def _seconds(lasting: str, word: Word) -> float | None:
    if not lasting:
        return None
    if word is Word.AUTO:
        usage('"auto" ends an override: it has no --for')
    try:
        return parse_duration(lasting)
    except BadDuration as error:
        usage(f"--for {lasting}: {error}: {error.remedy}")
