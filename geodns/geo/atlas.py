"""Owns the planet as one object: who says what of an address, and its compilation into partitions; refuses to know DNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geodns.geo.address import EMBEDDED, SPECIAL, VERSIONS, Network, Place, Version, prefix_around
from geodns.geo.anycast import AnycastPrefix
from geodns.geo.countries import continent_of, countries
from geodns.geo.database import Database
from geodns.geo.layer import Indexes, Layer, Starts, empty, flatten, merged, overlay
from geodns.geo.location import PLACE_ATTRIBUTES, Located, Location, State
from geodns.geo.partition import FIRST_RULE, Cells, Ipv4Cells, Ipv6Cells, Partition, cells_of
from geodns.geo.rules import NET, Rule, attribute_of, by_precedence, specificity
from geodns.geo.selector import (
    AsnSelector,
    ContinentSelector,
    CountrySelector,
    NetSelector,
    PlaceSelector,
    SubdivisionSelector,
)

CONFIG = "config (geo.networks)"
COUNTRY_TABLE = "country table"
_KINDS = (ContinentSelector, CountrySelector, SubdivisionSelector, AsnSelector)
_Mask = npt.NDArray[np.bool_]
_SPECIAL = tuple(SPECIAL.items())


class _PrefixTable:
    """Which of a list of nested prefixes covers an address: one-based number of the longest, 0 for none."""

    def __init__(self, prefixes: Sequence[Network]) -> None:
        self.layers: dict[Version, Layer] = {
            version: flatten(version, [(network, number) for number, network in enumerate(prefixes, start=1)])
            for version in VERSIONS
        }
        self.cells = {version: cells_of(version, self.layers[version]) for version in VERSIONS}

    def find(self, place: Place) -> tuple[int, int]:
        """The number, and the prefix length around the address for which that is true."""
        cell = self.cells[place.version].find(place.address)
        return cell.outcome, cell.scope_prefix_length


_ATTRIBUTES = ("continent", "country", "subdivision", "asn")


@dataclass(frozen=True, slots=True)
class _Columns:
    """What all sources together say of each cell, as numbers in equally long columns; 0 is "unknown" in each.

    Beside the attributes: `state` (a State), `named` (one-based number of the operator's network), `net` (one-based number,
    in pre-order, of the longest `net:` selector).
    """

    starts: Starts
    column: dict[str, Indexes]

    def at(self, chosen: _Mask | npt.NDArray[np.intp]) -> dict[str, Indexes]:
        """The chosen rows of every column."""
        return {name: column[chosen] for name, column in self.column.items()}


class _Vocabulary:
    """Numbers for words, one-based; 0 is the empty word."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {"": 0}

    def add(self, word: str) -> int:
        return self.number.setdefault(word, len(self.number))


