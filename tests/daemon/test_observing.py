"""Owns what others see of a running daemon: systemd by its protocol, readers of the query log and of dnstap; knows no insides."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import dns.edns
import dns.message
import httpx
import pytest

from tests.support import backends
from tests.support.daemons import LISTEN, REPOSITORY, START, STOP, Endpoint, Geodns, Site, need, poll, read_frame, sample, serving

pytestmark = pytest.mark.slow

ZONE = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns.example.net.\nwww A 192.0.2.1\nwww GEO continent:EU A 198.51.100.1\n"
ZONES = '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
DOOR = '[admin]\nlisten = "127.0.0.1:$admin"\n'
CONFIG = LISTEN + DOOR + ZONES
QUERY = dns.message.make_query("www.example.com", "A", use_edns=False, id=77).to_wire()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Where the server under test has its files, its state and its ports."""
    return Site(tmp_path / "server")


# --- systemd ----------------------------------------------------------------------------------------------------------


class Systemd:
    """The socket at which systemd listens, and all that it was told, in order; asks a question whenever it hears READY=1."""

    def __init__(self, path: Path, endpoint: Endpoint) -> None:
        self.words: list[str] = []
        self.answered: list[bool] = []
        self._endpoint = endpoint
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while word := self._sock.recv(65_536).decode():
            if "READY=1" in word.split("\n"):
                self.answered.append(self._endpoint.udp(QUERY) is not None)
            self.words.append(word)

    def close(self) -> None:
        """Listen no more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._sock.getsockname())
        self._thread.join()
        self._sock.close()

    def count(self, assignment: str) -> int:
        """How often it was told so."""
        return sum(line.startswith(assignment) for word in list(self.words) for line in word.split("\n"))

    def until(self, assignment: str, times: int = 1) -> None:
        """Wait until it was told so, so often in all."""
        poll(f"{assignment} for the {times}th time", lambda: self.count(assignment) >= times)

    def acts(self) -> list[str]:
        """The words without their values, and without what comes again and again."""
        lines = [word.split("\n")[0] for word in self.words]
        return [line for line in lines if not line.startswith(("STATUS=", "WATCHDOG="))]


@pytest.fixture
def systemd(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """Listens to what the server under test says."""
    listening = Systemd(tmp_path / "notify", Endpoint("127.0.0.1", site.port))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield listening
    listening.close()


def test_systemd_hears_of_readiness_reloads_and_the_end(site: Site, systemd: Systemd) -> None:
    """READY=1 when queries are answered, RELOADING=1 and READY=1 around each reload, refused or not, and STOPPING=1 last."""
    with serving(site, CONFIG, {"example.com.zone": ZONE}) as server:
        systemd.until("READY=1")
        server.reload({}, "generation 2: 1 worker answers")
        systemd.until("STATUS=ready: generation 2, 1 zone")
        server.reload({"example.com.zone": ZONE.replace("192.0.2.1", "192.0.2.256")}, "reload refused: generation 2 goes on")
        systemd.until("RELOADING=1", 2)
        poll("the reload is over", lambda: systemd.acts()[-1] == "READY=1")
    poll("the end is told", lambda: systemd.acts()[-1] == "STOPPING=1")
    acts = systemd.acts()
    reloading = [index for index, act in enumerate(acts) if act == "RELOADING=1"]

    assert "READY=1" == acts[0]
    assert 2 == len(reloading)
    assert ["READY=1"] * 2 == [acts[index + 1] for index in reloading]
    assert {"READY=1", "RELOADING=1", "STOPPING=1"} == set(acts)
    assert 1 == acts.count("STOPPING=1")
    assert all(systemd.answered)
    assert 2 == systemd.count("MONOTONIC_USEC=")


def test_readiness_waits_for_the_first_round_of_checks(site: Site, systemd: Systemd) -> None:
    """Until each endpoint was checked the status says what is waited for, and only then comes READY=1."""
    with backends.backends() as sites:
        sites.frankfurt.hold()
        config = sites.config(3.0)
        with serving(site, config, {"example.com.zone": backends.ZONE}):
            systemd.until("STATUS=not ready: pool app: not every endpoint was checked yet")
            early = systemd.count("READY=1")
            systemd.until("READY=1")
            systemd.until("STATUS=ready")
            sites.frankfurt.release()

    assert 0 == early
    assert all(systemd.answered)
    assert any("; pool app degraded" in word for word in systemd.words)


def test_a_drained_instance_starts_all_the_same(site: Site, systemd: Systemd) -> None:
    """It is not ready for its anycast siblings, but for systemd it has started; its status says why it is not used."""
    config = LISTEN + 'state = "state"\n' + DOOR + ZONES
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        poll("the door is open", lambda: is_ready(server))
        server.ask("POST", "/api/v1/drain", {"reason": "kernel"}).raise_for_status()
        systemd.until("STATUS=not ready: this instance is draining: kernel")
        begun = systemd.count("READY=1")
    with serving(site, config, {}):
        systemd.until("READY=1", begun + 1)
        systemd.until("STATUS=not ready: this instance is draining: kernel", 2)

    assert "READY=1" == systemd.acts()[begun + 1], "after STOPPING=1 of the first"


def is_ready(server: Geodns) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return server.ask("GET", "/readyz").is_success
    return False


def test_signs_of_life_are_of_who_answers(site: Site, systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    """WATCHDOG=1 comes as long as the server's own question is answered, not while all workers stand still, and then again."""
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    with serving(site, CONFIG.replace("[admin]", "workers = 2\n[admin]"), {"example.com.zone": ZONE}) as server:
        systemd.until("WATCHDOG=1", 2)
        workers = server.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            server.until_said("our own question is not answered")
            before, statuses = systemd.count("WATCHDOG=1"), systemd.count("STATUS=")
            systemd.until("STATUS=", statuses + 3)
            during = systemd.count("WATCHDOG=1") - before
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        systemd.until("WATCHDOG=1", before + 2)

    assert 2 == len(workers)
    assert 0 == during


