"""Owns the laws of several processes behind one address: real daemons under load, killed, reloaded and stopped."""

from __future__ import annotations

import os
import re
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.bench.make_mmdb import make
from tests.support import daemons
from tests.support.daemons import Geodns, poll

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")]

ZONE = """\
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ NS ns.example.net.
www A 192.0.2.1
www GEO continent:EU A 198.51.100.1
generation TXT "$generation"
"""
CONFIG = """\
[server]
listen = ["127.0.0.1:$port"]
workers = 2
[admin]
listen = "127.0.0.1:$admin"
[[zones]]
name = "example.com"
file = "example.com.zone"
"""
BATCH = 64  # datagrams that a worker may have taken but not answered yet
CLIENTS = 16  # sources, so that each worker has some
IN_FLIGHT = 16  # queries of one client without a reply yet: all clients' fit into one receive buffer


def zone(generation: int) -> str:
    return ZONE.replace("$generation", str(generation))


@contextmanager
def geodns(directory: Path, config: str = CONFIG, files: dict[str, str | bytes] | None = None) -> Iterator[Geodns]:
    """A daemon with two workers, both of which answer."""
    with daemons.geodns(directory, config, files or {"example.com.zone": zone(1)}) as server:
        server.until_said("workers answer")
        yield server


def question(number: int, owner: bytes = b"\x03www\x07example\x03com\x00", rdtype: int = 1) -> bytes:
    return struct.pack("!HHHHHH", number, 0, 1, 0, 0, 0) + owner + struct.pack("!HH", rdtype, 1)


class Load:
    """Clients that together keep a server as busy as one core can; each query has an id that its client uses only once."""

    def __init__(self, endpoint: daemons.Endpoint, stack: ExitStack) -> None:
        self.sent = self.answered = 0
        self.outstanding: dict[socket.socket, set[int]] = {}
        self._following: dict[socket.socket, int] = {}
        self._selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.connect((endpoint.host, endpoint.port))
            client.settimeout(0)
            self.outstanding[client] = set()
            self._following[client] = 0
            self._selector.register(client, selectors.EVENT_READ)

    @property
    def lost(self) -> int:
        """Queries without a reply so far."""
        return sum(map(len, self.outstanding.values()))

    def until(self, what: str, reached: Callable[[], bool], seconds: float = daemons.START) -> None:
        """Keep asking until something is so."""
        deadline = monotonic() + seconds
        while not reached():
            assert monotonic() < deadline, f"not within {seconds} s: {what}"
            for _ in range(20):
                self._ask()
                self._listen(0.05)

    def for_replies(self, count: int) -> None:
        """Keep asking until so many more queries are answered."""
        aim = self.answered + count
        self.until(f"{count} replies", lambda: self.answered >= aim)

    def finish(self, seconds: float = 5.0) -> int:
        """Ask no more and wait for what is due; returns how many queries stay without a reply."""
        deadline = monotonic() + seconds
        while self.lost and monotonic() < deadline:
            self._listen(0.1)
        return self.lost

    def forgive(self) -> None:
        """Expect no more what is missing now."""
        for outstanding in self.outstanding.values():
            outstanding.clear()

    def _ask(self) -> None:
        for client, outstanding in self.outstanding.items():
            while len(outstanding) < IN_FLIGHT:
                number = self._following[client]
                assert number < 65_536, "a client has used all its ids"
                client.send(question(number))
                self._following[client] = number + 1
                outstanding.add(number)
                self.sent += 1

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            while True:
                try:
                    reply = client.recv(4096)
                except BlockingIOError:
                    break
                self.outstanding[client].remove(reply[0] << 8 | reply[1])
                self.answered += 1


@contextmanager
def load(server: Geodns) -> Iterator[Load]:
    with ExitStack() as stack:
        yield Load(server.endpoint, stack)


def served_generation(server: Geodns) -> int:
    """The generation that the zone says it is of."""
    reply = server.endpoint.udp(question(1, b"\x0ageneration\x07example\x03com\x00", 16))
    assert reply is not None
    return int(reply[-1:])


def counted(server: Geodns) -> dict[str, int]:
    """The counters that it has logged at its end."""
    found = re.search(r"counted: (.*)", server.stderr)
    assert found
    return {name: int(value) for name, value in (each.split() for each in found[1].split(", "))}


def test_each_worker_answers_its_share(tmp_path: Path) -> None:
    """While one of two workers stands still, some clients are answered and some are not; all are, once it goes on."""
    with geodns(tmp_path) as server, load(server) as asked:
        halted = min(server.workers())
        os.kill(halted, signal.SIGSTOP)
        asked.for_replies(2000)
        missing = asked.finish(1.0)
        stuck = {bool(unanswered) for unanswered in asked.outstanding.values()}
        os.kill(halted, signal.SIGCONT)

        assert 2 == len(server.workers())
        assert {True, False} == stuck
        assert 0 < missing < asked.sent
        assert 0 == asked.finish()


