"""Owns the tables of the configuration: every key, its default, limits and description; refuses to know TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from geodns.geo.countries import CONTINENTS
from geodns.ops.config import _judges
from geodns.ops.config._announce import Announce
from geodns.ops.config._pools import Pool
from geodns.ops.config._shapes import (
    AddressOrNone,
    AdminListenText,
    CharacterString,
    ClientText,
    DnstapText,
    DomainName,
    HostText,
    Items,
    Latitude,
    ListenText,
    Longitude,
    NetworkText,
    PathOrNone,
    PathText,
    PoolPartName,
    RecordType,
    RegionName,
    ResponseCode,
    SelectorText,
    Table,
    Workers,
    pattern,
)
from geodns.problem import Problem


class Server(Table):
    """The gate: where queries come in, and how much of them."""

    listen: Annotated[Items[ListenText], AfterValidator(_judges.not_empty)] = Field(
        default=("127.0.0.1:5300", "[::1]:5300"),
        json_schema_extra={"minItems": 1},
        description="Addresses and ports to answer on, each by UDP and TCP; IP literals only.",
    )
    identity: CharacterString = Field(default="", description='This instance\'s name, told by NSID and id.server; "" = not told.')
    version: CharacterString = Field(default="", description='What version.server and version.bind answer; "" = not told.')
    state: PathOrNone = Field(default="/var/lib/geodns", description='Directory for what survives a restart; "" = nothing does.')
    state_max_age: float = Field(
        default=600.0, ge=0, le=31_536_000, description="Seconds after which a remembered state of checks is not used at a start."
    )
    workers: Workers = Field(default=1, description='Processes that answer; "auto" = one for each core.')
    watch: bool = Field(default=False, description="Whether changes of the files it is made of reload the server by themselves.")
    udp_payload_size: int = Field(
        default=1232, ge=512, le=4096, description="Largest UDP reply, in octets (RFC 9715); longer ones go by TCP."
    )
    udp_receive_buffer: int = Field(
        default=4_194_304, ge=4096, le=2**30, description="Kernel receive buffer of each UDP socket, in octets."
    )
    tcp_connections: int = Field(default=1000, ge=1, le=1_000_000, description="TCP connections open at once, in all.")
    tcp_connections_per_client: int = Field(
        default=100, ge=1, le=1_000_000, description="TCP connections open at once from one client address."
    )
    tcp_idle_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds after which an idle TCP connection is closed."
    )


class Admin(Table):
    """The keepers' door: metrics and the administrative API."""

    listen: AdminListenText = Field(
        default="127.0.0.1:9153",
        description='Address and port of metrics and API (HTTP), or "unix:/path" of a socket; "" = no such door.',
    )
    token_file: PathOrNone = Field(
        default="", description='File whose only line is the token to be shown; "" = none, which only loopback and unix allow.'
    )
    hosts: Items[Annotated[HostText, AfterValidator(_judges.not_empty_text)]] = Field(
        default=(), description="Names in the Host header that are accepted besides those of the listen address."
    )


class Log(Table):
    """What is written of what happens, and of single queries."""

    format: Literal["auto", "human", "json", "journal"] = Field(
        default="auto", description="Form of the log: human and json go to standard error, journal to systemd's; auto chooses."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is worth a line: debug, info, warning or error."
    )
    queries: float = Field(default=0.0, ge=0, le=1, description="Share of queries that are logged; 0 = none, 1 = all.")
    queries_per_second: int = Field(
        default=100, ge=1, le=1_000_000, description="Queries that are logged in a second at most, all workers together."
    )
    queries_file: PathOrNone = Field(
        default="", description='File for logged queries, a line each; "" = the log, unless they go to dnstap.'
    )
    dnstap: DnstapText = Field(
        default="", description='Reader of logged queries by dnstap: "unix:/path" of a socket, or a file\'s path; "" = none.'
    )
    truncate_ipv4: int = Field(
        default=32, ge=0, le=32, description="Bits of an IPv4 address that logged queries show; the others are zero."
    )
    truncate_ipv6: int = Field(
        default=128, ge=0, le=128, description="Bits of an IPv6 address that logged queries show; the others are zero."
    )


