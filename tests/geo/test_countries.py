"""The table of countries: complete, well-formed, and with points that lie where the countries are."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

import pytest

from geodns.geo.countries import CONTINENTS, Country, continent_of, countries

# Largest distance between a country's point and its capital, in km: generous where a country is large or stretched.
CAPITALS = [
    ("US", 38.9, -77.0, 1800),
    ("CA", 45.4, -75.7, 2100),
    ("RU", 55.8, 37.6, 3700),
    ("CN", 39.9, 116.4, 1500),
    ("BR", -15.8, -47.9, 1500),
    ("AU", -35.3, 149.1, 1900),
    ("IN", 28.6, 77.2, 1500),
    ("AR", -34.6, -58.4, 1500),
    ("KZ", 51.2, 71.4, 1500),
    ("ID", -6.2, 106.8, 1500),
    ("ZA", -25.7, 28.2, 1500),
    ("JP", 35.7, 139.7, 300),
    ("DE", 52.5, 13.4, 400),
    ("GB", 51.5, -0.1, 400),
    ("CH", 46.9, 7.4, 300),
    ("NL", 52.4, 4.9, 300),
    ("PT", 38.7, -9.1, 300),
    ("KR", 37.6, 127.0, 300),
    ("SG", 1.3, 103.9, 300),
    ("HK", 22.3, 114.2, 300),
    ("LU", 49.6, 6.1, 300),
    ("CY", 35.2, 33.4, 300),
    ("KW", 29.4, 48.0, 300),
    ("FJ", -18.1, 178.4, 300),
    ("IS", 64.1, -21.9, 300),
    ("NZ", -41.3, 174.8, 300),
    ("CR", 9.9, -84.1, 300),
    ("JM", 18.0, -76.8, 300),
    ("MU", -20.2, 57.5, 300),
    ("XK", 42.7, 21.2, 300),
    ("TV", -8.5, 179.2, 300),
    ("WS", -13.8, -171.8, 300),
]

# Countries whose continent is a matter of convention, and those easily mixed up with a continent's own code.
CONVENTIONS = {
    "AS": ("AE", "AM", "AZ", "CN", "GE", "IL", "KZ", "SA", "TR", "TW", "YE"),
    "EU": ("CY", "IS", "MT", "RU", "SJ", "UA", "XK"),
    "AF": ("CV", "EG", "EH", "MU", "NA", "RE", "SH"),
    "NA": ("AG", "BM", "CU", "GL", "GT", "HT", "JM", "MX", "PA", "PR", "TT"),
    "SA": ("AR", "CO", "FK", "GF", "SR"),
    "OC": ("AS", "AU", "CX", "FM", "GU", "PG", "TL", "UM"),
    "AN": ("AQ", "BV", "GS", "HM", "TF"),
}


def kilometres(country: Country, latitude: float, longitude: float) -> float:
    here, there = radians(country.latitude), radians(latitude)
    across = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(radians(longitude - country.longitude) / 2) ** 2
    return 2 * 6371 * asin(sqrt(across))


def test_every_code_in_use_is_there_once() -> None:
    """The table holds the 249 codes of ISO 3166-1 and XK, sorted, each under its own code."""
    codes = list(countries())

    assert len(codes) == 249 + 1
    assert sorted(codes) == codes
    assert codes == [country.code for country in countries().values()]
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in codes)


def test_every_continent_is_one_of_seven_and_used() -> None:
    """A country is on a known continent, and no continent is without countries."""
    assert set(CONTINENTS) == {country.continent for country in countries().values()}


def test_continents_have_as_many_countries_as_in_geonames() -> None:
    """No country moved to another continent unnoticed."""
    expected = {"AF": 58, "AN": 5, "AS": 51, "EU": 53, "NA": 41, "OC": 28, "SA": 14}

    assert expected == {code: sum(country.continent == code for country in countries().values()) for code in CONTINENTS}


@pytest.mark.parametrize(("continent", "codes"), CONVENTIONS.items())
def test_continents_follow_the_convention_of_databases(continent: str, codes: tuple[str, ...]) -> None:
    """Where geographers differ, the continent is the one that MaxMind and GeoNames assign."""
    assert dict.fromkeys(codes, continent) == {code: continent_of(code) for code in codes}


@pytest.mark.parametrize("unknown", ["", "ZZ", "EU", "UK", "de", "DEU", "AN"])
def test_unknown_code_has_no_continent(unknown: str) -> None:
    """What is no country code in upper case is on no continent."""
    assert continent_of(unknown) == ""


def test_points_are_on_the_globe_and_none_is_the_origin() -> None:
    """Coordinates are degrees in range; 0,0 is the mark of missing data and stands for no country."""
    for country in countries().values():
        assert -90 <= country.latitude <= 90, country
        assert -180 <= country.longitude <= 180, country
        assert (country.latitude, country.longitude) != (0, 0), country


@pytest.mark.parametrize(("code", "latitude", "longitude", "farthest"), CAPITALS)
def test_point_is_near_the_capital(code: str, latitude: float, longitude: float, farthest: float) -> None:
    """A country's point is no farther from its capital than the country is large."""
    assert kilometres(countries()[code], latitude, longitude) < farthest


def test_names_are_told_apart() -> None:
    """No two countries have one name, and none has none."""
    names = [country.name for country in countries().values()]

    assert len(names) == len(set(names))
    assert all(name == name.strip() != "" for name in names)


def test_the_table_is_read_once_and_cannot_be_changed() -> None:
    """Every caller gets the same read-only mapping."""
    assert countries() is countries()
    with pytest.raises(TypeError, match="assignment"):
        countries()["XX"] = countries()["DE"]  # type: ignore[index]
