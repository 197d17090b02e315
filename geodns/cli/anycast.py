"""Owns the verbs about anycast: what is known of an address, who answers, how a name steers, what RIPE Atlas has measured."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from geodns import daemon, geo, wire
from geodns.cli.catchment import catchment
from geodns.cli.geography import atlas_of, place_of
from geodns.cli.output import ConfigOption, JsonOption, config_path, refuse, say, say_json, show_problems, table, usage, warn
from geodns.geo import discs, evidence, pings
from geodns.geo.address import is_address
from geodns.geo.countries import countries
from geodns.geo.nearness import Spot
from geodns.ops import anycast
from geodns.problem import Problem, ProblemsFound, errors

app = typer.Typer(
    help="Anycast: classify addresses, identify instances, sweep client subnets, read RIPE Atlas, see who comes here.",
    no_args_is_help=True,
)

app.command()(catchment)

PortOption = Annotated[int, typer.Option(min=1, max=65535, help="Port on which DNS is asked.")]
ServerPortOption = Annotated[int, typer.Option(min=1, max=65535, help="Port of a server that is given without one.")]
PortsOption = Annotated[int, typer.Option(min=1, max=500, help="Source ports to ask from.")]
TimeoutOption = Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for each reply.")]

Result = TypeVar("Result")


class AddressType(StrEnum):
    """Record types that hold addresses."""

    A = "A"
    AAAA = "AAAA"


@app.callback()
def group() -> None:
    """Anycast."""


# --- classify ---------------------------------------------------------------------------------------------------------


@app.command()
def classify(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS", help="Addresses to classify.")],
    probe: Annotated[bool, typer.Option("--probe", help="Look at them live too; nothing is sent without this.")] = False,
    port: PortOption = 53,
    ports: PortsOption = 16,
    timeout: TimeoutOption = 2.0,
    here: Annotated[str, typer.Option(metavar="LAT,LON", help="Where this machine is, to judge round trips by.")] = "",
    resolver: Annotated[
        str, typer.Option(metavar="ADDRESS[:PORT]", help="Who is asked for reverse names; else the system's.")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether addresses are anycast: evidence with source, date, strength and caveat, and a verdict, never "unicast"."""
    places = [place_of(text) for text in addresses]
    look = _look(port, ports, timeout, here)
    atlas = atlas_of(config_path(config))
    known = _known(atlas)
    try:
        live = _probed(addresses, places, known, look, resolver) if probe else [[] for _ in addresses]
        found = [evidence.classify(*each[:2], known, each[2]) for each in zip(addresses, places, live, strict=True)]
    except geo.BadDatabase as error:
        refuse([daemon.unusable(error)])
    if as_json:
        say_json([classified.as_json() for classified in found])
        return
    for classified in found:
        _tell(classified)


def _probed(
    addresses: Sequence[str], places: Sequence[geo.Place], known: evidence.Known, look: anycast.Look, resolver: str
) -> list[list[evidence.Evidence]]:
    """What is seen of each address, one after the other: they are not to disturb each other's round trips."""

    async def all_of_them() -> list[list[evidence.Evidence]]:
        asking = replace(look, resolver=await anycast.find(resolver, 53)) if resolver else look
        return [
            await anycast.probe(_sent_to(address), asking, *evidence.place_to_test(place, known))
            for address, place in zip(addresses, places, strict=True)
        ]

    return _waited_for("looking", all_of_them())


def _sent_to(text: str) -> str:
    """The address that packets have: what is mapped into IPv6 is sent as IPv4 (RFC 4291 §2.5.5.2)."""
    address = ip_address(text)
    return str((address.ipv4_mapped if address.version == 6 else None) or address)


def _tell(classified: evidence.Classified) -> None:
    named = f" ({classified.operator})" if classified.operator else ""
    say(f"{classified.address}: {classified.verdict}{named}")
    say(f"  {classified.verdict.meaning}")
    for item in classified.evidence:
        dated = f"{item.source}, {item.as_of}" if item.as_of else item.source
        claim = "" if item.supports is evidence.Claim.NOTHING else f" → {item.supports}"
        strength = "-" if item.supports is evidence.Claim.NOTHING else item.strength
        say(f"  {strength:<8}{item.signal}: {item.observed}{claim}   [{dated}]")
        if item.caveat:
            say(f"  {'':<8}but: {item.caveat}")


