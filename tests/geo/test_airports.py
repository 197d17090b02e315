"""The shipped table of airports: every line is a place in its country."""

from __future__ import annotations

from geodns.geo import Spot, distance
from geodns.geo.airports import airports
from geodns.geo.countries import countries


def test_every_airport_is_in_a_country_that_is_known_and_on_the_globe() -> None:
    """Codes are of three capital letters, in order, and places are not farther from their country's point than it is large."""
    assert sorted(airports()) == list(airports())
    for code, place in airports().items():
        country = countries()[place.country]
        assert (3, True, True) == (len(code), code.isalpha(), code.isupper())
        assert place.latitude is not None
        assert place.longitude is not None
        assert distance(Spot(place.latitude, place.longitude), Spot(country.latitude, country.longitude)) < 6500
        assert place.city


def test_the_sites_that_google_has_named_are_known() -> None:
    """Codes of its published lists of 2010 and later, among them airports of small towns beside large data centres."""
    named = (
        "gru iad tpe chs dls atl tul grq bru fra ber hkg mrn lpp dub cbf kul icn bom sin nrt scl ckv cmh dfw lax las slc syd yul"
    )

    assert [] == [code for code in named.split() if code.upper() not in airports()]
