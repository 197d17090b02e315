"""Owns what an operator's bad day does to a running daemon: doors, disks, clocks, storms; refuses to know its insides.

Whatever happens, questions are asked all the while, and every one must be answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time

import dns.message
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from geodns import server as gate
from geodns.daemon import keeping
from geodns.ops import config as configuration
from geodns.ops import health
from geodns.ops.overrides import Word
from tests.support.daemons import LISTEN, START, Geodns, Site, poll, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="/proc and prlimit are Linux's")]

ZONE = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns.example.net.\nwww A 192.0.2.$last\n"
ZONES = '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
DOOR = '[admin]\nlisten = "127.0.0.1:$admin"\n'
CONFIG = LISTEN + DOOR + ZONES
QUERY = dns.message.make_query("www.example.com", "A", use_edns=False, id=77).to_wire()
TOKEN = "a-token-that-is-long-enough"
PAUSE = 0.002  # s between one question and the next


def zone(last: int = 1) -> str:
    """The zone; `last` is the last octet of the address in it."""
    return ZONE.replace("$last", str(last))


class Client:
    """Asks one question after the other, each from a new port, in a thread; `answers` are addresses, "" for silence."""

    def __init__(self, server: Geodns) -> None:
        self.answers: list[str] = []
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)

    def _ask_on(self) -> None:
        while not self._ended.wait(PAUSE):
            self.answers.append(answer(self._server))

    def hear(self, count: int = 20) -> None:
        """Wait for so many replies more."""
        aim = len(self.answers) + count
        poll(f"{count} replies", lambda: len(self.answers) >= aim)

    @contextmanager
    def asking(self) -> Iterator[Client]:
        """From here to there."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join()


def answer(server: Geodns) -> str:
    """The address that www.example.com has; "" where nothing comes."""
    octets = server.endpoint.udp(QUERY)
    return "" if octets is None else socket.inet_ntoa(octets[-4:])


