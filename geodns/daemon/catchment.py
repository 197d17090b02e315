"""Owns the way from handshakes to the catchment of this instance: who comes from where, and how far; keeps no address of anybody.

A worker cuts the client's address to its network and hands that on through a funnel; the keeper counts, locates, and judges. What
it has counted lasts until the process ends, over reloads too, and is never written to a disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from struct import Struct
from time import monotonic, time
from typing import Any

from geodns import answer, geo, server
from geodns.answer import catchment as judgement
from geodns.daemon.counting import Arrivals
from geodns.daemon.loading import Loaded
from geodns.geo import round_trips
from geodns.geo.atlas import COUNTRY_TABLE
from geodns.geo.countries import countries
from geodns.ops.config import Config

log = logging.getLogger("geodns.keeper")

Json = dict[str, Any]
RECORD = Struct("!BQI")
"""Version, the first address of the network (of IPv6 the upper 64 bits), microseconds."""

NOTEBOOK = 32 << 20  # octets: what a keeper leaves for the next one
_ROUND = 0.5  # seconds between looks into the funnel
_PATIENCE = 0.05  # seconds of such a look: a tenth of a core, whatever comes in
_SAVED_EVERY = 30.0  # seconds: so much of the list of networks is lost with a keeper that is killed, but no metric
_LONGEST = 2**32 - 1  # microseconds that a record can tell


def why_off(config: Config) -> str:
    """Why handshakes are not measured; "" if they are."""
    if not config.catchment.enabled:
        return "catchment.enabled is false"
    if not config.admin.listen:
        return "there is no admin door at which anybody could ask for it (admin.listen)"
    return server.why_unmeasured()


class Scribe:
    """Hands networks and their round trips on, in a process that answers; see `server.Handshakes`."""

    def __init__(self, funnel: server.Funnel, config: Config) -> None:
        self._funnel = funnel
        self._ipv4, self._ipv6 = _masks(config)

    @staticmethod
    def wanted(funnel: server.Funnel, config: Config) -> Scribe | None:
        """One, if handshakes are measured."""
        return None if why_off(config) else Scribe(funnel, config)

    def offer(self, source: bytes, microseconds: int) -> bool:
        """Hand one on; False if the keeper is too slow."""
        address = server.address_of(source)
        if address.version == 4:
            version, network = 4, int(address) & self._ipv4
        else:
            version, network = 6, int(address) >> 64 & self._ipv6
        return self._funnel.put(RECORD.pack(version, network, min(microseconds, _LONGEST)))


def _masks(config: Config) -> tuple[int, int]:
    told = config.catchment
    return _mask(32, told.truncate_ipv4), _mask(64, told.truncate_ipv6)


def _mask(bits: int, length: int) -> int:
    return (1 << bits) - (1 << bits - length)


class Catchment:
    """What the keeper knows of the clients' networks, and what it would say about each."""

    def __init__(self, loaded: Loaded, funnel: server.Funnel, notebook: server.Slate, arrivals: Arrivals) -> None:
        self._config = loaded.config
        self._snapshot = loaded.snapshot
        self._funnel = funnel
        self._notebook = notebook
        self._arrivals = arrivals
        self._masks = dict(zip((4, 6), _masks(loaded.config), strict=True))
        self._lengths = [loaded.config.catchment.truncate_ipv4, loaded.config.catchment.truncate_ipv6]
        self._located: dict[round_trips.Prefix, geo.Located] = {}
        self._saved = monotonic()
        self._has_news = False
        self.why_off = why_off(loaded.config)
        self._window = self._recalled()
        self._unlocated = list(self._window.networks())

    def _recalled(self) -> round_trips.Window:
        """What the last keeper has left, if it means the same."""
        told = self._config.catchment
        octets = b"" if self.why_off else self._notebook.read()
        if octets:
            known = json.loads(octets)
            if known["lengths"] == self._lengths:
                return round_trips.Window.from_json(known["window"], told.window, told.networks)
        return round_trips.Window(told.window, told.networks, time())

    async def run(self) -> None:
        """Count what comes in, until cancelled; return at once where nothing is measured."""
        if self.why_off:
            for _ in self._funnel.take():  # what came before it was switched off
                pass
            return
        try:
            while True:
                self.look(time())
                await asyncio.sleep(_ROUND)
        finally:
            self._save()

    def look(self, now: float) -> None:
        """Take what is in the funnel, but not for long: what does not fit into it meanwhile is counted by whoever brings it."""
        self._window.turn(now)
        due = monotonic() + _PATIENCE
        for octets in self._funnel.take():
            for version, number, microseconds in RECORD.iter_unpack(octets):
                self._note((version, number & self._masks[version]), microseconds)
            if monotonic() > due:
                break
        self._arrivals.publish()
        while self._unlocated and monotonic() <= due:  # so that nobody who asks has to wait for it
            self._locate(self._unlocated.pop())
        if self._has_news and monotonic() - self._saved > _SAVED_EVERY:
            self._save()

    def _note(self, prefix: round_trips.Prefix, microseconds: int) -> None:
        self._has_news = True
        located = self._locate(prefix)
        self._arrivals.note(located.location.continent if located.state is geo.State.LOCATED else "", microseconds)
        self._arrivals.forgotten += self._window.note(prefix, microseconds)

    def _locate(self, prefix: round_trips.Prefix) -> geo.Located:
        """Where a network is; remembered, for it takes longer than all else."""
        located = self._located.get(prefix)
        if located is None:
            if len(self._located) > 2 * self._config.catchment.networks:
                self._located.clear()
            located = self._located[prefix] = self._snapshot.atlas.locate(_place(prefix))
        return located

    def _save(self) -> None:
        """Leave for the next keeper what is known."""
        self._saved, self._has_news = monotonic(), False
        try:
            self._notebook.write(json.dumps({"lengths": self._lengths, "window": self._window.to_json()}).encode())
        except ValueError as error:
            log.error("round trips of client networks are not handed on: %s", error)

    @property
    def size(self) -> int:
        """How many networks are kept."""
        return self._window.size

    def as_json(self, moment: answer.Moment, pool: str, worst: int, least: int) -> Json:
        """Everything that is known: by region, and where a pool would send the worst networks of at least so many round trips.

        "" stands for all pools that send clients to what is near. Raises ValueError if there is no pool of that name.
        """
        pools = [judgement.Chooser(steered, moment) for steered in self._pools(pool)]
        networks = self._window.networks()
        here = place_of_instance(self._config)
        forgotten = self._window.forgotten
        enough = [each for each in networks.items() if each[1].count >= least]
        enough.sort(key=lambda each: (-each[1].quantile(0.5), -each[1].count, each[0]))
        return {
            "measured": not self.why_off,
            "why_not": self.why_off,
            "since": self._window.began,
            "window": self._window.seconds,
            "prefix_lengths": {"ipv4": self._lengths[0], "ipv6": self._lengths[1]},
            "networks": len(networks),
            "round_trips": sum(trips.count for trips in networks.values()),
            "forgotten": {"networks": forgotten[0], "round_trips": forgotten[1]},
            "place": {"latitude": here.latitude, "longitude": here.longitude} if here else None,
            "pools": [each.pool for each in pools],
            "regions": self._regions(networks),
            "compared": len(enough),
            "worst": [self._judged(prefix, trips, pools, here) for prefix, trips in enough[:worst]],
        }

    def _pools(self, name: str) -> list[answer.Steered]:
        known = self._snapshot.pools
        if name and name not in known:
            raise ValueError(f"there is no pool {name!r}; known: {', '.join(known) or 'none'}")
        near = (answer.Steering.NEAREST, answer.Steering.REGION)
        return [steered for each, steered in known.items() if (each == name if name else steered.pool.steering in near)]

    def _regions(self, networks: Mapping[round_trips.Prefix, round_trips.RoundTrips]) -> list[Json]:
        """By country, else continent; those with the most round trips first."""
        found: dict[str, list[round_trips.RoundTrips]] = {}
        for prefix, trips in networks.items():
            found.setdefault(region_of(self._locate(prefix)), []).append(trips)
        told = [{"region": region, "networks": len(many), **_numbers(round_trips.summed(many))} for region, many in found.items()]
        return sorted(told, key=lambda each: (-each["round_trips"], each["region"]))

    def _judged(
        self,
        prefix: round_trips.Prefix,
        trips: round_trips.RoundTrips,
        pools: list[judgement.Chooser],
        here: geo.Spot | None,
    ) -> Json:
        """One network: what was measured, where it is, where pools would send it, and the worst that follows."""
        located = self._locate(prefix)
        at = judgement.whereabouts(located, COUNTRY_TABLE)
        instead = [each.instead(_place(prefix), at, trips, here) for each in pools]
        order = list(judgement.Verdict)
        findings = [each.finding for each in instead] or [judgement.find(trips, at, here)]
        finding = min(findings, key=lambda each: order.index(each.verdict))
        own = at.to(here) if at else None
        return {
            "prefix": str(self._network(prefix)),
            "region": region_of(located),
            "asn": located.location.asn,
            **_numbers(trips),
            "within_km": round(judgement.within(trips), 1),
            "latitude": at.spot.latitude if at else None,
            "longitude": at.spot.longitude if at else None,
            "distance_km": _rounded(own),
            "verdict": finding.verdict.value,
            "sentence": finding.sentence,
            "instead": [_instead_json(each) for each in instead],
        }

    def _network(self, prefix: round_trips.Prefix) -> IPv4Network | IPv6Network:
        version, number = prefix
        return IPv4Network((number, self._lengths[0])) if version == 4 else IPv6Network((number << 64, self._lengths[1]))


