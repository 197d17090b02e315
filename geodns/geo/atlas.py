"""Owns the planet as one object: who says what of an address, and its compilation into partitions; refuses to know DNS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

import numpy as np
import numpy.typing as npt

from geodns.geo.address import EMBEDDED, SPECIAL, VERSIONS, Network, Place, Version, prefix_around
from geodns.geo.anycast import AnycastPrefix
from geodns.geo.countries import continent_of, countries
from geodns.geo.database import Database
from geodns.geo.egress import EgressPrefix
from geodns.geo.layer import Indexes, Layer, Starts, distinct, empty, flatten, merged, overlay
from geodns.geo.location import PLACE_ATTRIBUTES, Located, Location, State
from geodns.geo.nearness import Bands, Nearness, Spot
from geodns.geo.nearness import orders as seen_from
from geodns.geo.partition import (
    FALLBACK,
    FIRST_RULE,
    Cells,
    FamilyCells,
    Ipv4Prefixes,
    Ipv6Prefixes,
    Partition,
    cells_of,
    compile_ipv4,
    compile_ipv6,
)
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
INSTANCE = "config (server.place)"
COUNTRY_TABLE = "country table"
_KINDS = (ContinentSelector, CountrySelector, SubdivisionSelector, AsnSelector)
_Mask = npt.NDArray[np.bool_]
_SPECIAL = tuple(SPECIAL.items())
_EVERYWHERE = IPv4Network("0.0.0.0/0")


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


Policy = tuple[Rule, ...] | Nearness
"""What cuts address space: rules that name clients, or spots near which they are."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What partitions are compiled for: the policies, all their selectors, and the orders met so far of each."""

    policies: tuple[Policy, ...]
    places: frozenset[PlaceSelector]
    orders: dict[Policy, dict[Bands, int]]

    @property
    def nets(self) -> list[Network]:
        """The networks of `net:` selectors."""
        return preorder([place.network for place in self.places if isinstance(place, NetSelector)])


