"""Owns the verb `pool what-if`: where users would go, and what each site would bear, if some of a pool were down."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from geodns import daemon, geo, wire
from geodns.answer.what_if import Area, Bearing, NoUsers, WhatIf
from geodns.answer.what_if import what_if as foretell
from geodns.cli.output import ConfigOption, JsonOption, config_path, refuse, say, say_json, show_problems, table, usage, warn
from geodns.daemon import pooling
from geodns.geo.countries import CONTINENTS, countries
from geodns.geo.weights import read_users
from geodns.ops import config as configuration
from geodns.ops import overrides
from geodns.ops.config import Config
from geodns.ops.overrides import Overrides, Word
from geodns.problem import Problem, ProblemsFound, Severity, errors

_LEAST_SHOWN = 0.0005  # smaller parts would be shown as 0.0%
_SEVERAL = "may be given several times, or with commas between"


def what_if(
    name: Annotated[str, typer.Argument(metavar="POOL", help="A pool of the configuration.")],
    down: Annotated[
        list[str], typer.Option(default_factory=list, show_default=False, help=f"SITE or SITE/ENDPOINT that is down; {_SEVERAL}.")
    ],
    drain: Annotated[list[str], typer.Option(default_factory=list, show_default=False, help="The same for what is drained.")],
    users: Annotated[
        Path | None, typer.Option(readable=False, help="CSV file `country,users`; else addresses in the databases are counted.")
    ] = None,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Take users of IPv6, by networks of 48 bits.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Foretell where each country's users would go, and what each site would bear, if some of a pool were down."""
    path = config_path(config)
    words = {Word.DOWN: _names(down), Word.DRAIN: _names(drain)}
    if not any(words.values()):
        usage("what is to be down? give --down SITE, --down SITE/ENDPOINT, or --drain")
    try:
        told, atlas, version = _foretold(path, name, words, users, ipv6=ipv6)
    except ProblemsFound as found:
        refuse(found.problems)
    except geo.BadDatabase as error:
        refuse([daemon.unusable(error)])
    weighed = f"users of {users}" if users else "IPv4 addresses" if version == 4 else "IPv6 networks (/48)"
    if as_json:
        said = {word.value: parts for word, parts in words.items()}
        say_json({**told.as_json(), **said, "family": f"ipv{version}", "weighed_by": "users" if users else "addresses"})
        return
    say(f"pool {told.pool.name}, steering {told.pool.steering.value}, weighed by {weighed}   (configuration: {path})")
    say("; ".join(f"{word.value}: {', '.join(parts)}" for word, parts in words.items() if parts))
    _show(told)
    if atlas.databases == (geo.embedded(),):
        warn(f"WARNING: {daemon.EMBEDDED_WARNING}")


def _names(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",")]


def _foretold(
    path: Path, name: str, words: dict[Word, list[str]], users: Path | None, *, ipv6: bool
) -> tuple[WhatIf, geo.Atlas, geo.Version]:
    """What would be; raises ProblemsFound with everything that is wrong, and BadDatabase."""
    config = configuration.load(path)
    problems: list[Problem] = list(config.warnings)
    atlas = daemon.load_atlas(config, problems)
    said = _said(config, name, words, problems)
    amounts = _users(users, problems) if users else None
    if errors(problems):
        raise ProblemsFound(problems)
    pool = next(each for each in pooling.pools(config) if each.name == name)
    version: geo.Version = 6 if ipv6 or not pool.has_family(wire.Type.A) else 4
    if ipv6 and not pool.has_family(wire.Type.AAAA):
        usage(f"--ipv6: pool {name} has no IPv6 address")
    regions = {region: tuple(map(geo.parse_place, selectors)) for region, selectors in config.regions.items()}
    before, after = (pooling.standings(pooling.seats(config), {}, each, 0.0) for each in (Overrides(), said))
    try:
        told = foretell(pool, atlas, regions, (before, after), version, amounts)
    except NoUsers as error:
        fault = Problem(str(users or path), 0, str(error), "name a database of countries in geo.databases")
        raise ProblemsFound([*problems, fault]) from error
    show_problems([*problems, *_unplaced(told, users)])
    return told, atlas, version


