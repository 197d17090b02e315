"""Rules: which one decides for a location, and which name the same clients."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from geodns.geo.address import Place
from geodns.geo.location import Located, Location, State
from geodns.geo.rules import (
    ASN,
    CONTINENT,
    COUNTRY,
    NET,
    SUBDIVISION,
    Rule,
    by_precedence,
    overlaps,
    rule_of,
    specificity,
    winner,
)
from geodns.geo.selector import AsnSelector, NetSelector, parse, parse_place

REGIONS = {
    "americas": ("continent:NA", "continent:SA"),
    "west": ("subdivision:US-CA", "country:MX", "asn:64500"),
    "zoo": ("country:US",),
    "office": ("net:192.0.2.0/25",),
    "empty": (),
}
PLACE = Place(4, 0xC0000201)  # 192.0.2.1
CALIFORNIA = Location(continent="NA", country="US", subdivision="US-CA", city="Fresno", asn=64500)


def rules(*selectors: str) -> tuple[Rule, ...]:
    """Rules named by their selector, as zones have them."""
    regions = {name: tuple(map(parse_place, texts)) for name, texts in REGIONS.items()}
    return tuple(rule_of(text, parse(text), regions) for text in selectors)


def located(location: Location = CALIFORNIA, state: State = State.LOCATED, named: str = "") -> Located:
    return Located(location, ip_network("192.0.2.0/24"), state, "", {}, ip_network(named) if named else None)


def decided(selectors: list[str], found: Located) -> tuple[str, str, int]:
    """Name of the rule that wins, the selector that matched and its specificity; nothing if no rule names the place."""
    made = rules(*selectors)
    best = winner(made, PLACE, found)
    return (made[best.rule].name, str(best.selector), best.specificity) if best else ("", "", -1)


ORDER = [
    ("continent:NA", CONTINENT), ("country:US", COUNTRY), ("subdivision:US-CA", SUBDIVISION), ("asn:64500", ASN),
    ("net:0.0.0.0/0", NET), ("net:192.0.0.0/8", NET + 8), ("net:192.0.2.0/24", NET + 24), ("net:192.0.2.1/32", NET + 32),
]  # fmt: skip
"""Selectors that all name one client, each more specific than the one before."""


@pytest.mark.parametrize(("text", "degree"), ORDER)
def test_each_kind_has_its_specificity(text: str, degree: int) -> None:
    """net (longest prefix) > asn > subdivision > country > continent."""
    assert degree == specificity(parse_place(text))


@pytest.mark.parametrize("several", [2, 3, len(ORDER)])
def test_the_most_specific_wins_in_any_order(several: int) -> None:
    """Of any run of selectors that name a client the last of the order decides, wherever it is written."""
    for first in range(len(ORDER) - several + 1):
        texts = [text for text, _ in ORDER[first : first + several]]

        assert (
            (texts[-1], texts[-1], ORDER[first + several - 1][1]) == decided(texts, located()) == decided(texts[::-1], located())
        )


WINNERS: list[tuple[list[str], Located, tuple[str, str, int]]] = [
    ([], located(), ("", "", -1)),
    (["country:DE", "continent:EU", "asn:1", "subdivision:US-NY", "net:198.51.100.0/24"], located(), ("", "", -1)),
    (["continent:NA"], located(Location(country="US")), ("", "", -1)),
    (["empty"], located(), ("", "", -1)),
    (["americas"], located(), ("americas", "continent:NA", CONTINENT)),
    (["americas", "country:US"], located(), ("country:US", "country:US", COUNTRY)),
    (["americas", "continent:NA"], located(), ("continent:NA", "continent:NA", CONTINENT)),
    (["zoo", "country:US"], located(), ("country:US", "country:US", COUNTRY)),
    (["west", "subdivision:US-CA"], located(), ("west", "asn:64500", ASN)),
    (["west"], located(Location(country="MX", subdivision="US-CA")), ("west", "subdivision:US-CA", SUBDIVISION)),
    (["office", "asn:64500"], located(), ("office", "net:192.0.2.0/25", NET + 25)),
    (["office", "net:192.0.2.0/25"], located(), ("net:192.0.2.0/25", "net:192.0.2.0/25", NET + 25)),
    (["office", "net:192.0.2.0/26"], located(), ("net:192.0.2.0/26", "net:192.0.2.0/26", NET + 26)),
    (["net:c000:201::/32", "net:::/0"], located(), ("", "", -1)),
]


@pytest.mark.parametrize(("selectors", "found", "expected"), WINNERS)
def test_which_rule_wins(selectors: list[str], found: Located, expected: tuple[str, str, int]) -> None:
    """A region is as specific as the selector of it that matched; of equals a selector of its own comes before a region's."""
    assert expected == decided(selectors, found) == decided(selectors[::-1], found)


