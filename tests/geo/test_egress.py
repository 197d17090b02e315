"""Maps of resolvers' egress: every form that is read, and every bad line with its remedy."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo import Location
from geodns.geo.airports import airports
from geodns.geo.countries import countries
from geodns.geo.egress import read, read_all

ICN, TPE = airports()["ICN"], airports()["TPE"]


def read_text(directory: Path, text: str, name: str = "egress.csv") -> tuple[dict[str, Location], list[str]]:
    """The places by prefix, and the problems as the operator reads them, without the path."""
    path = directory / name
    path.write_text(text)
    prefixes, problems = read(path)
    return {str(prefix.network): prefix.location for prefix in prefixes}, [
        str(problem).removeprefix(f"{path}:").strip() for problem in problems
    ]


FORMS = [
    ('"34.64.0.0/24 icn " "34.64.1.0/26 tpe "\n', {"34.64.0.0/24": ICN, "34.64.1.0/26": TPE}),
    ('"34.64.0.0/24 icn "\n"2404:6800:4008:c06::/64 tpe "\n', {"34.64.0.0/24": ICN, "2404:6800:4008:c06::/64": TPE}),
    ("34.64.0.0/24 icn\n", {"34.64.0.0/24": ICN}),
    ('; <<>> DiG\nlocations.publicdns.goog. 59 IN TXT "34.64.0.0/24 ICN "\n;; WHEN: today\n', {"34.64.0.0/24": ICN}),
    ("192.0.2.0/24,DE,DE-HE,Frankfurt,\n", {"192.0.2.0/24": Location(country="DE", subdivision="DE-HE", city="Frankfurt")}),
    ("# a geofeed\n192.0.2.0/24,de,,,\n", {"192.0.2.0/24": Location(country="DE")}),
    ("192.0.2.0/24,DE\n192.0.2.128/25,,,,\n", {"192.0.2.0/24": Location(country="DE"), "192.0.2.128/25": Location()}),
    ("192.0.2.7,US,US-CA\n", {"192.0.2.7/32": Location(country="US", subdivision="US-CA")}),
    (
        "latitude,longitude,prefix,ASN,note\n50.1,8.7,192.0.2.0/24,AS64500,x\n",
        {"192.0.2.0/24": Location(asn=64500, latitude=50.1, longitude=8.7)},
    ),
    ("prefix,continent\n192.0.2.0/24,eu\n", {"192.0.2.0/24": Location(continent="EU")}),
    ("ip_prefix,iata\n192.0.2.0/24,icn\n", {"192.0.2.0/24": ICN}),
    ("192.0.2.0/24,DE\n192.0.2.0/24,DE\n", {"192.0.2.0/24": Location(country="DE")}),
]


@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_every_form_is_read(tmp_path: Path, text: str, expected: dict[str, Location]) -> None:
    """What dig prints of Google's list, geofeeds, and columns by name."""
    assert (expected, []) == read_text(tmp_path, text)


