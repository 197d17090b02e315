"""Owns small worlds for tests: zone texts and places in, a snapshot out, without any file; refuses to know what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TypedDict, Unpack

import dns.edns
import dns.flags
import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from geodns.answer import LADDER, Pool, Rung, Snapshot, Trust, compile_zones, identity_of, respond
from geodns.answer import Steering as PoolSteering
from geodns.geo import (
    AnycastPrefix,
    Atlas,
    Database,
    EgressPrefix,
    Location,
    Network,
    Place,
    Version,
    parse_place,
    place_of,
    prefix_around,
)
from geodns.geo.layer import Layer, flatten
from geodns.geo.partition import cells_of
from geodns.problem import errors
from geodns.wire import ClientSubnet, from_text, subnet_of
from geodns.zone import ZoneContents, build, check, parse_text

SENDER = "198.18.0.53"
"""A resolver of which no world's database knows anything."""

Places = Mapping[str, Mapping[str, object]]
"""Networks and what is known of them, attributes by the names that `Location` has."""


class PlaceTable:
    """A geographic database in memory: nested networks, the longest wins."""

    built: int | None = None

    def __init__(self, name: str, places: Places) -> None:
        self.name = name
        networks = list(map(ip_network, places))
        self.locations: tuple[Location, ...] = (Location(), *(Location(**known) for known in places.values()))  # type: ignore[arg-type]
        self._layers: dict[Version, Layer] = {
            version: flatten(version, [(network, number) for number, network in enumerate(networks, start=1)])
            for version in (4, 6)
        }
        self._cells = {version: cells_of(version, layer) for version, layer in self._layers.items()}

    def layer(self, version: Version) -> Layer:
        """The cells of one family."""
        return self._layers[version]

    def look_up(self, place: Place) -> tuple[Location, Network]:
        """What the longest network around an address says, and the prefix for which that is so."""
        cell = self._cells[place.version].find(place.address)
        return self.locations[cell.outcome], prefix_around(place, cell.scope_prefix_length)

    def release(self) -> None:
        """Keep everything: it is all that there is."""


class Settings(TypedDict, total=False):
    """Everything of a world but its zones; what is left out is nothing, client subnets are believed of everybody."""

    databases: Sequence[Places]
    networks: Places
    anycast: Sequence[str]
    regions: Mapping[str, Sequence[str]]
    trust: Sequence[str]
    ecs: bool
    identity: str
    version: str
    cookie_secrets: tuple[bytes, ...]
    own_words: Mapping[str, str]
    told_why: Sequence[str]
    pools: Sequence[Pool]
    egress: Places
    instance: Mapping[str, object]
    ladder: Sequence[Rung]


def read_zone(origin: str, text: str) -> ZoneContents:
    """Build a zone from its text; it must have no error."""
    name = from_text(origin)
    read = parse_text(text, name, f"{origin}zone")
    found = check(name, read.records, f"{origin}zone", lambda _selector: None, lambda _pool: None)
    assert [] == errors([*read.problems, *found])
    return build(name, read.records, f"{origin}zone")


def atlas_of(**settings: Unpack[Settings]) -> Atlas:
    """The planet of a world."""
    databases: list[Database] = [
        PlaceTable(f"table {number}", places) for number, places in enumerate(settings.get("databases", ()), start=1)
    ]
    networks = {ip_network(text): Location(**known) for text, known in settings.get("networks", {}).items()}  # type: ignore[arg-type]
    listed = [
        AnycastPrefix(ip_network(text), "Example", "listed", "in a test", "test", "") for text in settings.get("anycast", ())
    ]
    egress = [
        EgressPrefix(ip_network(text), Location(**known), "egress.csv", line, "2026-11-28")  # type: ignore[arg-type]
        for line, (text, known) in enumerate(settings.get("egress", {}).items(), start=1)
    ]
    here = settings.get("instance")
    return Atlas(databases, networks, listed, egress, Location(**here) if here else None)  # type: ignore[arg-type]


def snapshot_of(zones: Mapping[str, str], **settings: Unpack[Settings]) -> Snapshot:
    """Compile a world: zone texts by origin, and its settings."""
    return compiled([read_zone(origin, text) for origin, text in zones.items()], **settings)


