"""The verbs about anycast, against files and real servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from dnslib import DNSRecord

from geodns.geo.nearness import Spot, distance
from tests.cli.conftest import Run
from tests.ops.anycast.test_serials import serving
from tests.support import mmdb
from tests.support.daemons import free_port
from tests.support.instances import asked_subnet, identity, instances, tailored

Write = Callable[..., Path]

AMS, FRA = (partial(identity, nsid=name, names={"id.server": name.decode()}) for name in (b"ams1", b"fra1"))

# --- classify ---------------------------------------------------------------------------------------------------------


def test_addresses_are_classified_in_the_order_asked(run: Run) -> None:
    """A list of objects with address, verdict, operator and evidence; an ordinary address is unknown, never unicast."""
    asked = ["1.1.1.1", "8.8.8.8", "9.9.9.9", "2001:4860:4860::8888", "198.41.0.4", "192.175.48.1", "81.2.69.5"]
    told = run("anycast", "classify", *asked, "--json")

    assert (0, "") == (told.code, told.err)
    assert asked == [found["address"] for found in told.json]
    assert ["listed"] * 5 + ["designated", "unknown"] == [found["verdict"] for found in told.json]
    assert ["Cloudflare 1.1.1.1", None] == [told.json[0]["operator"], told.json[-1]["operator"]]
    assert [{"address", "verdict", "operator", "meaning", "evidence"}] * 7 == [set(found) for found in told.json]
    items = [item for found in told.json for item in found["evidence"]]
    assert [{"signal", "observed", "source", "as_of", "supports", "strength", "caveat"}] * len(items) == [
        set(item) for item in items
    ]


def test_evidence_is_told_with_source_date_strength_and_caveat(run: Run) -> None:
    """For humans: the verdict and what it means, then each item, and what it does not show."""
    told = run("anycast", "classify", "1.1.1.1")

    evidence = "1.1.1.0/24: operator documentation, not re-verified; also in the bgp.tools list → anycast"
    assert [
        "1.1.1.1: listed (Cloudflare 1.1.1.1)",
        "  who measures or knows says that it is anycast: its location means nothing",
        f"  strong  list: {evidence}   [shipped, 2026-11-01]",
    ] == told.out.splitlines()[:3]
    assert all(line.startswith("          but: ") for line in told.out.splitlines()[3::2])
    assert "means nothing: an anycast address has no one place" in told.out


def test_the_configurations_lists_and_databases_are_asked(run: Run, tmp_path: Path) -> None:
    """A list of the operator and the flag of a database that knows no country are strong, an AS number is weak."""
    mmdb.write(
        tmp_path / "a.mmdb",
        {"203.0.113.0/24": {"traits": {"is_anycast": True}}, "198.51.100.0/24": {"autonomous_system_number": 13335}},
    )
    (tmp_path / "list.txt").write_text("# 2026-11-01\n192.0.2.0/24\n")
    config = tmp_path / "geodns.toml"
    config.write_text('[geo]\ndatabases = ["a.mmdb"]\nanycast = ["list.txt"]\n')
    told = run("anycast", "classify", "192.0.2.1", "203.0.113.1", "198.51.100.1", "-c", config, "--json").json

    assert ["listed", "listed", "hinted"] == [found["verdict"] for found in told]
    assert [(str(tmp_path / "list.txt"), "2026-11-01"), ("a.mmdb", "2023-11-14")] == [
        next((item["source"], item["as_of"]) for item in found["evidence"] if item["strength"] == "strong") for found in told[:2]
    ]


def test_a_bad_list_is_a_problem_and_a_bad_address_wrong_usage(run: Run, tmp_path: Path) -> None:
    """Every bad line with exit code 1; what is no address with exit code 2; nothing on standard output."""
    (tmp_path / "list.txt").write_text("192.0.2.0/24\nrubbish\n1.1.1.1/24\n")
    config = tmp_path / "geodns.toml"
    config.write_text('geo.anycast = ["list.txt"]\n')
    bad_list, bad_address = run("anycast", "classify", "192.0.2.1", "-c", config), run("anycast", "classify", "1.1.1.1.1")

    assert [(1, ""), (2, "")] == [(told.code, told.out) for told in (bad_list, bad_address)]
    assert "list.txt:2: 'rubbish' is no prefix" in bad_list.err
    assert "list.txt:3: 1.1.1.1/24 has bits set" in bad_list.err


def test_nothing_is_sent_unless_told_to(run: Run) -> None:
    """Without --probe no server is asked, and no evidence is live."""
    asked = []
    with instances(lambda query: asked.append(query)) as port:
        (told,) = run("anycast", "classify", "127.0.0.1", "--port", port, "--resolver", f"127.0.0.1:{port}", "--json").json

    assert ([], ["list", "special-purpose block"]) == (asked, [item["signal"] for item in told["evidence"]])


def test_a_probe_adds_what_is_seen(run: Run) -> None:
    """Two instances behind one port are a measurement, told with all else that was looked at."""
    with instances(AMS, FRA) as port:
        options = ("--port", port, "--ports", 32, "--resolver", f"127.0.0.1:{free_port()}", "--here", "52.5,13.4", "--timeout", 5)
        (told,) = run("anycast", "classify", "127.0.0.1", "--probe", *options, "--json").json

    assert "measured" == told["verdict"]
    assert ["instance identity", "round trip", "reverse name", "path"] == [item["signal"] for item in told["evidence"][1:5]]
    assert "2 instances over 32 source ports: " in told["evidence"][1]["observed"]
    assert ("several instances", "strong") == (told["evidence"][1]["supports"], told["evidence"][1]["strength"])


def test_ipv4_mapped_into_ipv6_is_looked_at_as_ipv4(run: Run) -> None:
    """Its packets are IPv4, and so are its path and its reverse name; nobody told where this machine is."""
    with instances(AMS) as port:
        options = ("--port", port, "--ports", 2, "--resolver", f"127.0.0.1:{port}", "--timeout", 0.5)
        (told,) = run("anycast", "classify", "::ffff:127.0.0.1", "--probe", *options, "--json").json
    found = {item["signal"]: item for item in told["evidence"]}

    assert "::ffff:127.0.0.1" == told["address"]
    assert f"NSID and CHAOS names from 127.0.0.1:{port}" == found["instance identity"]["source"]
    assert "1 is 127.0.0.1 in" in found["path"]["observed"] or "not possible here" in found["path"]["observed"]
    assert "nobody told where this machine is" == found["round trip"]["caveat"]


def test_a_round_trip_shows_a_location_impossible(run: Run, tmp_path: Path) -> None:
    """What answers at once cannot be where a database places it, half the globe away; that is a hint, no more."""
    mmdb.write(
        tmp_path / "a.mmdb", {"127.0.0.0/8": {"country": {"iso_code": "AU"}, "location": {"latitude": -33.9, "longitude": 151.2}}}
    )
    config = tmp_path / "geodns.toml"
    config.write_text('geo.databases = ["a.mmdb"]\n')
    with instances(AMS) as port:
        options = ("--port", port, "--ports", 2, "--resolver", f"127.0.0.1:{free_port()}", "--here", "52.5,13.4", "-c", config)
        (told,) = run("anycast", "classify", "127.0.0.1", "--probe", *options, "--json").json

    found = next(item for item in told["evidence"] if item["signal"] == "round trip")
    assert ("hinted", "not at the database's location", "strong") == (told["verdict"], found["supports"], found["strength"])
    assert "a.mmdb places it 16,0" in found["observed"]


@pytest.mark.parametrize(
    "options",
    [
        ("--here", "52"),
        ("--here", "a,b"),
        ("--here", "91,0"),
        ("--here", "nan,0"),
        ("--probe", "--resolver", "[x]"),
        ("--ports", "0"),
    ],
)
def test_wrong_options_of_a_probe(run: Run, options: tuple[str, ...]) -> None:
    """A place off the globe, a resolver that is written as no server is and no ports at all are wrong usage."""
    told = run("anycast", "classify", "127.0.0.1", *options)

    assert (2, "") == (told.code, told.out)


# --- identify ---------------------------------------------------------------------------------------------------------


def test_instances_are_told_with_their_share(run: Run) -> None:
    """A table of instances, the most frequent first; for programs the same."""
    with instances(AMS, FRA) as port:
        options = ("127.0.0.1", "--port", port, "--ports", 32, "--seconds", 0)
        text, told = run("anycast", "identify", *options), run("anycast", "identify", *options, "--json").json

    assert 0 == text.code
    assert f"127.0.0.1:{port}: 2 instances, by source port" == text.out.splitlines()[0]
    assert ["instance", "share", "ports", "RTT", "NSID", "id.server"] == text.out.splitlines()[1].split()[:6]
    assert "several instances are not necessarily at several places" == text.out.splitlines()[-1]
    assert {"ams1", "fra1"} == {one["identity"] for one in told["instances"]}
    assert (32, 1, 0, 0) == (told["ports"], told["rounds"], told["ports_changed"], told["unanswered"])
    assert 1 == pytest.approx(sum(one["share"] for one in told["instances"]), abs=0.001)


def test_who_does_not_answer_is_a_problem(run: Run) -> None:
    """Exit code 1 and the reason, for a closed port and for a host that nobody knows."""
    closed = run("anycast", "identify", "127.0.0.1", "--port", free_port(), "--seconds", 0)
    nobody = run("anycast", "identify", "no-such-host.invalid")

    assert [(1, ""), (1, "")] == [(told.code, told.out) for told in (closed, nobody)]
    assert "does not answer: Connection refused" in closed.err
    assert "no host of the name 'no-such-host.invalid' is known" in nobody.err


# --- sweep ------------------------------------------------------------------------------------------------------------


def answering(near: str, far: str, scope: int | None) -> Callable[[DNSRecord], DNSRecord]:
    """A server with one address for clients of 24.0.0.0/8 and another for all else."""
    return lambda asked: tailored(asked, [near if asked_subnet(asked)[4:5] == b"\x18" else far], scope)


@pytest.mark.parametrize(
    ("near", "far", "scope", "verdict"),
    [
        ("192.0.2.1", "192.0.2.2", 8, "DNS steering"),
        ("1.1.1.1", "8.8.8.8", 8, "regional anycast"),
        ("1.1.1.1", "1.1.1.1", 0, "anycast"),
        ("192.0.2.1", "192.0.2.1", 0, "neither"),
        ("192.0.2.1", "192.0.2.2", None, "neither"),
    ],
)
def test_how_a_name_steers(run: Run, near: str, far: str, scope: int | None, verdict: str) -> None:
    """The verdict follows from whether answers differ by client, and whether their addresses are known to be anycast."""
    with instances(answering(near, far, scope)) as port:
        told = run("anycast", "sweep", "www.example.com", "--server", "127.0.0.1", "--port", port, "--json").json

    assert verdict == told["verdict"]
    assert ("www.example.com.", "A", 32) == (told["name"], told["type"], len(told["answers"]))
    assert {"US": [near], "JP": [far]} == {
        row["country"]: row["answer"] for row in told["answers"] if row["country"] in ("US", "JP")
    }
    assert sorted({near, far}) == sorted(found["address"] for found in told["addresses"])


def test_a_sweep_for_humans(run: Run) -> None:
    """Verdict, reason, a row for each client, each address classified."""
    with instances(answering("192.0.2.1", "1.1.1.1", 8)) as port:
        told = run(
            "anycast",
            "sweep",
            "www.example.com",
            "--server",
            "127.0.0.1",
            "--port",
            port,
            "--subnet",
            "24.1.0.0/16",
            "--subnet",
            "8.8.0.0/16",
        )

    assert [
        "www.example.com. A: DNS steering",
        "2 different answers, by client; 1 of 2 addresses are known to be anycast",
        "",
        "country  client subnet  answer     scope",
        "-        24.1.0.0/24    192.0.2.1  /8",
        "-        8.8.0.0/24     1.1.1.1    /8",
        "",
        "address    verdict  operator",
        "1.1.1.1    listed   Cloudflare 1.1.1.1",
        "192.0.2.1  unknown  -",
    ] == told.out.splitlines()


def test_a_server_without_the_name_is_a_problem(run: Run) -> None:
    """No answer for anybody is no verdict: exit code 1 with the response code."""

    def refused(asked: DNSRecord) -> DNSRecord:
        reply = asked.reply()
        reply.header.rcode = 5
        return reply

    with instances(refused) as port:
        told = run("anycast", "sweep", "www.example.com", "--server", "127.0.0.1", "--port", port)

    assert (1, "") == (told.code, told.out)
    assert f"127.0.0.1:{port} has no answer for www.example.com. A: REFUSED (ask a server that has the name)" in told.err


def test_a_server_that_is_silent_is_a_problem(run: Run) -> None:
    """It is not the name that is wrong then, but the way to the server."""
    told = run("anycast", "sweep", "www.example.com", "--server", f"127.0.0.1:{free_port()}")

    assert (1, "") == (told.code, told.out)
    assert "does not answer: Connection refused (check address and port" in told.err


@pytest.mark.parametrize("server", ["127.0.0.1:{}", "localhost:{}"])
def test_a_port_may_stand_behind_a_server(run: Run, server: str) -> None:
    """Everywhere in the same way, and it goes before --port."""
    with instances(serving("ams1", a=7)) as port:
        written = server.format(port)
        told = [
            run("anycast", "identify", written, "--seconds", 0, "--port", 1),
            run("anycast", "sweep", "a.test", "--server", written, "--port", 1),
            run("anycast", "classify", "127.0.0.1", "--probe", "--port", port, "--resolver", written),
            run("zone", "serials", "a.test", "--server", written, "--port", 1),
        ]

    assert f"127.0.0.1:{port}: one instance on all 16 source ports" == told[0].out.splitlines()[0]
    assert ["a.test. A: neither", "there was no answer to compare"] == told[1].out.splitlines()[:2]
    assert [0] * 4 == [each.code for each in told]


@pytest.mark.parametrize("written", ["", "[::1", "127.0.0.1:0", "127.0.0.1:65536", "a b", "::1:x", "[127.0.0.1]:53"])
def test_what_is_written_as_no_server_is_wrong_usage(run: Run, written: str) -> None:
    """One message with the forms, and exit code 2, wherever a server is named."""
    told = [
        run("anycast", "identify", written),
        run("anycast", "sweep", "a.test", "--server", written),
        run("zone", "serials", "a.test", "--server", written),
    ]

    assert [(2, "")] * 3 == [(each.code, each.out) for each in told]
    assert all("2001:db8::1" in each.err for each in told)


@pytest.mark.parametrize(
    "arguments", [("a..b",), ("www.example.com", "--subnet", "rubbish"), ("www.example.com", "--type", "MX")]
)
def test_wrong_usage_of_sweep(run: Run, arguments: tuple[str, ...]) -> None:
    """What is no name, no prefix and no type of address is exit code 2."""
    told = run("anycast", "sweep", *arguments, "--server", "127.0.0.1")

    assert (2, "") == (told.code, told.out)


# --- atlas ------------------------------------------------------------------------------------------------------------

CITIES = {1: Spot(52.4, 4.9), 2: Spot(35.7, 139.7), 3: Spot(-33.9, 151.2), 4: Spot(40.7, -74.0), 5: Spot(51.5, -0.1)}


def pinged(sites: list[Spot], address: str) -> list[dict[str, object]]:
    """What probes in the cities measure, each reaching the nearest site half again as slowly as light could."""
    return [
        {"type": "ping", "prb_id": probe, "dst_addr": address, "min": rtt, "result": [{"rtt": rtt}]}
        for probe, city in CITIES.items()
        if (rtt := max(0.5, min(distance(city, site) for site in sites) / 100 * 1.5))
    ]


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Path, Path]:
    """Pings to an address in three cities and to one in Amsterdam only, and the file of probes."""
    results = [*pinged([CITIES[1], CITIES[2], CITIES[4]], "192.0.2.1"), *pinged([CITIES[1]], "192.0.2.2")]
    probes = [
        {"id": probe, "geometry": {"type": "Point", "coordinates": [city.longitude, city.latitude]}}
        for probe, city in CITIES.items()
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "probes.json").write_text(json.dumps({"results": probes}))
    return tmp_path / "results.json", tmp_path / "probes.json"


def test_discs_that_do_not_meet_are_a_proof(run: Run, measured: tuple[Path, Path]) -> None:
    """Three sites are found for the one, nothing is shown of the other, which is not thereby unicast."""
    results, probes = measured
    told = run("anycast", "atlas", results, "--probes", probes, "--json").json

    assert [("192.0.2.1", "measured", 3), ("192.0.2.2", "unknown", 1)] == [
        (found["address"], found["verdict"], found["sites_at_least"]) for found in told
    ]
    assert {"probe 1", "probe 2", "probe 4"} == {site["vantage_point"] for site in told[0]["sites"]}
    assert "does not make it unicast" in told[1]["finding"]


@pytest.mark.parametrize(
    ("probes", "finding"),
    [
        (1, "not shown to be anycast: one probe alone shows nothing, which does not make it unicast"),
        (5, "not shown to be anycast: any two discs of 4 probes meet, which does not make it unicast"),
    ],
)
def test_no_proof_says_what_was_seen(run: Run, measured: tuple[Path, Path], probes: int, finding: str) -> None:
    """Discs of which any two meet need not have one place in common, so nothing is said of one."""
    results, places = measured
    results.write_text(json.dumps(pinged([CITIES[1]], "192.0.2.1")[:probes]))
    told = run("anycast", "atlas", results, "--probes", places)

    assert (0, f"192.0.2.1: {finding}") == (told.code, told.out.splitlines()[0])


def test_sites_are_drawn_on_a_map(run: Run, measured: tuple[Path, Path]) -> None:
    """The map has a row for ten degrees and a column for five, probes and sites where they are."""
    results, probes = measured
    lines = run("anycast", "atlas", results, "--probes", probes).out.splitlines()

    assert "192.0.2.1: anycast, at 3 sites or more: so many discs of 5 probes do not meet" == lines[0]
    assert ["site", "within", "the", "disc", "of", "at", "radius"] == lines[2].split()
    drawn = [line for line in lines if line.startswith("|")]
    assert [74] * 36 == [len(line) for line in drawn]
    marks = {
        (row, column): mark for row, line in enumerate(drawn[:18]) for column, mark in enumerate(line[1:-1]) if mark not in " ."
    }
    assert {(3, 36): "1", (5, 63): "2", (4, 21): "3"} | {(12, 66): "o"} == {
        at: marks[at] for at in [(3, 36), (5, 63), (4, 21), (12, 66)]
    }


def test_a_proof_that_rests_on_one_probe_says_so(run: Run, tmp_path: Path) -> None:
    """A single probe with wrong coordinates makes anything anycast: that is told."""
    results = [
        {"prb_id": probe, "dst_addr": "192.0.2.1", "min": 1.0, "latitude": -probe, "longitude": 0.0} for probe in (1, 2, 80)
    ]
    (tmp_path / "r.json").write_text(json.dumps(results))
    told = run("anycast", "atlas", tmp_path / "r.json")

    assert 0 == told.code
    assert "all rests on probe 80: are its coordinates right?" in told.out


def test_a_file_without_pings_is_a_problem(run: Run, measured: tuple[Path, Path], tmp_path: Path) -> None:
    """Missing files, other files and results of nowhere are exit code 1, each named."""
    results, probes = measured
    for arguments, said in [
        ((tmp_path / "no.json",), "no.json: cannot be read"),
        ((probes,), "no ping that can be used in it"),
        ((results,), "9 results not used: nobody says where the probe is (name a file of probes with --probes)"),
        ((results, "--probes", results), "no probe with coordinates in it"),
    ]:
        told = run("anycast", "atlas", *arguments)

        assert (1, "") == (told.code, told.out)
        assert said in told.err
