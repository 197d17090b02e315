"""Owns the laws of the control client, against a real door: what it asks, and what it says when that fails."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from geodns.ops import control
from geodns.ops.control import Control, Refused, Unreachable, read_token
from geodns.problem import ProblemsFound
from tests.support.admin import PROBLEM, Door, opened

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(params=["127.0.0.1:0", "unix:"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    """A door with a token, by TCP and on a unix socket."""
    listen = f"unix:{tmp_path}/admin.sock" if request.param == "unix:" else request.param
    with opened(listen, token=TOKEN) as door:
        yield door


def test_every_operation_is_asked_and_its_answer_given(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads give what the keeper tells, writes reach it with the user's name; no proxy of the environment is used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("LOGNAME", "ada")
    keeper = door.keeper
    with Control(door.listen, TOKEN) as daemon:
        assert keeper.status() == daemon.status()
        assert keeper.zones() == daemon.zones()
        assert keeper.pools() == daemon.pools()
        assert keeper.pool("web") == daemon.pool("web")
        assert {"asked": ["a.example", "AAAA", "", "192.0.2.0/24", ""]} == daemon.explain("a.example", "AAAA", ecs="192.0.2.0/24")
        assert 2 == daemon.reload(reason="x")["generation"]
        assert {"draining": True} == daemon.drain("kernel")
        assert {"draining": False} == daemon.undrain()
        daemon.override("web/*", "down", seconds=60, reason="disks")
        daemon.post_state("web/fra/fra1", up=False)

    who = "ada (unix)" if door.listen.startswith("unix:") else "ada (127.0.0.1)"
    assert [
        ("reload", False),
        ("drain", "kernel"),
        ("undrain", ""),
        ("override", "web/*", "down", 60.0, "disks", who),
        ("state", "web/fra/fra1", False, who),
    ] == keeper.done


def test_a_refused_reload_is_an_answer(door: Door) -> None:
    """What was wrong is told like what went well; force reaches the keeper."""
    door.keeper.problems = [PROBLEM]
    with Control(door.listen, TOKEN) as daemon:
        refused, forced = daemon.reload(), daemon.reload(force=True)

    assert (False, [PROBLEM]) == (refused["accepted"], refused["problems"])
    assert forced["accepted"]


def test_what_the_daemon_will_not_do_has_its_remedy(door: Door) -> None:
    """An error of the API comes with status, text and remedy; a name is quoted."""
    with Control(door.listen, TOKEN) as daemon:
        with pytest.raises(Refused, match="there is no pool") as unknown:
            daemon.pool("a?c %é")
        with pytest.raises(Refused, match="nothing is called 'wbe'") as misspelled:
            daemon.override("wbe", "up")
    with Control(door.listen) as stranger, pytest.raises(Refused) as locked:
        stranger.status()

    assert [404, 400, 401] == [each.value.status for each in (unknown, misspelled, locked)]
    assert "did you mean 'web'?" == misspelled.value.remedy
    assert "admin.token_file" in locked.value.remedy


def unreachable(listen: str) -> Unreachable:
    with pytest.raises(Unreachable) as found, Control(listen) as daemon:
        daemon.status()
    assert found.value.remedy
    return found.value


def test_where_nobody_is_that_is_said(tmp_path: Path) -> None:
    """No listener, no socket, no door, nonsense: each says so and where it looked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
        assert f"nobody answers at {listen}" == str(unreachable(listen))
        assert f"is geodns running? the admin door of this configuration is {listen}" == unreachable(listen).remedy
    assert f"nobody answers at unix:{tmp_path}/none" == str(unreachable(f"unix:{tmp_path}/none"))
    assert "this configuration has no admin door" == str(unreachable(""))
    assert "nonsense: " in str(unreachable("nonsense"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-x\r\n", "the connection to LISTEN broke: "),
        (b"", "the connection to LISTEN broke: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>", "what answers at LISTEN is not geodns"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "what answers at LISTEN is not geodns"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", "what answers at LISTEN is not geodns"),
        (
            b"HTTP/1.1 302 No\r\nLocation: http://192.0.2.1/\r\nContent-Length: 2\r\n\r\n{}",
            "what answers at LISTEN is not geodns",
        ),
    ],
)
def test_another_server_is_not_taken_for_ours(answer: bytes, said: str) -> None:
    """Whatever else listens there, that is said, and no redirection is followed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listen = f"127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        error = unreachable(listen)
        thread.join(10)

    assert str(error).startswith(said.replace("LISTEN", listen))


def test_a_silent_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come in time is told as that."""
    monkeypatch.setattr(control, "ANSWER_TIME", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "does not answer in time" in str(unreachable(f"127.0.0.1:{server.getsockname()[1]}"))


def test_a_door_on_every_address_is_asked_on_loopback() -> None:
    """0.0.0.0 is where to listen, not where to go."""
    with opened("0.0.0.0:0") as door, Control(f"0.0.0.0:{door.listen.rpartition(':')[2]}") as daemon:
        assert "1.2.3" == daemon.status()["version"]


@pytest.mark.parametrize(("text", "token"), [(f"{TOKEN}\n", TOKEN), (TOKEN, TOKEN), ("a" * 64, "a" * 64)])
def test_a_token_is_the_only_word_of_its_file(tmp_path: Path, text: str, token: str) -> None:
    """Blanks around it are of no matter."""
    (tmp_path / "token").write_text(text)

    assert token == read_token(tmp_path / "token")


@pytest.mark.parametrize(
    "octets", [b"", b"short", b"two words that are long", b"caf\xc3\xa9-caf\xc3\xa9-caf\xc3\xa9", b"\xff" * 20]
)
def test_what_is_no_token_is_a_problem(tmp_path: Path, octets: bytes) -> None:
    """An empty, short or strange one is told, and never shown."""
    (tmp_path / "token").write_bytes(octets)
    with pytest.raises(ProblemsFound, match="holds no token") as found:
        read_token(tmp_path / "token")

    assert str(tmp_path / "token") == found.value.problems[0].file
    assert not octets or octets.decode(errors="replace") not in str(found.value)


def test_a_token_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """A missing file, a directory, a file of another user: each with its remedy."""
    with pytest.raises(ProblemsFound, match="there is no such file"):
        read_token(tmp_path / "none")
    with pytest.raises(ProblemsFound, match="cannot be read: Is a directory"):
        read_token(tmp_path)
    if os.geteuid() == 0:
        (tmp_path / "token").write_text(TOKEN)
        (tmp_path / "token").chmod(0o600)
        for parent in (tmp_path, *tmp_path.parents[:2]):
            parent.chmod(parent.stat().st_mode | 0o011)
        os.seteuid(65_534)
        try:
            with pytest.raises(ProblemsFound, match="cannot be read: Permission denied"):
                read_token(tmp_path / "token")
        finally:
            os.seteuid(0)