def compiled(zones: Sequence[ZoneContents], **settings: Unpack[Settings]) -> Snapshot:
    """As `snapshot_of`, for zones that are built already; a pool that is named but not given has no endpoints."""
    atlas = atlas_of(**settings)
    regions = {name: tuple(map(parse_place, texts)) for name, texts in settings.get("regions", {}).items()}
    given = {pool.name: pool for pool in settings.get("pools", ())}
    named = {node.pool.pool for contents in zones for node in contents.nodes.values() if node.pool}
    empty = [Pool(name, PoolSteering.FAILOVER, (), (), ()) for name in sorted(named - given.keys())]
    served, pools, rule_sets = compile_zones(zones, [*given.values(), *empty], atlas, regions)
    ladder = tuple(settings.get("ladder", LADDER))
    trusted = tuple(map(ip_network, settings.get("trust", ("0.0.0.0/0", "::/0"))))
    trust = Trust(settings.get("ecs", True), trusted, Rung.ECS in ladder)
    identity = identity_of(settings.get("identity", ""), settings.get("version", ""), settings.get("own_words"))
    secrets = settings.get("cookie_secrets", ())
    told_why = tuple(map(ip_network, settings.get("told_why", ())))
    return Snapshot(
        served, atlas, pools, trust, identity, rule_sets=rule_sets, ladder=ladder, cookie_secrets=secrets, told_why=told_why
    )


def place(text: str) -> Place:
    """An address as what is looked up."""
    address = ip_address(text)
    return place_of(address.version, int(address))


def subnet(text: str) -> ClientSubnet:
    """A prefix as a client subnet."""
    network = ip_network(text)
    return subnet_of(network.network_address, network.prefixlen)


@dataclass(frozen=True)
class Reply:
    """A reply as a table has it: each record one line of text, that of a SOA without its RDATA.

    `scope` and `subnet` are those of the echoed client subnet, None without one; `extended_error` likewise.
    """

    rcode: str = "NOERROR"
    authoritative: bool = True
    truncated: bool = False
    answer: list[str] = field(default_factory=list)
    authority: list[str] = field(default_factory=list)
    additional: list[str] = field(default_factory=list)
    scope: int | None = None
    subnet: str | None = None
    extended_error: int | None = None


def question(text: str, *, client_subnet: str | None = None, payload_size: int = 1232) -> dns.message.QueryMessage:
    """A query as dnspython makes it: "name type" or "name class type"; with EDNS unless the payload size is 0."""
    name, *rdclass, rdtype = text.split()
    options: list[dns.edns.Option] = [ecs_option(client_subnet)] if client_subnet else []
    made = dns.message.make_query(name, rdtype, rdclass[0] if rdclass else "IN", use_edns=False)
    made.flags = dns.flags.Flag(0)
    if payload_size:
        made.use_edns(0, 0, payload_size, options=options)
    return made


def ecs_option(text: str) -> dns.edns.Option:
    """A prefix as dnspython's client-subnet option."""
    address, length = text.split("/")
    return dns.edns.ECSOption(address, int(length))


def ask(snapshot: Snapshot, message: dns.message.Message, source: str = SENDER, *, stream: bool = True) -> Reply:
    """What comes back for a query, decoded by dnspython; there must be a reply, and it must repeat the question."""
    octets = respond(snapshot, message.to_wire(), place(source), stream=stream)
    assert octets is not None
    reply = dns.message.from_wire(octets, one_rr_per_rrset=True)
    assert message.is_response(reply)
    return observed(reply)


def observed(reply: dns.message.Message) -> Reply:
    """A decoded reply as a table has it."""
    ecs = [option for option in reply.options if isinstance(option, dns.edns.ECSOption)]
    errors_told = [option for option in reply.options if isinstance(option, dns.edns.EDEOption)]
    assert len(ecs) <= 1
    return Reply(
        rcode=reply.rcode().name,
        authoritative=bool(reply.flags & dns.flags.AA),
        truncated=bool(reply.flags & dns.flags.TC),
        answer=[_line(record) for record in reply.answer],
        authority=sorted(map(_line, reply.authority)),
        additional=sorted(map(_line, reply.additional)),
        scope=int(ecs[0].scopelen) if ecs else None,
        subnet=str(ip_network(f"{ecs[0].address}/{ecs[0].srclen}")) if ecs else None,
        extended_error=int(errors_told[0].code) if errors_told else None,
    )


def _line(record: dns.rrset.RRset) -> str:
    rdclass = "" if record.rdclass == dns.rdataclass.IN else f" {dns.rdataclass.to_text(record.rdclass)}"
    data = "" if record.rdtype == dns.rdatatype.SOA else f" {record[0].to_text()}"
    return f"{record.name} {record.ttl}{rdclass} {dns.rdatatype.to_text(record.rdtype)}{data}"
