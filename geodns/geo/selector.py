"""Owns selectors: the words by which a policy names clients, and their order of specificity; refuses to know what they select."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from geodns.geo.countries import CONTINENTS, countries

_REGION = re.compile(r"[a-z0-9][a-z0-9_-]*\Z", re.IGNORECASE)
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}\Z")
_MAX_ASN = 2**32 - 1


class BadSelector(ValueError):
    """Text that is no selector; the message says why and what would be one."""


@dataclass(frozen=True, slots=True)
class NetSelector:
    """Clients inside a network: `net:192.0.2.0/24`."""

    network: IPv4Network | IPv6Network

    def __str__(self) -> str:
        return f"net:{self.network}"


@dataclass(frozen=True, slots=True)
class AsnSelector:
    """Clients in an autonomous system: `asn:64500`."""

    asn: int

    def __str__(self) -> str:
        return f"asn:{self.asn}"


@dataclass(frozen=True, slots=True)
class SubdivisionSelector:
    """Clients in a first-level subdivision (ISO 3166-2): `subdivision:US-CA`."""

    subdivision: str

    def __str__(self) -> str:
        return f"subdivision:{self.subdivision}"


@dataclass(frozen=True, slots=True)
class CountrySelector:
    """Clients in a country (ISO 3166-1 alpha-2): `country:DE`."""

    country: str

    def __str__(self) -> str:
        return f"country:{self.country}"


@dataclass(frozen=True, slots=True)
class ContinentSelector:
    """Clients on a continent: `continent:EU`."""

    continent: str

    def __str__(self) -> str:
        return f"continent:{self.continent}"


@dataclass(frozen=True, slots=True)
class RegionSelector:
    """Clients of a region of the config, by its name: `apac`."""

    region: str

    def __str__(self) -> str:
        return self.region


PlaceSelector = NetSelector | AsnSelector | SubdivisionSelector | CountrySelector | ContinentSelector
Selector = PlaceSelector | RegionSelector


def parse(text: str) -> Selector:
    """Read one selector; raises BadSelector with the reason."""
    if "," in text:
        raise BadSelector(f"'{text}' is more than one selector: write each by itself, or list them in a region")
    kind, colon, value = text.strip().partition(":")
    if not colon:
        if not _REGION.match(kind):
            remedy = likely(text) or "kind:value (net asn subdivision country continent) or a region's name"
            raise BadSelector(f"'{text}' is no selector: write {remedy}")
        return RegionSelector(kind)
    match kind.lower():
        case "net":
            return NetSelector(_network(value))
        case "asn":
            return AsnSelector(_asn(value))
        case "subdivision":
            return SubdivisionSelector(_subdivision(value))
        case "country":
            return CountrySelector(_country(value))
        case "continent":
            return ContinentSelector(_continent(value))
        case "city":
            raise BadSelector(f"'{text}': cities cannot be selected, for databases miss them too often: use net: or a region")
        case "region":
            raise BadSelector(f"'{text}': a region has no kind before it: write {value or 'its name'}")
        case _:
            remedy = f"write {meant}" if (meant := likely(text)) else "use net, asn, subdivision, country or continent"
            raise BadSelector(f"'{text}': '{kind}' is no kind of selector: {remedy}")


def likely(word: str) -> str:
    """The selectors that a word without a kind was surely meant for, with "or" between them; "" for none.

    Codes and English names of countries and continents, ISO 3166-2 codes, AS numbers and networks are understood.
    """
    code = word.strip().upper()
    name = code.replace("_", " ").replace("-", " ")
    found = [f"continent:{known}" for known, full in CONTINENTS.items() if code == known or name == full.upper()]
    found += [f"country:{known}" for known, country in countries().items() if code == known or name == country.name.upper()]
    if code == "UK":
        found.append("country:GB")
    for kind in ("subdivision", "asn", "net") if code[:1] != "-" else ():
        if kind == "asn" and not code.startswith("AS"):
            continue  # a bare number may be anything
        with suppress(BadSelector):
            found.append(str(parse(f"{kind}:{word.strip()}")))
    return " or ".join(found)


def parse_place(text: str) -> PlaceSelector:
    """Read a selector that names a place itself, as the selectors inside a region must."""
    selector = parse(text)
    if isinstance(selector, RegionSelector):
        raise BadSelector(f"'{text}' names a region inside a region: list its selectors instead")
    return selector


def _network(value: str) -> IPv4Network | IPv6Network:
    if "%" in value:  # a link's name, which ipaddress would take; no client is known by it
        raise BadSelector(f"'net:{value}' is no network: write an address and a prefix length")
    try:
        return ip_network(value)
    except ValueError as error:
        try:
            meant = ip_network(value, strict=False)
        except ValueError:
            raise BadSelector(f"'net:{value}' is no network: write an address and a prefix length") from error
        raise BadSelector(f"'net:{value}' has bits set beyond its prefix: write net:{meant}") from error


def _asn(value: str) -> int:
    digits = value.upper().removeprefix("AS")
    if not (digits.isdecimal() and len(digits) <= 10 and 0 < int(digits) <= _MAX_ASN):
        raise BadSelector(f"'asn:{value}' is no AS number: write asn: and a number from 1 to {_MAX_ASN}")
    return int(digits)


def _subdivision(value: str) -> str:
    code = value.upper()
    if not _SUBDIVISION.match(code) or code[:2] not in countries():
        raise BadSelector(f"'subdivision:{value}' is no ISO 3166-2 code: write country and subdivision, as in subdivision:US-CA")
    return code


def _country(value: str) -> str:
    code = value.upper()
    if code not in countries():
        remedy = "the United Kingdom is GB" if code == "UK" else "write the ISO 3166-1 code of two letters, as in country:DE"
        raise BadSelector(f"'country:{value}' is no country: {remedy}")
    return code


def _continent(value: str) -> str:
    code = value.upper()
    if code not in CONTINENTS:
        raise BadSelector(f"'continent:{value}' is no continent: use one of {' '.join(CONTINENTS)}")
    return code