class NetworkPlace(Table):
    """What the operator knows about a network, before any database is asked."""

    continent: Annotated[str, AfterValidator(_judges.continent)] = Field(
        default="", description="AF, AN, AS, EU, NA, OC or SA.", json_schema_extra={"enum": ["", *CONTINENTS]}
    )
    country: Annotated[str, AfterValidator(_judges.country), pattern("^([A-Za-z]{2})?$")] = Field(
        default="", description="ISO 3166-1 code of two letters."
    )
    subdivision: Annotated[str, AfterValidator(_judges.subdivision), pattern("^([A-Za-z]{2}-[A-Za-z0-9]{1,3})?$")] = Field(
        default="", description="ISO 3166-2 code, as in US-CA."
    )
    city: str = Field(default="", description="Name of the city; shown, never matched.")
    asn: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = Field(default=None, description="Number of the autonomous system.")
    latitude: Latitude | None = Field(default=None, description="Decimal degrees, north positive; together with longitude.")
    longitude: Longitude | None = Field(default=None, description="Decimal degrees, east positive; together with latitude.")
    region: str = Field(default="", description="A region of [regions] that holds these clients whatever it lists.")

    @model_validator(mode="after")
    def _agrees(self) -> NetworkPlace:
        if all(value in ("", None) for _, value in self):
            _judges.refuse("says nothing about the network", 'give at least one key, for example country = "DE"')
        if (self.latitude is None) != (self.longitude is None):
            _judges.refuse("has one of latitude and longitude", "give both, or neither")
        if self.country and self.subdivision and not self.subdivision.startswith(f"{self.country}-"):
            _judges.refuse(f"subdivision '{self.subdivision}' is not in country '{self.country}'", "make them agree")
        return self


class Geo(Table):
    """The planet: where addresses are."""

    databases: Items[PathText] = Field(
        default=(), description="mmdb files; for each attribute the first that knows it wins. [] = the embedded table."
    )
    anycast: Items[PathText] = Field(
        default=(), description="Lists of anycast prefixes besides the shipped one; they have no location."
    )
    networks: dict[NetworkText, NetworkPlace] = Field(
        default_factory=dict, description="Networks whose place you know, by prefix; they win over all databases."
    )


class Ecs(Table):
    """EDNS Client Subnet (RFC 7871)."""

    enabled: bool = Field(default=True, description="Whether client subnets are used at all; false = no echo either.")
    trust: Items[NetworkText] = Field(
        default=("0.0.0.0/0", "::/0"), description="Resolvers whose client subnet is believed; [] = nobody's."
    )


class Zone(Table):
    """A zone to serve."""

    name: DomainName = Field(description="The zone's name.")
    file: PathText = Field(description="Its master file (RFC 1035 §5).")


class Expect(Table):
    """An answer that must come out, checked at every load: one that does not refuses the load."""

    name: DomainName = Field(description="Name to ask for, in one of the zones.")
    type: RecordType = Field(default="A", description="Record type to ask for.")
    client: ClientText = Field(description="The client: an address, or a network as a client subnet names it.")
    resolver: AddressOrNone = Field(
        default="", description='Address of the resolver that asks for the client; "" = the client itself asks.'
    )
    answer: Items[str] = Field(default=(), description="RDATA that must be answered, in any order; [] = none.")
    rcode: ResponseCode = Field(default="NOERROR", description="Response code.")


class Config(Table):
    """A whole configuration. Its values have been judged one by one and together; no file that it names was opened."""

    server: Server = Field(default_factory=Server, description=Server.__doc__)
    admin: Admin = Field(default_factory=Admin, description=Admin.__doc__)
    log: Log = Field(default_factory=Log, description=Log.__doc__)
    geo: Geo = Field(default_factory=Geo, description=Geo.__doc__)
    regions: dict[RegionName, Items[SelectorText]] = Field(
        default_factory=dict, description="Names for lists of selectors, for use in GEO records and geo.networks."
    )
    ecs: Ecs = Field(default_factory=Ecs, description=Ecs.__doc__)
    pools: dict[PoolPartName, Pool] = Field(default_factory=dict, description="Pools of endpoints, by name, for POOL records.")
    announce: Announce = Field(default_factory=Announce, description=Announce.__doc__)
    zones: Items[Zone] = Field(default=(), description="The zones to serve.")
    expect: Items[Expect] = Field(default=(), description="Answers that must come out, or the load is refused.")

    _directory: Path = PrivateAttr(default_factory=Path)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def directory(self) -> Path:
        """Where relative paths start: the directory of the file that was loaded, or else the current one."""
        return self._directory

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is allowed but seldom meant, in the order of the file."""
        return self._warnings

    def path(self, text: str) -> Path:
        """A path of the configuration, seen from where the process runs."""
        return self._directory / text