@contextmanager
def served(site: Site, config: str = CONFIG) -> Iterator[tuple[Geodns, Client]]:
    """The server, and a client to whom every question must have been answered when it ends."""
    with serving(site, config, {"example.com.zone": zone()}) as server:
        poll("it has a keeper", lambda: 2 == len(server.children()))
        with Client(server).asking() as client:
            yield server, client
            client.hear()
        assert "" not in client.answers


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Where the server under test has its files, its state and its ports."""
    return Site(tmp_path / "server")


def is_open(server: Geodns, headers: dict[str, str] | None = None) -> bool:
    """Whether the door answers a question about the instance."""
    with contextlib.suppress(httpx.TransportError):
        url = f"http://127.0.0.1:{server.site.admin}/api/v1/status"
        return httpx.get(url, headers=headers, trust_env=False, timeout=2.0).is_success
    return False


def warnings(server: Geodns, of: str, since: int = 0) -> list[str]:
    """The lines of its output that speak of something: what a start warns of goes to standard output, the rest to the log."""
    return [line for line in (server.stdout + server.stderr[since:]).splitlines() if of in line]


# --- the door ---------------------------------------------------------------------------------------------------------


def test_a_reload_to_a_taken_port_leaves_the_door_where_it_was(site: Site) -> None:
    """It is warned of, metrics stay where they were, and the next reload goes where the first one wanted to."""
    with served(site) as (server, _), socket.socket() as taken:
        before, server.site.admin = server.site.admin, Site(site.directory).admin
        taken.bind(("127.0.0.1", server.site.admin))
        taken.listen()
        poll("the door is open", lambda: httpx.get(f"http://127.0.0.1:{before}/livez", trust_env=False).is_success)
        said = server.reload({"geodns.toml": CONFIG}, "generation 2: 1 worker answers")
        old = httpx.get(f"http://127.0.0.1:{before}/livez", trust_env=False, timeout=START)
        taken.close()
        server.reload({}, "generation 3: 1 worker answers")
        poll("the new door is open", lambda: is_open(server))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{before}/livez", trust_env=False)

    assert 1 == sum(f"127.0.0.1:{server.site.admin} is taken" in line and "WARNING" in line for line in said.splitlines())
    assert 200 == old.status_code


def _missing(_token: Path) -> None:
    """There is no file."""


def _short(token: Path) -> None:
    token.write_text("short\n")


def _no_text(token: Path) -> None:
    token.write_bytes(b"\xff\xfe" * 20)


def _unreadable(token: Path) -> None:
    token.mkdir()  # which not even root reads as a file


TOKENS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (_missing, "there is no such file"),
    "short": (_short, "holds no token"),
    "no text": (_no_text, "holds no token"),
    "unreadable": (_unreadable, "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("case", TOKENS)
def test_without_a_token_there_is_no_door(case: str, site: Site) -> None:
    """One warning names the file and the remedy, nobody is let wait at a door behind which nobody is; a reload opens it."""
    spoil, fault = TOKENS[case]
    token = site.directory / "token"
    token.parent.mkdir()
    spoil(token)
    with served(site, LISTEN + DOOR + 'token_file = "token"\n' + ZONES) as (server, client):
        warned = warnings(server, str(token))
        with pytest.raises(httpx.ConnectError):
            server.ask("GET", "/livez")
        client.hear()
        if token.is_dir():
            token.rmdir()
        token.write_text(TOKEN + "\n")
        server.reload({}, "generation 2: 1 worker answers")
        poll("the door is open", lambda: is_open(server, {"Authorization": f"Bearer {TOKEN}"}))
        refused = server.ask("GET", "/api/v1/status").status_code

    assert 1 == len(warned), warned
    assert fault in warned[0]
    assert "openssl rand" in warned[0] or "let this user read it" in warned[0]
    assert 401 == refused


def test_a_token_that_goes_closes_the_door(site: Site) -> None:
    """A reload that finds no token any more lets nobody in with the old one, says so, and goes on answering queries."""
    site.write({"token": TOKEN})
    with served(site, LISTEN + DOOR + 'token_file = "token"\n' + ZONES) as (server, _):
        poll("the door is open", lambda: is_open(server, {"Authorization": f"Bearer {TOKEN}"}))
        (site.directory / "token").unlink()
        said = server.reload({}, "generation 2: 1 worker answers")
        poll("the door is closed", lambda: not is_open(server, {"Authorization": f"Bearer {TOKEN}"}))
        with pytest.raises(httpx.ConnectError):
            server.ask("GET", "/livez")

    assert 1 == said.count("there is no such file")


def test_a_missing_directory_of_the_socket_is_a_warning(site: Site) -> None:
    """It is named with the remedy; once it is made, a reload opens the door."""
    path = site.directory / "run" / "admin.sock"
    with served(site, LISTEN + f'[admin]\nlisten = "unix:{path}"\n' + ZONES) as (server, client):
        warned = warnings(server, str(path.parent))
        client.hear()
        path.parent.mkdir()
        server.reload({}, "generation 2: 1 worker answers")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), trust_env=False, timeout=START) as asker:
            poll("the door is open", path.exists)
            told = asker.get("http://geodns/api/v1/status").json()

    assert 1 == len(warned), warned
    assert f"mkdir -p {path.parent}" in warned[0]
    assert 2 == told["generation"]


def test_scrapes_while_reloading_are_whole(site: Site) -> None:
    """Through a dozen reloads each scrape, on a connection of its own, brings a whole exposition of no older generation."""
    generations: list[float] = []
    faults: list[str] = []
    ended = threading.Event()

    def scrape() -> None:
        while not ended.is_set():
            try:
                reply = httpx.get(f"http://127.0.0.1:{site.admin}/metrics", trust_env=False, timeout=START)
                families = {each.name: each for each in text_string_to_metric_families(reply.text)}
                generations.append(families["geodns_snapshot_generation"].samples[0].value)
                # The last family of the exposition: an answer that was cut would lack it.
                assert {"geodns_workers", "process_start_time_seconds"} <= families.keys()
                assert 200 == reply.status_code
            except Exception as fault:
                faults.append(repr(fault))

    with served(site) as (server, client):
        poll("the door is open", lambda: is_open(server))
        scraping = threading.Thread(target=scrape)
        scraping.start()
        try:
            for generation in range(2, 14):
                server.reload({"example.com.zone": zone(generation)}, f"generation {generation}: 1 worker answers")
            aim = len(generations) + 3
            poll("scrapes go on", lambda: len(generations) >= aim or bool(faults))
        finally:
            ended.set()
            scraping.join()

    assert [] == faults
    assert sorted(generations) == generations
    assert 13 == generations[-1]
    assert "192.0.2.13" == client.answers[-1]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_gigabyte_at_the_door_is_cut(is_chunked: bool, site: Site) -> None:
    """413 after a little of it; the keeper's memory stays what it was, and queries are answered meanwhile."""
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {10**9}"
    head = f"POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    piece = b"10000\r\n" + bytes(65_536) + b"\r\n" if is_chunked else bytes(65_536)
    with served(site) as (server, client):
        poll("the door is open", lambda: is_open(server))
        keeper = server.keeper()
        before, began, sent, reply = resident(keeper), monotonic(), 0, b""
        with socket.create_connection(("127.0.0.1", site.admin), 5) as sock:
            sock.sendall(head.encode())
            with contextlib.suppress(OSError):
                while sent < 10**9 and not reply:
                    sock.sendall(piece)
                    sent += len(piece)
                    sock.settimeout(0)
                    with contextlib.suppress(BlockingIOError):
                        reply = sock.recv(100)
                    sock.settimeout(5)
        took, grown = monotonic() - began, resident(keeper) - before
        client.hear()

        assert is_open(server)
        assert keeper == server.keeper()

    assert reply.startswith(b"HTTP/1.1 413 ")
    assert sent < 10**8
    assert took < 5
    assert grown < 20_000


