"""Owns what can be known of a client's place, and from whom; refuses to know how it was found."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum

from geodns.geo.address import Network


@dataclass(frozen=True, slots=True)
class Location:
    """A place: "" and None mean that nobody knows.

    `continent` is one of AF AN AS EU NA OC SA, `country` ISO 3166-1 alpha-2, `subdivision` ISO 3166-2, `latitude` and
    `longitude` decimal degrees (WGS 84), `region` the name that the operator gave to the network.
    """

    continent: str = ""
    country: str = ""
    subdivision: str = ""
    city: str = ""
    asn: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    anycast: bool = False
    region: str = ""

    def known(self) -> dict[str, object]:
        """The attributes that have a value."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value not in ("", None) and value is not False}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.known().items())


def words(location: Location, sources: dict[str, str] | None = None) -> str:
    """A location in one line, with who said what."""
    known = location.known()
    if not known:
        return "nothing known"
    order = [item.name for item in fields(Location) if item.name in known]
    if sources is None:
        return ", ".join(f"{name} {known[name]}" for name in order)
    return ", ".join(f"{name} {known[name]} [{sources.get(name, 'anycast list')}]" for name in order)


PLACE_ATTRIBUTES = ("continent", "country", "subdivision", "city", "latitude", "longitude")


class State(IntEnum):
    """Whether an address's location may be used, and if not, why not."""

    NOT_LOCATED = 0
    SPECIAL = 1
    ANYCAST = 2
    EMBEDDED = 3  # IPv4 inside IPv6: looked up as IPv4, so no IPv6 prefix may cover it
    LOCATED = 4


@dataclass(frozen=True, slots=True)
class Located:
    """A location and what vouches for it.

    `network` is the widest prefix around the address for which all of it is true; `sources` names for each known attribute
    who said so; `state` and `why` tell whether it may be used; `named` is the operator's network that covers the address.
    """

    location: Location
    network: Network
    state: State
    why: str
    sources: dict[str, str] = field(default_factory=dict)
    named: Network | None = None
