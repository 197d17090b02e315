"""Owns the tables of pools, their checks and endpoints: every key, its default, limits and description; refuses to know TOML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from geodns.ops.config import _judges
from geodns.ops.config._shapes import (
    DomainNameOrNone,
    EndpointAddress,
    HostText,
    Items,
    Latitude,
    Longitude,
    PathOrNone,
    PoolPartName,
    RecordType,
    ResponseCode,
    Table,
    UrlPath,
)

CheckType = Literal["http", "https", "tcp", "tls", "dns", "exec", "external", "none"]
Steering = Literal["nearest", "region", "failover", "weighted", "hashed"]
WhenAllDown = Literal["all", "fallback", "nodata", "servfail"]

_MAX_TTL = 2**31 - 1  # RFC 2181 §8

_PROBED = ("interval", "timeout", "rise", "fall")
_HTTP = ("port", "path", "host", "expect_status", "expect_body")
_CERTIFICATE = ("verify", "ca_file", "certificate_days")

KEYS_OF_CHECK: dict[str, tuple[str, ...]] = {
    "http": (*_HTTP, *_PROBED),
    "https": (*_HTTP, *_CERTIFICATE, *_PROBED),
    "tcp": ("port", *_PROBED),
    "tls": ("port", "host", *_CERTIFICATE, *_PROBED),
    "dns": ("port", "query", "query_type", "expect_answer", "expect_rcode", *_PROBED),
    "exec": ("command", *_PROBED),
    "external": ("file", "max_age"),
    "none": (),
}
"""The keys that each type of check uses, besides `type`."""

NEEDED_BY_CHECK: dict[str, str] = {"tcp": "port", "dns": "query", "exec": "command"}
"""The key without which a type of check would have nothing to ask."""

_PORTS = {"http": 80, "https": 443, "tls": 443, "dns": 53}


class Check(Table):
    """How the endpoints of a pool are checked. A key that the type does not use is refused."""

    type: CheckType = Field(description="http, https, tcp, tls, dns, exec, external or none.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port; left out: http 80, https and tls 443, dns 53; tcp must have it."
    )
    path: UrlPath = Field(default="/", description="http, https: path, and query if need be, to GET.")
    host: HostText = Field(
        default="", description='http, https, tls: Host header, SNI and name in the certificate; "" = the endpoint\'s address.'
    )
    expect_status: Annotated[Items[Annotated[int, Field(ge=100, le=599)]], AfterValidator(_judges.not_empty)] = Field(
        default=(200,), json_schema_extra={"minItems": 1}, description="http, https: status codes that are well."
    )
    expect_body: str = Field(default="", description='http, https: text that the first 64 KiB of the body hold; "" = any.')
    verify: bool = Field(default=True, description="https, tls: whether the certificate must be valid, and for this host.")
    ca_file: PathOrNone = Field(
        default="", description='https, tls: PEM file of the authorities that are trusted; "" = the system\'s.'
    )
    certificate_days: int = Field(
        default=0, ge=0, le=365, description="https, tls: fails with fewer days left to the certificate; 0 = at its expiry."
    )
    query: DomainNameOrNone = Field(default="", description="dns: name to ask for.")
    query_type: RecordType = Field(default="A", description="dns: record type to ask for.")
    expect_answer: Items[str] = Field(default=(), description="dns: RDATA that must be answered, in any order; [] = any.")
    expect_rcode: ResponseCode = Field(default="NOERROR", description="dns: response code that must come.")
    command: Items[str] = Field(
        default=(), description="exec: program and arguments, no shell; {address} in an argument is the endpoint's address."
    )
    file: PathOrNone = Field(
        default="", description='external: file that says up or down; "" = only what is posted to the admin API.'
    )
    max_age: float = Field(
        default=60.0, gt=0, le=31_536_000, description="external: seconds after which a state that is not renewed is forgotten."
    )
    interval: float = Field(default=5.0, ge=0.1, le=86_400, description="Seconds from check to check of one address; jittered.")
    timeout: float = Field(
        default=2.0,
        validate_default=True,
        gt=0,
        le=3600,
        description="Seconds that a check may take in all; at most the interval, also by default.",
    )
    rise: int = Field(default=2, ge=1, le=1000, description="Successes in a row that bring an endpoint up again.")
    fall: int = Field(default=3, ge=1, le=1000, description="Failures in a row that bring it down.")

    @field_validator("timeout", mode="after")
    @classmethod
    def _within_interval(cls, seconds: float, info: ValidationInfo) -> float:
        """A timeout that is written and longer than the interval is refused elsewhere; the default one gives way."""
        return float(min(seconds, info.data.get("interval", seconds)))

    @property
    def used_port(self) -> int:
        """The port to ask: as written, or else the type's own; 0 for a type that asks none."""
        return self.port or _PORTS.get(self.type, 0)

    @property
    def thresholds(self) -> tuple[int, int]:
        """Results in a row that it takes to come up, and to go down: an external state is believed at once."""
        return (1, 1) if self.type == "external" else (self.rise, self.fall)


