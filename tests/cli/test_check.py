"""The verb `check`: a summary where all is well, every problem of every file where it is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from geodns.daemon import DEMONSTRATION
from geodns.geo import anycast
from tests.cli.conftest import Run

Write = Callable[..., Path]

ZONE = "@ 60 IN SOA ns m 7 1h 15m 2w 5m\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n"
CONFIG = '[[zones]]\nname = "example.com"\nfile = "a.zone"\n'
GEO = "www 60 IN A 192.0.2.10\nwww 60 IN GEO continent:EU A 198.51.100.10\n"


def test_the_demonstration_is_fine(run: Run) -> None:
    """Without a configuration the demonstration is checked; the rough table is named loudly."""
    told = run("check")

    assert (0, "") == (told.code, told.err)
    lines = told.out.splitlines()
    assert ["zone", "serial", "records", "tailored", "file"] == lines[0].split()
    assert lines[1].startswith("example.com.")
    assert "WARNING" in told.out
    assert "87 %" in told.out
    assert "3 expectations met" in told.out
    assert "fine" == lines[-1]


@pytest.mark.parametrize("named", [(DEMONSTRATION,), ("--config", DEMONSTRATION), ("-c", DEMONSTRATION)], ids=str)
def test_a_configuration_is_named_as_argument_or_option(run: Run, named: tuple[object, ...]) -> None:
    """Argument, --config and -c mean the same."""
    assert str(DEMONSTRATION) == run("check", *named, "--json").json["summary"]["configuration"]


def test_json_has_problems_and_summary(run: Run) -> None:
    """What is fine has no problems, and a summary for programs."""
    told = run("check", "--json")

    assert 0 == told.code
    assert [] == told.json["problems"]
    assert {
        "configuration",
        "zones",
        "databases",
        "embedded",
        "networks",
        "anycast_prefixes",
        "egress_prefixes",
        "ladder",
        "rule_sets",
        "expectations",
        "seconds",
    } == told.json["summary"].keys()
    assert {"name", "file", "serial", "records", "tailored"} == told.json["summary"]["zones"][0].keys()


def test_all_problems_of_all_files_come_at_once(run: Run, write: Write) -> None:
    """Two zones, a database and a list, each wrong in its own way: one run shows every fault, with file and line."""
    path = write(
        geodns_toml='geo.databases = ["no.mmdb"]\ngeo.anycast = ["list.txt"]\n'
        + CONFIG
        + CONFIG.replace("example.com", "example.net").replace("a.zone", "b.zone"),
        a_zone=ZONE + "www 60 IN A 192.0.2.300\nwww 60 IN GEO nowhere TXT x\n",
        b_zone="@ 60 IN SOA ns.x. m 7 1h 15m 2w 5m\n",
        list_txt="not a prefix\n",
    )
    told = run("check", path)

    places = [line.removeprefix(f"{path.parent}/").partition(": ")[0] for line in told.out.splitlines()]
    assert 1 == told.code
    assert ["no.mmdb", "list.txt:1", "a.zone:4", "a.zone:5", "a.zone:5", "b.zone"] == places[:-1]
    assert "6 errors, 0 warnings" == told.out.splitlines()[-1]


def test_a_fault_of_the_configuration_hides_none_of_its_files(run: Run, write: Write) -> None:
    """A mistyped key, a pool without endpoints and a bad selector: what is wrong in a zone, a list and a database comes too.

    Their names are known all the same: that the zone uses such a pool and such a region is no fault of it.
    """
    path = write(
        geodns_toml='listne = 1\ngeo.databases = ["no.mmdb"]\ngeo.anycast = ["list.txt"]\n'
        + CONFIG
        + '[pools.app]\nsteering = "failover"\n[regions]\neu = ["countr:DE"]\n',
        a_zone=ZONE + "www 60 IN POOL app\nwww 60 IN A 192.0.2.1\nwww 60 IN GEO region:eu A 192.0.2.300\nx 60 IN POOL ap\n",
        list_txt="not a prefix\n",
    )
    told = run("check", path)

    places = [line.removeprefix(f"{path.parent}/").partition(": ")[0] for line in told.out.splitlines()]
    errors = [place for place, line in zip(places, told.out.splitlines(), strict=True) if " warning: " not in line]
    lines = path.read_text().splitlines()
    at = {what: f"geodns.toml:{lines.index(what) + 1}" for what in ("listne = 1", "[pools.app]", 'eu = ["countr:DE"]')}
    assert 1 == told.code
    assert [*at.values(), "no.mmdb", "list.txt:1", "a.zone:6", "a.zone:7"] == errors[:-1]
    assert "'192.0.2.300'" in told.out
    assert "did you mean 'app'?" in told.out


def test_bad_lines_of_a_list_are_left_out_only_where_that_is_wanted(run: Run, write: Write) -> None:
    """With geo.bad_lines = "skip" a bad line is a warning, and the other lines count; without it refuses the load."""
    wanted = 'geo.anycast = ["list.txt"]\n' + CONFIG
    path = write(geodns_toml=wanted, a_zone=ZONE, list_txt="not a prefix\n192.0.2.0/24\n")
    refused = run("check", path, "--json")
    path.write_text('geo.bad_lines = "skip"\n' + wanted)
    kept = run("check", path, "--json")
    path.write_text('geo.bad_lines = "guess"\n' + wanted)
    mistyped = run("check", path)

    assert (1, ["error"]) == (refused.code, [each["severity"] for each in refused.json["problems"]])
    assert (0, ["warning"]) == (kept.code, [each["severity"] for each in kept.json["problems"]])
    assert len(anycast.shipped()) + 1 == kept.json["summary"]["anycast_prefixes"]
    assert 1 == mistyped.code
    assert "geo.bad_lines" in mistyped.out


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("apca", "did you mean 'apac'?"),
        ("EU", "write continent:EU"),
        ("default", "what all other clients get is a plain record, without GEO"),
        ("overseas", "the config has apac; define it in [regions]"),
    ],
)
def test_a_word_that_is_no_region_is_told_with_what_was_meant(run: Run, write: Write, word: str, remedy: str) -> None:
    """A bare word is a region's name here; whoever comes from another server means something else by it."""
    zone = ZONE + f"www 60 IN A 192.0.2.1\nwww 60 IN GEO {word} A 192.0.2.2\n"
    told = run("check", write(geodns_toml=CONFIG + '[regions]\napac = ["continent:AS"]\n', a_zone=zone))

    assert 1 == told.code
    assert f"a.zone:5: '{word}' is no region of the config: {remedy}\n" in told.out