class Atlas:
    """Databases, the operator's networks and the anycast set, asked as one.

    Order of authority: the operator's networks, then special-purpose blocks and anycast prefixes (whose location is not
    used), then for each attribute the first database that knows it.
    """

    def __init__(
        self, databases: Sequence[Database], networks: Mapping[Network, Location], anycast: Sequence[AnycastPrefix]
    ) -> None:
        self.databases = tuple(databases)
        self.networks = tuple(networks.items())
        self.anycast = tuple(anycast)
        self._named = _PrefixTable([network for network, _ in self.networks])
        self._anycast = _PrefixTable([prefix.network for prefix in self.anycast])
        self._special = _PrefixTable([network for network, _ in _SPECIAL])
        self._covered = (self._named.cells[4], self._named.cells[6]) if self.networks else None
        self._words = {attribute: _Vocabulary() for attribute in _ATTRIBUTES}

    def locate(self, place: Place) -> Located:
        """Everything known of one address, and who says so."""
        number, length = self._named.find(place)
        named = self.networks[number - 1] if number else None
        location, sources = Location(), dict[str, str]()
        if named:
            location = replace(_with_continent(named[1]), anycast=False)
            sources = dict.fromkeys(location.known(), CONFIG)
        taken = set(PLACE_ATTRIBUTES) if any(attribute in PLACE_ATTRIBUTES for attribute in sources) else set[str]()
        for database in self.databases:
            found, network = database.look_up(place)
            length = max(length, network.prefixlen)
            news = {name: value for name, value in found.known().items() if name not in sources and name not in taken}
            location = replace(location, **news)  # type: ignore[arg-type]  # known() keeps every attribute's own type
            sources |= dict.fromkeys(news, database.name)
        if location.country and location.latitude is None and (country := countries().get(location.country)):
            location = replace(location, latitude=country.latitude, longitude=country.longitude)
            sources |= dict.fromkeys(("latitude", "longitude"), COUNTRY_TABLE)
        state, why, narrowest = self._state(place, location, sources, length)
        if state is State.ANYCAST:
            location = replace(location, anycast=True)
        return Located(location, prefix_around(place, narrowest), state, why, sources, named[0] if named else None)

    def _state(self, place: Place, location: Location, sources: dict[str, str], length: int) -> tuple[State, str, int]:
        """Whether the location may be used, why, and the prefix length for which that is true."""
        special, special_length = self._special.find(place)
        listed, listed_length = self._anycast.find(place)
        length = max(length, special_length, listed_length)
        named, _ = self._named.find(place)
        if named:
            return State.LOCATED, f"{self.networks[named - 1][0]} is a network of the config", length
        if special:
            network, what = _SPECIAL[special - 1]
            return State.SPECIAL, f"{network} is {what}", length
        if listed:
            prefix = self.anycast[listed - 1]
            return State.ANYCAST, f"{prefix.network} is anycast: {prefix.operator}, {prefix.evidence} [{prefix.source}]", length
        if location.anycast:
            return State.ANYCAST, f"is anycast, says {sources['anycast']}", length
        if not location.continent and not location.country:
            return State.NOT_LOCATED, "no database knows its place", length
        return State.LOCATED, "located", length

    def partitions(self, rule_sets: Sequence[tuple[Rule, ...]]) -> list[Partition]:
        """Compile one partition for each set of rules; address space is walked once for all of them."""
        if not rule_sets:
            return []
        places = {place for rules in rule_sets for rule in rules for place in rule.places}
        regions = _Vocabulary()
        for _, location in self.networks:
            regions.add(location.region)
        nets = preorder([place.network for place in places if isinstance(place, NetSelector)])
        ipv4, ipv6 = (_Judge(self._columns(version, places, nets), self, regions, nets) for version in VERSIONS)
        for database in self.databases:
            database.release()
        return [
            Partition(Ipv4Cells(ipv4.layer(rules)), Ipv6Cells(ipv6.layer(rules)), self._named_cells(rules)) for rules in rule_sets
        ]

    def _named_cells(self, rules: tuple[Rule, ...]) -> tuple[Cells, Cells] | None:
        """Which addresses the operator's networks and the rules' own cover; None where there are no such."""
        selected = [place.network for rule in rules for place in rule.places if isinstance(place, NetSelector)]
        if not selected:
            return self._covered
        nets = [*(network for network, _ in self.networks), *selected]
        ipv4, ipv6 = (cells_of(version, merged(flatten(version, [(network, 1) for network in nets]))) for version in VERSIONS)
        return ipv4, ipv6

    def _columns(self, version: Version, places: set[PlaceSelector], nets: list[Network]) -> _Columns:
        """Lay all sources over each other, keeping only the attributes that some rule looks at."""
        kinds = {type(place) for place in places}
        embedded = [(network, 1) for network in EMBEDDED] if version == 6 else []
        starts, (named, anycast, special, net, hidden, *found) = overlay(
            [
                self._named.layers[version],
                self._anycast.layers[version],
                self._special.layers[version],
                flatten(version, [(network, number) for number, network in enumerate(nets, start=1)]),
                flatten(version, embedded) if embedded else empty(),
                *(database.layer(version) for database in self.databases),
            ]
        )
        tables = [_Table(database.locations, self._words) for database in self.databases]
        networks = [Location(), *(_with_continent(location) for _, location in self.networks)]
        own = _Table(networks, self._words)
        states = np.array([any(name in PLACE_ATTRIBUTES for name in location.known()) for location in networks], dtype=np.bool_)
        stated = states[named]  # a network whose place the operator states asks no database for it
        column = {
            name: _first_known(own, tables, name, [named, *found], stated if name in PLACE_ATTRIBUTES else stated & False)
            for name in _ATTRIBUTES
        }
        state = np.where((column["continent"] > 0) | (column["country"] > 0), State.LOCATED, State.NOT_LOCATED).astype(np.int32)
        says_anycast = anycast > 0
        for table, indexes in zip(tables, found, strict=True):
            says_anycast |= table.anycast[indexes]
        for mask, value in (
            (says_anycast, State.ANYCAST),
            (special > 0, State.SPECIAL),
            (named > 0, State.LOCATED),
            (hidden > 0, State.EMBEDDED),
        ):
            state[mask] = value
        unusable = (state == State.ANYCAST) | (state == State.SPECIAL) | (state == State.EMBEDDED)
        for name, kind in zip(_ATTRIBUTES, _KINDS, strict=True):
            column[name][unusable if kind in kinds else slice(None)] = 0
        net[hidden > 0] = named[hidden > 0] = 0  # what is looked up as IPv4 is nobody's network of IPv6
        return _narrowed(_Columns(starts, {**column, "state": state, "named": named, "net": net}))

    def number_of(self, attribute: str, word: str) -> int:
        """A word's number in a column, -1 if no location has it."""
        return self._words[attribute].number.get(word, -1)


class _Table:
    """A list of locations turned into columns of numbers."""

    def __init__(self, locations: Sequence[Location], words: dict[str, _Vocabulary]) -> None:
        def column(attribute: str) -> Indexes:
            add = words[attribute].add
            return np.array([add(str(getattr(location, attribute) or "")) for location in locations], dtype=np.int32)

        self.column = {attribute: column(attribute) for attribute in _ATTRIBUTES}
        self.anycast = np.array([location.anycast for location in locations], dtype=np.bool_)


