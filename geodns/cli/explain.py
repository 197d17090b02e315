"""Owns the verb `explain`: what a client gets, and every step to it."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Any

import dns.exception
import dns.rdatatype
import typer

from geodns import answer, daemon, geo, wire
from geodns.cli.control import running
from geodns.cli.output import ConfigOption, JsonOption, config_path, refuse, say, say_json, usage, warn
from geodns.problem import ProblemsFound


def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name to ask for.")],
    rdtype: Annotated[str, typer.Argument(metavar="TYPE", help="Record type to ask for.")] = "A",
    client: Annotated[str, typer.Option(help="Address that asks, with no client subnet (a prefix is taken for --ecs).")] = "",
    ecs: Annotated[str, typer.Option(help="Client subnet that a resolver sends (RFC 7871).")] = "",
    resolver: Annotated[str, typer.Option(help="Address of that resolver; else one that ecs.trust holds is assumed.")] = "",
    live: Annotated[bool, typer.Option("--live", help="Ask the running daemon, not the files.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a client is answered and why: its place and who says so, rung, rule or pool, answer, TTL, scope, reason.

    The files are read as the daemon would read them; the health of endpoints is what a daemon has written last.
    """
    asker = _asker(client, ecs, resolver)
    owner, number = _question(name, rdtype)
    if live:
        with running(config) as control:
            told = control.explain(name, rdtype, client=client, ecs=ecs, resolver=resolver)
        whence, embedded = "the running daemon", False
    else:
        told, loaded = _from_files(config, owner, number, asker)
        whence, embedded = f"configuration: {loaded.path}", loaded.is_embedded
    if as_json:
        say_json(told)
        return
    question = told["question"]
    say(f"{question['name']} {question['type']} for {ecs or client or resolver}   ({whence})")
    for count, step in enumerate(told["steps"], start=1):
        say(f"{count:>3}. {step}")
    say()
    for label, value in _result(told):
        say(f"{label:<10}{value}")
    if embedded and told["location"]["continent"]:
        warn(f"WARNING   {daemon.EMBEDDED_WARNING}")


def _from_files(config: Path | None, owner: wire.Name, number: int, asker: answer.Asker) -> tuple[dict[str, Any], daemon.Loaded]:
    """What a daemon that has just started would say, and what it has loaded."""
    try:
        loaded = daemon.load(config_path(config))
        moment, age = daemon.remembered_moment(loaded.config)
        told: dict[str, Any] = answer.explain(loaded.snapshot, owner, number, asker, moment).as_json()
    except ProblemsFound as found:
        refuse(found.problems)
    except geo.BadDatabase as error:
        refuse([daemon.unusable(error)])
    if told["pool"]:
        told["steps"].insert(0, _health(loaded, age))
    return told, loaded


def _health(loaded: daemon.Loaded, age: float) -> str:
    """Where the health of endpoints is known from."""
    state = loaded.config.path(loaded.config.server.state)
    if not loaded.config.server.state:
        return "no state is kept (server.state is empty): the health of endpoints counts as unknown, and so as up"
    if age == inf:
        return f"no daemon has written the health of endpoints to {state} lately: they count as unknown, and so as up"
    return f"the health of endpoints is as a daemon wrote it to {state} {age:.0f} s ago"


def _result(told: dict[str, Any]) -> list[tuple[str, str]]:
    known = [f"{key} {value}" for key, value in told["location"].items() if value not in {None, False}]
    if told["location"]["anycast"]:
        known = ["anycast: its location means nothing"]
    chosen = ("rule", told["rule"] or ("none: the plain records" if told["answer"] else "none"))
    if told["pool"]:
        chosen = ("pool", f"{told['pool']['name']}, steering {told['pool']['steering']}")
    return [
        ("location", ", ".join(known) or "unknown"),
        ("rung", told["rung"]),
        chosen,
        ("answer", ", ".join(told["answer"]) or f"none ({told['rcode']})"),
        ("TTL", "-" if told["ttl"] is None else f"{told['ttl']} s"),
        ("scope", f"/{told['scope']}"),
        ("reason", told["reason"]),
    ]


def _asker(client: str, ecs: str, resolver: str) -> answer.Asker:
    if client and ecs:
        usage("--client and --ecs exclude each other: the one asks itself, for the other a resolver asks")
    if not (client or ecs or resolver):
        usage("who asks? give --client ADDRESS, or --ecs PREFIX and maybe --resolver ADDRESS")
    try:
        return daemon.asker_of(client, ecs, resolver)
    except ValueError as error:
        usage(f"{error}: write an address such as 192.0.2.1, or a prefix such as 192.0.2.0/24")


def _question(name: str, rdtype: str) -> tuple[wire.Name, int]:
    try:
        owner = wire.from_text(name)
    except wire.BadName as error:
        usage(f"{name!r} is no domain name: {error}")
    try:
        return owner, int(dns.rdatatype.from_text(rdtype))
    except (dns.exception.DNSException, ValueError):
        usage(f"{rdtype!r} is no record type: write one such as A, AAAA, HTTPS or TYPE65400")
