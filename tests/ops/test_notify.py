"""Owns the laws of the talk with systemd: every word against a real socket, signs of life against real servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic, monotonic_ns

import pytest
from dnslib import RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops import notify
from geodns.ops.notify import Notifier
from tests.support.daemons import START, Endpoint, free_port, has_ipv6, poll
from tests.support.instances import instances

ENVIRONMENT = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
PATIENCE = 2.0  # s


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket at which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


# --- words ------------------------------------------------------------------------------------------------------------

WORDS: dict[str, tuple[Callable[[Notifier], None], str]] = {
    "ready": (lambda notifier: notifier.ready("ready: generation 3"), "READY=1\nSTATUS=ready: generation 3"),
    "stopping": (Notifier.stopping, "STOPPING=1"),
    "status": (lambda notifier: notifier.status("pool café → degraded"), "STATUS=pool café → degraded"),
    "more time": (lambda notifier: notifier.extend_timeout(150.5), "EXTEND_TIMEOUT_USEC=150500000"),
    "watchdog": (Notifier.watchdog, "WATCHDOG=1"),
}


@pytest.mark.parametrize("word", WORDS)
def test_each_word_is_what_systemd_reads(word: str, systemd: socket.socket) -> None:
    """Every word arrives as one datagram of assignments in UTF-8."""
    say, expected = WORDS[word]
    notifier = Notifier()
    say(notifier)
    notifier.close()

    assert expected == systemd.recv(4096).decode()


def test_a_reload_says_since_when(systemd: socket.socket) -> None:
    """RELOADING=1 comes with the present moment of CLOCK_MONOTONIC in microseconds, as Type=notify-reload wants it."""
    before = monotonic_ns() // 1000
    notifier = Notifier()
    notifier.reloading()
    notifier.close()
    said = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", systemd.recv(4096).decode())

    assert said
    assert before <= int(said[1]) <= monotonic_ns() // 1000


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_a_socket_without_a_file_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins with @ is in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0geodns-{os.getpid()}")
        sock.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@geodns-{os.getpid()}")
        notifier = Notifier()
        notifier.watchdog()
        notifier.close()

        assert b"WATCHDOG=1" == sock.recv(4096)


@given(st.text())
def test_a_status_never_says_more_than_a_status(text: str) -> None:
    """Whatever text becomes a status, it is one line: no name of a pool can make another assignment."""
    assert 1 == len(notify._one_line(text).splitlines() or [""])


def test_without_systemd_words_go_nowhere() -> None:
    """Where nobody listens, every word is silence."""
    notifier = Notifier()
    for say, _ in WORDS.values():
        say(notifier)
    notifier.close()

    assert not notifier.is_heard


def test_a_systemd_that_is_gone_or_deaf_holds_nobody_up(systemd: socket.socket) -> None:
    """A full queue costs no more than a moment, and a closed one nothing: the caller goes on."""
    notifier = Notifier()
    systemd.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    began = monotonic()
    for _ in range(2):
        notifier.status("x" * 100_000)
    systemd.close()
    notifier.watchdog()
    notifier.close()

    assert monotonic() - began < 2 * notify._PATIENCE + 1


# --- the watchdog ------------------------------------------------------------------------------------------------------

MAIN = 4242
INTERVALS = {
    "no watchdog": ({}, None),
    "half of what systemd waits": ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(MAIN)}, 15.0),
    "any process": ({"WATCHDOG_USEC": "5000000"}, 2.5),
    "another service's": ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    "off": ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": str(MAIN)}, None),
    "nonsense": ({"WATCHDOG_USEC": "soon", "WATCHDOG_PID": str(MAIN)}, None),
}


@pytest.mark.parametrize("case", INTERVALS)
def test_the_interval_is_the_main_process_own(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life are due twice within what systemd waits, if it waits for those of this main process."""
    environment, expected = INTERVALS[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert expected == notify.watchdog_interval(MAIN)


def _refused(asked: DNSRecord) -> DNSRecord:
    reply = asked.reply()
    reply.header.rcode = RCODE.REFUSED
    return reply


def _answered(asked: DNSRecord) -> bytes:
    return bytes(asked.reply().pack())


WELL = {"REFUSED": _refused, "an answer": _answered}
UNWELL: dict[str, Callable[[DNSRecord], bytes | None]] = {
    "silence": lambda asked: None,
    "a reply to somebody else": lambda asked: bytes((asked.pack()[0] ^ 1,)) + _answered(asked)[1:],
    "half a message": lambda asked: _answered(asked)[:14],
    "the query itself": lambda asked: bytes(asked.pack()),
}


@pytest.mark.parametrize("case", WELL)
async def test_any_reply_is_a_sign_of_life(case: str) -> None:
    """A server that replies works, whatever its reply says; a wildcard address is asked by the loopback."""
    with instances(WELL[case]) as port:
        assert [] == await notify.asked_and_answered([f"127.0.0.1:{port}", f"0.0.0.0:{port}"], PATIENCE)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")
async def test_ipv6_is_asked_too() -> None:
    """An address of IPv6, and its wildcard, are asked by IPv6."""
    with instances(_refused, host="::1") as port:
        assert [] == await notify.asked_and_answered([f"[::1]:{port}", f"[::]:{port}"], PATIENCE)


@pytest.mark.parametrize("case", UNWELL)
async def test_what_does_not_answer_is_named(case: str) -> None:
    """An address that gives no reply of its own in time is named with the reason; others are not held up."""
    with instances(UNWELL[case]) as bad, instances(_refused) as good:
        listening = [f"127.0.0.1:{good}", f"127.0.0.1:{bad}"]

        assert [f"127.0.0.1:{bad}: no reply in 0.3 s"] == await notify.asked_and_answered(listening, 0.3)


async def test_a_port_that_is_closed_is_known_at_once() -> None:
    """Where the system says that nobody listens, nobody waits for the deadline."""
    port, began = free_port(), monotonic()

    assert [f"127.0.0.1:{port}: Connection refused"] == await notify.asked_and_answered([f"127.0.0.1:{port}"], 60.0)
    assert monotonic() - began < 10


async def test_nothing_to_ask_is_nothing_wrong() -> None:
    """A server without addresses has no address that fails."""
    assert [] == await notify.asked_and_answered([], PATIENCE)


# --- socket activation --------------------------------------------------------------------------------------------------

CHILD = """\
import json, os, sys
from geodns.ops.notify import listen_fds
from geodns.problem import ProblemsFound
for number, descriptor in enumerate(json.loads(sys.argv[1])):
    os.dup2(descriptor, 3 + number)
if os.environ["LISTEN_PID"] == "own":
    os.environ["LISTEN_PID"] = str(os.getpid())
try:
    found = listen_fds(os.getpid())
except ProblemsFound as problems:
    print(json.dumps([str(problem) for problem in problems.problems]))
else:
    print(json.dumps([[int(sock.type), *sock.getsockname(), sock.get_inheritable()] for sock in found]))
print(json.dumps([name for name in os.environ if name.startswith("LISTEN_")] + listen_fds(os.getpid())))
"""


def _handed_over(descriptors: Sequence[int], pid: str, count: str) -> list[object]:
    """What a process finds that gets descriptors as a service does, and what it finds of it later."""
    environment = os.environ | {"LISTEN_PID": pid, "LISTEN_FDS": count, "LISTEN_FDNAMES": "a:b"}
    command = (sys.executable, "-W", "ignore", "-c", CHILD, json.dumps(list(descriptors)))
    told = subprocess.run(command, env=environment, pass_fds=descriptors, capture_output=True, text=True, check=True, timeout=30)
    return [json.loads(line) for line in told.stdout.splitlines()]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """What geodns.socket opens for one address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", 0))
        yield udp, tcp


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_sockets_are_taken_over_once(pair: tuple[socket.socket, socket.socket]) -> None:
    """The sockets come in systemd's order and go to no child; the environment that tells of them is gone."""
    expected = [[int(sock.type), *sock.getsockname(), False] for sock in pair]

    assert [expected, []] == _handed_over([sock.fileno() for sock in pair], "own", "2")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
@pytest.mark.parametrize(("pid", "count"), [("1", "2"), ("", ""), ("own", ""), ("own", "0"), ("own", "two")])
def test_what_is_meant_for_others_is_left_alone(pid: str, count: str, pair: tuple[socket.socket, socket.socket]) -> None:
    """Descriptors of another process, or none, are no sockets; the environment is gone all the same."""
    assert [[], []] == _handed_over([sock.fileno() for sock in pair], pid, count)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_a_descriptor_that_is_no_socket_is_a_problem(pair: tuple[socket.socket, socket.socket]) -> None:
    """Every descriptor that is no socket is named, with a remedy."""
    read, write = os.pipe()
    try:
        found = _handed_over([pair[0].fileno(), read, write], "own", "3")
    finally:
        os.close(read)
        os.close(write)
    remedy = "have nothing but ListenDatagram= and ListenStream= in geodns.socket"
    message = "socket activation: descriptor {} is no socket: Socket operation on non-socket"

    assert [[f"{message.format(number)} ({remedy})" for number in (4, 5)], []] == found


ACTIVATED = """\
import os
from geodns.ops.notify import listen_fds
[sock] = listen_fds(os.getpid())
query, peer = sock.recvfrom(512)
sock.sendto(query[:2] + bytes((query[2] | 128,)) + query[3:], peer)
"""


@pytest.mark.slow
def test_systemd_itself_hands_sockets_over() -> None:
    """A datagram that wakes a service is not lost: the service finds it in the socket that systemd has opened."""
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("systemd-socket-activate is not installed (Debian package systemd)")
    endpoint = Endpoint("127.0.0.1", free_port())
    command = (program, "--datagram", "--listen", f"127.0.0.1:{endpoint.port}", sys.executable, "-W", "ignore", "-c", ACTIVATED)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:  # once systemd listens, one datagram is all that it gets: it answers the first, and that only
            poll("it replies", lambda: endpoint.udp(DNSRecord.question("example.com").pack(), START) is not None)

            assert 0 == process.wait(10)
        finally:
            process.kill()
