"""Owns what a pool promises its users: sites that die and come back, restarts and the operator's word, seen from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from geodns.cli.app import app
from geodns.ops.state import StateDirectory
from tests.support import backends
from tests.support.backends import (
    FALL,
    FRANKFURT,
    IN_AMERICA,
    IN_ASIA,
    IN_EUROPE,
    NEW_YORK,
    OTHERS,
    TOKYO,
    TTL,
    TTL_DEGRADED,
    ZONE,
    Backends,
    ask,
    ask_all,
)
from tests.support.daemons import REPOSITORY, START, Geodns, Site, need, poll, sample, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address")]

INTERVAL = 0.5  # s from check to check
BATCH = 1.0  # s: what jitter, a batch and a busy machine may add
SLOW = 3.0  # s: an interval and a timeout that leave time to look before the first result
FROZEN = 60.0  # s: and those in which a site that says nothing changes nothing
PREFERRED, NEXT = {(FRANKFURT, TTL)}, {(NEW_YORK, TTL_DEGRADED)}
DIVERTED = {(NEW_YORK, TTL)}
"""What Europe gets by the operator's word, which is no failure."""
LABELS = {"pool": "app", "site": "fra", "endpoint": "fra", "family": "ipv4", "number": "1"}


@pytest.fixture
def sites() -> Iterator[Backends]:
    """Frankfurt, New York and Tokyo, alive."""
    with backends.backends() as three:
        yield three


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Where the server under test has its files, its state and its ports."""
    return Site(tmp_path / "server")


@contextmanager
def served(site: Site, config: str) -> Iterator[Geodns]:
    """The server, not necessarily ready yet."""
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        server.until_said("workers answer")
        yield server


@contextmanager
def ready(site: Site, config: str) -> Iterator[Geodns]:
    """The server, every endpoint checked and found well: on a busy machine the first check may not be done in time."""
    with served(site, config) as server:
        poll("all is up", lambda: is_ready(server) and server.told("/api/v1/status")["pools"] == {"app": "up"})
        yield server


def is_ready(server: Geodns) -> bool:
    try:
        return server.ask("GET", "/readyz").status_code == 200
    except httpx.TransportError:  # the keeper is between two lives
        return False


class Watch:
    """A client of each region: those of Frankfurt may get what they are given, the others always get the same."""

    def __init__(self, server: Geodns) -> None:
        self._server = server
        self.deviations: set[tuple[str, backends.Answer]] = set()

    def until(self, wanted: set[backends.Answer], seconds: float) -> None:
        """Ask until all of a round get this in Europe."""

        def reached() -> bool:
            self.look()
            return wanted == ask_all(self._server.endpoint, IN_EUROPE)

        poll(f"{wanted} in Europe", reached, seconds)
        self.look()

    def look(self) -> None:
        """Note who of the others gets something else."""
        for subnet, address in OTHERS.items():
            found = ask(self._server.endpoint, subnet)
            if found != (address, TTL):
                self.deviations.add((subnet, found))


def explained(server: Geodns, subnet: str = IN_EUROPE) -> dict[str, Any]:
    """What the running server says of a client."""
    told: dict[str, Any] = server.told("/api/v1/explain", name="app.example.com", ecs=subnet)
    return told


def explained_offline(server: Geodns, *words: str) -> dict[str, Any]:
    """What the command says that reads the files."""
    asked = ["explain", "app.example.com", "A", "--ecs", IN_EUROPE, "--json", "--config", str(server.site.configuration), *words]
    found = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert 0 == found.exit_code, found.stderr
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def frankfurt(server: Geodns) -> dict[str, Any]:
    """What is known of the address in Frankfurt."""
    endpoint = server.told("/api/v1/pools/app")["sites"][0]["endpoints"][0]
    assert "fra" == endpoint["name"]
    address: dict[str, Any] = endpoint["addresses"][0]
    return address


def say(server: Geodns, pattern: str, word: str, **more: object) -> None:
    """The operator's word."""
    server.ask("PUT", "/api/v1/overrides", {"pattern": pattern, "word": word, **more}).raise_for_status()


def die_in_frankfurt(server: Geodns, sites: Backends) -> None:
    sites.frankfurt.kill()
    poll("the next takes its users", lambda: ask_all(server.endpoint, IN_EUROPE) == NEXT)