def resident(pid: int) -> int:
    """VmRSS of a process, in kilobytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


# --- storms -----------------------------------------------------------------------------------------------------------


def test_a_storm_of_sighups_ends_at_the_newest_data(site: Site) -> None:
    """A hundred in a second, the zone rewritten before each: no query is lost, no process left over, the last zone served."""
    with served(site) as (server, client):
        due = monotonic()
        for last in range(100, 200):
            beside = site.directory / "beside"
            beside.write_text(zone(last))
            beside.rename(site.directory / "example.com.zone")
            server.signal(signal.SIGHUP)
            due += 0.01
            client.hear(1)
            with contextlib.suppress(AssertionError):
                poll("the next one is due", lambda due=due: monotonic() >= due, 1.0)  # type: ignore[misc]
        poll("the newest data is served", lambda: "192.0.2.199" == answer(server))
        poll("one worker and one keeper are left", lambda: 2 == len(server.children()))
        client.hear()
        generation = server.told("/api/v1/status")["generation"]

    assert "192.0.2.199" == client.answers[-1]
    assert 2 <= generation <= 101
    assert "all rows" not in server.stderr
    assert "is replaced" not in server.stderr
    assert "is killed" not in server.stderr


# --- the disk ---------------------------------------------------------------------------------------------------------

CHECKED = """\
[pools.app]
steering = "failover"
[pools.app.check]
type = "external"
[[pools.app.endpoints]]
name = "one"
addresses = ["192.0.2.1"]
"""


def test_a_full_disk_is_one_warning_and_ends_with_room(site: Site) -> None:
    """What cannot be written is said once, words of the operator are believed all the same, and written once they can be."""
    stated = LISTEN + 'state = "state"\n' + DOOR + '[log]\nlevel = "warning"\n' + CHECKED + ZONES
    file = site.directory / "state" / "pools.json"
    limit = 16_384  # octets of any file that the keeper writes: its log stays below, the state does not
    with served(site, stated) as (server, client):
        poll("the door is open", lambda: is_open(server))
        keeper = server.keeper()
        resource.prlimit(keeper, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for number in range(60):
            speak(server, f"{number} {'x' * 400}")
        word = server.told("/api/v1/pools/app")["sites"][0]["endpoints"][0]["override"]
        old, full = file.read_bytes(), server.stderr
        client.hear()
        resource.prlimit(keeper, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        speak(server, "there is room")
        new = file.read_bytes()

        assert keeper == server.keeper()

    assert word["reason"].startswith("59 ")
    assert len(old) <= limit < len(new)
    assert 1 == full.count("the state cannot be written: File too large")
    assert 1 == full.count("make room on that disk")
    assert b'"there is room"' in new
    assert [file] == list(file.parent.iterdir())


def speak(server: Geodns, reason: str) -> None:
    """A word of the operator."""
    server.ask("PUT", "/api/v1/overrides", {"pattern": "app", "word": "drain", "reason": reason}).raise_for_status()


# --- descriptors ------------------------------------------------------------------------------------------------------


@contextmanager
def exhausted(pid: int) -> Iterator[None]:
    """No descriptor more for a process, while this lasts; those that it has stay."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def test_a_worker_out_of_descriptors_answers_on(site: Site) -> None:
    """UDP and connections that are open go on; who connects waits, without keeping a core busy, and is answered in the end."""
    with served(site) as (server, client), contextlib.ExitStack() as connections:
        [worker] = server.workers()
        early = connections.enter_context(socket.create_connection(("127.0.0.1", site.port), START))
        early.sendall(framed(QUERY))
        first = early.recv(512)
        with exhausted(worker):
            late = [connections.enter_context(socket.create_connection(("127.0.0.1", site.port), START)) for _ in range(5)]
            for each in late:
                each.sendall(framed(QUERY))
            server.until_said("cannot accept a TCP connection")
            busy = cpu(worker)
            client.hear(300)
            busy = cpu(worker) - busy
            early.sendall(framed(QUERY))
            second = early.recv(512)
        replies = [each.recv(512) for each in late]

        assert {worker} == server.workers()

    assert first == second
    assert [first] * 5 == replies
    assert 1 == server.stderr.count("cannot accept a TCP connection")
    assert busy < 0.5


