"""Owns the faults of values that are each right but wrong together; refuses to judge a value by itself.

Judged in the raw document, so that a fault elsewhere hides none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pydantic_core import PydanticCustomError

from geodns.geo.countries import CONTINENTS, continent_of
from geodns.ops.config._announce_together import announce_faults, announce_warnings
from geodns.ops.config._judges import domain_name
from geodns.ops.config._listen import BadListen, Listen, UnixListen, parse_admin_listen, parse_listen
from geodns.ops.config._pools_together import pool_faults, pool_warnings
from geodns.ops.config._raw import array, table, text_of
from geodns.ops.config._tables import Admin, Geo, Log, Server
from geodns.ops.config._words import Fault, dotted
from geodns.ops.toml_lines import KeyPath
from geodns.wire import names


def faults_together(document: dict[str, object]) -> Iterator[Fault]:
    """Every fault between values of a document that tomllib gave, well-formed or not."""
    yield from _listened_twice(document)
    yield from _networks_at_odds(document)
    yield from _zones_and_expectations(document)
    yield from _open_door(document)
    yield from _anycast_nowhere(document)
    yield from pool_faults(document)
    yield from announce_faults(document)


def warnings_together(document: dict[str, object]) -> Iterator[Fault]:
    """What is allowed but seldom meant."""
    yield from _logged_nowhere(document)
    yield from _asked_nowhere(document)
    yield from _never_asked(document)
    yield from _continents_at_odds(document)
    yield from pool_warnings(document)
    yield from announce_warnings(document)


def _listened_twice(document: dict[str, object]) -> Iterator[Fault]:
    server = table(document, "server")
    listens: Sequence[object] = array(server, "listen") if "listen" in server else Server().listen
    wanted: list[tuple[KeyPath, object]] = [(("server", "listen", index), text) for index, text in enumerate(listens)]
    wanted.append((("admin", "listen"), table(document, "admin").get("listen", Admin().listen)))
    seen: dict[Listen, KeyPath] = {}
    for path, text in wanted:
        try:
            listen = parse_listen(text) if isinstance(text, str) else None
        except BadListen:
            continue
        if listen is None or listen.port == 0:
            continue
        if first := seen.get(listen):
            yield path, f"'{text}' is already used by {dotted(first)}", "use each address and port once"
        else:
            seen[listen] = path


def _open_door(document: dict[str, object]) -> Iterator[Fault]:
    """Whoever reaches the administrative API may reload and drain: beyond this machine it takes a token."""
    admin = table(document, "admin")
    if admin.get("token_file"):
        return
    try:
        listen = parse_admin_listen(text_of(admin, "listen", Admin().listen))
    except BadListen:  # or "", which opens no door
        return
    if not isinstance(listen, UnixListen) and not ip_address(listen.host).is_loopback:
        remedy = 'add token_file = "…", or listen on 127.0.0.1, [::1] or "unix:/run/geodns/admin.sock"'
        yield ("admin", "listen"), f"'{listen}' is open to other machines, and there is no token", remedy


def _anycast_nowhere(document: dict[str, object]) -> Iterator[Fault]:
    server = table(document, "server")
    if server.get("anycast") is True and not server.get("place"):
        remedy = 'add place = { country = "DE", latitude = 50.11, longitude = 8.68 }'
        yield ("server", "anycast"), "routing chooses this instance, but server.place does not say where it is", remedy


def _never_asked(document: dict[str, object]) -> Iterator[Fault]:
    """Rungs of the ladder that are prepared for nothing, and an instance's place that hardly any rule can name."""
    server, geo = table(document, "server"), table(document, "geo")
    ladder = array(geo, "ladder") if "ladder" in geo else list(Geo().ladder)
    anycast, place = server.get("anycast") is True, table(server, "place")
    if geo.get("egress") and "egress" not in ladder:
        yield ("geo", "egress"), "is not asked: geo.ladder has no rung egress", "add it there, or take the maps out"
    idle = {"egress": not geo.get("egress"), "instance": not anycast}
    if ladder and all(idle.get(str(rung), False) for rung in ladder):
        remedy = "add ecs or resolver, or say what these rungs need: geo.egress, server.anycast"
        yield ("geo", "ladder"), "asks nobody: every client gets the fallback", remedy
    if anycast and "instance" not in ladder:
        yield ("server", "anycast"), "is of no effect: geo.ladder has no rung instance", "add it there, or take this out"
    if anycast and "instance" in ladder[:-1]:
        after = ", ".join(map(str, ladder[ladder.index("instance") + 1 :]))
        are = "is" if ladder[-2] == "instance" else "are"
        yield ("geo", "ladder"), f"{after} {are} never asked: rung instance always decides", "put instance last"
    if anycast and place and not place.get("country") and not place.get("continent"):
        remedy = 'add country = "DE", from which the continent follows'
        yield ("server", "place"), "has no country: it has distances, but no rule by country or continent holds", remedy