@dataclass(frozen=True, slots=True)
class _Columns:
    """What all sources together say of each cell, as numbers in equally long columns; 0 is "unknown" in each.

    Beside the attributes: `state` (a State), `named` (one-based number of the operator's network), `net` (one-based number,
    in pre-order, of the longest `net:` selector), `spot` (what the policies of nearness see from there).
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

    Beside that stands what says nothing of an address itself: `egress`, where the resolver is that asks from it, and `instance`,
    where this instance is if it is one of anycast, so that routing sends it whoever is near.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        networks: Mapping[Network, Location],
        anycast: Sequence[AnycastPrefix],
        egress: Sequence[EgressPrefix] = (),
        instance: Location | None = None,
    ) -> None:
        self.databases = tuple(databases)
        self.networks = tuple(networks.items())
        self.anycast = tuple(anycast)
        self._named = _PrefixTable([network for network, _ in self.networks])
        self._anycast = _PrefixTable([prefix.network for prefix in self.anycast])
        self._special = _PrefixTable([network for network, _ in _SPECIAL])
        self._covered = (self._named.cells[4], self._named.cells[6]) if self.networks else None
        self._words = {attribute: _Vocabulary() for attribute in _ATTRIBUTES}
        self.egress = tuple(egress)
        self._egress = _PrefixTable([prefix.network for prefix in egress])
        self.instance = instance

    def locate_instance(self) -> Located | None:
        """Where this instance is, None if it is none of anycast."""
        if self.instance is None:
            return None
        location = _with_continent(self.instance)
        sources = dict.fromkeys(location.known(), INSTANCE)
        location = _with_point(location, sources)
        return Located(location, _EVERYWHERE, State.LOCATED, "this instance's own place", sources)

    @property
    def anycast_sources(self) -> list[str]:
        """Who may say of an address that it is anycast: lists, as `AnycastPrefix` names them, and databases."""
        return [*dict.fromkeys(prefix.source for prefix in self.anycast), *(database.name for database in self.databases)]

    def anycast_source(self, place: Place) -> str:
        """Who says of an anycast address that it is, the longest prefix of a list first; "" if nobody does."""
        number, _ = self._anycast.find(place)
        return self.anycast[number - 1].source if number else self.locate(place).sources.get("anycast", "")

    def anycast_lists(self) -> list[tuple[str, str, int]]:
        """Each list of anycast prefixes: its source, the newest date in it, "" without one, and how many prefixes are from it."""
        counts = Counter(prefix.source for prefix in self.anycast)
        newest = {source: max(prefix.as_of for prefix in self.anycast if prefix.source == source) for source in counts}
        return [(source, newest[source], count) for source, count in counts.items()]

    def egress_maps(self) -> list[tuple[str, str, int]]:
        """Path and date of each map of resolvers' egress, and how many prefixes are from it."""
        return [(*each, count) for each, count in Counter((prefix.source, prefix.as_of) for prefix in self.egress).items()]

    def locate_egress(self, place: Place) -> Located | None:
        """Where the resolver is that asks from an address, None if no map has it; its AS number may be a database's."""
        number, length = self._egress.find(place)
        if not number:
            return None
        prefix = self.egress[number - 1]
        whence = f"[{prefix.source}:{prefix.line}, {prefix.as_of}]"
        if not prefix.location.known():
            why = f"{prefix.network} has no place in the egress map {whence}"
            return Located(Location(), prefix_around(place, length), State.NOT_LOCATED, why)
        location = _with_continent(prefix.location)
        sources = dict.fromkeys(location.known(), f"egress map ({prefix.source})")
        for database in self.databases:
            found, network = database.look_up(place)
            if location.asn is None and found.asn is not None:
                location, length = replace(location, asn=found.asn), max(length, network.prefixlen)
                sources["asn"] = database.name
        location = _with_point(location, sources)
        why = f"{prefix.network} is the egress of a resolver {whence}"
        return Located(location, prefix_around(place, length), State.LOCATED, why, sources)

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
        location = _with_point(location, sources)
        state, why, narrowest = self._state(place, location, sources, length)
        if state is State.ANYCAST:
            location = replace(location, anycast=True)
        return Located(location, prefix_around(place, narrowest), state, why, sources, named[0] if named else None)

    def listed(self, place: Place) -> AnycastPrefix | None:
        """The longest prefix of the lists around an address; a database that flags it is not asked."""
        number, _ = self._anycast.find(place)
        return self.anycast[number - 1] if number else None

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
            whose = f"{prefix.operator}, " if prefix.operator else ""
            return State.ANYCAST, f"{prefix.network} is anycast: {whose}{prefix.evidence} [{prefix.source}]", length
        if location.anycast:
            return State.ANYCAST, f"is anycast, says {sources['anycast']}", length
        if not location.continent and not location.country:
            return State.NOT_LOCATED, "no database knows its place", length
        return State.LOCATED, "located", length

    def partitions(self, policies: Sequence[Policy]) -> list[Partition]:
        """Compile one partition for each policy; address space is walked once for all of them."""
        if not policies:
            return []
        rule_sets = [policy.rules if isinstance(policy, Nearness) else policy for policy in policies]
        places = frozenset(place for rules in rule_sets for rule in rules for place in rule.places)
        work = _Work(tuple(policies), places, {policy: {} for policy in policies})
        cells = self._cells(work)
        egress = self._egress_cells(work)
        instance = self._instance_outcomes(work)
        for database in self.databases:
            database.release()
        named = map(self._named_cells, rule_sets)
        orders = [tuple(work.orders[policy]) for policy in policies]
        return [
            Partition(*both, covered, order, Partition(*mapped, None, order) if mapped else None, outcome)
            for both, covered, order, mapped, outcome in zip(cells, named, orders, egress, instance, strict=True)
        ]

    def _cells(self, work: _Work) -> list[tuple[Cells[Ipv4Prefixes], Cells[Ipv6Prefixes]]]:
        """Address space as each policy cuts it."""
        ipv4, ipv6 = compile_ipv4(*self._judged(4, work, work.nets)), compile_ipv6(*self._judged(6, work, work.nets))
        return list(zip(ipv4, ipv6, strict=True))

    def _egress_cells(self, work: _Work) -> Sequence[tuple[Cells[Ipv4Prefixes], Cells[Ipv6Prefixes]] | None]:
        """As `_cells`, by the places of the egress map alone; elsewhere NOT_LOCATED. None without a map.

        What a `net:` selector names, or a network of the operator, is not asked here. Databases are, if an AS number counts.
        """
        if not self.egress:
            return [None] * len(work.policies)
        databases = self.databases if any(isinstance(place, AsnSelector) for place in work.places) else ()
        mapped = Atlas(databases, {prefix.network: prefix.location for prefix in self.egress}, ())
        placed = np.array([False, *(bool(prefix.location.known()) for prefix in self.egress)])

        def judged(version: Version) -> tuple[Layer, list[Indexes]]:
            judge = mapped._judge(version, work, [])
            known = placed[judge.class_columns["named"]]
            outcomes = [judge.outcomes(policy, work.orders[policy]) for policy in work.policies]
            return judge.classes(), [np.where(known, each, State.NOT_LOCATED).astype(np.int32) for each in outcomes]

        return list(zip(compile_ipv4(*judged(4)), compile_ipv6(*judged(6)), strict=True))

    def _instance_outcomes(self, work: _Work) -> list[int | None]:
        """What each policy makes of this instance's place: that of any address, if all were there."""
        if self.instance is None:
            return [None] * len(work.policies)
        _, outcomes = Atlas((), {_EVERYWHERE: self.instance}, ())._judged(4, work, [])
        return [int(outcome[0]) for outcome in outcomes]

    def _judged(self, version: Version, work: _Work, nets: list[Network]) -> tuple[Layer, list[Indexes]]:
        judge = self._judge(version, work, nets)
        return judge.classes(), [judge.outcomes(policy, work.orders[policy]) for policy in work.policies]

    def _judge(self, version: Version, work: _Work, nets: list[Network]) -> _Judge:
        """All sources laid over each other for some work, cut also at those of its networks that are to be looked at."""
        guide = _Guide([policy for policy in work.orders if isinstance(policy, Nearness) and policy.known])
        return _Judge(self._columns(version, work.places, nets, guide), self, work.nets, guide)

    def _named_cells(self, rules: tuple[Rule, ...]) -> tuple[FamilyCells, FamilyCells] | None:
        """Which addresses the operator's networks and the rules' own cover; None where there are no such."""
        selected = [place.network for rule in rules for place in rule.places if isinstance(place, NetSelector)]
        if not selected:
            return self._covered
        nets = [*(network for network, _ in self.networks), *selected]
        ipv4, ipv6 = (cells_of(version, merged(flatten(version, [(network, 1) for network in nets]))) for version in VERSIONS)
        return ipv4, ipv6

    def _columns(self, version: Version, places: frozenset[PlaceSelector], nets: list[Network], guide: _Guide) -> _Columns:
        """Lay all sources over each other, keeping only the attributes that some policy looks at."""
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
        column = {name: _known(name, own, tables, [named, *found], stated) for name in _ATTRIBUTES}
        for table, indexes in zip(tables, found, strict=True):
            anycast = anycast | table.anycast[indexes]
        located = (column["continent"] > 0) | (column["country"] > 0)
        state = _states(located, anycast > 0, special > 0, named > 0, hidden > 0)
        column["spot"] = guide.joined(self._spots(guide, tables, own, [named, *found], stated, column["country"]))
        unusable = (state == State.ANYCAST) | (state == State.SPECIAL) | (state == State.EMBEDDED)
        for name, kind in zip(_ATTRIBUTES, _KINDS, strict=True):
            column[name][unusable if kind in kinds else slice(None)] = 0
        column["spot"][state != State.LOCATED] = 0
        net[hidden > 0] = named[hidden > 0] = 0  # what is looked up as IPv4 is nobody's network of IPv6
        return _narrowed(_Columns(starts, {**column, "state": state, "named": named, "net": net}))

    def _spots(
        self, guide: _Guide, tables: list[_Table], own: _Table, indexes: list[Indexes], stated: _Mask, country: Indexes
    ) -> Indexes:
        """Numbers of the coordinates of each cell, as `locate` finds them: the first source's, else the country's; 0 for none."""
        if not guide.policies:
            return np.zeros(len(country), dtype=np.int32)
        column = _first_known(own.spots(guide), [table.spots(guide) for table in tables], indexes, stated)
        centres = [0] * len(self._words["country"].number)
        for code, number in self._words["country"].number.items():
            if known := countries().get(code):
                centres[number] = guide.number(known.latitude, known.longitude)
        return np.where(column == 0, np.array(centres, dtype=np.int32)[country], column)

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
        self._locations = locations
        self.anycast = np.array([location.anycast for location in locations], dtype=np.bool_)

    def spots(self, guide: _Guide) -> Indexes:
        """The coordinates of each location, by the guide's numbers."""
        known = (guide.number(location.latitude, location.longitude) for location in self._locations)
        return np.fromiter(known, dtype=np.int32, count=len(self._locations))