def test_a_worker_killed_under_load_is_replaced_and_loses_at_most_what_it_had_taken(tmp_path: Path) -> None:
    """kill -9 costs no more than one batch; another process takes the place, and the other worker goes on."""
    with geodns(tmp_path) as server, load(server) as asked:
        asked.for_replies(2000)
        before = server.workers()
        victim, survivor = sorted(before)
        os.kill(victim, signal.SIGKILL)
        asked.until("it is replaced", lambda: "is replaced" in server.stderr and len(server.workers() - before) == 1)
        asked.for_replies(2000)

        assert BATCH >= asked.finish()
        assert survivor in server.workers()
        asked.forgive()
        asked.for_replies(2000)
        assert 0 == asked.finish()


def test_reloads_under_load_lose_no_query(tmp_path: Path) -> None:
    """Through three reloads under full load each query has its reply, and in the end all come from the last one."""
    with geodns(tmp_path) as server, load(server) as asked:
        first = server.workers()
        for generation in (2, 3, 4):
            asked.for_replies(1000)
            server.site.write({"example.com.zone": zone(generation)})
            server.signal(signal.SIGHUP)
            said = f"generation {generation}: 2 workers answer"
            asked.until(said, lambda said=said: said in server.stderr)  # type: ignore[misc]
        asked.until("the first workers end", lambda: not first & server.children())

        assert 0 == asked.finish()
        assert asked.sent == asked.answered
        assert 4 == served_generation(server)
        assert "is replaced" not in server.stderr


def test_a_refused_reload_leaves_the_very_workers_at_work(tmp_path: Path) -> None:
    """A zone with a fault is refused as a whole: the same processes answer from the data they had."""
    with geodns(tmp_path) as server:
        before = server.workers()
        said = server.reload({"example.com.zone": zone(2) + "www A 192.0.2.256\n"}, "reload refused")

        assert "example.com.zone:7" in said
        assert before == server.workers()
        assert 1 == served_generation(server)


def test_a_reload_adds_and_drops_addresses(tmp_path: Path) -> None:
    """An address that the configuration gains is answered on by all workers; one that it loses is given back."""
    other = daemons.Endpoint("127.0.0.1", daemons.free_port())
    with geodns(tmp_path) as server:
        both = CONFIG.replace('$port"', f'$port", "127.0.0.1:{other.port}"')
        server.reload({"geodns.toml": both}, "generation 2: 2 workers answer")

        assert other.is_alive()
        assert server.endpoint.is_alive()
        server.reload({"geodns.toml": CONFIG}, "generation 3: 2 workers answer")
        poll("the address is given back", lambda: not other.is_alive())
        assert server.endpoint.is_alive()


def test_the_counters_of_all_workers_are_summed(tmp_path: Path) -> None:
    """What is logged at the end is what the clients have counted, a reload in between or not."""
    with geodns(tmp_path) as server, load(server) as asked:
        started = server.endpoint.udp(question(1)) is not None
        asked.for_replies(3000)
        server.reload({}, "generation 2: 2 workers answer")
        asked.for_replies(3000)
        missing = asked.finish()
        server.signal(signal.SIGTERM)
        server.wait()
        counters = counted(server)

    assert started
    assert 0 == missing
    assert asked.answered < counters["udp_replies"] < asked.answered + 50  # besides: what waits until the server answers
    assert counters["udp_datagrams"] == counters["udp_replies"]
    assert "worker_deaths" not in counters


def test_sigterm_under_load_ends_all_processes_with_0(tmp_path: Path) -> None:
    """SIGTERM ends all processes at once and in order, whatever comes in."""
    with geodns(tmp_path) as server, load(server) as asked:
        asked.for_replies(1000)
        pids = server.children()
        server.signal(signal.SIGTERM)
        began = monotonic()

        assert 0 == server.wait()
        assert monotonic() - began < 5
        assert [] == [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_workers_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    """After kill -9 of the supervisor the others give the address up by themselves."""
    with daemons.geodns(tmp_path, CONFIG, {"example.com.zone": zone(1)}, exit_code=-signal.SIGKILL) as server:
        server.until_said("workers answer")
        pids = server.children()
        server.signal(signal.SIGKILL)
        server.wait()

        poll("the workers end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def proportional_kilobytes(pid: int) -> int:
    """Pss: each page counts for as much of it as there are processes that share it."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def test_workers_share_what_is_loaded(tmp_path: Path) -> None:
    """With 300,000 networks, a server with four workers that have answered needs less memory than two servers with one."""
    database = tmp_path / "big.mmdb"
    make(database, networks=300_000, records=20_000, kind="city")
    needed = {}
    for count in (1, 4):
        config = CONFIG.replace("workers = 2", f"workers = {count}") + f'[geo]\ndatabases = ["{database}"]\n'
        with daemons.geodns(tmp_path / str(count), config, {"example.com.zone": zone(1)}) as server, load(server) as asked:
            asked.for_replies(5000)
            needed[count] = sum(map(proportional_kilobytes, [server.process.pid, *server.children()]))

    assert needed[4] < 2 * needed[1], needed


def test_a_reload_does_not_change_how_many_workers_there_are(tmp_path: Path) -> None:
    """A new number of workers is put off until a restart, and said so; the rest of the configuration is taken."""
    with geodns(tmp_path) as server:
        changed = {"geodns.toml": CONFIG.replace("workers = 2", "workers = 3"), "example.com.zone": zone(2)}
        said = server.reload(changed, "generation 2: 2 workers answer")

        assert "server.workers: 2 until a restart" in said
        assert 2 == len(server.workers())
        assert 2 == served_generation(server)
