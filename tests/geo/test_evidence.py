"""The judgement about an address: each verdict has its evidence, and absence of evidence is never evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo import Location, place_of
from geodns.geo.address import SPECIAL
from geodns.geo.anycast import AnycastPrefix, shipped
from geodns.geo.countries import CONTINENTS, countries
from geodns.geo.evidence import (
    Claim,
    Classified,
    Evidence,
    Known,
    Signal,
    Steering,
    Strength,
    Verdict,
    classify,
    client_prefixes,
    hints,
    identities,
    path,
    place_to_test,
    reverse_name,
    round_trip,
    steering,
    unanswered,
)
from geodns.geo.nearness import Spot
from tests.support.world import Places, PlaceTable, place

TODAY = date(2026, 11, 22)
BERLIN, SYDNEY = Spot(52.5, 13.4), Spot(-33.9, 151.2)


def known(*databases: Places, listed: Sequence[AnycastPrefix] = (), networks: Places | None = None) -> Known:
    tables = [PlaceTable(f"table {number}", places) for number, places in enumerate(databases, start=1)]
    own = [(ip_network(text), Location(**stated)) for text, stated in (networks or {}).items()]  # type: ignore[arg-type]
    return Known([*shipped(), *listed], tables, own, TODAY)


def entry(network: str, as_of: str = "2026-11-20", operator: str = "") -> AnycastPrefix:
    return AnycastPrefix(ip_network(network), operator, "listed", "measured", "lists/some.txt", as_of)


def judged(address: str, given: Known, live: Sequence[Evidence] = ()) -> Classified:
    return classify(address, place(address), given, live)


def signals(found: Classified) -> list[tuple[str, str, str]]:
    return [(item.signal.value, item.supports.value, item.strength.value) for item in found.evidence]


@pytest.mark.parametrize(
    ("address", "verdict", "operator"),
    [
        ("192.175.48.6", Verdict.DESIGNATED, "AS112 project"),
        ("2001:4:112::1", Verdict.DESIGNATED, "AS112 project"),
        ("1.1.1.1", Verdict.LISTED, "Cloudflare 1.1.1.1"),
        ("8.8.8.8", Verdict.LISTED, "Google Public DNS"),
        ("9.9.9.9", Verdict.LISTED, "Quad9"),
        ("2001:4860:4860::8888", Verdict.LISTED, "Google Public DNS"),
        ("::ffff:8.8.8.8", Verdict.LISTED, "Google Public DNS"),
        ("2002:0808:0808::1", Verdict.LISTED, "Google Public DNS"),
        ("198.41.0.4", Verdict.LISTED, "Verisign (a.root-servers.net)"),
        ("99.83.176.9", Verdict.HINTED, "Amazon Global Accelerator"),
        ("81.2.69.5", Verdict.UNKNOWN, ""),
        ("10.0.0.1", Verdict.UNKNOWN, ""),
        ("::1", Verdict.UNKNOWN, ""),
    ],
)
def test_offline_verdicts(address: str, verdict: Verdict, operator: str) -> None:
    """What the shipped lists know is told with its operator, IPv4 inside IPv6 as IPv4."""
    found = judged(address, known())

    assert (address, verdict, operator) == (found.address, found.verdict, found.operator)


@given(st.ip_addresses(), st.lists(st.ip_addresses(v=4).map(lambda address: entry(f"{address}/32")), max_size=3))
def test_there_is_always_evidence_and_never_unicast(address: object, listed: list[AnycastPrefix]) -> None:
    """Any address gets one of the five verdicts, with evidence that has source and caveat, and none says unicast."""
    where = ip_address(str(address))
    found = classify(str(where), place_of(where.version, int(where)), known(listed=listed))

    assert found.verdict in {"designated", "measured", "listed", "hinted", "unknown"}
    assert all(item.observed and item.source and item.caveat for item in found.evidence)
    assert found.evidence
    assert "does not make it unicast" in found.verdict.meaning or "unicast" not in json.dumps(found.as_json())


def test_every_list_that_has_an_address_is_told_the_longest_prefix_first() -> None:
    """Overlapping prefixes are each an item; the operator is that of the longest that names one."""
    listed = [entry("203.0.112.0/20", operator="Wide"), entry("203.0.113.0/24"), entry("203.0.113.7/32", operator="Long")]
    found = judged("203.0.113.7", known(listed=listed))

    assert ["203.0.113.7/32: measured", "203.0.113.0/24: measured", "203.0.112.0/20: measured"] == [
        item.observed for item in found.evidence
    ]
    assert ("Long", "Wide") == (found.operator, judged("203.0.113.8", known(listed=listed)).operator)


@pytest.mark.parametrize(
    ("as_of", "caveat"),
    [
        ("2026-11-20", "prefixes come and go with every scan"),
        ("2026-08-24", "prefixes come and go with every scan"),
        ("2026-08-23", "91 days old; prefixes come and go with every scan"),
        ("", "the list does not tell its date; prefixes come and go with every scan"),
    ],
)
def test_a_lists_age_is_a_caveat(as_of: str, caveat: str) -> None:
    """A list older than 90 days, or of no known age, says so."""
    (item,) = judged("203.0.113.7", known(listed=[entry("203.0.113.0/24", as_of)])).evidence

    assert (as_of, caveat) == (item.as_of, item.caveat)


@pytest.mark.parametrize("record", [{"anycast": True}, {"anycast": True, "country": "US"}])
def test_a_databases_flag_is_strong(record: dict[str, object]) -> None:
    """`is_anycast` lists an address, also in a record that has no country at all."""
    found = judged("203.0.113.7", known({"203.0.113.0/24": record}))

    assert Verdict.LISTED is found.verdict
    assert ("database flag", "anycast", "strong") in signals(found)


@pytest.mark.parametrize(
    ("listed", "says"), [(["203.0.113.0/24"], "means nothing"), ([], "a database has one place for an anyc")]
)
def test_a_location_is_shown_and_shows_nothing(listed: list[str], says: str) -> None:
    """The location of an anycast address is there to be seen, with the words that it means nothing."""
    given = known({"203.0.113.0/24": {"country": "AU", "city": "Sydney"}}, listed=[entry(text) for text in listed])
    item = judged("203.0.113.7", given).evidence[-1]

    assert (Signal.LOCATION, "country AU, city Sydney", Claim.NOTHING) == (item.signal, item.observed, item.supports)
    assert item.caveat.startswith(says)


def test_several_instances_leave_a_location_as_it_is() -> None:
    """They may be behind one load balancer: only who says that the address is anycast takes the meaning from its place."""
    places: Places = {"203.0.113.0/24": {"country": "AU"}}
    measured = judged("203.0.113.7", known(places), [SEVERAL])
    listed = judged("203.0.113.7", known(places, listed=[entry("203.0.113.0/24")]), [SEVERAL])

    assert (Verdict.MEASURED, Verdict.MEASURED) == (measured.verdict, listed.verdict)
    assert "a database has one place for an anycast address too" == measured.evidence[-1].caveat
    assert "means nothing: an anycast address has no one place" == listed.evidence[-1].caveat


def test_an_as_number_is_no_place() -> None:
    """It is told by itself, with what it does not tell."""
    item = judged("203.0.113.7", known({"203.0.113.0/24": {"asn": 64500}})).evidence[-1]

    assert (Signal.AS_NUMBER, "AS64500", Claim.NOTHING) == (item.signal, item.observed, item.supports)
    assert "tells who announces the address, not from how many places" == item.caveat


def test_an_as_number_is_a_hint() -> None:
    """A network that announces a lot of anycast points to it and shows nothing."""
    found = judged("203.0.113.7", known({}, {"203.0.113.0/24": {"asn": 13335}}))

    assert (Verdict.HINTED, "Cloudflare") == (found.verdict, found.operator)
    assert ("known network", "anycast", "weak") in signals(found)


def test_networks_of_the_config_are_told() -> None:
    """What the operator states of a network is shown, the longest one's."""
    given = known(networks={"203.0.113.0/24": {"country": "DE"}, "203.0.0.0/16": {"country": "FR"}})

    assert ["203.0.113.0/24: DE"] == [
        item.observed for item in judged("203.0.113.7", given).evidence if item.signal is Signal.CONFIG
    ]