def _unplaced(told: WhatIf, users: Path | None) -> Iterator[Problem]:
    if told.unplaced:
        message = f"users left out, as no address in the databases is there: {', '.join(told.unplaced)}"
        yield Problem(str(users), 0, message, "name a database that knows these countries", Severity.WARNING)


def _said(config: Config, name: str, words: dict[Word, list[str]], problems: list[Problem]) -> Overrides:
    """The event as an operator's words; names of nothing are problems."""
    known = pooling.tree(config)
    if name not in known:
        close = get_close_matches(name, known, 1)
        remedy = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(known)}" if known else "it has none"
        problems.append(Problem("", 0, f"the configuration has no pool '{name}'", remedy))
        return Overrides()
    said = Overrides()
    for word, parts in words.items():
        for part in parts:
            try:
                twice = [path for path in overrides.matching(f"{name}/{part}", known) if path in said.by_path]
            except overrides.BadPattern as error:
                problems.append(Problem("", 0, f"--{word.value} {part}: {error}", error.remedy))
                continue
            if twice:
                problems.append(Problem("", 0, f"--{word.value} {part}: is named already", "name each site or endpoint once"))
            said, _ = said.set(f"{name}/{part}", word, now=0.0, until=None, reason="", who="", known=known)
    return said


def _users(file: Path, problems: list[Problem]) -> dict[str, float]:
    try:
        text = file.read_text("utf-8-sig")
    except OSError as fault:
        problems.append(Problem(str(file), 0, f"cannot be read: {fault.strerror}", "correct the path or its permissions"))
        return {}
    except UnicodeDecodeError:
        problems.append(Problem(str(file), 0, "is not a text file", "give a CSV file with lines such as DE,12000"))
        return {}
    users, found = read_users(text, str(file))
    problems += found
    return users


def _show(told: WhatIf) -> None:
    moving = [area for area in told.areas if area.moves]
    still = [area for area in told.areas if not area.moves]
    say()
    if moving:
        table(["country", "users", "moved", "before", "after"], [_row(told, area) for area in moving])
    counted = f"{len(still)} {'country does' if len(still) == 1 else 'countries do'} not move"
    say(f"{counted} ({sum(area.users for area in still):.1%} of the users); {told.whole.moved:.1%} of all users move")
    say()
    with_capacity = any(each.capacity_before for each in told.sites)
    headers = ["site", "users before", "users after"]
    if with_capacity:
        headers += ["capacity", "used before", "used after"]
    table(headers, [_site_row(each, with_capacity=with_capacity) for each in told.sites])
    if with_capacity and told.relative:
        say("no endpoint declares a load: used is as if all users together took the whole capacity of the pool")
    if told.first_full:
        site, demand = told.first_full
        say(f"first full after it: {site}, when all users together take {demand:.1%} of that capacity")
    for warning in told.warnings:
        warn(f"WARNING: {warning}")


def _row(told: WhatIf, area: Area) -> list[str]:
    shares = (_shares(told.by_site(parts)) for parts in (area.flow.before, area.flow.after))
    return [_called(area.name), f"{area.users:.1%}", f"{area.flow.moved:.1%}", *shares]


def _called(area: str) -> str:
    """A country by code and name; a continent where no more is known."""
    kind, _, code = area.partition(":")
    match kind:
        case "country":
            return f"{code} {countries()[code].name}"
        case "continent":
            return f"{CONTINENTS[code]}, country unknown"
        case _:
            return "country unknown"


def _shares(by_site: dict[str, float]) -> str:
    shown = [f"{site or 'nobody'} {part:.1%}" for site, part in by_site.items() if part >= _LEAST_SHOWN]
    return ", ".join(shown)


def _site_row(each: Bearing, *, with_capacity: bool) -> list[str]:
    row = [each.name, f"{each.before:.1%}", f"{each.after:.1%}"]
    if with_capacity:
        capacity = f"{each.capacity_before:g}"
        if each.capacity_after != each.capacity_before:
            capacity += f" → {each.capacity_after:g}"
        row += [capacity, *(_used(part) for part in (each.used_before, each.used_after))]
    return row


def _used(part: float | None) -> str:
    return "-" if part is None else f"{part:.0%}"
