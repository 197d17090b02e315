"""Owns the laws of the supervisor, with real processes that do small work; each slot has a port of its own here."""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import NoReturn

import pytest

from geodns.server.pairs import Pair, bind_pairs
from geodns.server.shared import Tally
from geodns.server.workers import QUICK_DEATHS, Crew, Post, Supervisor, Work
from tests.support.daemons import poll

SECONDS = 10.0  # until something is given up
NAMES = ("answered", "drained")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")]


def answering(token: str) -> Work:
    """Work that answers each datagram with the token, its process and the datagram; it does what "die" and "hang" say."""

    def work(post: Post) -> None:
        counts = [0, 0]
        sockets = {pair.udp.fileno(): pair.udp for pair in post.pairs}
        post.ready()
        while post.dismissal not in (readable := select.select([*sockets, post.dismissal], [], [])[0]):
            for descriptor in readable:
                _answer(sockets[descriptor], token)
                counts[0] += 1
                post.publish(counts)
        if post.drain_wanted():
            for sock in sockets.values():
                while select.select([sock], [], [], 0)[0]:
                    _answer(sock, token)
                    counts[1] += 1
        post.publish(counts)

    return work


def _answer(sock: socket.socket, token: str) -> None:
    try:
        datagram, source = sock.recvfrom(64)
    except BlockingIOError:
        return  # another generation was faster
    if datagram == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if datagram == b"hang":
        signal.pause()
    sock.sendto(f"{token} {os.getpid()} {datagram.decode()}".encode(), source)


@dataclass
class Running:
    """A supervisor in a process of its own."""

    pid: int
    report: int
    slots: tuple[tuple[Pair, ...], ...]
    code: int | None = None
    said: dict[str, int] = field(default_factory=dict)

    def ask(self, slot: int, datagram: str = "hello") -> tuple[str, int]:
        """Token and process of the worker that has answered."""
        with self.client(slot) as client:
            client.send(datagram.encode())
            token, pid, echoed = client.recv(64).decode().split()
        assert datagram == echoed
        return token, int(pid)

    def send(self, slot: int, datagram: str) -> None:
        with self.client(slot) as client:
            client.send(datagram.encode())

    @contextmanager
    def client(self, slot: int) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.slots[slot][0].port))
            client.settimeout(SECONDS)
            yield client

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has ended; then `code` and `said` are known."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self.said = json.loads(os.read(self.report, 4096) or b"{}")
        return self.code is not None

    def stop(self) -> dict[str, int]:
        """Send SIGTERM; returns the counters in the end."""
        self.signal(signal.SIGTERM)
        poll("the supervisor ends", self.ended, SECONDS)
        assert 0 == self.code
        return self.said


@contextmanager
def supervised(
    work: Work,
    renew: Callable[[tuple[tuple[Pair, ...], ...]], Crew | None] = lambda _slots: None,
    *,
    keeping: Work | None = None,
    grace: float = 5.0,
    put_off: float = 0.0,
) -> Iterator[Running]:
    """Two slots with this work; `renew` is given their sockets. The end is put off by some seconds.

    The sockets stay open here too, so that ports stay ours.
    """
    slots = tuple(bind_pairs("127.0.0.1", 0, 1, receive_buffer=1 << 20) for _ in range(2))
    report, told = os.pipe()
    pid = os.fork()
    if not pid:
        _supervise(Crew(slots, work, keeping), lambda: renew(slots), grace, told, put_off)
    os.close(told)
    running = Running(pid, report, slots)
    try:
        yield running
    finally:
        if not running.ended():
            os.kill(pid, signal.SIGTERM)
            poll("the supervisor ends", running.ended, SECONDS)
        os.close(report)
        for pair in running.slots[0] + running.slots[1]:
            pair.close()


def _supervise(crew: Crew, renew: Callable[[], Crew | None], grace: float, told: int, put_off: float = 0.0) -> NoReturn:
    code = 1
    try:
        tally = Tally(8, len(NAMES))
        supervisor = Supervisor(crew, tally, grace=grace)

        def leaving() -> float:
            os.write(told, b" " if put_off else b"")
            return put_off

        supervisor.run(renew, leaving=leaving)
        counted = dict(zip(NAMES, tally.totals(len(NAMES)), strict=True))
        os.write(told, json.dumps(counted | {"deaths": supervisor.deaths}).encode())
        code = 0
    finally:
        os._exit(code)