def test_a_site_dies_and_comes_back(sites: Backends, site: Site) -> None:
    """Its clients get the next nearest in time, return when it is back, and nobody else notices anything."""
    interval = 2 * INTERVAL  # and so the timeout: here not a single check of the others may be late
    with ready(site, sites.config(interval)) as server:
        watch = Watch(server)
        watch.until(PREFERRED, BATCH)
        sites.frankfurt.kill()
        watch.until(NEXT, FALL * interval + BATCH)
        down = frankfurt(server)
        sites.frankfurt.start()
        watch.until(PREFERRED, backends.RISE * interval + BATCH)
        up = frankfurt(server)

    assert set() == watch.deviations
    assert ("down", "connection refused", False, 1) == tuple(down[key] for key in ("health", "error", "eligible", "transitions"))
    assert ("up", "", True, 2) == tuple(up[key] for key in ("health", "error", "eligible", "transitions"))
    assert {f"app.example.com:{sites.port}"} == sites.frankfurt.hosts


def test_explain_names_who_was_passed_over_and_why_at_each_moment(sites: Backends, site: Site) -> None:
    """The running server and the command that reads its files say what clients get, before, while and after a site is down."""
    with ready(site, sites.config(INTERVAL)) as server:

        def both(address: str) -> list[tuple[str, list[dict[str, str]]]]:
            poll("the state is written", lambda: explained_offline(server)["answer"] == [address])
            told = [explained(server), explained_offline(server), explained_offline(server, "--live")]
            assert [[address]] * 3 == [each["answer"] for each in told]
            assert all(step in told[1]["steps"] for step in told[0]["steps"])
            assert told[0]["reason"] == told[1]["reason"] == told[2]["reason"]
            return [(each["pool"]["verdict"], each["pool"]["passed"]) for each in told]

        before = both(FRANKFURT)
        die_in_frankfurt(server, sites)
        meanwhile = both(NEW_YORK)
        unconcerned = explained(server, IN_ASIA)
        sites.frankfurt.start()
        poll("they return", lambda: ask_all(server.endpoint, IN_EUROPE) == PREFERRED)
        after = both(FRANKFURT)

    assert [("the first choice is up", [])] * 3 == before == after
    for verdict, passed in meanwhile:
        assert "the first choice is not up: the next takes its users" == verdict
        assert ["fra/fra"] == [each["endpoint"] for each in passed]
        assert re.fullmatch(r"down: connection refused, since .*Z", passed[0]["why"])
    assert [] == unconcerned["pool"]["passed"]


def test_dig_gets_what_is_nearest_and_up(sites: Backends, site: Site) -> None:
    """A real client sees address, TTL and a scope that a failover does not change."""
    with ready(site, sites.config(INTERVAL)) as server:

        def dig() -> tuple[str, str, str]:
            where = ("-r", f"@{server.endpoint.host}", "-p", str(server.endpoint.port))
            command = (need("dig", "bind9-dnsutils"), *where, "+tries=1", "app.example.com", "A", f"+subnet={IN_EUROPE}")
            printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
            answer = re.search(r"^app\.example\.com\.\s+(\d+)\s+IN\s+A\s+(\S+)$", printed, re.MULTILINE)
            scope = re.search(r"CLIENT-SUBNET: 81\.2\.69\.0/24/(\d+)", printed)
            assert answer, printed
            assert scope, printed
            return answer[2], answer[1], scope[1]

        before = dig()
        die_in_frankfurt(server, sites)
        after = dig()

    assert (FRANKFURT, str(TTL), "24") == before
    assert (NEW_YORK, str(TTL_DEGRADED), "24") == after


def test_metrics_show_state_transitions_and_duration(sites: Backends, site: Site) -> None:
    """Every check has its state, its last duration, its failures and its changes in /metrics."""
    with ready(site, sites.config(INTERVAL)) as server:
        before = server.metrics()
        began = time()
        die_in_frankfurt(server, sites)
        after = server.metrics()

    for found, up in ((before, 1), (after, 0)):
        assert up == found[sample("geodns_check_up", **LABELS)]
        assert 1 == found[sample("geodns_check_state", **LABELS, state="up" if up else "down")]
        assert 1 - up == found[sample("geodns_check_transitions_total", **LABELS)]
        assert 0 < found[sample("geodns_check_duration_seconds", **LABELS)] < INTERVAL
        assert 1 - up == found[sample("geodns_pool_degraded", pool="app")]
        assert up == found[sample("geodns_endpoint_eligible", pool="app", site="fra", endpoint="fra")]
        assert 1 == found[sample("geodns_endpoint_eligible", pool="app", site="tyo", endpoint="tyo")]
    assert 0 == before[sample("geodns_check_failures_total", **LABELS)]
    assert FALL <= after[sample("geodns_check_failures_total", **LABELS)]
    assert began < after[sample("geodns_check_last_change_timestamp_seconds", **LABELS)] <= time()


