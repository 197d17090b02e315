"""Plans of reloads: two configurations in, what changes and what is refused out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from geodns import wire
from geodns.daemon import load, planning
from geodns.daemon.loading import Loaded
from geodns.daemon.planning import Plan
from tests.support import mmdb

HEAD = "@ 60 IN SOA ns m {serial} 1h 15m 2w 5m\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n"
WWW = "www 60 IN A 192.0.2.10\nwww 60 IN GEO continent:EU A 198.51.100.10\n"
HOSTS = "".join(f"host{number} 60 IN A 192.0.2.{number}\n" for number in range(40))
ZONES = '[[zones]]\nname = "example.com"\nfile = "a.zone"\n'
POOL = """
[pools.app]
steering = "failover"
[[pools.app.endpoints]]
name = "one"
addresses = ["198.51.100.1"]
[[pools.app.endpoints]]
name = "two"
addresses = ["198.51.100.2"]
"""

Make = Callable[..., Loaded]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Loads a configuration in a directory of its own: records of the zone, its serial, more of the configuration."""

    def made(records: str = "", serial: int = 1, config: str = "", zones: str = ZONES) -> Loaded:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        (directory / "a.zone").write_text(HEAD.format(serial=serial) + records)
        (directory / "geodns.toml").write_text(config + zones)
        return load(directory / "geodns.toml")

    return made


def lines(plan: Plan) -> list[str]:
    """A plan in words; there are no problems in it."""
    assert () == plan.problems
    return plan.lines()


def test_nothing_changes(make: Make) -> None:
    """The same once more is an empty plan, and so are the age of databases and expectations."""
    expect = '\n[[expect]]\nname = "www.example.com"\nclient = "192.0.2.1"\nanswer = ["192.0.2.10"]\n'
    plan = planning.plan(make(WWW), make(WWW, zones=ZONES + expect))

    assert plan.is_empty
    assert ["nothing changes"] == lines(plan)


def test_records_are_counted_by_zone(make: Make) -> None:
    """Serials before and after, and records added, changed and removed, of how many."""
    old, new = make("a 60 IN A 192.0.2.1\nb 60 IN A 192.0.2.1\n"), make("b 90 IN A 192.0.2.1\nc 60 IN A 192.0.2.1\n", serial=2)
    plan = planning.plan(old, new)

    assert not plan.is_empty
    assert ["zone example.com.: serial 1 → 2; 1 record added, 2 records changed, 1 record removed, of 5"] == lines(plan)
    assert {"zone": "example.com.", "records_before": 5, "records_after": 5, "removed_share": 0.2}.items() <= plan.as_json()[
        "zones"
    ][0].items()


def test_a_serial_that_stays_is_told(make: Make) -> None:
    """Who forgot to raise it sees that."""
    plan = planning.plan(make(), make("a 60 IN A 192.0.2.1\n"))

    assert ["zone example.com.: serial 1 as before; 1 record added, of 3"] == lines(plan)


def test_zones_come_and_go(make: Make) -> None:
    """They are told by name; a small one may go."""
    other = '[[zones]]\nname = "example.net"\nfile = "a.zone"\n'

    assert ["zone example.net.: is served"] == lines(planning.plan(make(), make(zones=ZONES + other)))
    assert ["zone example.net.: is served no more"] == lines(planning.plan(make(zones=ZONES + other), make()))


def test_moves_are_told_by_name_and_rule(make: Make) -> None:
    """Which part of both families gets another answer, from which to which; rules are summed up over names."""
    second = WWW.replace("www", "web")
    plan = planning.plan(make(WWW + second), make((WWW + second).replace("198.51.100.10", "198.51.100.11")))
    [zone, *told] = lines(plan)

    assert zone.endswith("2 records changed, of 7")
    assert ["web.example.com. A", "www.example.com. A"] == [line.partition(":")[0] for line in told if "another answer" in line]
    assert "  continent:EU: 198.51.100.10 → 198.51.100.11" in told
    assert told[-1].startswith("by rule continent:EU: 2 answers, up to ")
    assert [("continent:EU", 2)] == [(rule.rule, rule.questions) for rule in plan.rules]


