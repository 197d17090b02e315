"""Owns the table [announce]: every key, its default, limits and description; refuses to know routers."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from geodns.ops.config import _judges
from geodns.ops.config._shapes import EndpointAddress, Items, ListenText, PathOrNone, PathText, PoolPartName, Table, pattern

Method = Literal["", "exabgp", "bird", "frr", "exec"]
Soft = Literal["gshut", "prepend", "withdraw"]

_MAX_PREPEND = 10  # longer paths reach nobody farther, and some networks drop them
_COMMUNITY = re.compile(r"\d{1,10}:\d{1,10}(:\d{1,10})?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def _prefix(text: str) -> str:
    """A prefix to announce, in its shortest form."""
    found = ip_network(_judges.network(text))
    if not found.prefixlen or found.is_multicast or found.is_link_local:
        _judges.refuse(f"'{text}' cannot be announced", "write the prefix that holds your service's address")
    return str(found)


def _community(text: str) -> str:
    """RFC 1997's two numbers of 16 bits, or RFC 8092's three of 32."""
    limit = 0xFFFF if text.count(":") == 1 else 0xFFFF_FFFF
    if not _COMMUNITY.fullmatch(text) or any(int(part) > limit for part in text.split(":")):
        _judges.refuse(f"'{text}' is no community", 'write "64500:70", or "4200000000:1:2" for a large one (RFC 8092)')
    return text


def _word(text: str) -> str:
    if text and not _WORD.fullmatch(text):
        _judges.refuse(f"{_judges.shown(text)} is no name", "write the name that the router's configuration gives it")
    return text


def _next_hop(text: str) -> str:
    return text if text == "self" else _judges.endpoint_address(text)


PrefixText = Annotated[str, AfterValidator(_prefix)]
CommunityText = Annotated[str, AfterValidator(_community), pattern(f"^{_COMMUNITY.pattern}$")]
RouterWord = Annotated[str, AfterValidator(_word)]


class Exabgp(Table):
    """ExaBGP, which runs the gate as its process."""

    version: Literal["auto", "4", "5", "6"] = Field(
        default="auto", description="Which language its API speaks: that of 4 and 5, or of 6; auto asks it."
    )
    next_hop: Annotated[str, AfterValidator(_next_hop)] = Field(
        default="self", description='Next hop of the routes: an address, or "self" for our own of each connection.'
    )


class Bird(Table):
    """BIRD 2, told through its control socket."""

    socket: PathText = Field(default="/run/bird/bird.ctl", description="BIRD's control socket.")
    include: PathOrNone = Field(
        default="", description='File that the gate writes and BIRD includes: routes with their communities; "" = protocols.'
    )
    protocols: dict[PrefixText, Annotated[RouterWord, AfterValidator(_judges.not_empty_text)]] = Field(
        default_factory=dict, description="For each prefix the static protocol that is enabled and disabled, without include."
    )


class Frr(Table):
    """FRRouting, told by vtysh."""

    vtysh: PathText = Field(default="/usr/bin/vtysh", description="The program.")
    asn: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = Field(default=None, description="Number of the AS in `router bgp`.")
    route_map: RouterWord = Field(default="", description='Route map of the network statements; "" = none.')
    drain_route_map: RouterWord = Field(
        default="", description='Route map while draining, which sets a community or prepends; "" = withdraw at once.'
    )


class Exec(Table):
    """A program of yours that tells any other router."""

    command: Items[str] = Field(
        default=(), description="Program and arguments, no shell: gets all prefixes and their states as JSON on standard input."
    )
    show: Items[str] = Field(
        default=(), description="Program that prints what is announced, a line each: prefix and state; [] = it is believed."
    )


class Announce(Table):
    """The announce gate: whether this machine's anycast prefixes are announced, tied to the service itself."""

    method: Method = Field(default="", description='Who tells the routers: exabgp, bird, frr or exec; "" = nothing is announced.')
    prefixes: Items[PrefixText] = Field(
        default=(), description="What to announce; each must hold an address that is served here."
    )
    addresses: Items[EndpointAddress] = Field(
        default=(), description="Service addresses to be checked; [] = those of server.listen that the prefixes hold."
    )
    require_pools: Items[PoolPartName] = Field(default=(), description="Pools that withdraw the prefixes when wholly down.")
    siblings: Items[ListenText] = Field(
        default=(), description="Unicast addresses and ports of other instances: without one that answers, nothing is withdrawn."
    )
    interval: float = Field(default=1.0, ge=0.1, le=60, description="Seconds from judgement to judgement.")
    timeout: float = Field(default=1.0, gt=0, le=60, description="Seconds that the questions of one judgement may take in all.")
    rise: int = Field(default=3, ge=1, le=1000, description="Good judgements in a row that it takes to announce.")
    fall: int = Field(default=3, ge=1, le=1000, description="Bad judgements in a row that it takes to withdraw.")
    lease_max_age: float = Field(default=5.0, ge=1, le=600, description="Seconds after which a daemon that is silent is gone.")
    hold_down: float = Field(default=10.0, ge=0, le=86_400, description="Seconds that a withdrawn prefix stays so, at least.")
    hold_down_max: float = Field(default=600.0, ge=0, le=86_400, description="What hold_down grows to, doubled by each flap.")
    flap_half_life: float = Field(default=300.0, gt=0, le=86_400, description="Seconds in which half of the flaps are forgotten.")
    adopt: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Seconds that a gate which cannot judge yet keeps what its predecessor announced.",
    )
    drain: Soft = Field(default="gshut", description="What comes before a withdrawal on purpose: gshut, prepend or withdraw.")
    drain_prepend: int = Field(default=3, ge=1, le=_MAX_PREPEND, description="Prepends of this AS with drain = prepend.")
    drain_soft: float = Field(default=30.0, ge=0, le=3600, description="Seconds that the prefixes stay announced so.")
    drain_floor: float = Field(default=1.0, ge=0, le=1e9, description="Queries a second below which clients have moved.")
    drain_max: float = Field(
        default=120.0, ge=0, le=86_400, description="Seconds to wait for that after the withdrawal, at most."
    )
    communities: Items[CommunityText] = Field(default=(), description="Communities of every announcement.")
    prepend: int = Field(default=0, ge=0, le=_MAX_PREPEND, description="Prepends of this AS in every announcement.")
    asn: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = Field(
        default=None, description="This AS's number, which prepends are made of."
    )
    med: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = Field(default=None, description="MULTI_EXIT_DISC of announcements.")
    verify_interval: float = Field(default=30.0, ge=1, le=86_400, description="Seconds from look to look at what is announced.")
    router_timeout: float = Field(default=5.0, gt=0, le=600, description="Seconds that a router has for an answer.")
    exabgp: Exabgp = Field(default_factory=Exabgp, description=Exabgp.__doc__)
    bird: Bird = Field(default_factory=Bird, description=Bird.__doc__)
    frr: Frr = Field(default_factory=Frr, description=Frr.__doc__)
    exec: Exec = Field(default_factory=Exec, description=Exec.__doc__)

    @property
    def is_on(self) -> bool:
        """Whether there is anything to announce."""
        return bool(self.method and self.prefixes)