def is_alive(pid: int) -> bool:
    """Whether a process that is nobody's child here still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False


def renewed(token: str) -> Callable[[tuple[tuple[Pair, ...], ...]], Crew]:
    return lambda slots: Crew(slots, answering(token))


def test_each_slot_has_a_process_of_its_own() -> None:
    """Two slots are answered by two processes, neither of which is the supervisor."""
    with supervised(answering("first")) as running:
        pids = {running.pid, running.ask(0)[1], running.ask(1)[1]}

    assert 3 == len(pids)


def test_a_killed_worker_loses_nothing_that_is_queued() -> None:
    """What a stuck worker has left in its socket is answered by the successor after kill -9, and the other slot never notices."""
    with supervised(answering("first")) as running, running.client(0) as client:
        (_, victim), (_, neighbour) = running.ask(0), running.ask(1)
        os.kill(victim, signal.SIGSTOP)
        for number in range(200):
            client.send(str(number).encode())
        os.kill(victim, signal.SIGKILL)
        replies = [client.recv(64).decode().split() for _ in range(200)]

        assert list(map(str, range(200))) == [reply[2] for reply in replies]
        assert {str(running.ask(0)[1])} == {reply[1] for reply in replies}
        assert neighbour == running.ask(1)[1]
        assert 1 == running.stop()["deaths"]


def test_a_worker_that_is_sent_sigterm_finishes_and_is_replaced() -> None:
    """A worker whose work returns is a death like any other: its place is taken, and it is counted."""
    with supervised(answering("first")) as running:
        first = running.ask(0)[1]
        os.kill(first, signal.SIGTERM)
        poll("another process answers", lambda: running.ask(0)[1] != first, SECONDS)

        assert 1 == running.stop()["deaths"]


def test_a_renewal_loses_nothing() -> None:
    """Across renewals in a stream of queries each query is answered, in the end by the newest generation; nobody is missed."""
    names = ["first", "second", "third", "fourth"]
    following = iter(names[1:])

    with supervised(answering("first"), lambda slots: renewed(next(following))(slots)) as running, running.client(0) as client:
        tokens: list[str] = []
        while names != list(dict.fromkeys(tokens)):
            number = len(tokens)
            client.send(str(number).encode())
            token, _, echoed = client.recv(64).decode().split()
            assert str(number) == echoed
            if token not in tokens and token != "fourth":
                running.signal(signal.SIGHUP)
            tokens.append(token)

        assert 0 == running.stop()["deaths"]


def test_a_refused_renewal_changes_nothing() -> None:
    """Where no new crew comes, the very processes go on."""
    asked, answered = os.pipe()

    def refuse(_slots: object) -> None:
        os.write(answered, b"x")

    with supervised(answering("first"), refuse) as running:
        before = running.ask(0), running.ask(1)
        running.signal(signal.SIGHUP)
        os.read(asked, 1)

        assert before == (running.ask(0), running.ask(1))
    os.close(asked)
    os.close(answered)


def test_a_death_during_a_renewal_is_made_good_at_once() -> None:
    """While the next generation takes its time, a worker that dies is replaced from the present one."""
    go, gone = os.pipe()
    began, begun = os.pipe()

    def slow(slots: tuple[tuple[Pair, ...], ...]) -> Crew:
        os.write(begun, b"x")
        os.read(go, 1)
        return Crew(slots, answering("second"))

    with supervised(answering("first"), slow) as running:
        running.ask(0)
        running.signal(signal.SIGHUP)
        os.read(began, 1)
        running.send(0, "die")

        assert "first" == running.ask(0)[0]
        os.write(gone, b"x")
        poll("the second answers", lambda: running.ask(0)[0] == running.ask(1)[0] == "second", SECONDS)
        assert 1 == running.stop()["deaths"]
    for descriptor in (go, gone, began, begun):
        os.close(descriptor)


def test_a_worker_born_during_a_renewal_collects_its_garbage() -> None:
    """That loading had paused the collector when it was forked is not its business."""
    began, begun = os.pipe()

    def endless(_slots: object) -> Crew:
        gc.disable()
        os.write(begun, b"x")
        while True:
            signal.pause()

    with supervised(lambda post: answering(str(gc.isenabled()))(post), endless) as running:
        running.ask(0)
        running.signal(signal.SIGHUP)
        os.read(began, 1)
        running.send(0, "die")

        assert "True" == running.ask(0)[0]
        assert 1 == running.stop()["deaths"]
    os.close(began)
    os.close(begun)


def test_no_descriptor_for_a_new_worker_does_not_end_the_supervisor() -> None:
    """Where nothing is left to make a worker's pipes of, the others go on, and it is tried again."""
    with supervised(answering("well")) as running:
        worker = running.ask(0)[1]
        running.ask(1)
        limits = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        running.send(0, "die")
        poll("the dead worker is buried", lambda: not is_alive(worker), SECONDS)
        alone = running.ask(1)[0]
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, limits)

        assert ("well", "well") == (alone, running.ask(0)[0])
        assert 1 == running.stop()["deaths"]