def test_a_keeper_out_of_descriptors_comes_back(site: Site) -> None:
    """Queries are answered, the door is shut for as long as it lasts, the log is not flooded, and scrapes go on afterwards."""
    with served(site) as (server, client):
        poll("the door is open", lambda: is_open(server))
        keeper, said = server.keeper(), len(server.stderr)
        with exhausted(keeper):
            shut = [is_open(server) for _ in range(2)]
            busy = cpu(keeper)
            client.hear(300)
            busy = cpu(keeper) - busy
        poll("the door is open again", lambda: is_open(server))
        told = server.metrics()

        assert keeper == server.keeper()

    assert [False, False] == shut
    assert told
    assert busy < 0.5
    assert len(server.stderr[said:].splitlines()) < 20, server.stderr[said:]


def test_a_supervisor_out_of_descriptors_goes_on_later(site: Site) -> None:
    """A reload is refused with the reason; what a killed worker leaves is answered by the next, which comes with room."""
    with served(site) as (server, client):
        [worker] = server.workers()
        with exhausted(server.process.pid):
            said = server.reload({"example.com.zone": zone(2)}, "generation 1 goes on")
            client.hear()
            os.kill(worker, signal.SIGKILL)
            told = server.until_said("cannot start worker 0")
        client.hear()
        before = answer(server)
        server.reload({}, "generation 2: 1 worker answers")
        client.hear()

    assert "Too many open files" in said
    assert "Too many open files" in told
    assert ("192.0.2.1", "192.0.2.2") == (before, client.answers[-1])