def _continents_at_odds(document: dict[str, object]) -> Iterator[Fault]:
    """Countries on a continent where they are not; publishers disagree on a few, and an operator may do so on purpose."""
    networks = table(table(document, "geo"), "networks")
    stated: list[tuple[KeyPath, object]] = [(("server", "place"), table(document, "server").get("place"))]
    stated += ((("geo", "networks", text), place) for text, place in networks.items())
    for path, place in stated:
        if not isinstance(place, dict):
            continue
        continent, country = text_of(place, "continent").upper(), text_of(place, "country").upper()
        country = country or text_of(place, "subdivision").upper()[:2]
        if continent in CONTINENTS and continent_of(country) not in {"", continent}:
            what = f"{country} is in continent {continent_of(country)}, not {continent}: rules by continent go by the latter"
            yield (*path, "continent"), what, "leave the continent out, which follows from the country, if that is not meant"


def _logged_nowhere(document: dict[str, object]) -> Iterator[Fault]:
    log = table(document, "log")
    if log.get("queries", Log().queries) == 0:
        for key in ("queries_file", "dnstap"):
            if log.get(key):
                remedy = "set log.queries: 1.0 for every query, 0.01 for one in 100"
                yield ("log", key), "stays empty, for log.queries is 0", remedy


def _asked_nowhere(document: dict[str, object]) -> Iterator[Fault]:
    if table(document, "catchment").get("enabled") is True and table(document, "admin").get("listen") == "":
        yield ("catchment", "enabled"), "measures nothing, for there is no admin door to ask at", "set admin.listen"


def _networks_at_odds(document: dict[str, object]) -> Iterator[Fault]:
    regions = table(document, "regions")
    seen: dict[IPv4Network | IPv6Network, str] = {}
    for text, place in table(table(document, "geo"), "networks").items():
        path = ("geo", "networks", text)
        try:
            network = ip_network(text)
        except ValueError:
            pass
        else:
            if (first := seen.setdefault(network, text)) != text:
                yield path, f"is the same network as '{first}'", "join the two"
        region = place.get("region") if isinstance(place, dict) else None
        if isinstance(region, str) and region and region not in regions:
            close = get_close_matches(region, regions, 1)
            yield (
                (*path, "region"),
                f"'{region}' is not in [regions]",
                f"did you mean '{close[0]}'?" if close else "add it there",
            )


def _zones_and_expectations(document: dict[str, object]) -> Iterator[Fault]:
    zones: dict[names.Name, KeyPath] = {}
    judgeable = True
    for index, zone in enumerate(array(document, "zones")):
        name = _name(zone)
        if name is None:
            judgeable = False  # an expectation may be meant for the zone whose name cannot be read
        elif name in zones:
            yield ("zones", index, "name"), f"zone '{names.to_text(name)}' is already in {dotted(zones[name])}", "keep one"
        else:
            zones[name] = ("zones", index)
    if not judgeable:
        return
    for index, expect in enumerate(array(document, "expect")):
        name = _name(expect)
        if name is not None and zones.keys().isdisjoint(names.suffixes(name)):
            yield ("expect", index, "name"), f"'{names.to_text(name)}' is in none of the zones", "add its zone to [[zones]]"


def _name(table: object) -> names.Name | None:
    text = table.get("name") if isinstance(table, dict) else None
    try:
        return names.from_text(domain_name(text)) if isinstance(text, str) else None
    except PydanticCustomError:
        return None
