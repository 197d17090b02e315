"""Owns distances on the globe, and the order of spots by distance from a place; refuses to know what is at the spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

import numpy as np
import numpy.typing as npt

from geodns.geo.rules import Rule

EARTH_RADIUS = 6371.0088
"""Mean radius in km (IUGG)."""

TIE_BAND = 0.05
"""Spots so much farther than the nearest, as a part of its distance, count as equally near."""

Bands = tuple[tuple[int, ...], ...]
"""Numbers of spots, the nearest first; those in one band count as equally near."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the globe, in decimal degrees (WGS 84)."""

    latitude: float
    longitude: float

    def __str__(self) -> str:
        return f"{self.latitude:g},{self.longitude:g}"


def distance(here: Spot, there: Spot) -> float:
    """Great-circle distance in km, by the haversine formula on a sphere: within 0.6 % of the ellipsoid's."""
    north, south = radians(here.latitude), radians(there.latitude)
    half = sin((north - south) / 2) ** 2
    half += cos(north) * cos(south) * sin(radians(here.longitude - there.longitude) / 2) ** 2
    return 2 * EARTH_RADIUS * asin(min(1.0, sqrt(half)))


def by_distance(here: Spot, spots: Sequence[Spot], tie_band: float = TIE_BAND) -> Bands:
    """All spots in bands: a band begins with the nearest spot left and holds whatever is at most `tie_band` farther."""
    return orders([here], spots, tie_band)[1][0]


Seen = tuple[npt.NDArray[np.int32], list[Bands]]
"""For each of many places the number of its order, and the distinct orders."""


def orders(places: Sequence[Spot], spots: Sequence[Spot], tie_band: float = TIE_BAND) -> Seen:
    """The orders of spots as seen from places, numbered as they first occur."""
    if not places or not spots:
        return np.zeros(len(places), dtype=np.int32), [()] if places else []
    return _orders(_distances(places, spots), tie_band)


def _distances(places: Sequence[Spot], spots: Sequence[Spot]) -> npt.NDArray[np.float64]:
    """As `distance`, of every place to every spot."""
    here, there = (
        np.radians(np.array([(spot.latitude, spot.longitude) for spot in each], dtype=np.float64)) for each in (places, spots)
    )
    north, south = here[:, None, 0], there[None, :, 0]
    half = np.sin((north - south) / 2) ** 2
    half += np.cos(north) * np.cos(south) * np.sin((here[:, None, 1] - there[None, :, 1]) / 2) ** 2
    result: npt.NDArray[np.float64] = 2 * EARTH_RADIUS * np.arcsin(np.minimum(1.0, np.sqrt(half)))
    return result


def _orders(distances: npt.NDArray[np.float64], tie_band: float) -> Seen:
    """Sort each row into bands. Within a band spots stand by number, so that equal bands are equal."""
    known: dict[Bands, int] = {}
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}  # the same band in many orders is one object
    numbers = np.empty(len(distances), dtype=np.int32)
    ranked = np.argsort(distances, axis=1, kind="stable")
    for row, (ranks, kilometres) in enumerate(zip(ranked.tolist(), distances.tolist(), strict=True)):
        bands: list[tuple[int, ...]] = []
        at = 0
        while at < len(ranks):
            limit = kilometres[ranks[at]] * (1 + tie_band)
            end = at + 1
            while end < len(ranks) and kilometres[ranks[end]] <= limit:
                end += 1
            band = tuple(sorted(ranks[at:end]))
            bands.append(shared.setdefault(band, band))
            at = end
        numbers[row] = known.setdefault(tuple(bands), len(known))
    return numbers, list(known)


@dataclass(frozen=True, slots=True)
class Nearness:
    """A policy: spots in order by distance from the client; where rules are given, first those that belong to the client's rule.

    `members[n]` are the spots that belong to `rules[n]`. A spot that is nowhere (None) makes all stand in the order given.
    """

    spots: tuple[Spot | None, ...]
    rules: tuple[Rule, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()

    @property
    def known(self) -> tuple[Spot, ...]:
        """The spots, if all of them are somewhere; else none."""
        known = tuple(spot for spot in self.spots if spot is not None)
        return known if len(known) == len(self.spots) else ()

    @property
    def listed(self) -> Bands:
        """The order for whoever has no place: as given."""
        return tuple((number,) for number in range(len(self.spots)))

    def bands(self, rule: int, by_distance: Bands | None) -> Bands:
        """The order of a client whom a rule names (-1: none does), and to whom spots are near in an order, if it is known."""
        bands = by_distance or self.listed
        if rule < 0:
            return bands
        first = self.members[rule]
        own = (tuple(number for number in band if number in first) for band in bands)
        others = (tuple(number for number in band if number not in first) for band in bands)
        return tuple(band for band in (*own, *others) if band)
