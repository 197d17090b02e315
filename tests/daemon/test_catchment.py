"""Owns the laws of the catchment: from a real handshake to what the door tells; no address gets any farther than its worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from time import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns import answer, geo, server
from geodns.daemon import catchment, load
from geodns.daemon.catchment import RECORD, Catchment, Scribe, why_off
from geodns.daemon.counting import Arrivals, Counts
from geodns.ops import config as configuration
from geodns.ops.config import Config
from geodns.ops.control import Control, ControlError
from geodns.problem import ProblemsFound
from tests.support.daemons import Endpoint as Where
from tests.support.daemons import Geodns, geodns, poll, running, sample
from tests.support.distant import distance

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="handshakes are measured on Linux only")

PLACES = """
[geo.networks]
"127.1.0.0/16" = { continent = "EU", country = "DE", latitude = 50.0, longitude = 9.0, asn = 64500 }
"127.2.0.0/16" = { continent = "AS", country = "SG", latitude = 1.3, longitude = 103.8 }
"198.51.100.0/24" = { continent = "EU", country = "DE", latitude = 50.0, longitude = 9.0 }
"203.0.113.0/24" = { continent = "AS", country = "SG", latitude = 1.3, longitude = 103.8 }
[pools.edge]
steering = "nearest"
[[pools.edge.endpoints]]
name = "a"
site = "fra"
addresses = ["192.0.2.1"]
latitude = 50.1
longitude = 8.7
[[pools.edge.endpoints]]
name = "b"
site = "sin"
addresses = ["192.0.2.2"]
latitude = 1.35
longitude = 103.82
[pools.spare]
steering = "failover"
[[pools.spare.endpoints]]
name = "c"
site = "nyc"
addresses = ["192.0.2.3"]
[[zones]]
name = "example.com"
file = "example.com.zone"
"""
CONFIG = f"""\
[server]
listen = ["127.0.0.1:$port"]
state = ""
workers = 2
[admin]
listen = "127.0.0.1:$admin"
{PLACES}"""
ZONE = """\
@ 60 IN SOA ns h 1 1 1 1 1
@ 60 IN NS ns
ns 60 IN A 192.0.2.53
app 60 IN POOL edge
app 60 IN A 192.0.2.9
old 60 IN POOL spare
old 60 IN A 192.0.2.9
"""


# --- without a daemon -------------------------------------------------------------------------------------------------


def sockaddr(text: str) -> bytes:
    return server.sockaddr_of((text, 4711) if ":" not in text else (text, 4711, 0, 0))


def settings(**keys: object) -> Config:
    return Config.model_validate({"catchment": keys})


@pytest.fixture
def funnel() -> Iterator[server.Funnel]:
    funnel = server.Funnel(RECORD.size)
    yield funnel
    funnel.close()


@pytest.fixture
def post() -> Iterator[server.Post]:
    """The keeper's post."""
    readiness, told = os.pipe()
    tally = server.Tally(2, answer.CAPACITY)
    yield server.Post(1, (), readiness, told, tally, tally.take())
    for descriptor in (readiness, told):
        os.close(descriptor)


class Keeper:
    """A catchment and all that it hangs on, but no process."""

    def __init__(self, directory: Path, funnel: server.Funnel, post: server.Post, config: str = PLACES) -> None:
        (directory / "geodns.toml").write_text(config)
        (directory / "example.com.zone").write_text(ZONE)
        self.loaded = load(directory / "geodns.toml")
        self.notebook = server.Slate(catchment.NOTEBOOK)
        self.counts = Counts(answer.Ledger(), post._tally)
        self.scribe = Scribe(funnel, self.loaded.config)
        self._funnel, self._post = funnel, post
        self.catchment = self.successor()

    def successor(self) -> Catchment:
        """The next generation's."""
        return Catchment(self.loaded, self._funnel, self.notebook, Arrivals(self.counts, self._post))

    def tell(self, pool: str = "", worst: int = 100, least: int = 1) -> dict[str, Any]:
        return self.catchment.as_json(answer.Moment(), pool, worst, least)


@pytest.fixture
def keeper(tmp_path: Path, funnel: server.Funnel, post: server.Post) -> Keeper:
    return Keeper(tmp_path, funnel, post)


@given(st.ip_addresses(), st.integers(8, 24), st.integers(16, 48), st.integers(1, 2**40))
def test_what_leaves_a_worker_is_a_network(address: Any, ipv4: int, ipv6: int, microseconds: int) -> None:
    """The bits of the host are gone before anything is handed on; an IPv4 address inside IPv6 is taken for what it is."""
    funnel = server.Funnel(RECORD.size)
    try:
        assert Scribe(funnel, settings(truncate_ipv4=ipv4, truncate_ipv6=ipv6)).offer(sockaddr(str(address)), microseconds)
        [record] = [record for octets in funnel.take() for record in RECORD.iter_unpack(octets)]
    finally:
        funnel.close()
    meant = getattr(address, "ipv4_mapped", None) or address
    bits, length = (32, ipv4) if meant.version == 4 else (128, ipv6)
    network = int(meant) >> bits - length << bits - length

    assert (meant.version, network if bits == 32 else network >> 64, min(microseconds, 2**32 - 1)) == record


