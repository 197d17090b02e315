"""Owns what is legal in a configuration but surely not meant, as far as it takes zones and the planet to tell; refuses nothing.

It also tells zones what they cannot know of addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

from geodns import geo, wire, zone
from geodns.ops import toml_lines
from geodns.ops.config import Config
from geodns.problem import Problem, Severity, bounded

_ASKED = 10_000
"""Addresses on no list for which databases are asked too, at some 25 µs each: what is more is taken for unlisted."""


class ListedAnycast:
    """Says of an address, as RDATA, who holds it to be anycast: lists and databases, unless geo.networks has it."""

    def __init__(self, atlas: geo.Atlas) -> None:
        self._atlas = atlas
        self._known: dict[bytes, str | None] = {}
        self._asked = 0

    def __call__(self, rdata: bytes) -> str | None:
        """The reason; None where nobody says so. What was asked is remembered."""
        if rdata not in self._known:
            self._known[rdata] = self._why(geo.place_of(4 if len(rdata) == 4 else 6, int.from_bytes(rdata, "big")))
        return self._known[rdata]

    def _why(self, place: geo.Place) -> str | None:
        if self._atlas.listed(place) is None:
            self._asked += 1
            if self._asked > _ASKED:
                return None
        located = self._atlas.locate(place)
        return located.why if located.state is geo.State.ANYCAST else None

    def selector(self, text: str) -> str | None:
        """Why a `net:` selector is surely not meant: whoever is in an anycast network may be anywhere."""
        selector = geo.parse(text)
        if not isinstance(selector, geo.NetSelector):
            return None
        first = _place(str(selector.network.network_address))
        prefix = self._atlas.listed(first)
        if prefix is None or prefix.network.prefixlen > selector.network.prefixlen or self._atlas.locate(first).named:
            return None
        return (
            f"'{selector}': {self._atlas.locate(first).why}, so whom it names may be anywhere; "
            "name the networks where clients are, or for a public resolver those that it asks from"
        )


def config_doubts(
    config: Config, contents: Sequence[zone.ZoneContents], atlas: geo.Atlas, listed: ListedAnycast, path: Path
) -> list[Problem]:
    """Warnings of pools, networks and regions, of each kind a bounded number."""
    if not (config.pools or config.geo.networks or config.regions):
        return []
    doubts = _Doubts(config, path)
    return [
        *bounded(doubts.unused_pools(contents)),
        *bounded(doubts.idle_rules(contents)),
        *bounded(doubts.distances(atlas)),
        *bounded(doubts.networks(atlas)),
        *bounded(doubts.regions(listed)),
    ]


class _Doubts:
    """The configuration with the lines of its keys; each check is an iterator of warnings."""

    def __init__(self, config: Config, path: Path) -> None:
        self.config = config
        self.path = path
        self.lines = toml_lines.locate(path.read_text("utf-8-sig"))

    def warning(self, where: toml_lines.KeyPath, message: str, remedy: str) -> Problem:
        """A warning at the line of a key."""
        return Problem(str(self.path), toml_lines.nearest(self.lines, where), message, remedy, Severity.WARNING)

    def unused_pools(self, contents: Sequence[zone.ZoneContents]) -> Iterator[Problem]:
        """Pools that no zone uses."""
        used = {node.pool.pool for each in contents for node in each.nodes.values() if node.pool}
        for name in self.config.pools:
            if name not in used:
                remedy = f"write a POOL record: app 30 IN POOL {name}, or take the pool out"
                yield self.warning(("pools", name), f"pools.{name}: no zone uses this pool", remedy)

    def idle_rules(self, contents: Sequence[zone.ZoneContents]) -> Iterator[Problem]:
        """Rules for addresses beside a pool that has addresses itself, and never gives way to plain records."""
        pooled = [(node, node.pool.pool) for each in contents for node in each.nodes.values() if node.pool and node.variants]
        for node, name in pooled:
            pool = self.config.pools[name]
            if pool.when_all_down == "fallback":
                continue
            versions = {ip_address(text).version for endpoint in pool.endpoints for text in endpoint.addresses}
            for kind, version in ((wire.Type.A, 4), (wire.Type.AAAA, 6)):
                if kind in node.variants and version in versions:
                    records = f"the GEO {kind.name} records of {wire.to_text(node.name)}"
                    message = f"pools.{name}: {records} are never answered, for its POOL record is"
                    remedy = (
                        'choose by steering = "region" instead; or with when_all_down = "fallback" they answer when nothing is up'
                    )
                    yield self.warning(("pools", name), message, remedy)

    def distances(self, atlas: geo.Atlas) -> Iterator[Problem]:
        """Distances measured to addresses that are at many places at once."""
        for name, pool in self.config.pools.items():
            for number, endpoint in enumerate(pool.endpoints if pool.steering in {"nearest", "region"} else ()):
                for text in endpoint.addresses:
                    located = atlas.locate(_place(text))
                    if located.state is geo.State.ANYCAST:
                        where = ("pools", name, "endpoints", number, "addresses")
                        message = f"pools.{name}.endpoints[{number}]: {text} {located.why.removeprefix('is ')}"
                        remedy = (
                            'the distance to it means nothing: use steering = "failover" or "weighted", '
                            "or the site's own address"
                        )
                        yield self.warning(where, message, remedy)

    def networks(self, atlas: geo.Atlas) -> Iterator[Problem]:
        """Networks around anycast prefixes, whose place is then believed; one that is such a prefix itself is meant so."""
        prefixes = sorted(atlas.anycast, key=_first)
        starts = [_first(prefix) for prefix in prefixes]
        for text in self.config.geo.networks:
            network = ip_network(text)
            at = bisect_left(starts, (network.version, int(network.network_address)))
            while at < len(starts) and starts[at] <= (network.version, int(network.broadcast_address)):
                prefix = prefixes[at]
                at += 1
                inside = prefix.network.prefixlen > network.prefixlen
                if inside and atlas.locate(_place(str(prefix.network.network_address))).named == network:
                    whose = f" ({prefix.operator})" if prefix.operator else ""
                    message = (
                        f'geo.networks."{text}" covers {prefix.network}{whose}, which is anycast: it is believed to be there too'
                    )
                    remedy = "write networks that leave it out; or, if it is meant, name that prefix too"
                    yield self.warning(("geo", "networks", text), message, remedy)
                    break

    def regions(self, listed: ListedAnycast) -> Iterator[Problem]:
        """Selectors in regions, doubtful as they are in zones."""
        for name, selectors in self.config.regions.items():
            for number, text in enumerate(selectors):
                if why := listed.selector(text):
                    yield self.warning(("regions", name, number), f"regions.{name}[{number}]: {why}", "")


def _first(prefix: geo.AnycastPrefix) -> tuple[int, int]:
    return prefix.network.version, int(prefix.network.network_address)


def _place(text: str) -> geo.Place:
    address = ip_address(text)
    return geo.place_of(address.version, int(address))