LAUNCHER = """\
import os, sys
given = [os.dup2(int(number), 100 + at) for at, number in enumerate(sys.argv[1].split(","))]  # out of the way
os.closerange(3, 100)
for number, descriptor in enumerate(given):
    os.dup2(descriptor, 3 + number)
    os.close(descriptor)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(given))}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@contextmanager
def activated(site: Site, sockets: list[socket.socket]) -> Iterator[Geodns]:
    """The server with sockets as systemd would hand them over: numbers 3, 4, … and an environment that says so."""
    numbers = [sock.fileno() for sock in sockets]
    command = (sys.executable, "-c", LAUNCHER, ",".join(map(str, numbers)), *site.command[1:])
    with (site.directory / "stdout").open("wb") as stdout, (site.directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, pass_fds=numbers
        )
    server = Geodns(Endpoint("127.0.0.1", site.port), site.directory, process, site)
    try:
        server.until_said("worker")
        yield server
        process.terminate()
        assert 0 == process.wait(STOP), server.stderr
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in server.stderr, server.stderr


def opened(port: int) -> list[socket.socket]:
    """A UDP and a TCP socket at one port, as systemd opens them."""
    udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for sock in (udp, tcp):
        sock.bind(("127.0.0.1", port))
    tcp.listen()
    return [udp, tcp]


def test_queries_that_came_before_the_start_are_answered(site: Site) -> None:
    """With sockets of systemd's, what is queued before there is a process waits for it: datagrams and connections."""
    site.write({"geodns.toml": CONFIG, "example.com.zone": ZONE})
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in opened(site.port)]
        early = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        early.settimeout(START)
        early.connect(("127.0.0.1", site.port))
        early.send(QUERY)
        stream = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), START))
        stream.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        with activated(site, sockets) as server:
            replies = [early.recv(512), read_frame(stream)]
            later = [server.endpoint.udp(QUERY), server.endpoint.tcp(QUERY)]
            listening = server.told("/api/v1/status")["listening"]
            server.reload({}, "generation 2: 1 worker answers")
            reloaded = [server.endpoint.udp(QUERY), server.endpoint.tcp(QUERY)]

    assert replies == later == reloaded
    assert None is not replies[0]
    assert [f"127.0.0.1:{site.port}"] == listening