@pytest.mark.parametrize(
    ("keys", "door", "reason"),
    [({}, "127.0.0.1:9153", ""), ({"enabled": False}, "127.0.0.1:9153", "catchment.enabled"), ({}, "", "no admin door")],
)
def test_it_says_why_it_is_off(keys: dict[str, object], door: str, reason: str, funnel: server.Funnel) -> None:
    """Where it is switched off, or nobody could ask, nothing is measured."""
    config = Config.model_validate({"catchment": keys, "admin": {"listen": door}})

    assert (reason == "", True) == (why_off(config) == "", reason in why_off(config))
    assert (Scribe.wanted(funnel, config) is None) == bool(reason)


def test_a_kernel_that_does_not_tell_switches_it_off(monkeypatch: pytest.MonkeyPatch, keeper: Keeper) -> None:
    """The reason is told at the door, and everything else goes on."""
    keeper.scribe.offer(sockaddr("127.1.0.77"), 5_000)
    keeper.catchment.look(time())
    keeper.catchment._save()
    monkeypatch.setattr("geodns.server.handshakes.sys.platform", "darwin")
    keeper.catchment = keeper.successor()
    told = keeper.tell()

    assert (False, [], []) == (told["measured"], told["regions"], told["worst"])
    assert "this system is darwin" in told["why_not"]


def test_networks_are_told_by_region_and_with_the_site_of_a_pool(keeper: Keeper) -> None:
    """A German network that needs 180 ms, of whom Frankfurt would take care, and one in Singapore that is well."""
    for microseconds in (180_000, 190_000, 240_000):
        keeper.scribe.offer(sockaddr("127.1.0.77"), microseconds)
    keeper.scribe.offer(sockaddr("127.2.0.9"), 2_000)
    keeper.scribe.offer(sockaddr("10.1.2.3"), 3_000)
    keeper.catchment.look(time())
    told = keeper.tell()
    first, *others = told["worst"]

    assert (True, "", 3, 5, ["edge"]) == tuple(told[key] for key in ("measured", "why_not", "networks", "round_trips", "pools"))
    assert {"country:DE": 3, "country:SG": 1, "special": 1} == {each["region"]: each["round_trips"] for each in told["regions"]}
    assert ("127.1.0.0/24", 64500, 3, 180.0, 18_000.0, "slow") == tuple(
        first[key] for key in ("prefix", "asn", "round_trips", "fastest_ms", "within_km", "verdict")
    )
    assert first["median_ms"] == pytest.approx(190, rel=0.1)
    assert ("edge", "fra", "a", "at best 180 ms, fra would be about 10.5 ms") == tuple(
        first["instead"][0][key] for key in ("pool", "site", "endpoint", "sentence")
    )
    assert [("10.1.2.0/24", "unknown"), ("127.2.0.0/24", "well")] == [(each["prefix"], each["verdict"]) for each in others]