def _place(prefix: round_trips.Prefix) -> geo.Place:
    version, number = prefix
    return geo.place_of(version, number if version == 4 else number << 64)


def region_of(located: geo.Located) -> str:
    """What a network is counted under: its country, else its continent, else why it has neither."""
    if located.state is geo.State.LOCATED:
        place = located.location
        return f"country:{place.country}" if place.country else f"continent:{place.continent}" if place.continent else "unknown"
    return {geo.State.ANYCAST: "anycast", geo.State.SPECIAL: "special"}.get(located.state, "unknown")


def place_of_instance(config: Config) -> geo.Spot | None:
    """Where this instance is, if the configuration says so."""
    place = config.server.place
    if place is None:
        return None
    if place.latitude is not None and place.longitude is not None:
        return geo.Spot(place.latitude, place.longitude)
    country = countries().get(place.country)
    return geo.Spot(country.latitude, country.longitude) if country else None


def _numbers(trips: round_trips.RoundTrips) -> Json:
    return {
        "round_trips": trips.count,
        "fastest_ms": round(trips.fastest / 1000, 3),
        "median_ms": round(trips.quantile(0.5) / 1000, 3),
        "p90_ms": round(trips.quantile(0.9) / 1000, 3),
    }


def _instead_json(each: judgement.Instead) -> Json:
    return {
        "pool": each.pool,
        "site": each.site or None,
        "endpoint": each.endpoint or None,
        "distance_km": _rounded(each.kilometres),
        "best_ms": _rounded(each.milliseconds),
        "verdict": each.finding.verdict.value,
        "sentence": each.finding.sentence,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
