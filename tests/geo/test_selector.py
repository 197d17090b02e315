"""Selectors: texts and what they mean, or why they mean nothing."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.address import Place, Version, prefix_around
from geodns.geo.countries import CONTINENTS, countries
from geodns.geo.selector import (
    AsnSelector,
    BadSelector,
    ContinentSelector,
    CountrySelector,
    NetSelector,
    RegionSelector,
    Selector,
    SubdivisionSelector,
    likely,
    parse,
    parse_place,
)

GOOD: list[tuple[str, Selector]] = [
    ("net:192.0.2.0/24", NetSelector(ip_network("192.0.2.0/24"))),
    ("NET:192.0.2.0/24", NetSelector(ip_network("192.0.2.0/24"))),
    ("net:192.0.2.1", NetSelector(ip_network("192.0.2.1/32"))),
    ("net:0.0.0.0/0", NetSelector(ip_network("0.0.0.0/0"))),
    ("net:2001:db8::/32", NetSelector(ip_network("2001:db8::/32"))),
    ("net:2001:DB8:0::/48", NetSelector(ip_network("2001:db8::/48"))),
    ("net:::/0", NetSelector(ip_network("::/0"))),
    ("net:192.0.2.0/255.255.255.0", NetSelector(ip_network("192.0.2.0/24"))),
    ("asn:64500", AsnSelector(64500)),
    ("asn:AS64500", AsnSelector(64500)),
    ("ASN:as64500", AsnSelector(64500)),
    ("asn:4294967295", AsnSelector(4294967295)),
    ("subdivision:US-CA", SubdivisionSelector("US-CA")),
    ("subdivision:gb-eng", SubdivisionSelector("GB-ENG")),
    ("subdivision:FR-75", SubdivisionSelector("FR-75")),
    ("country:DE", CountrySelector("DE")),
    ("Country:de", CountrySelector("DE")),
    ("continent:EU", ContinentSelector("EU")),
    ("continent:na", ContinentSelector("NA")),
    ("apac", RegionSelector("apac")),
    (" apac ", RegionSelector("apac")),
    ("north-america_2", RegionSelector("north-america_2")),
    ("eu", RegionSelector("eu")),
]

BAD = [
    ("", "is no selector"),
    ("two words", "is no selector"),
    ("*", "is no selector"),
    ("-eu", "is no selector"),
    ("192.0.2.0/24", "is no selector: write net:192.0.2.0/24"),
    ("town:Berlin", "'town' is no kind of selector: use net, asn, subdivision, country or continent"),
    ("city:Berlin", "cities cannot be selected, for databases miss them too often: use net: or a region"),
    ("region:apac", "a region has no kind before it: write apac"),
    ("country:DE,country:AT", "is more than one selector: write each by itself, or list them in a region"),
    (":DE", "is no kind of selector"),
    ("2001:db8::/32", "is no kind of selector: write net:2001:db8::/32"),
    ("net:", "is no network: write an address and a prefix length"),
    ("net:192.0.2/24", "is no network"),
    ("net:192.0.2.0/33", "is no network"),
    ("net:2001:db8::/129", "is no network"),
    ("net:fe80::%eth0/64", "is no network"),
    ("net:192.0.2.1/24", "has bits set beyond its prefix: write net:192.0.2.0/24"),
    ("net:2001:db8::1/32", "has bits set beyond its prefix: write net:2001:db8::/32"),
    ("asn:", "is no AS number: write asn: and a number from 1 to 4294967295"),
    ("asn:0", "is no AS number"),
    ("asn:-1", "is no AS number"),
    ("asn:4294967296", "is no AS number"),
    ("asn:" + "9" * 5000, "is no AS number"),
    ("asn:AS", "is no AS number"),
    ("asn:1.5", "is no AS number"),
    ("asn:²", "is no AS number"),
    ("subdivision:CA", "is no ISO 3166-2 code: write country and subdivision, as in subdivision:US-CA"),
    ("subdivision:QQ-CA", "is no ISO 3166-2 code"),
    ("subdivision:US-CALI", "is no ISO 3166-2 code"),
    ("subdivision:US-", "is no ISO 3166-2 code"),
    ("country:UK", "is no country: the United Kingdom is GB"),
    ("country:DEU", "is no country: write the ISO 3166-1 code of two letters, as in country:DE"),
    ("country:Germany", "is no country"),
    ("country:", "is no country"),
    ("continent:XX", "is no continent: use one of AF AN AS EU NA OC SA"),
    ("continent:Europe", "is no continent"),
]

LIKELY = [
    ("EU", "continent:EU"),
    ("europe", "continent:EU"),
    ("north-america", "continent:NA"),
    ("de", "country:DE"),
    ("Germany", "country:DE"),
    ("UK", "country:GB"),
    ("NA", "continent:NA or country:NA"),
    ("US-CA", "subdivision:US-CA"),
    ("AS64500", "asn:64500"),
    ("192.0.2.1", "net:192.0.2.1/32"),
    ("64500", ""),
    ("apac", ""),
    ("*", ""),
    ("", ""),
]

VERSIONS: st.SearchStrategy[Version] = st.sampled_from([4, 6])
NETWORKS = st.builds(
    lambda version, address, length: NetSelector(
        prefix_around(Place(version, address >> (0 if version == 6 else 96)), min(length, 32 if version == 4 else 128))
    ),
    VERSIONS,
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
SELECTORS: st.SearchStrategy[Selector] = st.one_of(
    NETWORKS,
    st.builds(AsnSelector, st.integers(1, 2**32 - 1)),
    st.builds(SubdivisionSelector, st.from_regex(r"(US|DE|GB)-[A-Z0-9]{1,3}", fullmatch=True)),
    st.builds(CountrySelector, st.sampled_from(sorted(countries()))),
    st.builds(ContinentSelector, st.sampled_from(sorted(CONTINENTS))),
    st.builds(RegionSelector, st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)),
)


@pytest.mark.parametrize(("text", "meant"), GOOD)
def test_a_selector_means_one_thing(text: str, meant: Selector) -> None:
    """Kinds and codes are read in either case, networks and numbers in their usual forms."""
    assert meant == parse(text)


@pytest.mark.parametrize(("text", "why"), BAD, ids=[text[:24] or "nothing" for text, _ in BAD])
def test_a_bad_selector_is_told_with_its_remedy(text: str, why: str) -> None:
    """The message quotes what was written, and says what would be right."""
    with pytest.raises(BadSelector) as told:
        parse(text)

    assert why in str(told.value)
    assert text in str(told.value)


@pytest.mark.parametrize(("word", "meant"), LIKELY)
def test_a_word_without_its_kind_is_understood(word: str, meant: str) -> None:
    """Codes, names, numbers and networks that other servers take by themselves lead to the selector that stands for them here."""
    assert meant == likely(word)


@given(st.text(max_size=12))
def test_what_is_likely_is_a_selector(word: str) -> None:
    """Nothing is proposed that would be refused itself."""
    for proposed in likely(word).split(" or ") if likely(word) else ():
        assert proposed == str(parse(proposed))


@given(SELECTORS)
def test_what_is_printed_can_be_read(selector: Selector) -> None:
    """Parsing the text of a selector gives the same selector."""
    assert selector == parse(str(selector))


@given(st.text(max_size=30) | st.from_regex(r"(net|asn|subdivision|country|continent):.{0,20}", fullmatch=True))
def test_no_text_is_more_than_a_bad_selector(text: str) -> None:
    """Any text is a selector that can be printed and read again, or BadSelector."""
    try:
        selector = parse(text)
    except BadSelector:
        return

    assert selector == parse(str(selector))


def test_a_region_holds_places_only() -> None:
    """A region inside a region is refused by name, every other selector is as `parse` reads it."""
    assert CountrySelector("DE") == parse_place("country:DE")
    with pytest.raises(BadSelector, match="'apac' names a region inside a region: list its selectors instead"):
        parse_place("apac")