def test_equal_regions_are_ordered_by_name() -> None:
    """Where two regions match by the same selector, the name that comes first decides, wherever it is written."""
    regions = {name: (parse_place("country:US"),) for name in ("alpha", "beta")}
    forward = tuple(rule_of(name, parse(name), regions) for name in ("alpha", "beta"))
    best, other = winner(forward, PLACE, located()), winner(forward[::-1], PLACE, located())

    assert best is not None
    assert other is not None
    assert ("alpha", "alpha") == (forward[best.rule].name, forward[::-1][other.rule].name)
    assert [1, 0] == by_precedence(forward[::-1])


NAMED: list[tuple[list[str], str, str, tuple[str, str, int]]] = [
    (["west", "country:US"], "west", "192.0.2.0/24", ("west", "west", NET + 24)),
    (["zoo", "americas"], "zoo", "192.0.2.0/24", ("zoo", "zoo", NET + 24)),
    (["empty", "asn:64500"], "empty", "192.0.0.0/8", ("empty", "empty", NET + 8)),
    (["west", "net:192.0.2.0/25"], "west", "192.0.2.0/24", ("net:192.0.2.0/25", "net:192.0.2.0/25", NET + 25)),
    (["west", "net:192.0.2.0/24"], "west", "192.0.2.0/24", ("net:192.0.2.0/24", "net:192.0.2.0/24", NET + 24)),
    (["west", "net:192.0.2.0/23"], "west", "192.0.2.0/24", ("west", "west", NET + 24)),
    (["office", "west"], "west", "192.0.2.0/24", ("office", "net:192.0.2.0/25", NET + 25)),
    (["country:US"], "west", "192.0.2.0/24", ("country:US", "country:US", COUNTRY)),
]


@pytest.mark.parametrize(("selectors", "region", "network", "expected"), NAMED)
def test_a_network_of_the_operator_puts_its_clients_into_a_region(
    selectors: list[str], region: str, network: str, expected: tuple[str, str, int]
) -> None:
    """The region's rule is as specific as a net of that prefix length, and loses to an equal net of its own."""
    found = located(Location(continent="NA", country="US", asn=64500, region=region), named=network)

    assert expected == decided(selectors, found) == decided(selectors[::-1], found)


@pytest.mark.parametrize("state", [State.SPECIAL, State.ANYCAST])
def test_a_location_that_means_nothing_decides_nothing(state: State) -> None:
    """Of a special or anycast address only a net decides, for it names addresses and not places."""
    texts = [text for text, _ in ORDER if not text.startswith("net:")]

    assert ("", "", -1) == decided([*texts, "americas", "west"], located(state=state))
    assert ("net:192.0.0.0/8", "net:192.0.0.0/8", NET + 8) == decided([*texts, "net:192.0.0.0/8"], located(state=state))


def test_what_is_known_counts_without_a_place() -> None:
    """An address with an AS number and no country is not located, but a rule may name its AS."""
    found = located(Location(asn=64500), State.NOT_LOCATED)

    assert ("asn:64500", "asn:64500", ASN) == decided(["continent:NA", "asn:64500"], found)


def test_a_net_ends_at_its_last_address() -> None:
    """First and last address are inside, their neighbours are not, and IPv6 is never inside IPv4."""
    made = rules("net:192.0.2.0/24")
    inside = [Place(4, 0xC0000200), Place(4, 0xC00002FF)]
    outside = [Place(4, 0xC00001FF), Place(4, 0xC0000300), Place(6, 0xC0000200)]

    assert [True, True] == [winner(made, place, located()) is not None for place in inside]
    assert [False] * 3 == [winner(made, place, located()) is not None for place in outside]


def test_a_region_that_is_not_configured_is_a_key_error() -> None:
    """The one who resolves selectors has checked their regions before."""
    with pytest.raises(KeyError):
        rules("nowhere")


def test_a_rule_is_a_selector_of_its_own_or_a_region() -> None:
    """A plain selector is its only place; a region brings all of its own."""
    assert Rule("asn:1", (AsnSelector(1),)) == rules("asn:1")[0]
    assert Rule("office", (NetSelector(ip_network("192.0.2.0/25")),), "office") == rules("office")[0]


OVERLAPS: list[tuple[list[str], list[tuple[str, str, str]]]] = [
    ([], []),
    (["continent:NA", "country:US", "net:192.0.2.0/24", "net:192.0.2.0/25"], []),
    (["americas", "west"], []),
    (["zoo", "country:US"], [("country:US", "zoo", "country:US")]),
    (["west", "asn:64500", "country:MX"], [("asn:64500", "west", "asn:64500"), ("country:MX", "west", "country:MX")]),
    (["office", "net:192.0.2.0/25"], [("net:192.0.2.0/25", "office", "net:192.0.2.0/25")]),
]


@pytest.mark.parametrize(("selectors", "expected"), OVERLAPS)
def test_rules_that_name_the_same_clients_are_told(selectors: list[str], expected: list[tuple[str, str, str]]) -> None:
    """Winner, loser and the selector that both have; different specificity is no overlap."""
    assert sorted(expected) == sorted(overlaps(rules(*selectors))) == sorted(overlaps(rules(*selectors[::-1])))
