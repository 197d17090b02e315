"""Owns the promises of `geodns serve`, tried on the real process with real sockets and dig; refuses to know its insides."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import BinaryIO

import pytest

from tests.support import daemons, mmdb
from tests.support.daemons import LISTEN, REPOSITORY, Endpoint, Geodns, Site, geodns, need, poll

pytestmark = pytest.mark.slow

DEMONSTRATION = REPOSITORY / "geodns" / "demo"
ZONE = """\
$TTL 60
@    SOA ns host {serial} 2 3 4 60
@    NS  ns
ns   A   192.0.2.53
www  A   {address}
www  GEO continent:EU A 198.51.100.10
big  TXT "{filler}"
big  TXT "b{filler}"
big  TXT "c{filler}"
big  TXT "d{filler}"
big  TXT "e{filler}"
big  TXT "f{filler}"
"""
CONFIG = LISTEN + '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
EXPECTATION = '[[expect]]\nname = "www.example.com"\nclient = "81.2.69.0/24"\nanswer = ["{answer}"]\n'
QUERY = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01"
SOCKETS = 8


def zone(serial: int = 1, address: str = "192.0.2.10") -> str:
    """The zone of these tests."""
    return ZONE.format(serial=serial, address=address, filler="x" * 250)


def dig(endpoint: Endpoint, *words: str) -> str:
    """What dig prints; it must come to an end without fault."""
    command = (need("dig", "bind9-dnsutils"), "-r", f"@{endpoint.host}", "-p", str(endpoint.port), "+tries=1", "+time=5", *words)
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def geodns_command(*words: str) -> subprocess.CompletedProcess[str]:
    """Another verb of the command line, run to its end."""
    command = (sys.executable, "-m", "geodns", *words)
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Geodns]:
    """The demonstration, on a port that is free."""
    files: dict[str, str | bytes] = {path.name: path.read_text() for path in DEMONSTRATION.iterdir() if path.suffix != ".toml"}
    listen = '["127.0.0.1:$port", "[::1]:$port"]' if daemons.has_ipv6() else '["127.0.0.1:$port"]'
    config = (DEMONSTRATION / "geodns.toml").read_text().replace("[server]\n", f"[server]\nlisten = {listen}\n", 1)
    with geodns(tmp_path_factory.mktemp("demonstration"), config, files) as server:
        yield server


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Geodns]:
    """The small zone, for tests that leave it as it was."""
    with geodns(tmp_path_factory.mktemp("lasting"), CONFIG, {"example.com.zone": zone()}) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Geodns]:
    """A small zone, for a test to change or break."""
    with geodns(tmp_path / "site", CONFIG, {"example.com.zone": zone()}) as running:
        yield running


README_LINES = [
    ("www.example.com A +subnet=81.2.69.0/24", "198.51.100.10", r"CLIENT-SUBNET: 81\.2\.69\.0/24/(\d+)", (1, 32)),
    ("www.example.com A +subnet=133.11.0.0/16", "203.0.113.10", r"CLIENT-SUBNET: 133\.11\.0\.0/16/(\d+)", (1, 32)),
    ("www.example.com AAAA +subnet=2a02:8100::/32", "2001:db8:e::10", r"CLIENT-SUBNET: 2a02:8100::/32/(\d+)", (1, 128)),
    ("a.b.c.example.com A +subnet=81.2.69.0/24", "192.0.2.61", r"CLIENT-SUBNET: 81\.2\.69\.0/24/(\d+)", (0, 0)),
    ("www.example.com A +subnet=0.0.0.0/0", "192.0.2.10", r"CLIENT-SUBNET: 0\.0\.0\.0/0/(\d+)", (0, 0)),
]


@pytest.mark.parametrize(("words", "answer", "subnet", "scopes"), README_LINES, ids=[line[0] for line in README_LINES])
def test_a_client_gets_the_answer_of_its_region(
    demonstration: Geodns, words: str, answer: str, subnet: str, scopes: tuple[int, int]
) -> None:
    """Each line of the README gets its address, with the client subnet echoed and a scope within bounds."""
    printed = dig(demonstration.endpoint, *words.split())
    echoed = re.search(subnet, printed)

    assert "status: NOERROR" in printed
    assert re.search(rf"\sIN\s+(A|AAAA)\s+{re.escape(answer)}\n", printed)
    assert echoed, printed
    assert scopes[0] <= int(echoed[1]) <= scopes[1]


def test_explain_says_what_dig_gets() -> None:
    """The fourth command: every step, for the same client as dig's."""
    found = geodns_command("explain", "www.example.com", "A", "--client", "81.2.69.5")

    assert 0 == found.returncode, found.stderr
    assert "198.51.100.10" in found.stdout


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_ipv6_is_served(demonstration: Geodns, transport: str) -> None:
    """The IPv6 loopback answers by UDP and TCP."""
    if not daemons.has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")

    assert "192.0.2.1\n" == dig(Endpoint("::1", demonstration.site.port), "ns1.example.com", "A", "+short", transport)