def test_pools_are_compared_key_by_key(make: Make) -> None:
    """Endpoints that come, go or change, and keys of the pool and its check, with their values where these are short."""
    changed = POOL.replace('"failover"', '"weighted"\nttl = 60').replace('"two"', '"three"').replace("51.100.1", "51.100.9")
    changed = changed.replace("[[pools.app.endpoints]]", '[pools.app.check]\ntype = "tcp"\nport = 80\n[[pools.app.endpoints]]', 1)
    plan = planning.plan(make(config=POOL), make(config=changed))

    assert [
        "pool app: endpoint three is there, endpoint two is there no more, endpoint one addresses changes, "
        "steering failover → weighted, ttl 30 → 60, check.type none → tcp, check.port changes"
    ] == lines(plan)
    assert ["pool app: is there"] == lines(planning.plan(make(), make(config=POOL)))
    assert ["pool app: is there no more"] == lines(planning.plan(make(config=POOL), make()))


def test_endpoints_are_told_in_the_order_of_the_file(make: Make) -> None:
    """The same change is the same line each time: logs and reviews compare them."""
    names = [f"server{number}" for number in (3, 1, 4, 9, 2, 6)]
    one, other = (
        POOL + "".join(f'[[pools.app.endpoints]]\nname = "{name}"\naddresses = ["{net}.{at}"]\n' for at, name in enumerate(names))
        for net in ("192.0.2", "203.0.113")
    )
    [line] = lines(planning.plan(make(config=one), make(config=other)))

    assert "pool app: " + ", ".join(f"endpoint {name} addresses changes" for name in names) == line


def test_a_pool_moves_its_names(make: Make) -> None:
    """Another first endpoint is another answer for everyone."""
    records = "app 30 IN POOL app\n"
    plan = planning.plan(make(records, config=POOL), make(records, config=POOL.replace("51.100.1", "51.100.9")))

    assert [
        "pool app: endpoint one addresses changes",
        "app.example.com. A: another answer for everyone",
        "  pool app: 198.51.100.1 → 198.51.100.9",
    ] == lines(plan)


def test_settings_and_databases_are_told(make: Make, tmp_path: Path) -> None:
    """Keys by name, for their values may be secret or long; databases by path, with the day they were built."""
    places = tmp_path / "places.mmdb"
    records = {"81.2.69.0/24": {"country": {"iso_code": "GB"}}}
    mmdb.write(places, records, build_epoch=1_750_000_000)
    config = f'geo.databases = ["{places}"]\n'
    old = make(WWW, config=config)
    mmdb.write(tmp_path / "new.mmdb", records, build_epoch=1_760_000_000).replace(places)
    plan = planning.plan(old, make(WWW, config=config + "ecs.enabled = false\n"))

    assert ["setting ecs.enabled: changes", f"database {places}: built 2025-06-15 → 2025-10-09"] == lines(plan)
    assert planning.plan(old, make(WWW, config=config)).is_empty


def test_lists_and_maps_are_told(make: Make, tmp_path: Path) -> None:
    """By what the configuration calls them and how many prefixes differ; what that moves is told of each name."""
    listed, mapped = tmp_path / "anycast.txt", tmp_path / "egress.csv"
    config = f'geo.anycast = ["{listed}"]\ngeo.egress = ["{mapped}"]\n'
    listed.write_text("192.0.2.0/24\n198.51.100.0/24\n")
    mapped.write_text("prefix,country\n203.0.113.0/24,DE\n198.18.0.0/24,DE\n198.18.1.0/24,DE\n")
    old = make(WWW, config=config)
    listed.write_text("192.0.2.0/24\n198.51.101.0/24\n198.51.102.0/24\n")
    mapped.write_text("prefix,country\n203.0.113.0/24,JP\n198.18.0.0/24,FR\n")
    plan = planning.plan(old, make(WWW, config=config))

    assert [
        f"anycast list {listed}: 2 prefixes are there, 1 prefix is there no more",
        f"egress map {mapped}: 1 prefix is there no more, 2 prefixes are elsewhere",
    ] == list(plan.lists)
    assert [("continent:EU", "", True)] * 1 == [
        (shift.before.by, shift.after.by, shift.resolvers) for move in plan.moves for shift in move.shifts
    ]
    assert () == plan.rules
    assert [f"egress map {mapped}: is asked no more"] == list(
        planning.plan(old, make(WWW, config=config.split("geo.egress")[0])).lists
    )[1:]


# --- what is too much -------------------------------------------------------------------------------------------------

FORCE = "if that is meant: geodns reload --force"