def _with_continent(location: Location) -> Location:
    """A network of the config that names only its country knows its continent too."""
    if location.country and not location.continent:
        return replace(location, continent=continent_of(location.country))
    return location


def _first_known(own: _Table, tables: list[_Table], attribute: str, indexes: list[Indexes], stated: _Mask) -> Indexes:
    """For each cell what the first source that knows an attribute says; `stated` cells ask no database."""
    column = own.column[attribute][indexes[0]]
    for table, index in zip(tables, indexes[1:], strict=True):
        column = np.where((column == 0) & ~stated, table.column[attribute][index], column)
    return column


def _narrowed(columns: _Columns) -> _Columns:
    """Merge neighbouring cells that no rule could tell apart."""
    keep = np.zeros(len(columns.starts), dtype=np.bool_)
    keep[0] = True
    for column in columns.column.values():
        keep[1:] |= column[1:] != column[:-1]
    return _Columns(columns.starts.take(keep), columns.at(keep))


def preorder(networks: Sequence[Network]) -> list[Network]:
    """Distinct networks, each before those inside it, so that what a network holds is a run of numbers."""
    return sorted(set(networks), key=lambda network: (network.version, int(network.network_address), network.prefixlen))


def _classes(columns: _Columns) -> tuple[dict[str, Indexes], npt.NDArray[np.intp]]:
    """One representative of every combination of column values, and for each cell its combination's number."""
    number = np.zeros(len(columns.starts), dtype=np.intp)
    for column in columns.column.values():
        number = _dense(number * (int(column.max()) + 1) + column)
    one_of = np.zeros(int(number.max()) + 1, dtype=np.intp)
    one_of[number] = np.arange(len(number))
    return columns.at(one_of), number


def _dense(numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Number the distinct values from 0; small values by a table, for sorting millions takes a second each time."""
    if int(numbers.max()) > 1 << 26:
        inverse: npt.NDArray[np.intp] = np.unique(numbers, return_inverse=True)[1]
        return inverse
    present = np.zeros(int(numbers.max()) + 1, dtype=np.bool_)
    present[numbers] = True
    return (np.cumsum(present) - 1)[numbers]


class _Judge:
    """Applies rules to classes of cells, least specific first, so that the most specific has the last word."""

    def __init__(self, columns: _Columns, atlas: Atlas, regions: _Vocabulary, nets: list[Network]) -> None:
        self.starts = columns.starts
        self.classes, self.class_of = _classes(columns)
        classes = self.classes
        self.atlas = atlas
        self.number = {network: number for number, network in enumerate(nets, start=1)}
        self.nets = nets
        own = [regions.number[location.region] for _, location in atlas.networks]
        lengths = [network.prefixlen for network, _ in atlas.networks]
        self.region = np.array([0, *own], dtype=np.int32)[classes["named"]]
        self.length = np.array([0, *lengths], dtype=np.int32)[classes["named"]]
        self.regions = regions

    def layer(self, rules: tuple[Rule, ...]) -> Layer:
        """Cells of equal outcome under one set of rules, judged once for each class of cells that look alike."""
        return merged(Layer(self.starts, self._outcomes(rules)[self.class_of]))

    def _outcomes(self, rules: tuple[Rule, ...]) -> Indexes:
        outcome = self.classes["state"].copy()
        steps: list[tuple[int, int, int, _Mask]] = []
        for rank, number in enumerate(by_precedence(rules)):
            rule = rules[number]
            steps += [(specificity(place), -rank, number, self._mask(place)) for place in rule.places]
            steps += [(NET + length, -rank, number, mask) for length, mask in self._members(rule.region)]
        for _, _, number, mask in sorted(steps, key=lambda step: step[:2]):
            outcome[mask] = FIRST_RULE + number
        return outcome

    def _members(self, region: str) -> list[tuple[int, _Mask]]:
        """Classes whose network the operator put into a region, by the length of that network."""
        wanted = self.regions.number.get(region, 0)
        if not region or not wanted:
            return []
        member = self.region == wanted
        return [(int(length), member & (self.length == length)) for length in np.unique(self.length[member])]

    def _mask(self, place: PlaceSelector) -> _Mask:
        if isinstance(place, NetSelector):
            first = last = self.number[place.network]
            while last < len(self.nets) and _inside(self.nets[last], place.network):
                last += 1
            return np.logical_and(self.classes["net"] >= first, self.classes["net"] <= last)
        attribute, word = attribute_of(place)
        return np.equal(self.classes[attribute], self.atlas.number_of(attribute, word))


def _inside(network: Network, outer: Network) -> bool:
    return (
        network.version == outer.version
        and network.prefixlen >= outer.prefixlen
        and (int(outer.network_address) <= int(network.network_address) <= int(outer.broadcast_address))
    )