def _look(port: int, ports: int, timeout: float, here: str) -> anycast.Look:
    spot = None
    if here:
        try:
            latitude, longitude = map(float, here.split(","))
        except ValueError:
            usage(f"{here!r} is no place: write degrees such as --here 52.52,13.40")
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            usage(f"{here!r} is off the globe: latitude is up to 90, longitude up to 180 degrees")
        spot = Spot(latitude, longitude)
    return anycast.Look(port, ports, timeout, spot, None, datetime.now(tz=UTC).date())


def _known(atlas: geo.Atlas) -> evidence.Known:
    return evidence.Known(atlas.anycast, atlas.databases, atlas.networks, datetime.now(tz=UTC).date())


def _waited_for(what: str, work: Coroutine[Any, Any, Result]) -> Result:
    """Do it, with something that turns on a terminal; a way that does not exist is a problem."""
    turning = Console(stderr=True).status(what) if sys.stderr.isatty() else contextlib.nullcontext()
    try:
        with turning:
            return asyncio.run(work)
    except anycast.BadServer as error:
        usage(str(error))
    except ProblemsFound as found:
        refuse(found.problems)


# --- identify ---------------------------------------------------------------------------------------------------------


@app.command()
def identify(
    server: Annotated[str, typer.Argument(metavar="SERVER[:PORT]", help="A DNS server, by its address or host name.")],
    port: ServerPortOption = 53,
    ports: PortsOption = 16,
    seconds: Annotated[float, typer.Option(min=0, max=3600, help="Seconds for which to ask again, once a second.")] = 2.0,
    timeout: TimeoutOption = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Tell which instances of a server answer here, and how steadily, over many source ports and some seconds."""

    async def asked() -> anycast.Identification:
        return await anycast.identify(await anycast.find(server, port), ports, seconds, timeout)

    found = _waited_for("asking", asked())
    if not found.instances:
        remedy = "check address and port, or give it more time with --timeout"
        refuse([Problem("", 0, f"{found.server} does not answer: {', '.join(found.silences)}", remedy)])
    if as_json:
        say_json(_identification_json(found))
        return
    say(f"{found.server}: {found.finding}")
    if found.unanswered:
        say(f"{found.unanswered} of {found.ports * found.rounds} times nothing answered: {', '.join(found.silences)}")
    headers = ("instance", "share", "ports", "RTT", "NSID", "id.server", "hostname.bind", "version")
    told = [
        (
            one.identity,
            f"{one.share:.0%}",
            one.ports,
            f"{one.milliseconds:.1f} ms",
            one.nsid,
            one.id_server,
            one.hostname_bind,
            one.version,
        )
        for one in found.instances
    ]
    table(headers, [[cell or "-" for cell in row] for row in told])
    if len(found.instances) > 1:
        say("several instances are not necessarily at several places")


def _identification_json(found: anycast.Identification) -> dict[str, object]:
    return {
        "server": found.server.address,
        "port": found.server.port,
        "finding": found.finding,
        "ports": found.ports,
        "rounds": found.rounds,
        "ports_answered": found.ports_answered,
        "ports_changed": found.ports_changed,
        "unanswered": found.unanswered,
        "instances": [
            {
                "identity": one.identity or None,
                "nsid": one.nsid or None,
                "id_server": one.id_server or None,
                "hostname_bind": one.hostname_bind or None,
                "version": one.version or None,
                "ports": one.ports,
                "share": round(one.share, 4),
                "rtt_ms": round(one.milliseconds, 3),
            }
            for one in found.instances
        ],
    }


# --- sweep ------------------------------------------------------------------------------------------------------------


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name to ask for.")],
    server: Annotated[str, typer.Option(metavar="ADDRESS[:PORT]", help="A server that is authoritative for it.")],
    port: ServerPortOption = 53,
    rdtype: Annotated[AddressType, typer.Option("--type", help="Record type to ask for.")] = AddressType.A,
    subnet: Annotated[
        list[str] | None, typer.Option(help="Client network to ask for instead of the 32 countries'; repeat it.")
    ] = None,
    timeout: TimeoutOption = 2.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a server for clients of many countries, and tell: DNS steering, anycast, regional anycast, or neither."""
    owner = _name(name)
    atlas = atlas_of(config_path(config))
    try:
        subnets = [_subnet(atlas, text) for text in subnet] if subnet else list(evidence.client_prefixes())

        async def asked() -> tuple[anycast.Server, list[anycast.Answer]]:
            found = await anycast.find(server, port)
            return found, await anycast.sweep(found, owner, rdtype.value, [network for _, network in subnets], timeout)

        found, answers = _waited_for("asking", asked())
        if all(answer.failure for answer in answers):
            refuse([_unanswered(found, f"{owner} {rdtype}", answers)])
        _tell_sweep(owner, rdtype.value, [country for country, _ in subnets], answers, _known(atlas), as_json=as_json)
    except geo.BadDatabase as error:
        refuse([daemon.unusable(error)])


def _unanswered(server: anycast.Server, question: str, answers: Sequence[anycast.Answer]) -> Problem:
    """What is wrong where nobody gets an answer: with the server, or with what it was asked."""
    failures = ", ".join(sorted({answer.failure for answer in answers}))
    if all(answer.is_silent for answer in answers):
        remedy = "check address and port, or give it more time with --timeout"
        return Problem("", 0, f"{server} does not answer: {failures}", remedy)
    return Problem("", 0, f"{server} has no answer for {question}: {failures}", "ask a server that has the name")


def _tell_sweep(
    owner: str, rdtype: str, labels: Sequence[str], answers: Sequence[anycast.Answer], known: evidence.Known, *, as_json: bool
) -> None:
    addresses = sorted({text for answer in answers for text in answer.data if is_address(text)})
    classified = [evidence.classify(text, place_of(text), known) for text in addresses]
    trusted = (evidence.Verdict.DESIGNATED, evidence.Verdict.LISTED)
    listed = {found.address for found in classified if found.verdict in trusted}
    steering, reason = evidence.steering(
        {answer.subnet: answer.data for answer in answers},
        listed,
        tailored=any(answer.scope for answer in answers),
        echoes=any(answer.scope is not None for answer in answers),
    )
    if as_json:
        rows = zip(labels, answers, strict=True)
        say_json(
            {
                "name": owner,
                "type": rdtype,
                "verdict": steering.value,
                "reason": reason,
                "answers": [_answer_json(label, answer) for label, answer in rows],
                "addresses": [found.as_json() for found in classified],
            }
        )
        return
    say(f"{owner} {rdtype}: {steering}")
    say(reason)
    say()
    shown = [
        (label or "-", answer.subnet, _answer_text(answer), _scope_text(answer))
        for label, answer in zip(labels, answers, strict=True)
    ]
    table(("country", "client subnet", "answer", "scope"), shown)
    if classified:
        say()
        table(("address", "verdict", "operator"), [(found.address, found.verdict, found.operator or "-") for found in classified])


def _answer_json(label: str, answer: anycast.Answer) -> dict[str, object]:
    return {
        "country": label or None,
        "subnet": answer.subnet,
        "answer": list(answer.data),
        "scope": answer.scope,
        "varies": answer.varies,
        "failure": answer.failure or None,
    }


def _answer_text(answer: anycast.Answer) -> str:
    return (", ".join(answer.data) or answer.failure or "none") + (" (varies)" if answer.varies else "")


def _scope_text(answer: anycast.Answer) -> str:
    return "-" if answer.scope is None else f"/{answer.scope}"


def _subnet(atlas: geo.Atlas, text: str) -> tuple[str, IPv4Network | IPv6Network]:
    """A client network as users write it, and the country that the configuration's databases know for it."""
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        usage(f"{error}: write a prefix such as 192.0.2.0/24")
    located = atlas.locate(geo.place_of(network.version, int(network.network_address)))
    return located.location.country, network


def _name(text: str) -> str:
    try:
        return wire.to_text(wire.from_text(text))
    except wire.BadName as error:
        usage(f"{text!r} is no domain name: {error}")


# --- atlas ------------------------------------------------------------------------------------------------------------

_COLUMNS, _ROWS = 72, 18  # of the map: cells of 5 by 10 degrees


@app.command()
def atlas(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="RIPE Atlas ping results, JSON.", readable=False)],
    probes: Annotated[
        Path | None, typer.Option(help="Where the probes are, JSON; else their results tell it.", readable=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read RIPE Atlas pings: prove anycast by discs that do not meet, count sites from below, draw them on a map."""
    places, problems = pings.read_probes(probes) if probes else ({}, [])
    if not errors(problems):
        measured, found = pings.read_pings(file, places)
        problems += found
    if errors(problems):
        refuse(problems)
    show_problems(problems)
    by_address: dict[str, list[pings.Ping]] = {}
    for ping in measured:
        by_address.setdefault(ping.address, []).append(ping)
    judged = [(address, each, discs.sites([ping.disc() for ping in each])) for address, each in by_address.items()]
    if as_json:
        say_json([_sites_json(address, each, sites) for address, each, sites in judged])
        return
    for address, each, sites in judged:
        _tell_sites(address, each, sites)


def _finding(count: int, sites: discs.Sites) -> str:
    vantage_points = daemon.counted(count, "probe")
    if not sites.is_proof:
        seen = "one probe alone shows nothing" if count == 1 else f"any two discs of {vantage_points} meet"
        return f"not shown to be anycast: {seen}, which does not make it unicast"
    return f"anycast, at {len(sites.disjoint)} sites or more: so many discs of {vantage_points} do not meet"


def _tell_sites(address: str, measured: Sequence[pings.Ping], sites: discs.Sites) -> None:
    say(f"{address}: {_finding(len(measured), sites)}")
    if sites.resting_on:
        warn(f"all rests on {' and on '.join(sites.resting_on)}: are its coordinates right?", "yellow")
    if sites.is_proof:
        say()
        rows = [
            (_mark(number), disc.name, str(disc.centre), f"{disc.radius:,.0f} km") for number, disc in enumerate(sites.disjoint)
        ]
        table(("site", "within the disc of", "at", "radius"), rows)
    say()
    for line in _world([ping.place for ping in measured], [disc.centre for disc in sites.disjoint if sites.is_proof]):
        say(line)
    say("probes o, sites 1-9 A-Z #, countries .")


def _mark(number: int) -> str:
    return "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number] if number < 35 else "#"


def _world(vantage_points: Sequence[Spot], sites: Sequence[Spot]) -> list[str]:
    """A map of the world, north up: countries as dots for orientation, probes over them, sites over both."""
    cells = [[" "] * _COLUMNS for _ in range(_ROWS)]

    def put(spot: Spot, mark: str) -> None:
        row = min(int((90 - spot.latitude) * _ROWS / 180), _ROWS - 1)
        cells[row][min(int((spot.longitude + 180) * _COLUMNS / 360), _COLUMNS - 1)] = mark

    for country in countries().values():
        put(Spot(country.latitude, country.longitude), ".")
    for spot in vantage_points:
        put(spot, "o")
    for number, spot in enumerate(sites):
        put(spot, _mark(number))
    return [f"|{''.join(row)}|" for row in cells]


def _sites_json(address: str, measured: Sequence[pings.Ping], sites: discs.Sites) -> dict[str, object]:
    verdict = evidence.Verdict.MEASURED if sites.is_proof else evidence.Verdict.UNKNOWN
    return {
        "address": address,
        "verdict": verdict.value,
        "finding": _finding(len(measured), sites),
        "probes": len(measured),
        "sites_at_least": len(sites.disjoint),
        "rests_on": list(sites.resting_on),
        "sites": [
            {
                "vantage_point": disc.name,
                "latitude": disc.centre.latitude,
                "longitude": disc.centre.longitude,
                "radius_km": round(disc.radius, 1),
            }
            for disc in sites.disjoint
        ],
    }
