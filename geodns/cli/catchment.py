"""Owns the verb `geodns anycast catchment`: whom anycast brings to the running daemon, and who had better go elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodns.answer.catchment import Verdict
from geodns.cli.control import moment, running
from geodns.cli.output import ConfigOption, JsonOption, say, say_json, table
from geodns.daemon import counted


def catchment(
    pool: Annotated[str, typer.Option(help="Pool to compare with; else all that are steered by nearest or region.")] = "",
    worst: Annotated[int, typer.Option(min=0, max=1000, help="How many prefixes are listed.")] = 20,
    min_samples: Annotated[int, typer.Option(min=0, help="Round trips that a prefix must have to be listed.")] = 5,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whom anycast brings to the running daemon: TCP round trips by region and prefix, and where a pool would send them."""
    with running(config) as control:
        told = control.catchment(pool=pool, worst=worst, min_samples=min_samples)
    if as_json:
        say_json(told)
        return
    if not told["measured"]:
        say(f"not measured: {told['why_not']}")
        return
    _tell(told, min_samples)


def _tell(told: dict[str, Any], least: int) -> None:
    count = told["networks"]
    seen = f"{count} {'prefix' if count == 1 else 'prefixes'}, {counted(told['round_trips'], 'round trip')}"
    say(f"{seen} since {moment(told['since'])}")
    if lost := told["forgotten"]["networks"]:
        say(f"forgotten, because others came more often: {lost} prefixes, {told['forgotten']['round_trips']} round trips")
    if told["place"] is None:
        say("where this instance is was not told (server.place): prefixes are judged by their distance to the pool's site alone")
    if not count:
        return
    say()
    headers = ("region", "prefixes", "round trips", "fastest", "median", "p90")
    table(headers, [(each["region"], each["networks"], *_times(each), _ms(each["p90_ms"])) for each in told["regions"]])
    say()
    if not told["worst"]:
        say(f"no prefix has {counted(least, 'round trip')} or more" if told["compared"] == 0 else "none is listed")
        return
    columns = ("prefix", "region", "AS", "round trips", "fastest", "median", "within", "verdict", "instead", "at best")
    table(columns, [row for each in told["worst"] for row in _rows(each)])
    _explain(told["worst"])


def _times(each: dict[str, Any]) -> tuple[object, str, str]:
    return each["round_trips"], _ms(each["fastest_ms"]), _ms(each["median_ms"])


def _rows(each: dict[str, Any]) -> list[tuple[object, ...]]:
    """A prefix, a row for each pool that it is compared with."""
    head = (each["prefix"], each["region"], each["asn"] or "-", *_times(each), f"{each['within_km']:,.0f} km")
    if not each["instead"]:
        return [(*head, each["verdict"], "-", "-")]
    return [(*head, other["verdict"], _site(other), _best(other)) for other in each["instead"]]


def _site(other: dict[str, Any]) -> str:
    return f"{other['pool']}/{other['site'] or '-'}"


def _best(other: dict[str, Any]) -> str:
    return "-" if other["best_ms"] is None else f"{_ms(other['best_ms'])} ({other['distance_km']:,.0f} km)"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds:.0f} ms"


def _explain(worst: list[dict[str, Any]]) -> None:
    """The numbers behind verdicts that somebody may want to act on, and what each verdict that occurs means."""
    say()
    for each in worst:
        if each["verdict"] not in {Verdict.WELL, Verdict.UNKNOWN}:
            say(f"{each['prefix']} is {each['verdict']}: {each['sentence']}")
    met = {each["verdict"] for each in worst} | {other["verdict"] for each in worst for other in each["instead"]}
    for verdict in Verdict:
        if verdict in met:
            say(f"{verdict}: {verdict.meaning}")
