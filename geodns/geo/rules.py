"""Owns policies: ordered rules that name clients, and which rule wins for a location; refuses to know what a rule answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from geodns.geo.address import Network, Place
from geodns.geo.location import Located, State
from geodns.geo.selector import (
    AsnSelector,
    ContinentSelector,
    CountrySelector,
    NetSelector,
    PlaceSelector,
    RegionSelector,
    Selector,
    SubdivisionSelector,
)

CONTINENT, COUNTRY, SUBDIVISION, ASN, NET = range(5)
"""Kinds of selector, least specific first; a net's prefix length is added to NET, so the longest wins."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Clients that one selector of a zone names: `places` are its selectors, `region` is set if it names a region."""

    name: str
    places: tuple[PlaceSelector, ...]
    region: str = ""


@dataclass(frozen=True, slots=True)
class Winner:
    """The rule that decides for a location: its number, the selector that matched and that one's specificity."""

    rule: int
    selector: Selector
    specificity: int


def rule_of(name: str, selector: Selector, regions: Mapping[str, tuple[PlaceSelector, ...]]) -> Rule:
    """Resolve a selector; raises KeyError for a region that the config does not have."""
    if isinstance(selector, RegionSelector):
        return Rule(name, regions[selector.region], selector.region)
    return Rule(name, (selector,))


def specificity(selector: PlaceSelector) -> int:
    """How specific a selector is: net (longest prefix) > asn > subdivision > country > continent."""
    match selector:
        case NetSelector(network):
            return NET + network.prefixlen
        case AsnSelector():
            return ASN
        case SubdivisionSelector():
            return SUBDIVISION
        case CountrySelector():
            return COUNTRY
        case ContinentSelector():
            return CONTINENT
        case _:
            assert_never(selector)


def attribute_of(selector: AsnSelector | SubdivisionSelector | CountrySelector | ContinentSelector) -> tuple[str, str]:
    """The attribute of a location that a selector looks at, and the text it must have."""
    match selector:
        case AsnSelector(asn):
            return "asn", str(asn)
        case SubdivisionSelector(subdivision):
            return "subdivision", subdivision
        case CountrySelector(country):
            return "country", country
        case ContinentSelector(continent):
            return "continent", continent
        case _:
            assert_never(selector)


def by_precedence(rules: tuple[Rule, ...]) -> list[int]:
    """Numbers of the rules in the order in which equals win: a selector of its own before a region's, then by name."""
    return sorted(range(len(rules)), key=lambda number: (bool(rules[number].region), rules[number].name))


def winner(rules: tuple[Rule, ...], place: Place | None, located: Located) -> Winner | None:
    """The most specific rule for one located address, None if no rule names it.

    A `net:` selector names addresses, not places, so it holds for an address without a usable location too, and not where it is
    no address that is located (None).
    """
    best: Winner | None = None
    for number in by_precedence(rules):
        rule = rules[number]
        candidates: list[tuple[int, Selector]] = [
            (specificity(selector), selector) for selector in rule.places if _holds(selector, place, located)
        ]
        if rule.region and located.named is not None and located.location.region == rule.region:
            candidates.append((NET + located.named.prefixlen, RegionSelector(rule.region)))
        for degree, selector in candidates:
            if best is None or degree > best.specificity:
                best = Winner(number, selector, degree)
    return best


def _holds(selector: PlaceSelector, place: Place | None, located: Located) -> bool:
    if isinstance(selector, NetSelector):
        return place is not None and _inside(place, selector.network)
    if located.state in {State.SPECIAL, State.ANYCAST}:  # what is known of such an address is not its user's place
        return False
    attribute, word = attribute_of(selector)
    return str(getattr(located.location, attribute) or "") == word


def _inside(place: Place, network: Network) -> bool:
    return place.version == network.version and int(network.network_address) <= place.address <= int(network.broadcast_address)


def overlaps(rules: tuple[Rule, ...]) -> list[tuple[str, str, str]]:
    """Pairs of rules that name the same clients with equal specificity: (winner, loser, selector), for a warning."""
    order = by_precedence(rules)
    seen: dict[PlaceSelector, str] = {}
    found = []
    for number in order:
        for selector in rules[number].places:
            first = seen.setdefault(selector, rules[number].name)
            if first != rules[number].name:
                found.append((first, rules[number].name, str(selector)))
    return found