class _Guide:
    """The order of every policy's spots as seen from every place, one family at a time.

    Places from which all policies see the same orders become one: `rows[n]` has for each policy the number of its order, -1 where
    nothing is known of the place.
    """

    def __init__(self, policies: list[Nearness]) -> None:
        self.policies = policies
        self._numbers: dict[tuple[float, float], int] = {}
        self.rows = np.full((1, max(1, len(policies))), -1, dtype=np.int32)
        self.orders: list[list[Bands]] = []

    def number(self, latitude: float | None, longitude: float | None) -> int:
        """A number for a place, 0 for none."""
        if latitude is None or longitude is None:
            return 0
        return self._numbers.setdefault((latitude, longitude), len(self._numbers) + 1)

    def joined(self, column: Indexes) -> Indexes:
        """Replace numbers of places by numbers of what is seen from them."""
        if not self._numbers:
            return column
        places = [Spot(*place) for place in self._numbers]
        seen = [seen_from(places, policy.known) for policy in self.policies]
        rows, number = np.unique(np.stack([numbers for numbers, _ in seen], axis=1), axis=0, return_inverse=True)
        self.rows = np.concatenate([self.rows, rows])
        self.orders = [found for _, found in seen]
        joint: Indexes = np.append(0, number.reshape(-1) + 1).astype(np.int32)[column]
        return joint