def test_a_socket_that_is_not_configured_is_warned_of(site: Site) -> None:
    """It is named with the remedy and given back, so that nobody waits there; the configured one is served."""
    other = Site(site.directory).port
    site.write({"geodns.toml": CONFIG, "example.com.zone": ZONE})
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(each) for port in (site.port, other) for each in opened(port)]
        with activated(site, sockets) as server:
            for sock in sockets:
                sock.close()
            answered = server.endpoint.udp(QUERY)
            lost = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            lost.settimeout(START)
            lost.connect(("127.0.0.1", other))
            lost.send(QUERY)
            with pytest.raises(ConnectionRefusedError):
                lost.recv(512)
            said = server.stdout + server.stderr

    assert None is not answered
    for kind in ("UDP", "TCP"):
        assert 1 == said.count(f"socket activation: 127.0.0.1:{other} ({kind}) is not in server.listen")


# --- the query log ----------------------------------------------------------------------------------------------------


def asked(server: Geodns, count: int = 1, subnet: str = "", name: str = "www.example.com") -> list[str]:
    """Ask so often, from a new port each time, and return the ports."""
    options = [dns.edns.ECSOption.from_text(f"ECS {subnet}")] if subnet else []
    query = dns.message.make_query(name, "A", use_edns=0, options=options).to_wire()
    ports = []
    for _ in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(START)
            sock.connect((server.endpoint.host, server.endpoint.port))
            sock.send(query)
            sock.recv(4096)
            ports.append(str(sock.getsockname()[1]))
    return ports


def counted(server: Geodns, name: str) -> float:
    """A counter without labels; asks again while the keeper is between two lives."""
    found: list[float] = []

    def is_told() -> bool:
        with contextlib.suppress(httpx.TransportError):
            found.append(server.metrics()[sample(name)])
        return bool(found)

    poll("metrics are told", is_told)
    return found[0]


def logged(text: str) -> str:
    """A configuration that logs queries."""
    return LISTEN + DOOR + f'[log]\nlevel = "info"\n{text}' + ZONES


def test_every_query_has_a_line_of_json(site: Site) -> None:
    """With a share of 1 each query has one whole line in the file, which says who asked for what, how, and what came."""
    config = logged('format = "json"\nqueries = 1.0\nqueries_file = "queries"\nqueries_per_second = 1000\n')
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        poll("the door is open", lambda: is_ready(server))
        asked(server, 20, "81.2.69.0/24")
        asked(server, 1, name="none.example.com")
        server.endpoint.tcp(QUERY)
        poll("it is counted", lambda: counted(server, "geodns_query_log_written_total") >= 22)
        dropped = counted(server, "geodns_query_log_dropped_total")
    lines = [json.loads(line) for line in (site.directory / "queries").read_text().splitlines()]
    european = [line for line in lines if line["subnet"] == "81.2.69.0/24"]
    [negative] = [line for line in lines if line["rcode"] == "NXDOMAIN"]
    log = [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]

    assert 20 == len(european)
    assert {("udp", "127.0.0.1", "www.example.com.", "A", "NOERROR", ("A 198.51.100.1",))} == {
        (line["transport"], line["client"], line["name"], line["type"], line["rcode"], tuple(line["answer"])) for line in european
    }
    assert "none.example.com." == negative["name"]
    assert 1 == sum(line["transport"] == "tcp" and line["name"] == "www.example.com." for line in lines)
    assert all(abs((datetime.fromisoformat(line["time"]) - datetime.now(UTC)).total_seconds()) < 300 for line in lines)
    assert 0 == dropped
    assert any("1 worker answers" in line["message"] for line in log)


def test_addresses_are_cut_as_configured(site: Site) -> None:
    """No line shows more of a client or of its subnet than is wanted."""
    config = logged('queries = 1.0\nqueries_file = "queries"\nqueries_per_second = 1000\ntruncate_ipv4 = 16\n')
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        asked(server, 3, "81.2.69.0/24")
        poll("the lines are there", lambda: (site.directory / "queries").read_text().count("81.2.0.0/16") >= 3)
    text = (site.directory / "queries").read_text()

    assert "127.0.0.0/16" in text
    assert not re.search(r"127\.0\.0\.1|81\.2\.69", text)


