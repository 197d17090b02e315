"""Owns the judgement whether an address is anycast: evidence, its strength, the verdict; refuses to measure anything itself."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from ipaddress import ip_network
from typing import assert_never

from geodns.geo.address import SPECIAL, Network, Place
from geodns.geo.anycast import SHIPPED, AnycastPrefix
from geodns.geo.countries import countries
from geodns.geo.database import Database
from geodns.geo.discs import KILOMETRES_PER_MILLISECOND
from geodns.geo.location import PLACE_ATTRIBUTES, Location
from geodns.geo.nearness import Spot, distance

_STALE = 90  # days: a hundred of some 4,000 prefixes change with every scan of a list


class Strength(StrEnum):
    """How much an item of evidence carries, for what it supports."""

    CERTAIN = "certain"
    STRONG = "strong"
    WEAK = "weak"


class Claim(StrEnum):
    """What an item of evidence supports."""

    ANYCAST = "anycast"
    INSTANCES = "several instances"
    MISPLACED = "not at the database's location"
    NOTHING = "nothing"


class Signal(StrEnum):
    """Where an item of evidence comes from."""

    DESIGNATION = "designation"
    LIST = "list"
    FLAG = "database flag"
    LOCATION = "database location"
    AS_NUMBER = "AS number"
    CONFIG = "network of the config"
    SPECIAL = "special-purpose block"
    NETWORK = "known network"
    IDENTITY = "instance identity"
    ROUND_TRIP = "round trip"
    REVERSE_NAME = "reverse name"
    PATH = "path"


class Verdict(StrEnum):
    """What all the evidence together amounts to. There is no "unicast": no list is complete, and one place sees one instance."""

    DESIGNATED = "designated"
    MEASURED = "measured"
    LISTED = "listed"
    HINTED = "hinted"
    UNKNOWN = "unknown"

    @property
    def meaning(self) -> str:
        """The verdict as a sentence."""
        match self:
            case Verdict.DESIGNATED:
                return "IANA sets the address aside for anycast: its location means nothing"
            case Verdict.MEASURED:
                return "several instances answer at this address; one place alone cannot tell whether they are far apart"
            case Verdict.LISTED:
                return "who measures or knows says that it is anycast: its location means nothing"
            case Verdict.HINTED:
                return "something points to anycast, nothing shows it"
            case Verdict.UNKNOWN:
                return "nothing was found; that does not make it unicast"
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation: `as_of` is an ISO date or "", `caveat` what it does not show; `strength` is that of what it supports."""

    signal: Signal
    observed: str
    source: str
    as_of: str
    supports: Claim
    strength: Strength
    caveat: str