def _with_point(location: Location, sources: dict[str, str]) -> Location:
    """Where only the country is known, a point of it to measure from; who says so is added to `sources`."""
    country = countries().get(location.country) if location.latitude is None else None
    if country is None:
        return location
    sources |= dict.fromkeys(("latitude", "longitude"), COUNTRY_TABLE)
    return replace(location, latitude=country.latitude, longitude=country.longitude)


def _with_continent(location: Location) -> Location:
    """A network of the config that names only its country knows its continent too."""
    if location.country and not location.continent:
        return replace(location, continent=continent_of(location.country))
    return location


def _states(located: _Mask, anycast: _Mask, special: _Mask, named: _Mask, hidden: _Mask) -> Indexes:
    """Whether each cell's location may be used, the most authoritative reason last."""
    state = np.where(located, State.LOCATED, State.NOT_LOCATED).astype(np.int32)
    reasons = ((anycast, State.ANYCAST), (special, State.SPECIAL), (named, State.LOCATED), (hidden, State.EMBEDDED))
    for mask, value in reasons:
        state[mask] = value
    return state


def _known(attribute: str, own: _Table, tables: list[_Table], indexes: list[Indexes], stated: _Mask) -> Indexes:
    """For each cell what the first source says that knows an attribute."""
    columns = [table.column[attribute] for table in tables]
    return _first_known(own.column[attribute], columns, indexes, stated if attribute in PLACE_ATTRIBUTES else stated & False)


