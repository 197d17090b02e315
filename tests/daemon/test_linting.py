"""Warnings of a whole configuration: networks, regions, rules and pools about anycast addresses; each with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.daemon import load
from geodns.problem import Problem, ProblemsFound
from tests.support import mmdb

ZONE = "$TTL 300\n@ SOA ns.example.net. h.example.net. 1 2 3 4 60\n@ NS ns.example.net.\n"
CONFIG = '[[zones]]\nname = "example.com"\nfile = "a.zone"\n'
LISTED = "203.0.113.0/24 is anycast: {} [anycast.txt]"


def warnings(directory: Path, config: str = "", zone: str = "") -> list[Problem]:
    """What a load warns of; a list has 203.0.113.0/24 and 2001:db8:a::/48, names are relative."""
    (directory / "anycast.txt").write_text("203.0.113.0/24\n2001:db8:a::/48\n")
    (directory / "a.zone").write_text(ZONE + zone)
    path = directory / "geodns.toml"
    path.write_text(f"{config}\n{CONFIG}")
    return list(load(path).warnings)


def told(problems: list[Problem]) -> list[tuple[str, int, str]]:
    return [(Path(problem.file).name, problem.line, problem.message) for problem in problems]


GEO = '[geo]\nanycast = ["anycast.txt"]\n'
WHERE = "so whom it names may be anywhere; name the networks where clients are, or for a public resolver those that it asks from"


@pytest.mark.parametrize(
    ("network", "doubted"),
    [
        ("203.0.0.0/16", "203.0.113.0/24"),
        ("2001:db8::/32", "2001:db8:a::/48"),
        ("8.0.0.0/8", "8.8.4.0/24 (Google Public DNS)"),
        ("203.0.113.0/24", ""),
        ("203.0.113.128/25", ""),
        ("198.51.100.0/24", ""),
    ],
)
def test_a_network_around_an_anycast_prefix_is_told(tmp_path: Path, network: str, doubted: str) -> None:
    """Its place would be believed of addresses that have none; the prefix itself, or a part of it, is named on purpose."""
    found = warnings(tmp_path, f'{GEO}[geo.networks."{network}"]\ncountry = "DE"\n')
    message = f'geo.networks."{network}" covers {doubted}, which is anycast: it is believed to be there too'

    assert [("geodns.toml", 3, message)] * bool(doubted) == told(found)


def test_naming_the_prefix_too_says_that_it_is_meant(tmp_path: Path) -> None:
    """A longer network takes the prefix out of the wide one."""
    both = '[geo.networks."203.0.0.0/16"]\ncountry = "DE"\n[geo.networks."203.0.113.0/24"]\ncountry = "NL"\n'

    assert [] == warnings(tmp_path, GEO + both)


@pytest.mark.parametrize(
    ("network", "is_doubted"),
    [("203.0.113.0/24", True), ("203.0.113.7/32", True), ("203.0.0.0/16", False), ("198.51.100.0/24", False)],
)
def test_a_selector_of_an_anycast_network_is_told(tmp_path: Path, network: str, is_doubted: bool) -> None:
    """In a zone and in a region; a network that is wider names others too."""
    config = f'{GEO}[regions]\nr = ["country:DE", "net:{network}"]\n'
    found = warnings(tmp_path, config, f"t TXT a\nt GEO net:{network} TXT b\n")
    listed = f"'net:{network}': 203.0.113.0/24 is anycast: "

    assert [("a.zone", 5), ("geodns.toml", 4)] * is_doubted == [(file, line) for file, line, _ in told(found)]
    assert all(listed in problem.message and problem.message.endswith(WHERE) for problem in found)


def test_a_selector_of_a_network_that_the_configuration_names_is_meant(tmp_path: Path) -> None:
    """Who has told the place of an anycast network may have rules for it."""
    config = f'{GEO}[geo.networks."203.0.113.0/24"]\ncountry = "DE"\n'

    assert [] == warnings(tmp_path, config, "t TXT a\nt GEO net:203.0.113.0/24 TXT b\n")


def test_a_database_can_say_so_too(tmp_path: Path) -> None:
    """A flag of a database counts as a list does; a network of the configuration overrules both."""
    records = {"198.51.100.0/24": {"traits": {"is_anycast": True}}, "192.0.2.0/24": {"country": {"iso_code": "DE"}}}
    mmdb.write(tmp_path / "places.mmdb", records)
    config = '[geo]\ndatabases = ["places.mmdb"]\nanycast = ["anycast.txt"]\n'
    zone = "w A 198.51.100.1\nw GEO country:DE A 203.0.113.1\nv A 192.0.2.1\nv GEO country:DE A 203.0.113.1\n"
    found = warnings(tmp_path, config, zone)
    meant = warnings(tmp_path, f'{config}[geo.networks."198.51.100.0/24"]\ncountry = "FR"\n', zone)

    assert [("a.zone", 5)] == [(file, line) for file, line, _ in told(found)]
    assert "GEO A of w.example.com. has no effect: all addresses are anycast (is anycast, says" in found[0].message
    assert [] == meant


@pytest.mark.parametrize(
    ("network", "meant"),
    [("::ffff:192.0.2.0/120", "192.0.2.0/24"), ("64:ff9b::c000:200/120", "192.0.2.0/24"), ("2002:c000:200::/40", "192.0.2.0/24")],
)
def test_ipv4_inside_ipv6_never_matches_and_is_refused(tmp_path: Path, network: str, meant: str) -> None:
    """It is looked up as IPv4: a rule that would never match is refused in a zone as it is in a region."""
    with pytest.raises(ProblemsFound) as found:
        warnings(tmp_path, "", f"t TXT a\nt GEO net:{network} TXT b\n")
    [problem] = found.value.problems

    assert ("a.zone", 5) == (Path(problem.file).name, problem.line)
    assert problem.message.endswith(f"never matches: IPv4 addresses inside IPv6 are looked up as IPv4; write net:{meant}")


def test_a_distance_to_an_anycast_address_and_a_pool_without_zone_are_told(tmp_path: Path) -> None:
    """Each at the line of its key."""
    config = (
        f'{GEO}[pools.far]\nsteering = "nearest"\n[[pools.far.endpoints]]\nname = "a"\n'
        'addresses = ["203.0.113.9"]\nlatitude = 1.0\nlongitude = 2.0\n'
    )
    found = told(warnings(tmp_path, config))

    assert [("geodns.toml", 3), ("geodns.toml", 7)] == [(file, line) for file, line, _ in found]
    assert ["pools.far: no zone uses this pool", "pools.far.endpoints[0]: 203.0.113.9 203.0.113.0/24 is anycast: "] == [
        found[0][2],
        found[1][2][: len("pools.far.endpoints[0]: 203.0.113.9 203.0.113.0/24 is anycast: ")],
    ]


@pytest.mark.parametrize(
    ("when_all_down", "rule", "told_of"),
    [
        ("all", "GEO continent:EU A 192.0.2.2", "A"),
        ("nodata", "GEO continent:EU A 192.0.2.2", "A"),
        ("fallback", "GEO continent:EU A 192.0.2.2", ""),
        ("all", "GEO continent:EU AAAA 2001:db8::2", ""),
        ("all", "GEO continent:EU TXT europe", ""),
    ],
)
def test_rules_that_a_pool_hides_are_told(tmp_path: Path, when_all_down: str, rule: str, told_of: str) -> None:
    """A pool of IPv4 answers for A; what is there for some clients then shows only where it may give way to plain records."""
    config = (
        f'[pools.app]\nsteering = "failover"\nwhen_all_down = "{when_all_down}"\n'
        '[[pools.app.endpoints]]\nname = "a"\naddresses = ["192.0.2.9"]\n'
    )
    zone = f"app POOL app\napp A 192.0.2.1\napp AAAA 2001:db8::1\napp TXT everywhere\napp {rule}\n"
    wanted = f"pools.app: the GEO {told_of} records of app.example.com. are never answered, for its POOL record is"

    assert ([("geodns.toml", 1, wanted)] if told_of else []) == told(warnings(tmp_path, config, zone))