# --- the clock --------------------------------------------------------------------------------------------------------


def keeper_of(directory: Path) -> keeping.Keeping:
    """What keeps, without its process."""
    config = configuration.parse(f'[server]\nstate = "{directory}"\n' + CHECKED)
    notebook = gate.Slate(keeping.NOTEBOOK)
    keeping.hand_over(keeping.NOTHING.to_json(), notebook)
    return keeping.Keeping(config, gate.Board(1), notebook)


@pytest.mark.parametrize("jump", [-10 * 86_400.0, -3600.0, 3600.0, 10 * 86_400.0])
def test_state_is_written_whichever_way_the_clock_jumps(jump: float, tmp_path: Path) -> None:
    """A clock that was put back does not stop the writing until it is again as late as before."""
    keeper = keeper_of(tmp_path)
    asyncio.run(keeper.write_if_due(time()))
    (tmp_path / "pools.json").unlink()
    asyncio.run(keeper.write_if_due(time()))
    quiet = (tmp_path / "pools.json").exists()
    asyncio.run(keeper.write_if_due(time() + jump))

    assert not quiet
    assert (tmp_path / "pools.json").exists()


async def test_a_disk_that_hangs_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing comes of a write, checks are heard and words end; what is written in the end is what was known last."""
    keeper, hangs = keeper_of(tmp_path), threading.Event()
    [seat] = keeper.seats
    assert seat.target is not None
    synced = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: hangs.wait(START) and synced(handle))
    running = asyncio.create_task(keeper.run())
    await until(lambda: any(tmp_path.glob(".pools.json.*.new")))
    keeper.post_state(seat.target.key, up=True)
    await until(lambda: keeper.states[seat.key].health is health.Health.UP)
    unwritten = not (tmp_path / "pools.json").exists()
    hangs.set()
    keeper.say_word("app", Word.DRAIN, seconds=None, reason="", who="")
    known, _ = keeping.recall(keeper.config, time())
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running

    assert unwritten
    assert health.Health.UP is known.states[seat.key].health
    assert 1 == len(known.overrides)


async def until(condition: Callable[[], bool]) -> None:
    """Poll, and let the event loop do its work meanwhile."""
    async with asyncio.timeout(START):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_word_with_an_end_ends_by_the_clock_as_it_is(tmp_path: Path) -> None:
    """A clock put forward ends it early, one put back late: its end is a time of day, for it outlives restarts. Others stay."""
    keeper = keeper_of(tmp_path)
    keeper.say_word("app", Word.DOWN, seconds=60.0, reason="", who="")
    keeper.tick(time() - 86_400)
    back = len(keeper.words)
    keeper.tick(time() + 61)
    forward = len(keeper.words)
    keeper.say_word("app", Word.DOWN, seconds=None, reason="", who="")
    keeper.tick(time() + 10 * 365 * 86_400)

    assert (1, 0, 1) == (back, forward, len(keeper.words))


@pytest.mark.parametrize(("later", "states"), [(60.0, 1), (-200.0, 1), (-86_400.0, 0), (86_400.0, 0)])
def test_a_start_after_a_jump_believes_words_and_no_old_states(later: float, states: int, tmp_path: Path) -> None:
    """States of checks are as old as the clock says, and of no use where it says that they are of the future; words are kept."""
    keeper = keeper_of(tmp_path)
    keeper.say_word("app", Word.DRAIN, seconds=None, reason="", who="")
    [seat] = keeper.seats
    assert seat.target is not None
    keeper.prober.watch([seat.target])
    keeper.post_state(seat.target.key, up=True)
    keeper.say_word("app", Word.DOWN, seconds=None, reason="", who="")
    known, problems = keeping.recall(keeper.config, time() + later)

    assert (states, 1, []) == (len(known.states), len(known.overrides), problems)