def _first_known(own: Indexes, tables: list[Indexes], indexes: list[Indexes], stated: _Mask) -> Indexes:
    """For each cell what the first source that knows something says; `stated` cells ask no database."""
    column = own[indexes[0]]
    for table, index in zip(tables, indexes[1:], strict=True):
        column = np.where((column == 0) & ~stated, table[index], column)
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


class _Judge:
    """Applies policies to classes of cells: rules least specific first, so that the most specific has the last word."""

    def __init__(self, columns: _Columns, atlas: Atlas, nets: list[Network], guide: _Guide) -> None:
        self.guide = guide
        self.regions = regions = _Vocabulary()
        for _, location in atlas.networks:
            regions.add(location.region)
        self.starts = columns.starts
        one_of, self.class_of = distinct(columns.column.values(), len(columns.starts))
        self.class_columns = classes = columns.at(one_of)
        self.atlas = atlas
        self.number = {network: number for number, network in enumerate(nets, start=1)}
        self.nets = nets
        own = [regions.number[location.region] for _, location in atlas.networks]
        lengths = [network.prefixlen for network, _ in atlas.networks]
        self.region = np.array([0, *own], dtype=np.int32)[classes["named"]]
        self.length = np.array([0, *lengths], dtype=np.int32)[classes["named"]]

    def classes(self) -> Layer:
        """Address space cut into cells, each with the number of its class: cells of a class look alike to every rule."""
        return Layer(self.starts, self.class_of.astype(np.int32))

    def outcomes(self, policy: Policy, orders: dict[Bands, int]) -> Indexes:
        """The outcome of each class under one policy; orders that are met for the first time are added to `orders`."""
        if not isinstance(policy, Nearness):
            return self._by_rules(policy)
        outcome = self._by_rules(policy.rules)
        rule = np.where(outcome >= FIRST_RULE, outcome - FIRST_RULE, -1)
        seen: list[Bands] = []
        order = np.full(len(outcome), -1, dtype=np.int32)
        if policy.known and self.guide.orders:
            at = self.guide.policies.index(policy)
            seen, order = self.guide.orders[at], self.guide.rows[self.class_columns["spot"], at]
        pairs, kind = np.unique(np.stack([rule, order]), axis=1, return_inverse=True)
        chosen = [FALLBACK] * pairs.shape[1]
        for number, (named, near) in enumerate(pairs.T.tolist()):
            if named >= 0 or near >= 0:
                bands = policy.bands(named, seen[near] if near >= 0 else None)
                chosen[number] = FIRST_RULE + orders.setdefault(bands, len(orders))
        return np.where(outcome >= FALLBACK, np.array(chosen, dtype=np.int32)[kind.reshape(-1)], outcome)

    def _by_rules(self, rules: tuple[Rule, ...]) -> Indexes:
        outcome = self.class_columns["state"].copy()
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
            return np.logical_and(self.class_columns["net"] >= first, self.class_columns["net"] <= last)
        attribute, word = attribute_of(place)
        return np.equal(self.class_columns[attribute], self.atlas.number_of(attribute, word))


def _inside(network: Network, outer: Network) -> bool:
    return (
        network.version == outer.version
        and network.prefixlen >= outer.prefixlen
        and (int(outer.network_address) <= int(network.network_address) <= int(outer.broadcast_address))
    )