def test_sigterm_does_not_wait_for_a_renewal() -> None:
    """SIGTERM ends everything in order also where the next generation would never be ready."""
    began, begun = os.pipe()

    def endless(_slots: object) -> Crew:
        os.write(begun, b"x")
        while True:
            signal.pause()

    with supervised(answering("first"), endless) as running:
        running.ask(0)
        running.signal(signal.SIGHUP)
        os.read(began, 1)

        assert 1 == running.stop()["answered"]
    os.close(began)
    os.close(begun)


def test_sigterm_has_what_is_queued_answered() -> None:
    """At the end nobody comes after the workers, so they drain their sockets."""
    with supervised(answering("first")) as running, running.client(0) as client:
        worker, neighbour = running.ask(0)[1], running.ask(1)[1]
        os.kill(worker, signal.SIGSTOP)
        for number in range(50):
            client.send(str(number).encode())
        running.signal(signal.SIGTERM)
        poll("the other worker ends", lambda: not is_alive(neighbour), SECONDS)
        os.kill(worker, signal.SIGCONT)
        replies = [client.recv(64).decode().split()[2] for _ in range(50)]
        poll("the supervisor ends", running.ended, SECONDS)
        counted = running.said

    assert 0 == running.code
    assert list(map(str, range(50))) == replies
    assert 52 == counted["answered"] + counted["drained"]


def test_an_end_that_is_put_off_comes_in_time() -> None:
    """After SIGTERM all is answered on for as long as was told, and who dies is replaced; nothing is renewed any more."""
    with supervised(answering("first"), renewed("second"), put_off=1.5) as running:
        worker = running.ask(0)[1]
        began = monotonic()
        running.signal(signal.SIGTERM)
        running.send(0, "die")
        poll("the worker is gone", lambda: not is_alive(worker), SECONDS)
        running.signal(signal.SIGHUP)
        successor = running.ask(0)
        poll("the supervisor ends", running.ended, SECONDS)

    assert ("first", True) == (successor[0], successor[1] != worker)
    assert 1.5 <= monotonic() - began
    assert 0 == running.code


def test_a_second_sigterm_ends_what_is_put_off() -> None:
    """Whoever asks twice does not want to wait."""
    with supervised(answering("first"), put_off=600.0) as running:
        running.ask(0)
        running.signal(signal.SIGTERM)
        assert b" " == os.read(running.report, 1)  # it has heard the first: two at once may arrive as one
        running.ask(1)
        running.stop()


def test_a_worker_that_does_not_end_is_killed() -> None:
    """A dismissed worker that hangs holds nobody up for longer than the grace."""
    with supervised(answering("first"), grace=0.2) as running:
        worker = running.ask(0)[1]
        running.send(0, "hang")
        running.stop()

        assert not is_alive(worker)


