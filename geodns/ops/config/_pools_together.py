"""Owns the faults of a pool whose values are each right but wrong together; refuses to judge a value by itself.

Judged in the raw document, as far as its values are of the right kind: the tables complain of those that are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from geodns.geo.nearness import Spot, distance
from geodns.ops.config._pools import KEYS_OF_CHECK, NEEDED_BY_CHECK, Check, Pool
from geodns.ops.config._raw import array, number, table, text_of
from geodns.ops.config._words import Fault, dotted
from geodns.ops.toml_lines import KeyPath

_WIDEST_SITE = 50.0  # km: buildings of one campus, or two data centres of one town
_TIMES = Check(type="tcp", port=1)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An endpoint as far as it could be read; "" and None where a value is missing or of a wrong kind: `written` tells which."""

    path: KeyPath
    written: frozenset[str]
    name: str
    site: str
    addresses: tuple[tuple[int, IPv4Address | IPv6Address], ...]
    weight: float
    region: str
    spot: Spot | None
    capacity: float | None
    load: float


def pool_faults(document: dict[str, object]) -> Iterator[Fault]:
    """Every fault between values of a pool, of all pools."""
    regions = table(document, "regions")
    for name, pool in table(document, "pools").items():
        if isinstance(pool, dict):
            path: KeyPath = ("pools", name)
            endpoints = list(_endpoints(pool, path))
            yield from _times(pool, path)
            yield from _check(table(pool, "check"), (*path, "check"))
            yield from _twice(endpoints)
            yield from _steering(text_of(pool, "steering", "nearest"), endpoints, regions)
            yield from _numbers(pool, path, endpoints)
            yield from _sites(text_of(pool, "steering", "nearest"), endpoints)


def pool_warnings(document: dict[str, object]) -> Iterator[Fault]:
    """What is allowed in a pool but seldom meant, of all pools."""
    for name, pool in table(document, "pools").items():
        if not isinstance(pool, dict):
            continue
        endpoints = list(_endpoints(pool, ("pools", name)))
        for endpoint in endpoints:
            if endpoint.capacity is not None and endpoint.load > endpoint.capacity:
                what = f"{endpoint.load:g} is more than the capacity of {endpoint.capacity:g}: nothing is left for others"
                yield (*endpoint.path, "load"), what, "correct one of the two, if they are not so in truth"
        families = Counter(address.version for endpoint in endpoints for _, address in endpoint.addresses)
        wanted = number(pool, "answers", 1)
        if families and wanted > (most := max(families.values())):
            what = f"{wanted:g} addresses can never be in an answer: the pool has {most} of a family"
            yield ("pools", name, "answers"), what, f"write {most} or less, or add endpoints"
        check = table(pool, "check")
        if text_of(check, "type") in {"https", "tls"} and not check.get("host") and check.get("verify", True) is True:
            what = "without a host the certificate must be valid for the endpoint's IP address, which few are"
            yield ("pools", name, "check"), what, 'write the name that it is for: host = "app.example.com"'


def _endpoints(pool: dict[str, object], path: KeyPath) -> Iterator[_Endpoint]:
    for index, endpoint in enumerate(array(pool, "endpoints")):
        if isinstance(endpoint, dict):
            latitude, longitude = number(endpoint, "latitude", None), number(endpoint, "longitude", None)
            name = text_of(endpoint, "name")
            yield _Endpoint(
                path=(*path, "endpoints", index),
                written=frozenset(endpoint),
                name=name,
                site=text_of(endpoint, "site") or name,
                addresses=tuple(_addresses(endpoint)),
                weight=number(endpoint, "weight", 1),
                region=text_of(endpoint, "region"),
                spot=None if latitude is None or longitude is None else Spot(latitude, longitude),
                capacity=number(endpoint, "capacity", None),
                load=number(endpoint, "load", 0.0),
            )


def _addresses(endpoint: dict[str, object]) -> Iterator[tuple[int, IPv4Address | IPv6Address]]:
    for index, text in enumerate(array(endpoint, "addresses")):
        try:
            yield index, ip_address(text if isinstance(text, str) else "")
        except ValueError:
            continue


def _times(pool: dict[str, object], path: KeyPath) -> Iterator[Fault]:
    if "ttl_degraded" in pool and number(pool, "ttl_degraded", 0) > (ttl := number(pool, "ttl", 30)):
        yield (*path, "ttl_degraded"), f"{pool['ttl_degraded']} is more than the ttl of {ttl:g}", f"write {ttl:g} or less"
    check = table(pool, "check")
    interval = number(check, "interval", _TIMES.interval)
    if "timeout" in check and number(check, "timeout", 0) > interval:
        what = f"{check['timeout']} is more than the interval of {interval:g}: the next check would be late"
        yield (*path, "check", "timeout"), what, f"write {interval:g} or less, or a longer interval"