def test_a_restart_starts_from_the_remembered_state(sites: Backends, site: Site) -> None:
    """Not even the first query after a restart is answered with the site that was down; ready at once, it knows enough."""
    with ready(site, sites.config(INTERVAL)) as server:
        die_in_frankfurt(server, sites)
    sites.frankfurt.hold()
    sites.frankfurt.start()
    with served(site, sites.config(FROZEN)) as server:
        first = ask_all(server.endpoint, IN_EUROPE)
        others = {subnet: ask(server.endpoint, subnet) for subnet in OTHERS}
        unready = server.ask("GET", "/readyz").json()["reasons"]
        known = frankfurt(server)

    assert NEXT == first
    assert {subnet: (address, TTL) for subnet, address in OTHERS.items()} == others
    assert [] == unready
    assert ("down", "connection refused", 1) == (known["health"], known["error"], known["transitions"])


def test_a_state_that_is_too_old_is_not_used(sites: Backends, site: Site) -> None:
    """Older than `state_max_age` it says nothing of today: the site counts as unknown, and a check must come first."""
    with ready(site, sites.config(INTERVAL)) as server:
        die_in_frankfurt(server, sites)
    state = StateDirectory(site.directory / "state", clock=lambda: time() - 700)
    state.write("pools", json.loads((site.directory / "state" / "pools.json").read_text())["value"])
    sites.frankfurt.hold()
    sites.frankfurt.start()
    with served(site, sites.config(SLOW)) as server:
        first = ask_all(server.endpoint, IN_EUROPE)
        unready = server.ask("GET", "/readyz").status_code
        sites.frankfurt.release()
        poll("it is ready", lambda: is_ready(server))

    assert PREFERRED == first
    assert 503 == unready


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda octets: octets[: len(octets) // 2],
    "altered": lambda octets: octets.replace(b'"down"', b'"up"'),
    "of something else": lambda _octets: (REPOSITORY / "README.md").read_bytes(),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_corrupt_state_is_set_aside_with_a_message(sites: Backends, site: Site, damage: str) -> None:
    """It costs what it held and nothing more: the server starts, and says where the file lies now."""
    file = site.directory / "state" / "pools.json"
    StateDirectory(file.parent).write("pools", {"states": {}, "overrides": [], "history": {}, "draining": "down"})
    corrupt = DAMAGES[damage](file.read_bytes())
    file.write_bytes(corrupt)
    with ready(site, sites.config(INTERVAL)) as server:
        answered = ask_all(server.endpoint, IN_EUROPE)

    assert PREFERRED == answered
    assert 1 == server.stderr.count("the state is corrupt: "), server.stderr
    assert f"set aside as {file}.corrupt.1" in server.stderr
    assert corrupt == Path(f"{file}.corrupt.1").read_bytes()
    assert f"app/fra/fra/{FRANKFURT}" in json.loads(file.read_text())["value"]["states"]


def test_a_state_that_makes_no_sense_is_set_aside_too(sites: Backends, site: Site) -> None:
    """A file that is whole, and yet holds no states, is no reason not to start."""
    state = StateDirectory(site.directory / "state")
    state.write("pools", {"states": [1, 2], "overrides": "none", "history": None})
    with ready(site, sites.config(INTERVAL)) as server:
        answered = ask_all(server.endpoint, IN_EUROPE)

    assert PREFERRED == answered
    assert 1 == server.stderr.count("pools.json.corrupt.1, starting without"), server.stderr


def test_it_is_unready_until_every_endpoint_was_checked(sites: Backends, site: Site) -> None:
    """Without a remembered state /readyz says 503 and why until the first round is done; queries are answered all the while."""
    sites.tokyo.hold()
    with served(site, sites.config(SLOW)) as server:
        before = server.ask("GET", "/readyz")
        metric = server.metrics()[sample("geodns_ready")]
        answered = [ask_all(server.endpoint, subnet) for subnet in (IN_EUROPE, IN_AMERICA, IN_ASIA)]
        alive = server.ask("GET", "/livez").status_code
        sites.tokyo.release()
        poll("it is ready", lambda: is_ready(server))
        after = server.metrics()[sample("geodns_ready")]

    assert (503, ["pool app: not every endpoint was checked yet"]) == (before.status_code, before.json()["reasons"])
    assert [PREFERRED, {(NEW_YORK, TTL)}, {(TOKYO, TTL)}] == answered
    assert (200, 0, 1) == (alive, metric, after)


def test_a_reload_keeps_health_and_the_operators_word(sites: Backends, site: Site) -> None:
    """Through a reload, and in the new generation's very first answers, the dead stay dead and the drained drained."""
    regions = (IN_EUROPE, IN_ASIA)
    with ready(site, sites.config(INTERVAL)) as server:
        die_in_frankfurt(server, sites)
        say(server, "app/tyo/tyo", "drain", seconds=600, reason="disks")
        said = len(server.stderr)
        site.write({"geodns.toml": sites.config(FROZEN), "example.com.zone": ZONE.replace("hostmaster 1", "hostmaster 2")})
        server.signal(signal.SIGHUP)
        seen: set[tuple[str, backends.Answer]] = set()

        def is_reloaded() -> bool:
            seen.update((subnet, ask(server.endpoint, subnet)) for subnet in regions)
            return "generation 2: 2 workers answer" in server.stderr[said:]

        poll("it is reloaded", is_reloaded)
        seen |= {(subnet, found) for subnet in regions for found in ask_all(server.endpoint, subnet)}
        known = server.told("/api/v1/pools/app")
        served_now = server.told("/api/v1/zones")[0]["serial"]

    assert {(IN_EUROPE, (NEW_YORK, TTL_DEGRADED)), (IN_ASIA, (NEW_YORK, TTL_DEGRADED))} == seen
    assert 2 == served_now
    endpoints = [endpoint for each in known["sites"] for endpoint in each["endpoints"]]
    assert ["down", "up", "up"] == [endpoint["addresses"][0]["health"] for endpoint in endpoints]
    assert [None, None, "disks"] == [endpoint["override"] and endpoint["override"]["reason"] for endpoint in endpoints]


def test_a_word_acts_at_once(sites: Backends, site: Site) -> None:
    """The first queries after the API has answered follow the word in every process, within 100 ms of asking for it."""
    with served(site, sites.config(FROZEN)) as server:
        taken: list[float] = []
        due = monotonic() + START
        while len(taken) < 12 or (min(taken) >= 0.1 and monotonic() < due):
            for word, wanted in (("drain", DIVERTED), ("auto", PREFERRED), ("down", DIVERTED), ("up", PREFERRED)):
                began = monotonic()
                say(server, "app/fra", word)
                found = ask(server.endpoint, IN_EUROPE)
                taken.append(monotonic() - began)
                assert wanted == {found} == ask_all(server.endpoint, IN_EUROPE)

    assert min(taken) < 0.1, taken  # the fastest: others wait for this machine, not for the server


def test_a_word_survives_a_restart(sites: Backends, site: Site) -> None:
    """What the operator has said holds from the first query on, also where checks say otherwise; it is in explain and metrics."""
    with ready(site, sites.config(INTERVAL)) as server:
        say(server, "app/fra", "down", reason="disks")
    with served(site, sites.config(INTERVAL)) as server:
        first = ask_all(server.endpoint, IN_EUROPE)
        passed = explained(server)["pool"]["passed"]
        metric = server.metrics()[sample("geodns_override", pool="app", site="fra", endpoint="", word="down")]
        say(server, "app/*", "auto")
        last = ask_all(server.endpoint, IN_EUROPE)

    assert DIVERTED == first
    assert ["fra/fra"] == [each["endpoint"] for each in passed]
    assert "operator" in passed[0]["why"]
    assert 1 == metric
    assert PREFERRED == last


def test_a_word_ends_when_its_time_is_over(sites: Backends, site: Site) -> None:
    """With `seconds` it is gone by itself, not earlier, and the log and the pool's history say so."""
    with served(site, sites.config(FROZEN)) as server:
        began = monotonic()
        say(server, "app/fra", "drain", seconds=1.5)
        during = ask_all(server.endpoint, IN_EUROPE)
        poll("it is over", lambda: ask_all(server.endpoint, IN_EUROPE) == PREFERRED, 1.5 + BATCH)
        lasted = monotonic() - began
        over = "app/fra: drain is over"  # who answers sees the end by itself; who writes of it looks after that
        poll("history says so", lambda: over in [event["what"] for event in server.told("/api/v1/pools/app")["history"]])
        server.until_said(over)

    assert DIVERTED == during
    assert lasted >= 1.5


def test_a_dead_site_that_is_forced_up_is_answered(sites: Backends, site: Site) -> None:
    """The operator has the last word: "up" wins over a check that fails, and "auto" gives the checks their say back."""
    with ready(site, sites.config(INTERVAL)) as server:
        die_in_frankfurt(server, sites)
        say(server, "app/fra/fra", "up")
        forced = {address for address, _ in ask_all(server.endpoint, IN_EUROPE)}
        say(server, "app/fra/fra", "auto")
        freed = ask_all(server.endpoint, IN_EUROPE)

    assert {FRANKFURT} == forced
    assert NEXT == freed


def test_nothing_of_a_server_is_left_behind(sites: Backends, site: Site) -> None:
    """After SIGTERM all its processes are gone, and its door is closed."""
    with ready(site, sites.config(INTERVAL)) as server:
        pids = {*server.children(), server.process.pid}
    with pytest.raises(httpx.ConnectError):
        server.ask("GET", "/livez")

    assert 4 == len(pids)
    assert [] == [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