def test_workers_end_with_their_supervisor() -> None:
    """No worker outlives a supervisor that was killed with SIGKILL."""
    with supervised(answering("first")) as running:
        workers = [running.ask(0)[1], running.ask(1)[1]]
        running.signal(signal.SIGKILL)
        poll("the supervisor ends", running.ended, SECONDS)
        poll("the workers end", lambda: not any(map(is_alive, workers)), SECONDS)


def test_counters_outlive_the_workers_that_counted() -> None:
    """Sums hold what workers counted that were killed, dismissed by a renewal, or dismissed at the end."""
    with supervised(answering("first"), renewed("second")) as running:
        for _ in range(10):
            running.ask(0)
            running.ask(1)
        running.send(0, "die")
        running.ask(0)
        running.signal(signal.SIGHUP)
        poll("the second answers", lambda: running.ask(1, "again")[0] == "second", SECONDS)
        running.ask(0)
        counted = running.stop()

    assert 1 == counted["deaths"]
    assert 23 <= counted["answered"] + counted["drained"]


def test_a_worker_that_dies_again_and_again_does_not_keep_a_core_busy(tmp_path: Path) -> None:
    """The first deaths are made good at once, later ones more and more slowly; once the fault is gone, queries are answered."""
    attempts, fault = tmp_path / "attempts", tmp_path / "fault"
    fault.touch()

    def work(post: Post) -> None:
        with attempts.open("a") as file:
            file.write("x")
        if fault.exists():
            os._exit(3)
        answering("well")(post)

    with supervised(work) as running:
        poll("enough deaths", lambda: attempts.exists() and len(attempts.read_text()) >= 2 * QUICK_DEATHS, SECONDS)
        fault.unlink()

        assert {"well"} == {running.ask(slot)[0] for slot in (0, 1)}
        assert 2 * QUICK_DEATHS <= running.stop()["deaths"] <= 2 * QUICK_DEATHS + 2


def test_sockets_that_a_renewal_drops_are_drained_and_closed() -> None:
    """An address that the new crew lacks is given back, after what was queued there was answered."""

    def smaller(slots: Sequence[tuple[Pair, ...]]) -> Crew:
        return Crew(tuple(slot[:1] for slot in slots), answering("second"))

    first, second = (bind_pairs("127.0.0.1", 0, 1, receive_buffer=1 << 20)[0] for _ in range(2))
    port = second.port
    report, told = os.pipe()
    pid = os.fork()
    if not pid:
        slots = ((first, second),)
        _supervise(Crew(slots, answering("first")), lambda: smaller(slots), 5.0, told)
    os.close(told)
    second.close()
    running = Running(pid, report, ((first,),))
    try:
        running.ask(0)
        running.signal(signal.SIGHUP)
        poll("the second answers", lambda: running.ask(0)[0] == "second", SECONDS)
        poll("the port is free", lambda: _is_free(port), SECONDS)
        running.stop()
    finally:
        if not running.ended():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(report)
        first.close()


def _is_free(port: int) -> bool:
    try:
        pair = bind_pairs("127.0.0.1", port, 1, receive_buffer=65_536)[0]
    except OSError:
        return False
    pair.close()
    return True


def keeping(directory: Path, token: str) -> Work:
    """Work of a keeper: a file that is there as long as it works, which would fail if there were two of them."""

    def work(post: Post) -> None:
        path = directory / "keeper"
        path.touch(exist_ok=False)
        post.ready()
        (directory / token).touch()
        select.select([post.dismissal], [], [])
        path.unlink()

    return work


def test_a_keeper_begins_when_its_predecessor_has_ended(tmp_path: Path) -> None:
    """There is one keeper at a time, in each generation, and it ends with the others."""
    with supervised(
        answering("first"),
        lambda slots: Crew(slots, answering("second"), keeping(tmp_path, "second")),
        keeping=keeping(tmp_path, "first"),
    ) as running:
        poll("the first keeper works", (tmp_path / "first").exists, SECONDS)
        running.signal(signal.SIGHUP)
        poll("the second keeper works", (tmp_path / "second").exists, SECONDS)
        assert "second" == running.ask(0)[0]
        assert 0 == running.stop()["deaths"]

    assert not (tmp_path / "keeper").exists()
