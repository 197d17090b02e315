"""Owns the proof of docs/migrating.md: gdnsd and PowerDNS, with the files of that page, answer every client as ours do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import pytest

from tests.support import daemons, mmdb
from tests.support.daemons import LISTEN, Endpoint, Server, free_port, need, poll, running
from tests.test_docs import DOCS, blocks

pytestmark = pytest.mark.slow

FILES = {block.file: block.text for block in blocks(DOCS / "migrating.md") if block.file}
PLACES = {
    "81.2.69.0/24": ("EU", "GB", 51.5, -0.1),
    "193.99.144.0/24": ("EU", "DE", 50.1, 8.7),
    "41.0.0.0/16": ("AF", "EG", 30.0, 31.2),
    "63.128.0.0/16": ("NA", "US", 40.7, -74.0),
    "200.1.2.0/24": ("SA", "BR", -23.5, -46.6),
    "133.11.0.0/16": ("AS", "JP", 35.7, 139.7),
    "203.0.0.0/16": ("OC", "AU", -33.9, 151.2),
    "2a02:8100::/32": ("EU", "DE", 50.1, 8.7),
}
CLIENTS = (*PLACES, "10.20.1.0/24", "198.18.1.0/24")
"""A client of each place, of the office, and one of whom nobody knows where it is."""

DRAWS = 400
CANARY = range(1, 60)  # of 400 draws with a chance of 0.05: 20, give or take 4.4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reply tells a client: response code, TTLs and data of the answer, in no order."""

    rcode: str
    ttls: frozenset[int]
    data: frozenset[str]


def ask(endpoint: Endpoint, name: str, client: str) -> Outcome:
    """The outcome for a client network, as a resolver would hear it."""
    query = dns.message.make_query(f"{name}.example.com.", "A", use_edns=0)
    query.use_edns(0, 0, 1232, options=[dns.edns.ECSOption.from_text(client)])
    octets = endpoint.udp(query.to_wire())
    assert octets, f"{name} for {client}: no reply"
    reply = dns.message.from_wire(octets)
    ttls = frozenset(rrset.ttl for rrset in reply.answer)
    return Outcome(
        dns.rcode.to_text(reply.rcode()), ttls, frozenset(record.to_text() for rrset in reply.answer for record in rrset)
    )


def database(path: Path) -> Path:
    """A database of cities that knows PLACES."""
    records = {
        network: {
            "continent": {"code": continent},
            "country": {"iso_code": country},
            "location": {"latitude": latitude, "longitude": longitude},
        }
        for network, (continent, country, latitude, longitude) in PLACES.items()
    }
    return mmdb.write(path, records, database_type="GeoLite2-City")


def _until_authoritative(server: Server) -> None:
    poll(f"the zone is served:\n{server.stderr}", lambda: ask(server.endpoint, "ns1", CLIENTS[0]).rcode == "NOERROR")


@contextmanager
def gdnsd(directory: Path) -> Iterator[Endpoint]:
    """gdnsd with the files of the page."""
    binary = need("gdnsd", "gdnsd")
    for name in ("zones", "geoip", "run", "state"):
        (directory / name).mkdir(parents=True)
    endpoint = Endpoint("127.0.0.1", free_port())
    options = f'listen => [127.0.0.1:{endpoint.port}], run_dir = "{directory}/run", state_dir = "{directory}/state"'
    (directory / "config").write_text(f"options => {{ {options} }}\n{FILES['gdnsd.config']}")
    (directory / "zones" / "example.com").write_text(FILES["gdnsd.zone"])
    database(directory / "geoip" / "GeoLite2-City.mmdb")
    with running(directory, endpoint, (binary, "-c", str(directory), "start")) as server:
        _until_authoritative(server)
        yield endpoint


@contextmanager
def powerdns(directory: Path) -> Iterator[Endpoint]:
    """PowerDNS with the file of the page in its geoip backend."""
    binary = need("pdns_server", "pdns-server")
    if not list(Path("/usr/lib").glob("*/pdns/libgeoipbackend.so")):
        pytest.skip("the geoip backend of PowerDNS is not installed (Debian package pdns-backend-geoip)")
    directory.mkdir()
    endpoint = Endpoint("127.0.0.1", free_port())
    (directory / "zones.yaml").write_text(FILES["powerdns.yaml"])
    (directory / "pdns.conf").write_text(
        f"launch=geoip\ngeoip-database-files=mmdb:{database(directory / 'city.mmdb')}\ngeoip-zones-file={directory}/zones.yaml\n"
        f"local-address=127.0.0.1\nlocal-port={endpoint.port}\nedns-subnet-processing=yes\nenable-lua-records=yes\n"
        f"security-poll-suffix=\nsocket-dir={directory}\ndaemon=no\nguardian=no\n"
    )
    with running(directory, endpoint, (binary, f"--config-dir={directory}")) as server:
        _until_authoritative(server)
        yield endpoint


@contextmanager
def ours(directory: Path, name: str) -> Iterator[Endpoint]:
    """geodns with the files of the page that come from another server's."""
    site = daemons.Site(directory)
    directory.mkdir()
    database(directory / "country.mmdb")
    zone = f"{name}.zone"
    with daemons.serving(site, f"{FILES[f'{name}.toml']}\n{LISTEN}", {zone: FILES[zone]}) as server:
        yield server.endpoint


@dataclass(frozen=True, slots=True)
class Pair:
    """The same policies twice."""

    theirs: Endpoint
    ours: Endpoint


@pytest.fixture(scope="module")
def from_gdnsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("gdnsd")
    with gdnsd(directory / "theirs") as theirs, ours(directory / "ours", "from-gdnsd") as own:
        yield Pair(theirs, own)


@pytest.fixture(scope="module")
def from_powerdns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("powerdns")
    with powerdns(directory / "theirs") as theirs, ours(directory / "ours", "from-powerdns") as own:
        yield Pair(theirs, own)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["www", "app", "cdn", "all"])
def test_gdnsd_answers_alike(from_gdnsd: Pair, name: str, client: str) -> None:
    """Maps, distances, networks, tailored aliases and all of a group: a client gets the same from gdnsd and from us."""
    theirs = ask(from_gdnsd.theirs, name, client)

    assert theirs.data
    assert theirs == ask(from_gdnsd.ours, name, client)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["www", "lua"])
def test_powerdns_answers_alike(from_powerdns: Pair, name: str, client: str) -> None:
    """Services and conditions in Lua: a client gets the same from PowerDNS and from us."""
    theirs = ask(from_powerdns.theirs, name, client)

    assert theirs.data
    assert theirs == ask(from_powerdns.ours, name, client)


def _drawn(endpoint: Endpoint) -> Counter[Outcome]:
    return Counter(ask(endpoint, "new", CLIENTS[0]) for _ in range(DRAWS))


@pytest.mark.parametrize("pair", ["from_gdnsd", "from_powerdns"])
def test_weights_are_drawn_alike(request: pytest.FixtureRequest, pair: str) -> None:
    """The same two answers come from both, the canary's seldom."""
    both: Pair = request.getfixturevalue(pair)
    drawn = [_drawn(both.theirs), _drawn(both.ours)]

    assert set(drawn[0]) == set(drawn[1])
    assert [2, 2] == [len(counts) for counts in drawn]
    assert all(min(counts.values()) in CANARY for counts in drawn)