@pytest.mark.parametrize(
    ("records", "kept", "refusal"),
    [
        (40, 28, ""),
        (40, 27, "zone example.com.: 13 of 43 records (30.2 %) would go"),
        (40, 0, "zone example.com.: 40 of 43 records (93.0 %) would go"),
        (10, 0, ""),
        (11, 0, "zone example.com.: 11 of 14 records (78.6 %) would go"),
    ],
)
def test_a_zone_that_loses_much_is_refused(make: Make, records: int, kept: int, refusal: str) -> None:
    """More than 30 % of a zone's records, and more than ten, do not go unasked; the problem names file and remedy."""
    listed = HOSTS.splitlines(keepends=True)
    new = make("".join(listed[:kept]), serial=2)
    plan = planning.plan(make("".join(listed[:records])), new)

    assert ([f"{new.path.parent}/a.zone: {refusal} ({FORCE})"] if refusal else []) == list(map(str, plan.problems))
    assert list(map(str, plan.problems)) == plan.as_json()["refusals"]


def test_records_that_change_are_no_loss(make: Make) -> None:
    """Every record may be another one, as where all hosts move to other addresses."""
    assert () == planning.plan(make(HOSTS), make(HOSTS.replace("192.0.2.", "198.51.100."))).problems


def test_a_zone_that_goes_whole_is_refused(make: Make) -> None:
    """A configuration that no longer names it takes away as much as an empty file."""
    new = make(zones="")
    plan = planning.plan(make(HOSTS), new)

    assert [f"{new.path}: zone example.com.: all 43 records would go ({FORCE})"] == list(map(str, plan.problems))


def test_many_small_zones_are_much(make: Make) -> None:
    """Where no zone alone is too much, all together may be."""
    many = "".join(f'[[zones]]\nname = "example{number}.com"\nfile = "a.zone"\n' for number in range(10))
    new = make()
    plan = planning.plan(make(zones=ZONES + many), new)

    assert [f"{new.path}: all zones together: 30 of 33 records (90.9 %) would go ({FORCE})"] == list(map(str, plan.problems))


def test_very_many_refusals_are_counted(make: Make) -> None:
    """A hundred are told, and how many more there are."""
    many = "".join(f'[[zones]]\nname = "example{number}.com"\nfile = "a.zone"\n' for number in range(103))
    plan = planning.plan(make("".join(HOSTS.splitlines(keepends=True)[:8]), zones=many), make(zones=""))

    assert 101 == len(plan.problems)
    assert "3 more zones would lose as much" == plan.problems[-1].message


# --- details ----------------------------------------------------------------------------------------------------------


def test_details_are_of_all_that_is_answered(make: Make) -> None:
    """Also what is the same for every client, questions of one side, prefixes and countries."""
    old = make(WWW + "a 60 IN A 192.0.2.1\nb 60 IN TXT x\n")
    new = make(WWW.replace("198.51.100.10", "198.51.100.11") + "a 60 IN A 192.0.2.2\nc 60 IN TXT x\n")
    plan = planning.details(old, new)
    told = lines(plan)

    assert ["a.example.com. A", "www.example.com. A"] == [line.partition(":")[0] for line in told if "another answer" in line]
    assert {"b.example.com. TXT: only old", "c.example.com. TXT: only new", "  plain records: 192.0.2.1 → 192.0.2.2"} <= set(told)
    assert "  by country: Europe (country unknown) 100 %" in told
    assert [{"name": "b.example.com.", "type": "TXT"}] == plan.as_json()["only_old"]
    assert 32 == len(plan.as_json()["moves"][1]["shifts"][0]["prefixes"])


def test_names_can_be_asked_for(make: Make) -> None:
    """Then the plan is about nothing else, and has no refusals."""
    plan = planning.details(make(WWW + HOSTS), make(serial=2), [wire.from_text("host1.example.com.")])

    assert ["host1.example.com. A: only old"] == lines(plan)


def test_time_that_is_short_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there was no time for is counted; the first name is always compared."""
    monkeypatch.setattr(planning, "_LEAST_TIME", -1.0)
    monkeypatch.setattr(planning, "_PART_OF_LOAD", -1.0)
    names = WWW + WWW.replace("www", "web")
    plan = planning.plan(make(names), make(names.replace("198.51.100.10", "198.51.100.11")))

    assert (1, 2) == (plan.compared, plan.comparable)
    assert "answers by place: the first 1 of 2 were compared, for time was short" == lines(plan)[-1]


def test_long_lists_are_cut(make: Make) -> None:
    """Some twenty lines of each kind, and how many more there are."""
    told = lines(planning.details(make(), make(HOSTS)))

    assert 22 == len(told)
    assert "… and 20 more names" == told[-1]