@pytest.mark.parametrize("network", SPECIAL, ids=str)
def test_special_blocks_are_told(network: object) -> None:
    """An address of a special-purpose block gets that as an item."""
    address = str(network).partition("/")[0]

    assert Signal.SPECIAL in [item.signal for item in judged(address, known()).evidence]


# --- live evidence ----------------------------------------------------------------------------------------------------

SEVERAL = identities(["ams1", "fra2"], 16, "test", "2026-11-22")
ONE = identities(["ams1"], 16, "test", "2026-11-22")
NONE = identities([], 16, "test", "2026-11-22")
FAR = round_trip(5.0, BERLIN, Location(latitude=SYDNEY.latitude, longitude=SYDNEY.longitude), "table", "test", "2026-11-22")
NAMED = reverse_name("anycast-7.example.net.", "", "test", "2026-11-22")


@pytest.mark.parametrize(
    ("address", "live", "verdict"),
    [
        ("81.2.69.5", [SEVERAL], Verdict.MEASURED),
        ("1.1.1.1", [SEVERAL], Verdict.MEASURED),
        ("192.175.48.6", [SEVERAL], Verdict.DESIGNATED),
        ("1.1.1.1", [ONE], Verdict.LISTED),
        ("81.2.69.5", [ONE], Verdict.UNKNOWN),
        ("81.2.69.5", [NONE], Verdict.UNKNOWN),
        ("81.2.69.5", [FAR], Verdict.HINTED),
        ("81.2.69.5", [NAMED], Verdict.HINTED),
        ("81.2.69.5", [unanswered("x", "test", ""), path("x", "test", ""), reverse_name("", "x", "test", "")], Verdict.UNKNOWN),
    ],
)
def test_verdicts_with_live_evidence(address: str, live: list[Evidence], verdict: Verdict) -> None:
    """Several instances are a measurement; one instance, a name, a way and a wrong database are none."""
    assert verdict is judged(address, known(), live).verdict


