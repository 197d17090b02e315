"""Owns the door's listening socket: bound once, by the process that may; refuses to know HTTP."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from geodns.ops.config import BadListen, Listen, UnixListen, parse_admin_listen
from geodns.problem import Problem, ProblemsFound

_BACKLOG = 64
_NO_ACCESS_BY_OTHERS = 0o117
"""The umask with which a socket is made: owner and group may connect, mode 0660."""


def bind(listen: str) -> socket.socket:
    """A socket that listens on "127.0.0.1:9153", "[::1]:9153" or "unix:/run/geodns/admin.sock".

    A socket file that a dead process has left is replaced. Raises ProblemsFound.
    """
    try:
        where = parse_admin_listen(listen)
    except BadListen as error:
        raise _refused(f"{listen}: {error}", 'write "127.0.0.1:9153" or "unix:/run/geodns/admin.sock"') from None
    match where:
        case UnixListen(path):
            return _bind_unix(Path(path))
        case Listen():
            return _bind_tcp(where)


def release(sock: socket.socket) -> None:
    """Close the socket and remove its file, at the end of the last process that holds it."""
    path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
    sock.close()
    if path:
        with contextlib.suppress(OSError):  # without the right to remove it, the next start replaces it
            Path(path).unlink()


def _bind_tcp(listen: Listen) -> socket.socket:
    sock = socket.socket(socket.AF_INET if listen.family == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listen.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((listen.host, listen.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _tcp_problem(listen, error) from None
    return sock


def _tcp_problem(listen: Listen, error: OSError) -> ProblemsFound:
    match error.errno:
        case errno.EADDRINUSE:
            return _refused(f"{listen} is taken", "stop the other server (ss -lntp), or change admin.listen")
        case errno.EACCES | errno.EPERM:
            return _refused(f"no permission to listen on {listen}", "choose a port above 1023")
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return _refused(f"{listen} is no address of this machine", "see `ip address`, then correct it")
        case _:
            return _refused(f"cannot listen on {listen}: {error.strerror}", "correct admin.listen")


def _bind_unix(path: Path) -> socket.socket:
    _make_way(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_NO_ACCESS_BY_OTHERS)  # not chmod afterwards: there must be no moment at which others may connect
    try:
        sock.bind(str(path))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _unix_problem(path, error) from None
    finally:
        os.umask(before)
    return sock


def _make_way(path: Path) -> None:
    """Remove the socket file of a process that is no more; raises ProblemsFound if anything else is there."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise _refused(f"{path} is there, and is no socket", "name another path, or remove it")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(0)  # a living process that is busy is no reason to wait
            probe.connect(str(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    except ConnectionRefusedError:
        with contextlib.suppress(FileNotFoundError):
            _remove(path)
        return
    except BlockingIOError:
        pass
    except OSError as error:
        raise _unix_problem(path, error) from None
    raise _refused(f"{path} is taken", "another server listens there: stop it, or change admin.listen")


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except PermissionError as error:
        raise _unix_problem(path, error) from None


def _unix_problem(path: Path, error: OSError) -> ProblemsFound:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return _refused(f"there is no directory {path.parent}", f"mkdir -p {path.parent}, or RuntimeDirectory= of systemd")
        case errno.EACCES | errno.EPERM:
            return _refused(f"no permission to make {path}", f"let this user write to {path.parent}, or change admin.listen")
        case errno.EADDRINUSE:
            return _refused(f"{path} is taken", "another server listens there: stop it, or change admin.listen")
        case _:
            return _refused(f"cannot listen on {path}: {error.strerror or error}", "correct admin.listen")


def _refused(message: str, remedy: str) -> ProblemsFound:
    return ProblemsFound([Problem("", 0, f"admin.listen: {message}", remedy)])