def test_what_is_truncated_comes_whole_by_tcp(lasting: Geodns) -> None:
    """TC is set over UDP and nothing answered; dig asks again by TCP and gets all records."""
    cut = dig(lasting.endpoint, "big.example.com", "TXT", "+ignore")
    whole = dig(lasting.endpoint, "big.example.com", "TXT")

    assert re.search(r"flags: qr aa tc.*ANSWER: 0", cut)
    assert "Truncated, retrying in TCP mode" in whole
    assert "ANSWER: 6" in whole


def test_it_says_what_it_serves(demonstration: Geodns) -> None:
    """Standard output names zone and addresses; that only the embedded table knows places is said loudly."""
    said = demonstration.stdout + demonstration.stderr

    assert "example.com." in demonstration.stdout
    assert f"127.0.0.1:{demonstration.site.port}" in demonstration.stdout
    assert "87 %" in said
    assert "geodns geo update" in said


def test_reload_serves_the_changed_zone(server: Geodns) -> None:
    """After SIGHUP the new data is answered."""
    server.reload({"example.com.zone": zone(2, "192.0.2.11")})

    assert "192.0.2.11\n" == dig(server.endpoint, "www.example.com", "A", "+short")


REFUSED_RELOADS: dict[str, tuple[Mapping[str, str | bytes], list[str]]] = {
    "zone with errors": (
        {"example.com.zone": zone(2, "192.0.2.300") + "www2 A\n"},
        ["example.com.zone:5:", "example.com.zone:13:"],
    ),
    "zone gone": ({"geodns.toml": CONFIG.replace("example.com.zone", "gone.zone")}, ["gone.zone"]),
    "unknown key": ({"geodns.toml": CONFIG + "fill = 1\n"}, ["geodns.toml:6:", "fill"]),
    "expectation": ({"geodns.toml": CONFIG + EXPECTATION.format(answer="192.0.2.99")}, ["geodns.toml:6:", "192.0.2.99"]),
    "database": ({"geodns.toml": CONFIG + '[geo]\ndatabases = ["no.mmdb"]\n'}, ["no.mmdb"]),
    "address": ({"geodns.toml": CONFIG.replace("127.0.0.1", "192.0.2.1")}, ["192.0.2.1"]),
}


@pytest.mark.parametrize("name", sorted(REFUSED_RELOADS))
def test_a_faulty_reload_is_refused_as_a_whole(lasting: Geodns, name: str) -> None:
    """Every fault is named with its place, the old answers go on, and the next good reload is taken."""
    files, messages = REFUSED_RELOADS[name]
    said = lasting.reload({"example.com.zone": zone(2, "192.0.2.11"), **files}, "reload refused")
    served = dig(lasting.endpoint, "www.example.com", "A", "+short")
    again = lasting.reload({"geodns.toml": CONFIG, "example.com.zone": zone()})

    assert [] == [message for message in messages if message not in said], said
    assert "192.0.2.10\n" == served
    assert "refused" not in again


def test_reload_opens_and_closes_addresses(server: Geodns) -> None:
    """An address that a reload adds is answered by UDP and TCP, one that it takes away is free again."""
    other = Endpoint("127.0.0.1", daemons.free_port())
    added = CONFIG.replace('"]', f'", "127.0.0.1:{other.port}"]', 1)
    server.reload({"geodns.toml": added})
    both = (server.endpoint.is_alive(), other.is_alive())
    server.reload({"geodns.toml": CONFIG.replace("$port", str(other.port))})
    poll("the old address is closed", lambda: not server.endpoint.is_alive())

    assert (True, True) == both
    assert other.is_alive()


