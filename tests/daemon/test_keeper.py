"""Owns what holds while the process that keeps is killed, halted or replaced, and what it does at its door, on real daemons."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from tests.support import backends
from tests.support.backends import FRANKFURT, IN_ASIA, IN_EUROPE, NEW_YORK, TTL, TTL_DEGRADED, ZONE, Backends, ask, ask_all
from tests.support.daemons import LISTEN, START, Geodns, Site, geodns, poll, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address")]

INTERVAL = 0.5  # s
PREFERRED, NEXT = {(FRANKFURT, TTL)}, {(NEW_YORK, TTL_DEGRADED)}
WITHOUT_POOLS = '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
PLAIN = ZONE.replace("app POOL app\n", "")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Where the server under test has its files, its state and its ports."""
    return Site(tmp_path / "server")


@pytest.fixture
def sites() -> Iterator[Backends]:
    """Frankfurt, New York and Tokyo, alive."""
    with backends.backends() as three:
        yield three


@contextmanager
def served(site: Site, config: str, zone: str = ZONE) -> Iterator[Geodns]:
    """The server, as soon as it is ready and all is up: on a busy machine the first check may not be done in time."""
    with serving(site, config, {"example.com.zone": zone}) as server:
        server.until_said("answer")
        poll("all is up", lambda: readiness(server) == 200 and set(server.told("/api/v1/status")["pools"].values()) <= {"up"})
        yield server


def readiness(server: Geodns) -> int:
    """The status of /readyz, 0 while nobody opens."""
    try:
        return server.ask("GET", "/readyz").status_code
    except httpx.TransportError:
        return 0


def said(server: Geodns, method: str, path: str, **body: object) -> None:
    server.ask(method, path, body).raise_for_status()