def test_an_instance_that_knows_its_place_tells_polarised_from_detour(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Singapore, a German network had better go to Frankfurt, and a slow one from next door has nowhere better to go."""
    monkeypatch.setattr(catchment, "place_of_instance", lambda _config: geo.Spot(1.35, 103.82))
    keeper.scribe.offer(sockaddr("127.1.0.77"), 180_000)
    keeper.scribe.offer(sockaddr("127.2.0.9"), 170_000)
    keeper.catchment.look(time())
    told = keeper.tell()

    assert {"latitude": 1.35, "longitude": 103.82} == told["place"]
    assert [("127.1.0.0/24", "polarised"), ("127.2.0.0/24", "detour")] == [
        (each["prefix"], each["verdict"]) for each in told["worst"]
    ]
    assert [pytest.approx(10_200, abs=200), pytest.approx(6, abs=5)] == [each["distance_km"] for each in told["worst"]]


def test_a_pool_that_is_named_is_the_one_compared_with(keeper: Keeper) -> None:
    """Any pool can be; one that there is not is refused with those that there are."""
    keeper.scribe.offer(sockaddr("127.1.0.77"), 180_000)
    keeper.catchment.look(time())
    [network] = keeper.tell("spare")["worst"]

    assert [("spare", "nyc", None)] == [(each["pool"], each["site"], each["distance_km"]) for each in network["instead"]]
    with pytest.raises(ValueError, match="no pool 'edgy'; known: edge, spare"):
        keeper.tell("edgy")


def test_few_round_trips_are_not_listed(keeper: Keeper) -> None:
    """The list has the slowest networks with enough of them, and no more than are wanted; the regions have all."""
    for network in range(10):
        for _ in range(network + 1):
            keeper.scribe.offer(sockaddr(f"127.1.{network}.1"), 1_000 * (network + 1))
    keeper.catchment.look(time())
    told = keeper.tell(worst=3, least=5)

    assert (6, 55) == (told["compared"], told["regions"][0]["round_trips"])
    assert [f"127.1.{network}.0/24" for network in (9, 8, 7)] == [each["prefix"] for each in told["worst"]]


def test_a_successor_goes_on_with_what_is_known(keeper: Keeper) -> None:
    """Also with what came while there was no keeper; unless networks are cut otherwise by now."""
    keeper.scribe.offer(sockaddr("127.1.0.77"), 5_000)
    keeper.catchment.look(time())
    keeper.catchment._save()
    keeper.scribe.offer(sockaddr("127.1.0.78"), 4_000)
    keeper.catchment = keeper.successor()
    keeper.catchment.look(time())
    assert [("127.1.0.0/24", 2)] == [(each["prefix"], each["round_trips"]) for each in keeper.tell()["worst"]]

    other = keeper.loaded.config.model_copy(update={"catchment": settings(truncate_ipv4=16).catchment})
    keeper.loaded = type(keeper.loaded)(keeper.loaded.path, other, keeper.loaded.snapshot, (), 0.0, 0.0)
    keeper.catchment = keeper.successor()
    assert [] == keeper.tell()["worst"]


def test_a_look_into_a_flood_is_short(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that has no more time leaves the rest for the next look, and loses none of it."""
    offered = 0
    while offered < 3000 and keeper.scribe.offer(sockaddr(f"127.{offered % 200}.1.1"), 1_000):
        offered += 1
    monkeypatch.setattr(catchment, "_PATIENCE", 0.0)
    keeper.catchment.look(time())
    first = keeper.tell()["round_trips"]
    assert 0 < first < offered

    for _ in range(offered // first + 1):
        keeper.catchment.look(time())
    assert offered == keeper.tell()["round_trips"]


def test_places_are_remembered_but_not_without_end(keeper: Keeper) -> None:
    """Many more networks than are kept are located, and none of it grows."""
    most = keeper.loaded.config.catchment.networks
    for number in range(3 * most):
        address = str(ip_address((64 << 24) + (number << 8)))
        while not keeper.scribe.offer(sockaddr(address), 1_000):
            keeper.catchment.look(time())
    for _ in range(100):
        keeper.catchment.look(time())

    assert len(keeper.catchment._located) <= 2 * most + 1
    assert keeper.catchment.size <= most
    counted = keeper.counts.tally.totals(keeper.counts.fixed_count)
    assert 3 * most - keeper.catchment.size == counted[keeper.counts.networks_forgotten]


# --- a daemon ---------------------------------------------------------------------------------------------------------


@contextmanager
def served(directory: Path, config: str = CONFIG) -> Iterator[Geodns]:
    with geodns(directory, config, {"example.com.zone": ZONE}) as running_server:
        running_server.until_said("2 workers answer")
        yield running_server


def come(served: Geodns, *clients: str) -> None:
    """One connection from each of these addresses."""
    for client in clients:
        with socket.create_connection((served.endpoint.host, served.endpoint.port), 5, source_address=(client, 0)) as sock:
            sock.sendall(b"\0\x0c" + bytes(12))
            assert sock.recv(2)


def told(served: Geodns, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = served.told("/api/v1/catchment", **({"min_samples": "1"} | query))
    return found


def seen(served: Geodns) -> dict[str, int]:
    """Round trips by network, but for those of whoever waits until the daemon answers."""
    return {each["prefix"]: each["round_trips"] for each in told(served)["worst"] if each["prefix"] != "127.0.0.0/24"}


GERMANS = [f"127.1.0.{number}" for number in range(1, 21)]
BOTH = {"127.1.0.0/24": 20, "127.2.0.0/24": 2}


@pytest.mark.slow
def test_connections_are_told_whoever_accepts_them(tmp_path: Path) -> None:
    """Those of both workers, of either family of networks; after a reload and a killed keeper and worker they go on adding up."""
    with served(tmp_path) as running_server:
        come(running_server, *GERMANS, "127.2.0.1", "127.2.0.2")
        poll("they are told", lambda: seen(running_server) == BOTH)
        running_server.reload({}, "generation 2: 2 workers answer")
        come(running_server, *GERMANS)
        poll("they are added", lambda: seen(running_server) == BOTH | {"127.1.0.0/24": 40})
        os.kill(min(running_server.workers()), signal.SIGKILL)
        poll("it is replaced", lambda: running_server.told("/api/v1/status")["worker_deaths"] == 1)
        come(running_server, *GERMANS)
        poll("they are added", lambda: seen(running_server) == BOTH | {"127.1.0.0/24": 60})
        text = json.dumps(told(running_server))

    assert [] == [client for client in GERMANS if f'"{client}"' in text or f"{client} " in text]


@pytest.mark.slow
def test_metrics_outlive_a_killed_keeper(tmp_path: Path) -> None:
    """The list may lose its last seconds, the histograms lose nothing that they have shown."""
    count = sample("geodns_tcp_handshake_rtt_seconds_count", continent="EU")

    def counted(running_server: Geodns) -> float:
        try:
            return running_server.metrics().get(count, 0)
        except httpx.TransportError:
            return -1

    with served(tmp_path) as running_server:
        come(running_server, *GERMANS)
        poll("they are counted", lambda: counted(running_server) == 20)
        os.kill(running_server.keeper(), signal.SIGKILL)
        come(running_server, *GERMANS)
        poll("they are added", lambda: counted(running_server) == 40)
        found = running_server.metrics()

    assert 40 == found[sample("geodns_tcp_handshake_rtt_seconds_bucket", continent="EU", le="1.0")]
    assert (0, 0) == (found[sample("geodns_tcp_unmeasured_total")], found[sample("geodns_tcp_unnoted_total")])


@pytest.mark.slow
def test_a_reload_switches_it_off_and_on(tmp_path: Path) -> None:
    """Off, nothing is measured and the door says why; queries by TCP are answered all the same."""
    off = CONFIG + "[catchment]\nenabled = false\n"
    with served(tmp_path, off) as running_server:
        come(running_server, *GERMANS)
        assert (False, "catchment.enabled is false", 0) == tuple(
            told(running_server)[key] for key in ("measured", "why_not", "networks")
        )
        assert sample("geodns_catchment_networks") not in running_server.metrics()
        running_server.reload({"geodns.toml": CONFIG}, "generation 2: 2 workers answer")
        come(running_server, "127.2.0.1")
        poll("it is told", lambda: seen(running_server) == {"127.2.0.0/24": 1})


@pytest.mark.slow
def test_far_away_clients_are_measured(tmp_path: Path) -> None:
    """Handshakes that take as long as from the other end of the world are measured so, and the pool's site there is named."""
    (tmp_path / "example.com.zone").write_text(ZONE)
    config = CONFIG.replace("127.0.0.1:$port", "192.0.2.53:53").replace('"127.0.0.1:$admin"', f'"unix:{tmp_path}/admin.sock"')
    (tmp_path / "geodns.toml").write_text(config)
    door = f"{tmp_path}/admin.sock"
    command = [sys.executable, "-m", "geodns", "serve", "--config", str(tmp_path / "geodns.toml")]
    with distance("192.0.2.53", 53) as far, Control(f"unix:{door}") as control:

        class There(Where):
            """Where nobody can look from outside the namespace but by the door."""

            def is_alive(self) -> bool:
                try:
                    return not control.status()["ready"]
                except ControlError:
                    return False

        with running(tmp_path, There("192.0.2.53", 53), [*far.prefix, *command]):
            for client, milliseconds in [("198.51.100.7", 160)] * 3 + [("203.0.113.9", 15)] * 3:
                far.connect(client, milliseconds)
            poll("all are told", lambda: control.catchment(min_samples=3)["compared"] == 2)
            german, singaporean = control.catchment(min_samples=3)["worst"]
            with httpx.Client(transport=httpx.HTTPTransport(uds=door), base_url="http://localhost") as client_of_door:
                text = client_of_door.get("/metrics").text

    assert german["fastest_ms"] == pytest.approx(160, abs=40)
    assert singaporean["fastest_ms"] == pytest.approx(15, abs=14)
    assert ("198.51.100.0/24", "slow", "fra") == (german["prefix"], german["verdict"], german["instead"][0]["site"])
    assert ("203.0.113.0/24", "well", "sin") == (singaporean["prefix"], singaporean["verdict"], singaporean["instead"][0]["site"])
    assert [0, 3] == [
        int(line.split()[1])
        for bound in ("0.15", "0.5")
        for line in text.splitlines()
        if line.startswith(f'geodns_tcp_handshake_rtt_seconds_bucket{{continent="EU",le="{bound}"}}')
    ]


def test_the_configuration_is_judged() -> None:
    """Prefixes so long that they name a client are refused, as is a table without bounds."""
    with pytest.raises(ProblemsFound) as raised:
        configuration.parse("[catchment]\ntruncate_ipv4 = 32\ntruncate_ipv6 = 128\nnetworks = 0\nwindow = 1\n")

    assert [2, 3, 4, 5] == [problem.line for problem in raised.value.problems]
