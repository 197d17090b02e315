"""Owns the judgement of an anycast catchment: what a round trip allows, and where a pool would send a network; measures nothing.

An instance sees how long the handshake with a network takes. Light in fibre makes 100 km there and back in a millisecond, so that
bounds how far away the network is, and says how fast a site at a known distance can be at best. Source: Moura et al., "Old but
Gold: Prospecting TCP to Engineer and Live Monitor DNS Anycast", PAM 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geodns.answer.ladder import Client
from geodns.answer.pools import Moment, Roll
from geodns.answer.steering import Steered, choose
from geodns.geo import Located, Place, Spot, State, distance
from geodns.geo.discs import KILOMETRES_PER_MILLISECOND
from geodns.geo.round_trips import RoundTrips
from geodns.wire import Type

STRETCH = 2.0
"""How many times the least that light needs a good path may take: cables are no great circles."""

ACCESS = 10.0
"""Milliseconds that a good path may take besides: access networks, queues, a busy client."""

GAIN = 20.0
"""Milliseconds over what a good path takes, from where on a path is called bad: less is noise.

Moura et al. set no threshold; what they call a problem loses 70 ms and more, and Calder et al. (IMC 2015) count from 25 ms on.
"""

EXACT, ROUGH = 100.0, 1500.0
"""Kilometres by which a place may be wrong that a database has coordinates for, and one of which only the country is known."""


class Verdict(StrEnum):
    """What is to be thought of how a network comes here, the worst first."""

    POLARISED = "polarised"
    DETOUR = "detour"
    SLOW = "slow"
    MISPLACED = "misplaced"
    UNKNOWN = "unknown"
    WELL = "well"

    @property
    def meaning(self) -> str:
        """The same in a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.POLARISED: "routing brings it here, although another site is nearer and would be much faster",
    Verdict.DETOUR: "the way here is much longer than the distance explains, and no site is so much nearer",
    Verdict.SLOW: "the way is much longer than to the pool's site; whether that is this one is not known without server.place",
    Verdict.MISPLACED: "it is not where the databases say, for light could not have been there and back in that time",
    Verdict.UNKNOWN: "it is not known where it is, or where the sites are, so nothing can be said",
    Verdict.WELL: "no site would be much faster",
}


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a network is: `doubt` is by how many km that may be wrong."""

    spot: Spot
    doubt: float

    def to(self, other: Spot | None) -> float | None:
        """The distance to a place in km, None if that is not known."""
        return distance(self.spot, other) if other else None


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and the numbers that it follows from."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class Instead:
    """Where a pool would send a network, and how far that is (None: not known); `site` is "" where it answers with nothing."""

    pool: str
    site: str
    endpoint: str
    kilometres: float | None
    finding: Finding

    @property
    def milliseconds(self) -> float | None:
        """The fastest round trip that the distance to the site allows."""
        return None if self.kilometres is None else self.kilometres / KILOMETRES_PER_MILLISECOND


def plausible(kilometres: float) -> float:
    """The round trip over a distance that nobody would complain about, in milliseconds."""
    return STRETCH * kilometres / KILOMETRES_PER_MILLISECOND + ACCESS


def whereabouts(located: Located, rough: str) -> Whereabouts | None:
    """Where a network is, if that is known and means anything; `rough` is whose coordinates stand for a whole country."""
    place = located.location
    if located.state is not State.LOCATED or place.latitude is None or place.longitude is None:
        return None
    return Whereabouts(Spot(place.latitude, place.longitude), ROUGH if located.sources.get("latitude") == rough else EXACT)


def within(trips: RoundTrips) -> float:
    """Kilometres from here within which a network must be: the client of it that is nearest."""
    return trips.fastest / 1000 * KILOMETRES_PER_MILLISECOND


class Chooser:
    """A pool at one moment, asked for many networks."""

    def __init__(self, steered: Steered, moment: Moment) -> None:
        self._steered = steered
        self._moment = moment
        self._rdtype = Type.A if steered.pool.has_family(Type.A) else Type.AAAA
        self._roll = Roll(steered.pool, self._rdtype, moment.standings, moment.notes)

    @property
    def pool(self) -> str:
        """Its name."""
        return self._steered.pool.name

    def instead(self, place: Place, at: Whereabouts | None, trips: RoundTrips, here: Spot | None) -> Instead:
        """Where a network is sent, by the rules and standings by which queries from it are answered, and what that would change.

        `at` is where the network is and `here` where this instance is, None for unknown.
        """
        pool, client = self._steered.pool, Client(place)
        chosen = choose(self._steered, self._roll, self._rdtype, client, self._steered.climb(client), self._moment)
        site, _, endpoint = chosen.first.partition("/")
        kilometres = at.to(pool.spots[pool.sites.index(site)]) if at and site else None
        return Instead(pool.name, site, endpoint, kilometres, find(trips, at, here, site, kilometres))


def find(
    trips: RoundTrips, at: Whereabouts | None, here: Spot | None, site: str = "", kilometres: float | None = None
) -> Finding:
    """Judge round trips of a network that a pool would send to a site so far away from it.

    The fastest one is judged, for a client may be slow but not faster than light.
    """
    fastest = trips.fastest / 1000
    own = at.to(here) if at else None
    doubt = at.doubt if at else 0.0
    measured = f"at best {fastest:.3g} ms"
    known = [each for each in (own, kilometres) if each is not None]
    if not known:
        return Finding(Verdict.UNKNOWN, measured)
    if own is not None and own > within(trips) + doubt:
        return Finding(Verdict.MISPLACED, f"{measured}, so within {within(trips):,.0f} km of here, and not {own:,.0f}")
    if fastest < plausible(min(known) + doubt) + GAIN:
        return Finding(Verdict.WELL, measured)
    if kilometres is not None and (own is None or _is_drawn_away(fastest, own, kilometres, doubt)):
        expected = f"{measured}, {site} would be about {plausible(kilometres):.3g} ms"
        return Finding(Verdict.SLOW if own is None else Verdict.POLARISED, expected)
    return Finding(Verdict.DETOUR, f"{measured} for {own:,.0f} km")


def _is_drawn_away(fastest: float, own: float, other: float, doubt: float) -> bool:
    """Whether a bad round trip comes from the distance: it explains it, or light alone would gain much at the other site."""
    explained = fastest < plausible(own + doubt) + GAIN
    return other + doubt < own and (explained or own - other - doubt >= GAIN * KILOMETRES_PER_MILLISECOND)
