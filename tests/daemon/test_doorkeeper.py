"""Owns the laws of the keeper's process that need no daemon: who may enter at its door, and what ends it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from geodns import answer, server
from geodns.daemon import catchment, load
from geodns.daemon import doorkeeper as room
from geodns.daemon.counting import Counts
from geodns.daemon.door import Door
from geodns.daemon.doorkeeper import Doorkeeper, Shared, error_kind
from geodns.daemon.keeping import NOTEBOOK, NOTHING, Keeping, hand_over
from geodns.daemon.report import Report
from geodns.ops import config as configuration
from geodns.ops.health import Prober

TOKEN = "a-token-that-is-long-enough"
GRACE = 10.0  # s: a busy machine


class Broken(Prober):
    """Probes that end by a fault of our own."""

    async def run(self) -> None:
        raise RuntimeError("no more probes")


@pytest.fixture
def post() -> Iterator[server.Post]:
    """The keeper's post; nobody dismisses it."""
    dismissal, held = os.pipe()
    readiness, told = os.pipe()
    tally = server.Tally(1, answer.CAPACITY)
    yield server.Post(1, (), dismissal, told, tally, tally.take())
    for descriptor in (dismissal, held, readiness):
        os.close(descriptor)


def doorkeeper(directory: Path, post: server.Post) -> Doorkeeper:
    """A keeper of a server without zones and pools."""
    path = directory / "geodns.toml"
    path.write_text("", "utf-8")
    loaded = load(path)
    board, notebook, slate = server.Board(0), server.Slate(NOTEBOOK), server.Slate(1 << 20)
    hand_over(NOTHING.to_json(), notebook)
    Report(os.getpid(), 0.0).write(slate)
    counts = Counts(answer.Ledger(), server.Tally(1, answer.CAPACITY))
    arrivals = server.Funnel(catchment.RECORD.size), server.Slate(1 << 20)
    shared = Shared(board, notebook, slate, server.Slate(1), counts, 0, arrivals)
    return Doorkeeper(loaded, Keeping(loaded.config, board, notebook), shared, post)


async def test_a_keeper_without_checks_ends_instead_of_keeping_nothing(tmp_path: Path, post: server.Post) -> None:
    """What ends a task that shall go on for ever ends the process: the supervisor puts another in its place."""
    keeper = doorkeeper(tmp_path, post)
    keeper.keeping.prober = Broken(lambda *_: None)
    with pytest.raises(RuntimeError, match="no more probes"):
        await asyncio.wait_for(room._keep(keeper, Door(), post), GRACE)


async def test_an_address_as_client_subnet_is_no_sender(tmp_path: Path, post: server.Post) -> None:
    """Explained through the door it is what it is on the command line: cut to what resolvers send, and beside no client."""
    keeper = doorkeeper(tmp_path, post)
    told = [keeper.explain("example.com", "A", "", subnet, "")["client"] for subnet in ("192.0.2.77", "2001:db8::1")]
    with pytest.raises(ValueError, match="exclude each other"):
        keeper.explain("example.com", "A", "192.0.2.1", "192.0.2.0/24", "")

    assert [(None, "192.0.2.0/24"), (None, "2001:db8::/56")] == [(each["address"], each["ecs"]) for each in told]


def test_a_door_that_stays_where_it_is_stays_locked(tmp_path: Path) -> None:
    """Where the new address, which needs no token, cannot be had, the old one must not be open to everybody."""
    (tmp_path / "token").write_text(TOKEN, "utf-8")
    (tmp_path / "token").chmod(0o600)
    locked = configuration.parse(f'[admin]\nlisten = "127.0.0.1:0"\ntoken_file = "{tmp_path}/token"\n')
    door = Door()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        unlocked = configuration.parse(f'[admin]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
        problems = [door.open(locked), door.open(unlocked)]
    token, where = door.token, door.text
    door.close()

    assert [0, 1] == list(map(len, problems))
    assert (TOKEN, True) == (token, bool(where))


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("", "none"),
        ("connection refused", "refused"),
        ("timed out after 2 s", "timeout"),
        ("status 503, expected 200 or 204", "status"),
        ("body lacks 'ok'", "body"),
        ("certificate expired 3 days ago", "certificate"),
        ("DNS answer 192.0.2.1, expected 192.0.2.2", "answer"),
        ("exit status 2: no such file", "exit"),
        ("network is unreachable", "unreachable"),
        ("down, as posted", "other"),
    ],
)
def test_errors_of_checks_are_counted_by_kind(sentence: str, kind: str) -> None:
    """Whatever words a peer makes up, there are few labels."""
    assert kind == error_kind(sentence)