@pytest.mark.parametrize(("text", "message"), [(None, "there is no such file"), ("short\n", "holds no token")])
def test_a_token_that_keeps_the_door_shut_is_warned_of(run: Run, write: Write, text: str | None, message: str) -> None:
    """Queries would be answered all the same, so it refuses nothing; but who checks should learn it before the start."""
    files = {"token_txt": text} if text else {}
    path = write(geodns_toml=CONFIG + '[admin]\nlisten = "127.0.0.1:0"\ntoken_file = "token.txt"\n', a_zone=ZONE, **files)
    told = run("check", path)

    assert 0 == told.code
    assert f"token.txt: warning: admin.token_file: {message}" in told.out


def test_a_credential_of_the_service_is_not_looked_for(run: Run, write: Write) -> None:
    """What systemd hands to the service alone nobody else can read."""
    path = write(geodns_toml=CONFIG + '[admin]\ntoken_file = "/run/credentials/geodns.service/token"\n', a_zone=ZONE)

    assert "fine" == run("check", path).out.splitlines()[-1]


def test_problems_for_programs(run: Run, write: Write) -> None:
    """With errors the summary is null and every problem an object."""
    path = write(geodns_toml=CONFIG + "colour = 1\n", a_zone=ZONE)
    told = run("check", path, "--json")

    assert 1 == told.code
    assert told.json["summary"] is None
    assert [
        {
            "file": str(path),
            "line": 4,
            "severity": "error",
            "message": "zones[0].colour: no such key",
            "remedy": "known here: name, file",
        }
    ] == told.json["problems"]


def test_warnings_do_not_refuse(run: Run, write: Write) -> None:
    """A policy that is surely not meant so is shown and counted, with exit code 0."""
    path = write(
        geodns_toml=CONFIG + '[regions]\neu = ["continent:EU"]\n', a_zone=ZONE + GEO + "www 60 IN GEO eu A 198.51.100.11\n"
    )
    told = run("check", path)

    assert 0 == told.code
    assert "warning: www.example.com.: GEO continent:EU and GEO eu both name continent:EU" in told.out
    assert "fine, 1 warning" == told.out.splitlines()[-1]


def test_a_configuration_without_zones_is_warned_of(run: Run, write: Write) -> None:
    """It is allowed, but a server that refuses every query is seldom meant."""
    path = write(geodns_toml="")
    told = run("check", path)

    assert 0 == told.code
    assert f"{path}: warning: there are no zones: every query is refused (add [[zones]] with name and file)" in told.out


def test_an_expectation_that_is_not_met_refuses(run: Run, write: Write) -> None:
    """It is an error at its line, with what came out instead and why."""
    expect = '[[expect]]\nname = "www.example.com"\nclient = "81.2.69.0/24"\nanswer = ["192.0.2.10"]\n'
    path = write(geodns_toml=CONFIG + expect, a_zone=ZONE + GEO)
    told = run("check", path)

    assert 1 == told.code
    assert (
        f"{path}:4: expectation not met: www.example.com. A for 81.2.69.0/24: expected 192.0.2.10, got 198.51.100.10" in told.out
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("option", [(), ("--config",)], ids=["argument", "option"])
def test_a_configuration_without_permission_is_a_problem(run: Run, write: Write, option: tuple[str, ...]) -> None:
    """It has the exit code of problems, not that of wrong usage."""
    path = write(geodns_toml="")
    path.chmod(0)
    told = run("check", *option, path)

    assert 1 == told.code
    assert f"{path}: no permission to read it" in told.out


@pytest.mark.parametrize(("file", "message"), [("none.toml", "there is no such file"), (".", "is a directory")])
def test_a_configuration_that_cannot_be_read_is_a_problem(run: Run, tmp_path: Path, file: str, message: str) -> None:
    """It is reported like any other problem, not as a failure of the program."""
    told = run("check", tmp_path / file)

    assert 1 == told.code
    assert message in told.out


def test_maps_of_egress_and_the_place_of_the_instance_are_told(run: Run, tmp_path: Path) -> None:
    """With date and size; a bad line of a map is told with its number, and refuses the load."""
    config = tmp_path / "g.toml"
    config.write_text('geo.egress = ["egress-2026-11-28.txt"]\nserver.anycast = true\nserver.place.country = "DE"\n')
    egress = tmp_path / "egress-2026-11-28.txt"
    egress.write_text('"34.64.0.0/24 icn " "34.64.1.0/24 tpe "\n')
    told = run("check", str(config))

    assert 0 == told.code
    assert f"egress: {egress} of 2026-11-28, 2 egress prefixes" in told.out
    assert "instance: this one of anycast is at continent EU, country DE" in told.out

    egress.write_text('"34.64.0.0/24 xyq "\n')
    refused = run("check", str(config))

    assert 1 == refused.code
    assert f"{egress}:1: 'xyq' is no airport code" in refused.out
