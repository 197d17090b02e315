"""Owns the laws of the door's listening socket: where it can be, who may open it, and what is said where it cannot."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from geodns.ops import admin
from geodns.problem import ProblemsFound


def refused(listen: str) -> tuple[str, str]:
    """Message and remedy of the one problem."""
    with pytest.raises(ProblemsFound) as found:
        admin.bind(listen)
    (problem,) = found.value.problems
    return problem.message, problem.remedy


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"])
def test_an_address_is_bound_and_listens(listen: str) -> None:
    """Clients can connect as soon as the socket is there."""
    try:
        sock = admin.bind(listen)
    except ProblemsFound:
        pytest.skip("this machine has no IPv6")
    with sock:
        host, port = sock.getsockname()[:2]
        with socket.create_connection((host, port), 5):
            pass


def test_a_socket_file_is_for_owner_and_group(tmp_path: Path) -> None:
    """It has mode 0660 whatever the umask is, which is as before afterwards; it is gone after its release."""
    path = tmp_path / "admin.sock"
    before = os.umask(0)
    try:
        sock = admin.bind(f"unix:{path}")
        after = os.umask(before)
    finally:
        os.umask(before)

    assert (0o660, 0) == (stat.S_IMODE(path.stat().st_mode), after)
    admin.release(sock)
    assert not path.exists()


def test_the_file_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    """A socket file with nobody behind it does not stand in the way of a start."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with admin.bind(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_what_is_taken_is_left_alone(tmp_path: Path) -> None:
    """A port or a socket where another listens, a busy one too, is a problem, and the other goes on."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.create_server(("127.0.0.1", 0)) as tcp:
        other.bind(str(path))
        other.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(path))
            assert f"admin.listen: {path} is taken" == refused(f"unix:{path}")[0]
        port = tcp.getsockname()[1]
        assert f"admin.listen: 127.0.0.1:{port} is taken" == refused(f"127.0.0.1:{port}")[0]
        assert path.is_socket()


def test_what_cannot_be_bound_has_a_remedy(tmp_path: Path) -> None:
    """No directory, another kind of file, a foreign address, nonsense: each is told with what to do."""
    (tmp_path / "file").write_text("kept")

    assert f"mkdir -p {tmp_path}/run, or RuntimeDirectory= of systemd" == refused(f"unix:{tmp_path}/run/admin.sock")[1]
    assert f"admin.listen: there is no directory {tmp_path}/file" == refused(f"unix:{tmp_path}/file/admin.sock")[0]
    assert f"admin.listen: {tmp_path}/file is there, and is no socket" == refused(f"unix:{tmp_path}/file")[0]
    assert "kept" == (tmp_path / "file").read_text()
    assert "admin.listen: 192.0.2.1:9153 is no address of this machine" == refused("192.0.2.1:9153")[0]
    assert "admin.listen: nonsense: " in refused("nonsense")[0]
    assert all(refused(f"unix:/{'x' * 200}"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_permission_has_a_remedy(tmp_path: Path) -> None:
    """A directory that this user may not write to is told."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65_534)
    try:
        message, remedy = refused(f"unix:{tmp_path}/admin.sock")
    finally:
        os.seteuid(0)

    assert f"admin.listen: no permission to make {tmp_path}/admin.sock" == message
    assert f"let this user write to {tmp_path}, or change admin.listen" == remedy