COUNTRY, CITY, NOWHERE = Location(country="AU"), Location(country="AU", latitude=-33.9, longitude=151.2), Location()


@pytest.mark.parametrize(
    ("milliseconds", "here", "location", "supports", "strength"),
    [
        (160.0, BERLIN, CITY, Claim.MISPLACED, Strength.STRONG),
        (162.0, BERLIN, CITY, Claim.NOTHING, Strength.WEAK),
        (5.0, BERLIN, COUNTRY, Claim.MISPLACED, Strength.WEAK),
        (5.0, BERLIN, NOWHERE, Claim.NOTHING, Strength.WEAK),
        (5.0, None, CITY, Claim.NOTHING, Strength.WEAK),
    ],
)
def test_a_round_trip_refutes_a_location_beyond_its_reach(
    milliseconds: float, here: Spot | None, location: Location, supports: Claim, strength: Strength
) -> None:
    """16,095 km from Berlin to Sydney need 161 ms; a country's middle is a weak place, none or nowhere shows nothing."""
    found = round_trip(milliseconds, here, location, "table", "test", "2026-11-22")

    assert (supports, strength) == (found.supports, found.strength)


def test_the_location_to_test_is_the_most_exact() -> None:
    """Coordinates of a later database come before a mere country of an earlier one."""
    country, city = {"81.0.0.0/8": {"country": "AU"}}, {"81.0.0.0/8": {"latitude": 1.0, "longitude": 2.0}}

    assert "table 2" == place_to_test(place("81.2.69.5"), known(country, city))[1]
    assert "table 1" == place_to_test(place("81.2.69.5"), known(country))[1]
    assert (Location(), "") == place_to_test(place("81.2.69.5"), known())


# --- steering ---------------------------------------------------------------------------------------------------------

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


@pytest.mark.parametrize(
    ("answers", "listed", "tailored", "expected"),
    [
        ([[A], [B]], [], True, Steering.DNS_STEERING),
        ([[A], [B]], [A], True, Steering.DNS_STEERING),
        ([[A], [B]], [A, B], True, Steering.REGIONAL_ANYCAST),
        ([[A], [A]], [A], True, Steering.ANYCAST),
        ([[A, B], [B, A]], [A, B, C], False, Steering.ANYCAST),
        ([[A], [A]], [], True, Steering.NEITHER),
        ([[A, B], [B, A]], [A], True, Steering.NEITHER),
        ([[A], [B]], [], False, Steering.NEITHER),
        ([[A], [B]], [A, B], False, Steering.ANYCAST),
        ([[A], []], [A], True, Steering.ANYCAST),
        ([[], []], [], True, Steering.NEITHER),
        ([], [], True, Steering.NEITHER),
    ],
)
def test_how_a_name_steers(answers: list[list[str]], listed: list[str], tailored: bool, expected: Steering) -> None:
    """Differing answers are steering, equal and all listed anycast, differing and all listed regional anycast, else neither."""
    assert expected is steering(dict(zip("abc", answers, strict=False)), listed, tailored=tailored, echoes=True)[0]


@pytest.mark.parametrize(
    ("answers", "echoes", "reason"),
    [
        ([[A], [A]], True, "one answer for everyone, and each address is known to be anycast"),
        (
            [[A], [A]],
            False,
            "one answer for everyone, and each address is known to be anycast; "
            "the server looks at no client subnet: if it goes by who asks, that is not seen from here",
        ),
        (
            [[A], [], []],
            True,
            "one answer for everyone, and each address is known to be anycast; 2 of 3 client subnets had no answer",
        ),
        ([["a.example."]] * 2, True, "one alias for everyone; how a.example. steers, its own server can tell"),
    ],
)
def test_what_a_sweep_does_not_show_is_said(answers: list[list[str]], echoes: bool, reason: str) -> None:
    """A server that looks at no client subnet, clients without answer, and an alias that leads elsewhere."""
    assert reason == steering(dict(zip("abc", answers, strict=False)), [A], tailored=False, echoes=echoes)[1]


# --- what is shipped --------------------------------------------------------------------------------------------------


def test_hints_are_complete() -> None:
    """Each names an AS number or a range, who that is, why and a date."""
    assert len(hints()) == len(set(hints()))
    for hint in hints():
        assert (hint.asn is None) != (hint.network is None)
        assert hint.operator
        assert hint.evidence
        assert date.fromisoformat(hint.as_of) <= TODAY


def test_client_prefixes_are_of_thirty_countries_everywhere() -> None:
    """Each country has one prefix that holds a whole /24, and every inhabited continent is there."""
    codes = [country for country, _ in client_prefixes()]

    assert len(codes) == len(set(codes))
    assert len(codes) >= 30
    assert set(CONTINENTS) - {"AN"} == {countries()[code].continent for code in codes}
    assert all(network.version == 4 and network.prefixlen <= 24 for _, network in client_prefixes())