def kill(server: Geodns, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal one of the server's own processes."""
    assert pid in server.children()
    os.kill(pid, number)


def test_a_killed_keeper_is_replaced_and_goes_on(sites: Backends, site: Site) -> None:
    """Answers stay the same all the while, and its successor knows states, words and history, and goes on checking."""
    with served(site, sites.config(INTERVAL)) as server:
        sites.frankfurt.kill()
        poll("the next takes its users", lambda: ask_all(server.endpoint, IN_EUROPE) == NEXT)
        said(server, "PUT", "/api/v1/overrides", pattern="app/tyo", word="drain", reason="disks")
        first, before = server.keeper(), server.told("/api/v1/pools/app")
        kill(server, first)
        answers: set[backends.Answer] = set()

        def is_replaced() -> bool:
            answers.update(ask(server.endpoint, subnet) for subnet in (IN_EUROPE, IN_ASIA))
            return "the keeper (process" in server.stderr and readiness(server) == 200

        poll("it is replaced", is_replaced)
        second, after = server.keeper(), server.told("/api/v1/pools/app")
        deaths = server.told("/api/v1/status")["worker_deaths"]
        answers |= ask_all(server.endpoint, IN_EUROPE) | ask_all(server.endpoint, IN_ASIA)
        sites.frankfurt.start()
        poll("its users return", lambda: {address for address, _ in ask_all(server.endpoint, IN_EUROPE)} == {FRANKFURT})

    assert first != second
    assert 1 == deaths
    assert NEXT == answers
    assert before["history"] == after["history"]
    assert [known(before, number) for number in range(3)] == [known(after, number) for number in range(3)]
    assert ("down", 1, None) == known(after, 0)
    assert "disks" == known(after, 2)[2]


def known(pool: dict[str, list[dict[str, list[dict[str, object]]]]], number: int) -> tuple[object, object, object]:
    """Health, transitions and the word's reason of an endpoint."""
    endpoint = pool["sites"][number]["endpoints"][0]
    address, word = endpoint["addresses"][0], endpoint["override"]  # type: ignore[index]
    return address["health"], address["transitions"], word and word["reason"]  # type: ignore[index]


def test_a_word_ends_in_time_though_its_keeper_has_died(sites: Backends, site: Site) -> None:
    """Whoever follows ends what is over."""
    with served(site, sites.config(INTERVAL)) as server:
        began = monotonic()
        said(server, "PUT", "/api/v1/overrides", pattern="app/fra", word="down", seconds=2.0)
        kill(server, server.keeper())
        during = {address for address, _ in ask_all(server.endpoint, IN_EUROPE)}
        poll("it is over", lambda: {address for address, _ in ask_all(server.endpoint, IN_EUROPE)} == {FRANKFURT})
        lasted = monotonic() - began

    assert {NEW_YORK} == during
    assert lasted >= 2


def test_answers_do_not_wait_for_the_keeper(sites: Backends, site: Site) -> None:
    """While it stands still, whatever checks would say, clients are answered from what was known."""
    with served(site, sites.config(INTERVAL)) as server:
        keeper = server.keeper()
        kill(server, keeper, signal.SIGSTOP)
        sites.frankfurt.kill()
        answered = {address for address, _ in ask_all(server.endpoint, IN_EUROPE)}
        kill(server, keeper, signal.SIGCONT)
        poll("it goes on", lambda: ask_all(server.endpoint, IN_EUROPE) == NEXT)

    assert {FRANKFURT} == answered


def test_all_processes_end_with_a_killed_supervisor(sites: Backends, tmp_path: Path) -> None:
    """After kill -9 of the supervisor the keeper gives up, too, and leaves what it knew on the disk."""
    files: dict[str, str | bytes] = {"example.com.zone": ZONE}
    with geodns(tmp_path, sites.config(INTERVAL), files, exit_code=-signal.SIGKILL) as server:
        poll("it is ready", lambda: readiness(server) == 200)
        pids = server.children()
        server.signal(signal.SIGKILL)
        server.wait()
        poll("they end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))

    assert (tmp_path / "state" / "pools.json").exists()


def test_a_taken_door_does_not_keep_queries_unanswered(site: Site) -> None:
    """It is said with the address, queries are answered, and a reload opens the door once it can be had."""
    config = LISTEN + '[admin]\nlisten = "127.0.0.1:$admin"\n' + WITHOUT_POOLS
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", site.admin))
        taken.listen()
        with serving(site, config, {"example.com.zone": PLAIN}) as server:
            server.until_said("1 worker answers")
            warned = [line for line in (server.stdout + server.stderr).splitlines() if str(site.admin) in line]
            answered = ask(server.endpoint, IN_EUROPE)
            taken.close()
            server.reload({})
            poll("the door is open", lambda: readiness(server) == 200)

    assert 1 == len(warned), warned
    assert "no metrics and no API" in warned[0]
    assert ("192.0.2.30", 300) == answered


def test_a_reload_moves_the_door(site: Site) -> None:
    """Another port is opened and the old one given back; with none there is nobody to ask, and queries are answered on."""
    config = LISTEN + '[admin]\nlisten = "127.0.0.1:$admin"\n' + WITHOUT_POOLS
    with served(site, config, PLAIN) as server:
        before = server.site.admin
        server.site.admin = Site(site.directory).admin
        server.reload({"geodns.toml": config}, "generation 2: 1 worker answers")
        poll("the new door is open", lambda: readiness(server) == 200)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{before}/livez", trust_env=False)
        server.reload({"geodns.toml": config.replace("127.0.0.1:$admin", "")}, "generation 3: 1 worker answers")
        poll("the door is closed", lambda: readiness(server) == 0)

        assert 2 == len(server.children())
        assert ("192.0.2.30", 300) == ask(server.endpoint, IN_EUROPE)


def test_draining_shows_in_readiness_and_outlives_reload_and_restart(sites: Backends, site: Site) -> None:
    """Until it is taken back the instance says that no queries should come, and answers those that do."""
    config = sites.config(INTERVAL)
    with served(site, config) as server:
        said(server, "POST", "/api/v1/drain", reason="kernel")
        drained = server.ask("GET", "/readyz")
        server.reload({})
        poll("the new keeper knows it", lambda: readiness(server) == 503)
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        poll("the next server knows it", lambda: readiness(server) == 503)
        answered = ask_all(server.endpoint, IN_EUROPE)
        reasons = server.ask("GET", "/readyz").json()["reasons"]
        said(server, "POST", "/api/v1/undrain")
        poll("it is ready", lambda: readiness(server) == 200)

    assert (503, True) == (drained.status_code, "kernel" in drained.text)
    assert [True] == ["kernel" in reason for reason in reasons]
    assert PREFERRED == answered


def test_a_reload_by_the_api_tells_how_it_went(site: Site) -> None:
    """Accepted with the new generation, or refused with every problem and its line, while the old data is served on."""
    config = LISTEN + '[admin]\nlisten = "127.0.0.1:$admin"\n' + WITHOUT_POOLS
    with served(site, config, PLAIN) as server:
        keeper = server.keeper()
        server.site.write({"example.com.zone": PLAIN.replace("192.0.2.30", "192.0.2.31")})
        accepted = server.ask("POST", "/api/v1/reload", {})
        server.until_said("generation 2: 1 worker answers")
        served_then = ask(server.endpoint, IN_EUROPE)
        server.site.write({"example.com.zone": PLAIN.replace("192.0.2.30", "192.0.2.300")})
        poll("the next keeper opens", lambda: readiness(server) == 200 and server.keeper() != keeper)
        refused = server.ask("POST", "/api/v1/reload", {})
        served_now = ask(server.endpoint, IN_EUROPE)

    assert (200, 2) == (accepted.status_code, accepted.json()["generation"])
    assert 409 == refused.status_code
    assert [("example.com.zone", 4)] == [(Path(each["file"]).name, each["line"]) for each in refused.json()["problems"]]
    assert ("192.0.2.31", 300) == served_then == served_now


def health_of(server: Geodns) -> list[str]:
    """Of each endpoint, in their order."""
    return [each["endpoints"][0]["addresses"][0]["health"] for each in server.told("/api/v1/pools/app")["sites"]]


def test_a_state_that_is_posted_holds_at_once_and_outlives_its_keeper(sites: Backends, site: Site) -> None:
    """An external check is believed with the first word, and its age goes on counting through a reload."""
    whole = sites.config(INTERVAL)
    at, end = whole.index("[pools.app.check]"), whole.index("[[pools.app.endpoints]]")
    config = f'{whole[:at]}[pools.app.check]\ntype = "external"\nmax_age = 5.0\n{whole[end:]}'
    with served(site, config) as server:
        began = monotonic()
        said(server, "PUT", "/api/v1/health/app/fra/fra", up=False)
        at_once = ask_all(server.endpoint, IN_EUROPE)
        nobody = server.ask("PUT", "/api/v1/health/app/fra/none", {"up": False}).status_code
        server.reload({})
        poll("the next keeper knows it", lambda: health_of(server) == ["down", "unknown", "unknown"])
        reloaded = ask_all(server.endpoint, IN_EUROPE)
        took = monotonic() - began
        poll("it is forgotten", lambda: {address for address, _ in ask_all(server.endpoint, IN_EUROPE)} == {FRANKFURT}, START)
        lasted = monotonic() - began

    assert NEXT == at_once
    assert 404 == nobody
    assert NEXT == reloaded
    assert 5 <= lasted < 5 + 2 + took