BAD = [
    ("", ["no prefix in this map (fetch it again, or remove it from geo.egress)"]),
    ("# nothing\n", ["no prefix in this map (fetch it again, or remove it from geo.egress)"]),
    ("34.64.0.0/24 xyq\n", ["1: 'xyq' is no airport code that is known here (write the line as prefix,country instead)"]),
    ('"34.64.0.0/24 icn" "34.64.1.0/24"\n', ["1: 34.64.1.0/24 has no place (write prefix,country or prefix airport)"]),
    ("192.0.2.0/24\n", ["1: 192.0.2.0/24 has no place (write prefix,country or prefix airport)"]),
    (
        "192.0.2.0/24,DE\nx,DE\n192.0.2.1/24,DE\n",
        [
            "2: 'x' is no prefix (write one like 192.0.2.0/24 or 2001:db8::/32)",
            "3: 192.0.2.1/24 has bits set beyond its prefix length (write 192.0.2.0/24)",
        ],
    ),
    ("192.0.2.0/24,DE\n\n192.0.2.0/24,FR\n", ["3: 192.0.2.0/24 is elsewhere in line 1 (keep one of the two)"]),
    ("192.0.2.0/24,UK\n", ["1: 'UK' is no country (write its ISO 3166-1 code of two letters, such as DE)"]),
    ("192.0.2.0/24,DE,HE\n", ["1: 'HE' is no subdivision (write its ISO 3166-2 code, such as US-CA)"]),
    ("192.0.2.0/24,DE,US-CA\n", ["1: subdivision US-CA is not in country DE (make them agree)"]),
    ("192.0.2.0/24,DE,,,,x\n", ["1: 6 columns, where 5 are known (name all columns in a header line)"]),
    ("prefix,continent\n192.0.2.0/24,XX\n", ["2: 'XX' is no continent (write one of AF, AN, AS, EU, NA, OC, SA)"]),
    ("prefix,continent,country\n192.0.2.0/24,AS,DE\n", ["2: country DE is not in continent AS (make them agree)"]),
    ("prefix,latitude,longitude\n192.0.2.0/24,1,\n", ["2: has one of latitude and longitude (give both, or neither)"]),
    (
        "prefix,latitude,longitude\n192.0.2.0/24,91,0\n",
        ["2: '91' is no latitude (write decimal degrees from -90 to 90, such as 50.11)"],
    ),
    (
        "prefix,latitude,longitude\n192.0.2.0/24,1,nan\n",
        ["2: 'nan' is no longitude (write decimal degrees from -180 to 180, such as 50.11)"],
    ),
    ("prefix,asn,country\n192.0.2.0/24,x,DE\n", ["2: 'X' is no AS number (write one such as 64500)"]),
    ("prefix,asn,country\n192.0.2.0/24,00000000019,DE\n", ["2: '00000000019' is no AS number (write one such as 64500)"]),
    ("prefix,asn,country\n192.0.2.0/24,0,DE\n", ["2: '0' is no AS number (write one such as 64500)"]),
    ("192.0.2.0/24,DE\nprefix,country\n", ["2: 'prefix' is no prefix (write one like 192.0.2.0/24 or 2001:db8::/32)"]),
    ("prefix,asn,country\n192.0.2.0/24,4294967296,DE\n", ["2: '4294967296' is no AS number (write one such as 64500)"]),
    (
        "prefix,asn\n192.0.2.0/24,64500\n",
        ["2: says of 192.0.2.0/24 no place that could be used (give country, continent, or latitude and longitude)"],
    ),
    (
        "prefix,contry\n192.0.2.0/24,DE\n",
        ["no prefix of this map has a place (name the columns in a header line, such as prefix,country)"],
    ),
    ("prefix,country\n,DE\n", ["2: no prefix (write one like 192.0.2.0/24 or 2001:db8::/32)"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_every_bad_line_says_why_and_nothing_of_the_map_is_used(tmp_path: Path, text: str, expected: list[str]) -> None:
    """With its number and a remedy; an empty map is an error too."""
    assert ({}, expected) == read_text(tmp_path, text)


def test_bad_lines_are_left_out_where_the_rest_is_kept(tmp_path: Path) -> None:
    """Each is a warning then; a map of nothing else is an error still."""
    path = tmp_path / "map.csv"
    path.write_text("192.0.2.0/24,DE\nnot a prefix,DE\n198.51.100.0/24,FR\n")
    prefixes, problems = read_all([path], keep_rest=True)
    path.write_text("not a prefix,DE\n")

    assert ["192.0.2.0/24", "198.51.100.0/24"] == [str(prefix.network) for prefix in prefixes]
    assert [(2, False)] == [(problem.line, problem.is_error) for problem in problems]
    assert [False, True] == [problem.is_error for problem in read(path, keep_rest=True)[1]]


def test_a_hundred_bad_lines_are_told_and_the_others_counted(tmp_path: Path) -> None:
    """A file of another kind does not flood the terminal."""
    _, problems = read_text(tmp_path, "x,DE\n" * 250)

    assert 101 == len(problems)
    assert "150 more lines are bad (is this a map of prefixes at all?)" == problems[-1]


def test_the_date_is_the_names_else_a_comments_else_the_files_own(tmp_path: Path) -> None:
    """So the age of a map is always known."""
    cases = [("egress-2026-11-28.csv", "# 2025-01-01\n"), ("a.csv", "# updated 2025-01-01\n"), ("b.csv", "")]
    found = []
    for name, comment in cases:
        path = tmp_path / name
        path.write_text(f"{comment}192.0.2.0/24,DE\n")
        written = datetime(2024, 5, 6, tzinfo=UTC).timestamp()
        os.utime(path, (written, written))
        found.append(read(path)[0][0].as_of)

    assert ["2026-11-28", "2025-01-01", "2024-05-06"] == found


def test_maps_are_read_as_one_and_must_agree(tmp_path: Path) -> None:
    """The same line in two maps is fine, another place for the same prefix an error that names both."""
    one, two, three = (tmp_path / name for name in ("one.csv", "two.csv", "three.csv"))
    one.write_text("192.0.2.0/24,DE\n")
    two.write_text("\n192.0.2.0/24,DE\n198.51.100.0/24,FR\n")
    three.write_text("192.0.2.0/24,FR\n")

    assert (["192.0.2.0/24", "198.51.100.0/24"], []) == (
        [str(prefix.network) for prefix in read_all([one, two])[0]],
        read_all([one, two])[1],
    )
    assert [f"{three}:1: 192.0.2.0/24 is elsewhere in {one}:1 (keep one of the two)"] == list(map(str, read_all([one, three])[1]))


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_map_that_cannot_be_read_is_a_problem(tmp_path: Path, name: str) -> None:
    """Missing, or a directory."""
    prefixes, problems = read(tmp_path / name)

    assert [] == prefixes
    assert ["correct the path or its permissions"] == [problem.remedy for problem in problems]


@given(st.text(alphabet='0123456789./:,"# \tabcDEFR\n;', max_size=120))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever the lines are: prefixes or problems, never both."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text)
    prefixes, problems = read(path)

    assert bool(prefixes) != bool(problems)


@given(
    st.dictionaries(
        st.integers(0, 255), st.sampled_from(sorted(countries())) | st.sampled_from(sorted(airports())), min_size=1, max_size=20
    )
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, places: dict[int, str]) -> None:
    """Both forms in one file."""
    path = tmp_path_factory.getbasetemp() / "both.csv"
    path.write_text("".join(f"198.51.{part}.0/24{',' if len(code) == 2 else ' '}{code}\n" for part, code in places.items()))
    expected = {
        ip_network(f"198.51.{part}.0/24"): Location(country=code) if len(code) == 2 else airports()[code]
        for part, code in places.items()
    }

    assert expected == {prefix.network: prefix.location for prefix in read(path)[0]}
