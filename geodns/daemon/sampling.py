"""Owns the looking at a few of the queries: from which country users come to which site; keeps no address of anybody."""

from __future__ import annotations

from geodns import answer, wire
from geodns.geo.countries import countries

EVERY = 0.02  # seconds between two looks: at 0.1 ms each they take half a hundredth of a core
MOST_SITES = 100
"""Sites that are counted by country, so that the number of counters stays bounded whatever is configured."""

CODES = ("", *countries())
"""The countries in the order of their counters; "" is unknown."""

_NUMBERS = {code: number for number, code in enumerate(CODES)}


class Sampler:
    """Counts, for some of the queries answered out of pools, the client's country and the site.

    Made before processes are forked, for the counters are shared; used in each of them.
    """

    def __init__(self, snapshot: answer.Snapshot, census: answer.Census) -> None:
        sites = [(name, site) for name, steered in snapshot.pools.items() for site in steered.pool.sites]
        ledger = census.ledger
        self._numbers = {site: ledger.run(len(CODES), "country", *site) for site in sites[:MOST_SITES]}
        self._snapshot = snapshot
        self._census = census
        self._due = 0.0

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to count."""
        return bool(self._numbers)

    def wanted(self, now: float) -> bool:
        """Whether it is time for another look, by the monotonic clock."""
        return now >= self._due

    def look(self, octets: bytes, source: bytes, moment: answer.Moment, now: float) -> None:
        """Count one query, if a pool has answered it."""
        self._due = now + EVERY
        try:
            query = wire.parse_query(octets)
        except wire.QueryFault:
            return
        client = self._snapshot.trust.client(answer.sender(source), query.edns.client_subnet if query.edns else None)
        for selection in answer.judge(self._snapshot, query, client, moment).selections:
            if isinstance(selection, answer.PoolSelection) and selection.first:
                site = selection.steered.pool.name, selection.first.partition("/")[0]
                if site in self._numbers:
                    self._census.tally[self._numbers[site] + self._country(client, selection.climb)] += 1
                return

    def _country(self, client: answer.Client, way: answer.Climb) -> int:
        """The number of the country of whoever decided; 0 is unknown."""
        if way.attempts and way.attempts[-1].decided:
            return _NUMBERS.get(way.attempts[-1].located(self._snapshot.atlas).location.country, 0)
        place = client.subnet or client.source
        return _NUMBERS.get(self._snapshot.atlas.locate(place).location.country, 0) if place else 0