def test_lines_are_bounded_by_the_second(site: Site) -> None:
    """However many ask, not more lines are written than are wanted, of all workers together; what is more is counted."""
    per_second, count = 20, 600
    config = logged(f'queries = 1.0\nqueries_file = "queries"\nqueries_per_second = {per_second}\n').replace(
        "[admin]", "workers = 2\n[admin]", 1
    )
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        poll("the door is open", lambda: is_ready(server))
        began = monotonic()
        asked(server, count)
        poll("all are counted", lambda: written(server) + counted(server, "geodns_query_log_dropped_total") >= count)
        took = monotonic() - began
        total = written(server)
    lines = (site.directory / "queries").read_text().splitlines()

    assert total <= len(lines) <= per_second * (took + 2) + START
    assert len(lines) < count


def written(server: Geodns) -> float:
    return counted(server, "geodns_query_log_written_total")


def test_by_default_no_query_is_written(site: Site) -> None:
    """Neither in the log nor in a file, and both counters say so."""
    with serving(site, CONFIG, {"example.com.zone": ZONE}) as server:
        poll("the door is open", lambda: is_ready(server))
        asked(server, 50)
        poll("they are counted", lambda: server.told("/api/v1/status")["queries"] >= 50)
        found = {name: counted(server, name) for name in COUNTERS}

    assert dict.fromkeys(COUNTERS, 0) == found
    assert "www.example.com" not in server.stderr
    assert {"geodns.toml", "example.com.zone", "stdout", "stderr"} == {path.name for path in site.directory.iterdir()}


COUNTERS = (
    "geodns_query_log_written_total",
    "geodns_query_log_dropped_total",
    "geodns_dnstap_sent_total",
    "geodns_dnstap_dropped_total",
)


def test_a_query_log_that_cannot_be_written_is_a_warning(site: Site) -> None:
    """Queries are answered, the place is named with the remedy, and lines are written as soon as it is there."""
    config = logged('queries = 1.0\nqueries_file = "logs/queries"\n')
    with serving(site, config, {"example.com.zone": ZONE}) as server:
        server.until_said("1 worker answers")
        warned = [line for line in (server.stdout + server.stderr).splitlines() if "log.queries_file" in line]
        asked(server)
        (site.directory / "logs").mkdir()
        poll("lines are written", lambda: bool(asked(server)) and (site.directory / "logs" / "queries").exists())

    assert 1 == len(warned)
    assert "No such file or directory" in warned[0]


def test_dnstap_goes_to_debians_reader(site: Site, tmp_path: Path) -> None:
    """fstrm_capture gets a query and a reply for each one asked, by workers of two generations, and nothing is torn."""
    capture, dump = need("fstrm_capture", "fstrm-bin"), need("fstrm_dump", "fstrm-bin")
    reader, file = tmp_path / "reader", tmp_path / "captured"
    config = logged(f'queries = 1.0\nqueries_per_second = 1000\ndnstap = "unix:{reader}"\n')
    command = (capture, "-t", "protobuf:dnstap.Dnstap", "-u", str(reader), "-w", str(file))
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        poll("fstrm_capture listens", reader.exists)
        with serving(site, config, {"example.com.zone": ZONE}) as server:
            server.until_said("dnstap: queries go to")
            asked(server, 20)
            said = server.reload({}, "generation 2: 1 worker answers")
            poll("the next worker is heard", lambda: server.stderr.count("dnstap: queries go to") == 2)
            asked(server, 20)
            poll("they are counted", lambda: counted(server, "geodns_dnstap_sent_total") >= 80)
    finally:
        process.terminate()
        process.wait(STOP)
    frames = subprocess.run([dump, str(file)], capture_output=True, text=True, timeout=20, check=True).stderr

    assert "refused" not in said
    assert frames.count("Data frame") >= 80
    assert file.read_bytes().count(b"\x03www\x07example\x03com\x00") >= 80