def _check(check: dict[str, object], path: KeyPath) -> Iterator[Fault]:
    kind = text_of(check, "type")
    if (used := KEYS_OF_CHECK.get(kind)) is None:
        return
    for key in check:
        if key in Check.model_fields and key not in used and key != "type":
            yield (
                (*path, key),
                f'type = "{kind}" has no {key}',
                f"take it out; it has {', '.join(used)}" if used else "take it out",
            )
    needed = NEEDED_BY_CHECK.get(kind)
    if needed and check.get(needed, "") in ("", []):
        yield path, f'type = "{kind}" needs a {needed}', f"add {needed} = …"
    if kind == "dns":
        yield from _expected_answers(check, path)


def _expected_answers(check: dict[str, object], path: KeyPath) -> Iterator[Fault]:
    rdtype = text_of(check, "query_type", "A")
    for index, text in enumerate(array(check, "expect_answer")):
        try:
            dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), text if isinstance(text, str) else "@")
        except dns.rdatatype.UnknownRdatatype:
            return
        except (dns.exception.DNSException, ValueError) as error:
            if isinstance(text, str):
                yield (
                    (*path, "expect_answer", index),
                    f"'{text}' is no {rdtype.upper()} data: {error}",
                    "write it as in a zone file",
                )


def _twice(endpoints: list[_Endpoint]) -> Iterator[Fault]:
    names: dict[str, KeyPath] = {}
    addresses: dict[IPv4Address | IPv6Address, KeyPath] = {}
    for endpoint in endpoints:
        if endpoint.name and (first := names.setdefault(endpoint.name, endpoint.path)) != endpoint.path:
            yield (*endpoint.path, "name"), f"'{endpoint.name}' is already the name of {dotted(first)}", "name each differently"
        for index, address in endpoint.addresses:
            path = (*endpoint.path, "addresses", index)
            if (first := addresses.setdefault(address, path)) != path:
                yield path, f"'{address}' is already in {dotted(first)}", "write each address once in a pool"


def _steering(steering: str, endpoints: list[_Endpoint], regions: dict[str, object]) -> Iterator[Fault]:
    for endpoint in endpoints:
        coordinates = len(endpoint.written & {"latitude", "longitude"})
        if coordinates == 1:
            yield endpoint.path, "has one of latitude and longitude", "give both, or neither"
        elif steering == "nearest" and not coordinates:
            what = 'steering = "nearest" needs to know where it is: no latitude and longitude'
            yield endpoint.path, what, 'add both, or choose steering = "failover", "weighted" or "hashed"'
        if steering == "region" and not endpoint.region and "region" not in endpoint.written:
            yield (
                endpoint.path,
                'steering = "region" needs to know whom it serves: no region',
                'add region = "…", a name of [regions]',
            )
        if endpoint.region and endpoint.region not in regions:
            close = get_close_matches(endpoint.region, regions, 1)
            remedy = f"did you mean '{close[0]}'?" if close else "add it there"
            yield (*endpoint.path, "region"), f"'{endpoint.region}' is not in [regions]", remedy


def _numbers(pool: dict[str, object], path: KeyPath, endpoints: list[_Endpoint]) -> Iterator[Fault]:
    if endpoints and all(endpoint.weight == 0 for endpoint in endpoints):
        yield (*path, "endpoints"), "every endpoint has weight 0, so all are standby", "give at least one a weight"
    declared = [endpoint for endpoint in endpoints if "capacity" in endpoint.written]
    for endpoint in endpoints:
        if "capacity" not in endpoint.written and (declared or endpoint.load):
            what = f"has no capacity, but {dotted(declared[0].path)} has" if declared else "has a load, but no capacity"
            yield endpoint.path, what, "give each endpoint of the pool a capacity, in the same unit, or none"
    min_up = number(pool, "min_up", Pool.model_fields["min_up"].default)
    for site, count in Counter(endpoint.site for endpoint in endpoints if endpoint.site).items():
        if min_up > count:
            have = "1 endpoint" if count == 1 else f"{count} endpoints"
            yield (*path, "min_up"), f"{min_up:g} are never up at site '{site}', which has {have}", f"write {count} or less"


def _sites(steering: str, endpoints: list[_Endpoint]) -> Iterator[Fault]:
    """A site is one place, and in one region where regions steer."""
    located: dict[str, tuple[Spot, KeyPath]] = {}
    regional: dict[str, tuple[str, KeyPath]] = {}
    for endpoint in endpoints:
        if endpoint.spot and endpoint.site:
            spot, first = located.setdefault(endpoint.site, (endpoint.spot, endpoint.path))
            if (apart := distance(spot, endpoint.spot)) > _WIDEST_SITE:
                what = f"is {apart:.0f} km from {dotted(first)}, though both are site '{endpoint.site}'"
                yield (
                    (*endpoint.path, "latitude"),
                    what,
                    f"correct the coordinates (at most {_WIDEST_SITE:g} km), or name another site",
                )
        if steering == "region" and endpoint.region and endpoint.site:
            region, first = regional.setdefault(endpoint.site, (endpoint.region, endpoint.path))
            if region != endpoint.region:
                what = f"'{endpoint.region}' is not '{region}' of {dotted(first)}, though both are site '{endpoint.site}'"
                yield (*endpoint.path, "region"), what, "make them agree, or name another site"