@dataclass(frozen=True, slots=True)
class Classified:
    """What is known of an address: `operator` is "" where nobody names one."""

    address: str
    verdict: Verdict
    operator: str
    evidence: tuple[Evidence, ...]

    def as_json(self) -> dict[str, object]:
        """For programs; an unknown operator or date is null."""
        return {
            "address": self.address,
            "verdict": self.verdict.value,
            "operator": self.operator or None,
            "meaning": self.verdict.meaning,
            "evidence": [asdict(item) | {"as_of": item.as_of or None} for item in self.evidence],
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What can be asked without a network: lists, databases, the operator's own networks; `today` tells how old that is."""

    prefixes: Sequence[AnycastPrefix]
    databases: Sequence[Database]
    networks: Sequence[tuple[Network, Location]]
    today: date


@dataclass(frozen=True, slots=True)
class Hint:
    """A network that announces a lot of anycast: an AS number, or a range of addresses."""

    asn: int | None
    network: Network | None
    operator: str
    evidence: str
    as_of: str


@cache
def hints() -> tuple[Hint, ...]:
    """The networks that come with the program; see `data/README.md`."""
    with files("geodns.geo").joinpath("data", "anycast-hints.csv").open(encoding="utf-8") as rows:
        return tuple(_hint(row) for row in csv.DictReader(rows))


def _hint(row: Mapping[str, str]) -> Hint:
    subject = row["subject"]
    if subject.startswith("AS"):
        return Hint(int(subject[2:]), None, row["operator"], row["evidence"], row["as_of"])
    return Hint(None, ip_network(subject), row["operator"], row["evidence"], row["as_of"])


@cache
def client_prefixes() -> tuple[tuple[str, Network], ...]:
    """A prefix for each of 32 countries, as (country, network), to stand for that country's clients; see `data/README.md`."""
    with files("geodns.geo").joinpath("data", "client-prefixes.csv").open(encoding="utf-8") as rows:
        return tuple((row["country"], ip_network(row["prefix"])) for row in csv.DictReader(rows))


def classify(address: str, place: Place, known: Known, live: Sequence[Evidence] = ()) -> Classified:
    """Put everything known of an address together. Raises BadDatabase where a database turns out to be corrupt.

    `place` is the address as it is looked up; `live` is what was measured of it.
    """
    covering = sorted(
        (prefix for prefix in known.prefixes if covers(prefix.network, place)), key=lambda prefix: -prefix.network.prefixlen
    )
    found = [(database, database.look_up(place)[0]) for database in known.databases]
    fitting = [hint for hint in hints() if _fits(hint, place, {location.asn for _, location in found})]
    sure = [*_from_lists(covering, known), *_from_flags(found), *live]
    verdict = _verdict([*sure, *map(_from_hint, fitting)])
    evidence = [
        *sure,
        *map(_from_hint, fitting),
        *_from_blocks(place, known.networks),
        *_from_locations(found, is_anycast=any(_shows_anycast(item) for item in sure)),
    ]
    named = [prefix.operator for prefix in covering if prefix.operator] + [hint.operator for hint in fitting]
    return Classified(address, verdict, named[0] if named else "", tuple(evidence))


def place_to_test(place: Place, known: Known) -> tuple[Location, str]:
    """The location that a round trip can refute, and whose word it is: coordinates before a mere country; "" for nobody's."""
    found = [(database.look_up(place)[0], database.name) for database in known.databases]
    exact = (item for item in found if item[0].latitude is not None)
    rough = (item for item in found if item[0].country)
    return next(exact, None) or next(rough, (Location(), ""))


def covers(network: Network, place: Place) -> bool:
    """Whether an address is in a network."""
    return network.version == place.version and (int(network.network_address) <= place.address <= int(network.broadcast_address))


def _verdict(evidence: Sequence[Evidence]) -> Verdict:
    claims = {(item.supports, item.strength) for item in evidence}
    if (Claim.ANYCAST, Strength.CERTAIN) in claims:
        return Verdict.DESIGNATED
    if (Claim.INSTANCES, Strength.STRONG) in claims:
        return Verdict.MEASURED
    if (Claim.ANYCAST, Strength.STRONG) in claims:
        return Verdict.LISTED
    if any(claim is not Claim.NOTHING for claim, _ in claims):
        return Verdict.HINTED
    return Verdict.UNKNOWN


def _from_lists(covering: Sequence[AnycastPrefix], known: Known) -> Iterator[Evidence]:
    """The prefixes that hold an address, or else that none of them does."""
    for prefix in covering:
        designated = prefix.signal == "designated"
        yield Evidence(
            Signal.DESIGNATION if designated else Signal.LIST,
            f"{prefix.network}: {prefix.evidence}",
            prefix.source,
            prefix.as_of,
            Claim.ANYCAST,
            Strength.CERTAIN if designated else Strength.STRONG,
            "says what the addresses are for, not who answers there" if designated else _age(prefix, known.today),
        )
    if not covering:
        lists = {prefix.source for prefix in known.prefixes}
        observed = f"in none of {len(known.prefixes)} prefixes of {len(lists)} list{'s' * (len(lists) != 1)}"
        caveat = "no list is complete: that an address is in none shows nothing"
        yield Evidence(Signal.LIST, observed, ", ".join(sorted(lists)), "", Claim.NOTHING, Strength.WEAK, caveat)


def _age(prefix: AnycastPrefix, today: date) -> str:
    """What a list's origin and age take from it."""
    origin = "written by hand, not measured" if prefix.source == SHIPPED else "prefixes come and go with every scan"
    if not prefix.as_of:
        return f"the list does not tell its date; {origin}"
    if (days := (today - date.fromisoformat(prefix.as_of)).days) > _STALE:
        return f"{days} days old; {origin}"
    return origin


def _from_flags(found: Sequence[tuple[Database, Location]]) -> Iterator[Evidence]:
    for database, location in found:
        if location.anycast:
            caveat = "how it was found out, the database does not say"
            observed = "the record is flagged as anycast"
            yield Evidence(Signal.FLAG, observed, database.name, _built(database), Claim.ANYCAST, Strength.STRONG, caveat)


def _fits(hint: Hint, place: Place, asns: Collection[int | None]) -> bool:
    return covers(hint.network, place) if hint.network else hint.asn in asns


def _from_hint(hint: Hint) -> Evidence:
    observed = f"{hint.network or f'AS{hint.asn}'} is {hint.operator}: {hint.evidence}"
    caveat = "a network that has anycast has unicast too"
    return Evidence(Signal.NETWORK, observed, SHIPPED, hint.as_of, Claim.ANYCAST, Strength.WEAK, caveat)


def _from_blocks(place: Place, networks: Sequence[tuple[Network, Location]]) -> Iterator[Evidence]:
    """What blocks of addresses tell that are not about anycast at all, but decide whether a location is used."""
    for network, location in sorted(networks, key=lambda named: -named[0].prefixlen):
        if covers(network, place):
            stated = ", ".join(str(value) for value in location.known().values())
            caveat = "the configuration says where the users are, and that is used, whatever the address is"
            yield Evidence(
                Signal.CONFIG, f"{network}: {stated}", "config (geo.networks)", "", Claim.NOTHING, Strength.WEAK, caveat
            )
            break
    for network, what in SPECIAL.items():
        if covers(network, place):
            caveat = "such an address is another host's in every network"
            source = "IANA special-purpose address registries"
            yield Evidence(Signal.SPECIAL, f"{network} is {what}", source, "", Claim.NOTHING, Strength.WEAK, caveat)


def _shows_anycast(item: Evidence) -> bool:
    """Whether it is more than a hint; that several instances answer shows nothing about places."""
    return item.supports is Claim.ANYCAST and item.strength is not Strength.WEAK


def _from_locations(found: Sequence[tuple[Database, Location]], *, is_anycast: bool) -> Iterator[Evidence]:
    if is_anycast:
        caveat = "means nothing: an anycast address has no one place"
    else:
        caveat = "a database has one place for an anycast address too"
    for database, location in found:
        known = {name: value for name, value in location.known().items() if name in PLACE_ATTRIBUTES}
        if known:
            observed = ", ".join(f"{name} {value}" for name, value in known.items())
            yield Evidence(Signal.LOCATION, observed, database.name, _built(database), Claim.NOTHING, Strength.WEAK, caveat)
        if location.asn is not None:
            owner = "tells who announces the address, not from how many places"
            observed = f"AS{location.asn}"
            yield Evidence(Signal.AS_NUMBER, observed, database.name, _built(database), Claim.NOTHING, Strength.WEAK, owner)


def _built(database: Database) -> str:
    return "" if database.built is None else datetime.fromtimestamp(database.built, UTC).date().isoformat()


# --- what was measured ------------------------------------------------------------------------------------------------


def identities(names: Sequence[str], ports: int, source: str, as_of: str) -> Evidence:
    """Evidence of the instances that answered over so many source ports; `names` are distinct, none where none was told."""
    over = f"{ports} source port{'s' * (ports != 1)}"
    if len(names) > 1:
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        observed = f"{len(names)} instances over {over}: {shown}"
        caveat = "several instances are not necessarily at several places: one site may have many"
        return Evidence(Signal.IDENTITY, observed, source, as_of, Claim.INSTANCES, Strength.STRONG, caveat)
    observed = f"one instance over {over}: {names[0]}" if names else "no instance tells its name"
    caveat = "from one place the same instance of an anycast address usually answers"
    return Evidence(Signal.IDENTITY, observed, source, as_of, Claim.NOTHING, Strength.WEAK, caveat)


def unanswered(why: str, source: str, as_of: str) -> Evidence:
    """Evidence of a server that did not answer."""
    caveat = "an address without a DNS server tells nothing this way"
    return Evidence(Signal.IDENTITY, f"nothing answered: {why}", source, as_of, Claim.NOTHING, Strength.WEAK, caveat)


def round_trip(milliseconds: float, here: Spot | None, location: Location, database: str, source: str, as_of: str) -> Evidence:
    """Evidence of the fastest round trip: whether light in fibre reaches the database's location and comes back in that time.

    `here` is the place that measured, None if it was not told. Where the database knows only the country, its representative
    point is measured to, and that is weak.
    """
    reach = milliseconds * KILOMETRES_PER_MILLISECOND
    observed = f"{milliseconds:.1f} ms: what answered is within {reach:,.0f} km of here"
    point = _point(location)
    if here is None or point is None:
        caveat = "nobody told where this machine is" if here is None else "no database has a location to compare with"
        return Evidence(Signal.ROUND_TRIP, observed, source, as_of, Claim.NOTHING, Strength.WEAK, caveat)
    spot, exact = point
    away = distance(here, spot)
    observed += f"; {database} places it {away:,.0f} km away"
    if away <= reach:
        caveat = "fits the location, and any other one within that distance"
        return Evidence(Signal.ROUND_TRIP, observed, source, as_of, Claim.NOTHING, Strength.WEAK, caveat)
    if exact:
        caveat = "that location is impossible from here; a wrong database is as good an explanation as anycast"
        return Evidence(Signal.ROUND_TRIP, observed, source, as_of, Claim.MISPLACED, Strength.STRONG, caveat)
    caveat = "the database knows only the country: measured to the one point that stands for it"
    return Evidence(Signal.ROUND_TRIP, observed, source, as_of, Claim.MISPLACED, Strength.WEAK, caveat)


def _point(location: Location) -> tuple[Spot, bool] | None:
    """What to measure to, and whether it is the database's own word."""
    if location.latitude is not None and location.longitude is not None:
        return Spot(location.latitude, location.longitude), True
    if country := countries().get(location.country):
        return Spot(country.latitude, country.longitude), False
    return None


def reverse_name(name: str, why_not: str, source: str, as_of: str) -> Evidence:
    """Evidence of what an address is called; where `name` is "", `why_not` says why there is none."""
    says_anycast = "anycast" in name.lower()
    return Evidence(
        Signal.REVERSE_NAME,
        name or why_not,
        source,
        as_of,
        Claim.ANYCAST if says_anycast else Claim.NOTHING,
        Strength.WEAK,
        "a name is what somebody once wrote; few anycast addresses are called so",
    )


def path(observed: str, source: str, as_of: str) -> Evidence:
    """Evidence of the routers between here and an address, or why none could be seen."""
    caveat = "one path from one place ends at one instance, whatever other places reach"
    return Evidence(Signal.PATH, observed, source, as_of, Claim.NOTHING, Strength.WEAK, caveat)


# --- what a name's answers tell ---------------------------------------------------------------------------------------


class Steering(StrEnum):
    """How a name brings clients near, as far as its answers for clients of many countries tell."""

    DNS_STEERING = "DNS steering"
    ANYCAST = "anycast"
    REGIONAL_ANYCAST = "regional anycast"
    NEITHER = "neither"


def steering(
    answers: Mapping[str, Collection[str]], listed: Collection[str], *, tailored: bool, echoes: bool
) -> tuple[Steering, str]:
    """Judge answers by client, and why; `listed` are those of the answers that are known to be anycast addresses.

    Answers differ: DNS steering. The same and all listed: anycast. Differ and all listed: regional anycast. Else neither.
    `tailored` is whether the server itself says of some answer that it depends on the client; where it does not, answers that
    differ vary by themselves. `echoes` is whether it looks at client subnets at all: if not, it may go by who asks, which nobody
    sees from one place.
    """
    verdict, reason = _steering({frozenset(answer) for answer in answers.values() if answer}, listed, tailored=tailored)
    told = [reason]
    if not any(answers.values()):
        return verdict, reason
    if empty := sum(not answer for answer in answers.values()):
        told.append(f"{empty} of {len(answers)} client subnets had no answer")
    if not echoes:
        told.append("the server looks at no client subnet: if it goes by who asks, that is not seen from here")
    return verdict, "; ".join(told)


def _steering(distinct: Collection[frozenset[str]], listed: Collection[str], *, tailored: bool) -> tuple[Steering, str]:
    every = frozenset[str]().union(*distinct)
    if not every:
        return Steering.NEITHER, "there was no answer to compare"
    aliases = [answer for answer in every if answer.endswith(".")]
    if len(every) == len(aliases) == 1:
        return Steering.NEITHER, f"one alias for everyone; how {aliases[0]} steers, its own server can tell"
    all_listed = every <= set(listed)
    if len(distinct) > 1 and tailored and all_listed:
        return Steering.REGIONAL_ANYCAST, f"{len(distinct)} different answers, and each address in them is known to be anycast"
    if len(distinct) > 1 and tailored:
        some = sum(answer in listed for answer in every)
        also = f"; {some} of {len(every)} addresses are known to be anycast" if some else ""
        return Steering.DNS_STEERING, f"{len(distinct)} different answers, by client{also}"
    what = "answers do not depend on the client" if len(distinct) > 1 else "one answer for everyone"
    if all_listed:
        return Steering.ANYCAST, f"{what}, and each address is known to be anycast"
    return Steering.NEITHER, f"{what}, not known to be anycast, which does not make it unicast"