class Endpoint(Table):
    """One server of a pool, with its addresses."""

    name: PoolPartName = Field(description="Its name, unique in the pool.")
    site: Annotated[str, AfterValidator(_judges.site_name)] = Field(
        default="", validate_default=True, description='The place that it shares with others; "" = it is a site by itself.'
    )
    addresses: Annotated[Items[EndpointAddress], AfterValidator(_judges.not_empty)] = Field(
        json_schema_extra={"minItems": 1}, description="Its IP addresses, of either family, each once in the pool."
    )
    weight: int = Field(
        default=1,
        ge=0,
        le=1_000_000,
        description="Its share among endpoints that could answer; 0 = standby, for when no other is up.",
    )
    region: str = Field(default="", description='A region of [regions] that it serves, for steering = "region".')
    latitude: Latitude | None = Field(default=None, description="Decimal degrees, north positive; together with longitude.")
    longitude: Longitude | None = Field(default=None, description="Decimal degrees, east positive; together with latitude.")
    capacity: Annotated[float, Field(gt=0, le=1e15)] | None = Field(
        default=None,
        description="What it can bear, in any unit that is the same in the pool; all of a pool's endpoints, or none.",
    )
    load: float = Field(default=0.0, ge=0, le=1e15, description="What it usually bears, in the unit of capacity.")

    @field_validator("site", mode="after")
    @classmethod
    def _site_by_itself(cls, site: str, info: ValidationInfo) -> str:
        return site or str(info.data.get("name", ""))


class Pool(Table):
    """Endpoints that serve the same, and how one of them is chosen for a client."""

    steering: Steering = Field(
        default="nearest", description="How clients are led: nearest, region, failover, weighted or hashed."
    )
    answers: int = Field(default=1, ge=1, le=32, description="Addresses in an answer, at most.")
    ttl: int = Field(default=30, ge=0, le=_MAX_TTL, description="TTL of answers, in seconds.")
    ttl_degraded: int = Field(
        default=10,
        validate_default=True,
        ge=0,
        le=_MAX_TTL,
        description="TTL while part of the pool is down; at most ttl, also by default.",
    )
    when_all_down: WhenAllDown = Field(
        default="all",
        description="Answer when nothing is up: all (the first site anyway), fallback (plain records), nodata or servfail.",
    )
    min_up: int = Field(default=1, ge=1, le=1000, description="Endpoints of a site that must be up for the site to count as up.")
    check: Check = Field(default_factory=lambda: Check(type="none"), description=Check.__doc__)
    endpoints: Annotated[Items[Endpoint], AfterValidator(_judges.not_empty)] = Field(
        json_schema_extra={"minItems": 1}, description="Its endpoints, in the order of failover."
    )

    @field_validator("ttl_degraded", mode="after")
    @classmethod
    def _no_longer_than_ttl(cls, seconds: int, info: ValidationInfo) -> int:
        """One that is written and longer than the TTL is refused elsewhere; the default one gives way."""
        return int(min(seconds, info.data.get("ttl", seconds)))

    @property
    def sites(self) -> dict[str, tuple[Endpoint, ...]]:
        """Endpoints by site, both in the order of the file."""
        grouped: dict[str, tuple[Endpoint, ...]] = {}
        for endpoint in self.endpoints:
            grouped[endpoint.site] = (*grouped.get(endpoint.site, ()), endpoint)
        return grouped