def test_sighup_while_the_first_load_runs_asks_for_one_more(tmp_path: Path) -> None:
    """It neither ends the process nor is forgotten: what is served in the end was read after it."""
    site = Site(tmp_path / "site")
    site.write({"geodns.toml": CONFIG, "example.com.zone": zone()})
    changed = site.configuration.rename(site.directory / "changed.toml")
    os.mkfifo(site.configuration)
    with subprocess.Popen(site.command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with _opened_for_its_reader(site.configuration) as pipe:
                process.send_signal(signal.SIGHUP)
                changed.rename(site.configuration)
                pipe.write(b"# as it was before the signal: no zones\n" + LISTEN.replace("$port", str(site.port)).encode())
            endpoint = Endpoint("127.0.0.1", site.port)
            poll("it answers", lambda: process.poll() is not None or endpoint.is_alive())
            served = dig(endpoint, "www.example.com", "A", "+short")
        finally:
            process.kill()

    assert "192.0.2.10\n" == served


def _opened_for_its_reader(path: Path) -> BinaryIO:
    """A named pipe, as soon as somebody is there to read it, who then waits for what will be written."""
    opened: list[int] = []

    def is_opened() -> bool:
        with contextlib.suppress(OSError):  # ENXIO: nobody reads
            opened.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    poll("the configuration is being read", is_opened)
    return os.fdopen(opened[0], "wb")


def test_reload_takes_over_limits_of_connections(server: Geodns) -> None:
    """A limit of connections that a reload changes holds on addresses that stay open, too."""
    limited = CONFIG.replace("[server]", "[server]\ntcp_connections_per_client = 1", 1)
    server.reload({"geodns.toml": limited})
    with socket.create_connection((server.endpoint.host, server.endpoint.port), 5) as first:
        first.sendall(len(QUERY).to_bytes(2, "big") + QUERY)

        assert daemons.read_frame(first) is not None
        assert server.endpoint.tcp(QUERY) is None


class Load:
    """A client with several sockets, each with one query in flight; counts what was sent and what came back, by id."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
        for sock in self.sockets:
            sock.connect((endpoint.host, endpoint.port))
        self.sent: dict[socket.socket, int] = dict.fromkeys(self.sockets, 0)
        self.answered: dict[socket.socket, int] = dict.fromkeys(self.sockets, 0)
        self.addresses: set[bytes] = set()

    def close(self) -> None:
        """Give the sockets back."""
        for sock in self.sockets:
            sock.close()

    @property
    def waiting(self) -> list[socket.socket]:
        """The sockets with a query in flight."""
        return [sock for sock in self.sockets if self.sent[sock] > self.answered[sock]]

    def send(self) -> None:
        """A query on every socket that waits for nothing; ConnectionRefusedError where nobody listens any more."""
        for sock in self.sockets:
            if self.sent[sock] == self.answered[sock]:
                sock.send(struct.pack("!H", self.sent[sock] & 0xFFFF) + QUERY[2:])
                self.sent[sock] += 1

    def receive(self, seconds: float) -> None:
        """What comes within a time: each reply has the id that its socket waits for."""
        for sock in select.select(self.sockets, [], [], seconds)[0]:
            reply = sock.recv(4096)
            assert struct.pack("!H", self.answered[sock] & 0xFFFF) == reply[:2]
            self.answered[sock] += 1
            self.addresses.add(reply[-4:])

    def finish(self) -> None:
        """Wait for what is in flight."""
        deadline = monotonic() + 5
        while self.waiting and monotonic() < deadline:
            self.receive(0.1)


@pytest.fixture
def load(server: Geodns) -> Iterator[Load]:
    """A client of the small zone."""
    client = Load(server.endpoint)
    yield client
    client.close()


def test_sighup_loses_no_query(server: Geodns, load: Load) -> None:
    """Through ten reloads every query is answered, from the old data or from the new."""
    for generation in range(2, 12):
        server.site.write({"example.com.zone": zone(generation, f"192.0.2.{generation + 100}")})
        server.signal(signal.SIGHUP)
        deadline = monotonic() + 20
        while f"generation {generation}: 1 worker answers" not in server.stderr:
            load.send()
            load.receive(0.1)
            assert monotonic() < deadline, server.stderr
    load.finish()

    assert [] == load.waiting
    assert sum(load.sent.values()) == sum(load.answered.values())
    assert load.addresses <= {bytes((192, 0, 2, last)) for last in (10, *range(102, 112))}
    assert len(load.addresses) > 5


def test_sigterm_answers_what_is_queued(server: Geodns, load: Load) -> None:
    """While a client goes on asking, every query that was sent before SIGTERM is answered; then the port is closed."""
    for _ in range(100):
        load.send()
        load.receive(1)
    load.send()
    before = dict(load.sent)
    server.signal(signal.SIGTERM)
    while server.process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            load.receive(0.01)
            load.send()
    for _ in range(2 * SOCKETS):  # the last replies are there already, maybe behind the word that the port is closed
        with contextlib.suppress(ConnectionRefusedError):
            load.receive(0)

    assert [] == [number for number, sock in enumerate(load.sockets) if load.answered[sock] < before[sock]]
    assert server.endpoint.udp(QUERY) is None
    assert server.endpoint.tcp(QUERY) is None


def test_sigterm_answers_what_a_connection_has_sent(server: Geodns) -> None:
    """Queries that are in a connection when SIGTERM comes are answered before it is closed."""
    frame = len(QUERY).to_bytes(2, "big") + QUERY
    with socket.create_connection((server.endpoint.host, server.endpoint.port), 5) as sock:
        sock.sendall(frame)
        first = daemons.read_frame(sock)
        sock.sendall(frame * 50)
        server.signal(signal.SIGTERM)
        replies = list(iter(lambda: daemons.read_frame(sock), None))

    assert first is not None
    assert 50 == len(replies)
    assert 0 == server.wait()


def test_sigterm_while_a_reload_runs(server: Geodns) -> None:
    """A reload in progress does not hold up the end, nor spoil it."""
    server.signal(signal.SIGHUP)
    server.signal(signal.SIGTERM)

    assert 0 == server.wait()


def _databases(directory: Path) -> dict[str, str | bytes]:
    whole = mmdb.write(directory / "whole.mmdb", {"81.2.69.0/24": {"country": {"iso_code": "GB"}}}).read_bytes()
    return {"truncated.mmdb": whole[:60], "text.mmdb": "no database\n"}


FAULTY_DATABASES = CONFIG + '[geo]\ndatabases = ["missing.mmdb", "truncated.mmdb", "text.mmdb"]\n'


def test_faults_of_databases_and_zones_are_told_together(tmp_path: Path) -> None:
    """A missing, a truncated and a non-mmdb database and 40 errors of a zone: one line for each, and exit code 1."""
    site = Site(tmp_path / "site")
    broken = zone() + "".join(f"h{number} A 192.0.2.{number + 300}\n" for number in range(40))
    site.write({"geodns.toml": FAULTY_DATABASES, "example.com.zone": broken, **_databases(tmp_path)})
    found = site.fail()
    lines = found.stderr.splitlines()

    assert 1 == found.returncode
    assert "Traceback" not in found.stderr
    assert [1, 1, 1] == [sum(name in line for line in lines) for name in ("missing.mmdb", "truncated.mmdb", "text.mmdb")]
    assert list(range(13, 53)) == sorted(int(at) for at in re.findall(r"example\.com\.zone:(\d+): ", found.stderr))
    assert "43 errors" in found.stderr


def test_a_database_of_one_family_is_used_with_a_warning(tmp_path: Path) -> None:
    """A database that covers IPv4 only serves, and the warning names it and what it lacks."""
    tmp_path.joinpath("site").mkdir()
    path = mmdb.write(tmp_path / "v4.mmdb", {"81.2.69.0/24": {"continent": {"code": "EU"}}}, ip_version=4)
    config = CONFIG + '[geo]\ndatabases = ["v4.mmdb"]\n'
    with geodns(tmp_path / "site", config, {"example.com.zone": zone(), "v4.mmdb": path.read_bytes()}) as server:
        printed = dig(server.endpoint, "www.example.com", "A", "+short", "+subnet=81.2.69.0/24")

        assert re.search(r"v4\.mmdb: warning: .*IPv4 only", server.stderr)
        assert "198.51.100.10\n" == printed


def test_a_database_that_breaks_is_refused_on_reload(lasting: Geodns, tmp_path: Path) -> None:
    """All databases that cannot be read are named, and the old answers go on."""
    said = lasting.reload({"geodns.toml": FAULTY_DATABASES, **_databases(tmp_path)}, "reload refused")

    assert all(name in said for name in ("missing.mmdb", "truncated.mmdb", "text.mmdb"))
    assert "198.51.100.10\n" == dig(lasting.endpoint, "www.example.com", "A", "+short", "+subnet=81.2.69.0/24")


def test_a_taken_port_is_one_clear_message(lasting: Geodns, tmp_path: Path) -> None:
    """A second server on the same addresses names every one that is taken, and leaves the first alone."""
    other = Site(tmp_path / "other", lasting.site.port)
    free = daemons.free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", free))
        config = CONFIG.replace('"]', f'", "127.0.0.1:{free}"]', 1)
        other.write({"geodns.toml": config, "example.com.zone": zone()})
        found = other.fail()

    assert 1 == found.returncode
    assert "Traceback" not in found.stderr
    assert 1 == found.stderr.count(f"127.0.0.1:{lasting.site.port} is taken")
    assert 1 == found.stderr.count(f"127.0.0.1:{free} is taken")
    assert lasting.endpoint.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only loopback address")
def test_many_addresses_need_no_raised_limit_of_descriptors(tmp_path: Path) -> None:
    """The soft limit is raised as far as the system allows before anything is bound, not after."""
    site = Site(tmp_path / "site")
    listens = ", ".join(f'"127.0.0.{host}:$port"' for host in range(1, 41))
    site.write({"geodns.toml": CONFIG.replace('"127.0.0.1:$port"', listens), "example.com.zone": zone()})
    limited = ("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *site.command)
    with daemons.running(site.directory, Endpoint("127.0.0.40", site.port), limited) as server:
        assert 40 == server.stdout.count("(UDP and TCP)")


REFUSED_STARTS: dict[str, tuple[Mapping[str, str | bytes], str]] = {
    "expectation": ({"geodns.toml": CONFIG + EXPECTATION.format(answer="192.0.2.99")}, "geodns.toml:6: expectation not met: "),
    "no such zone file": ({"geodns.toml": CONFIG.replace("example.com.zone", "gone.zone")}, "gone.zone: "),
    "no TOML": ({"geodns.toml": "[server\n"}, "geodns.toml:1: not TOML"),
    "no such key": ({"geodns.toml": CONFIG.replace("listen", "lisen")}, "geodns.toml:2: server.lisen: no such key"),
    "no address of ours": ({"geodns.toml": CONFIG.replace("127.0.0.1", "192.0.2.1")}, "192.0.2.1:"),
}


@pytest.mark.parametrize("name", sorted(REFUSED_STARTS))
def test_a_faulty_start_is_refused(tmp_path: Path, name: str) -> None:
    """Exit code 1 and one message that names the place."""
    site = Site(tmp_path / "site")
    files, message = REFUSED_STARTS[name]
    site.write({"example.com.zone": zone(), **files})
    found = site.fail()

    assert 1 == found.returncode
    assert 1 == found.stderr.count(message), found.stderr
    assert "1 error:" in found.stderr
    assert "Traceback" not in found.stderr


def test_no_such_configuration(tmp_path: Path) -> None:
    """Exit code 1 and one message that names the file."""
    found = Site(tmp_path / "nowhere").fail()

    assert 1 == found.returncode
    assert 1 == found.stderr.count(str(tmp_path / "nowhere" / "geodns.toml"))
    assert "Traceback" not in found.stderr


def test_an_unknown_option_is_wrong_usage() -> None:
    """Exit code 2, as for every command."""
    found = geodns_command("serve", "--no-such-option")

    assert 2 == found.returncode
    assert "no-such-option" in found.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a PID namespace")
def test_it_may_be_the_first_process(tmp_path: Path) -> None:
    """As process 1 of a container, which no signal ends by default, SIGTERM ends it with 0 and all its processes with it."""
    site = Site(tmp_path)
    site.write({"geodns.toml": CONFIG, "example.com.zone": zone()})
    command = (need("unshare", "util-linux"), "--pid", "--fork", "--kill-child", "--mount-proc", *site.command)
    with daemons.running(tmp_path, Endpoint("127.0.0.1", site.port), command) as server:
        outer = server.process.pid
        inside = int(Path(f"/proc/{outer}/task/{outer}/children").read_text())
        assert "NSpid:" in (status := Path(f"/proc/{inside}/status").read_text())
        assert "1" == status.partition("NSpid:")[2].splitlines()[0].split()[-1]
        os.kill(inside, signal.SIGTERM)

        assert 0 == server.wait()
        assert "INFO stopped" in server.stderr
