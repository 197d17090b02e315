"""Owns the walls of the lab: namespaces of processes, mounts and networks that end with whoever started them.

The lab's first process is the init of a PID namespace, so the kernel ends all others when it ends, and it asks the kernel to be
killed when its parent dies (PR_SET_PDEATHSIG). Names of network namespaces and all files are below a /run of its own, in memory.
So nothing is left behind by any death, kill -9 included, and there is nothing for a later run to sweep up.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.netns import CLONE_NEWNET, libc

_NEWNS, _NEWPID, _NEWIPC = 0x00020000, 0x20000000, 0x08000000  # linux/sched.h
_PDEATHSIG = 1  # linux/prctl.h
_REC, _PRIVATE = 0x4000, 0x40000  # linux/mount.h

PACKAGES = {
    "bird": "bird2",
    "birdc": "bird2",
    "unbound": "unbound",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""The programs that the lab starts, and the Debian packages that they come from."""


class Broken(Exception):
    """The lab's first process has failed; it has said why on standard error."""


def why_not() -> str | None:
    """Why the lab cannot run here; None if it can."""
    if os.geteuid():
        return "only root may make network namespaces"
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = {package for program, package in PACKAGES.items() if shutil.which(program, path=search) is None}
    if missing:
        return f"not installed: {' '.join(sorted(missing))} (Debian packages)"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    trial = "unshare --pid --net --mount --ipc --fork --mount-proc test -w /proc/sys/net/ipv4/ip_forward"
    if subprocess.run(trial.split(), capture_output=True, check=False).returncode:
        return "namespaces of processes, mounts and networks are not allowed here"
    return None


@dataclass(frozen=True, slots=True)
class Cage:
    """A lab that stands."""

    result: bytes
    """What its work has returned."""
    pid: int
    """Its first process, as seen from outside."""


@contextmanager
def run(work: Callable[[], bytes]) -> Iterator[Cage]:
    """Do `work` as the first process inside. When the block ends, everything that it has left running ends.

    A process can do this once, and start no other process afterwards: its children belong to the namespace that has ended.
    """
    result, write = os.pipe()
    alive, held = os.pipe()
    _check(libc.unshare(_NEWPID))
    child = os.fork()
    if not child:
        os.close(result)
        os.close(held)
        _first(work, write, alive)
    os.close(write)
    os.close(alive)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        octets = b"".join(iter(lambda: os.read(result, 65536), b""))
        if not octets:
            raise Broken("the lab ended without a result")
        yield Cage(octets, child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(result)
        os.close(held)
        signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: object) -> None:
    sys.exit("terminated: the lab is gone")


def _first(work: Callable[[], bytes], write: int, alive: int) -> None:
    """Be the first process: never returns."""
    _check(libc.prctl(_PDEATHSIG, signal.SIGKILL))
    if select.select([alive], (), (), 0)[0]:  # the parent had died before that was asked for
        os._exit(1)
    try:
        _furnish()
        octets = work()
        while octets:
            octets = octets[os.write(write, octets) :]
        os.close(write)
        while True:
            signal.pause()  # the parent says when it is over
    except KeyboardInterrupt:
        os._exit(1)
    except BaseException:  # the parent only sees that there is no result
        traceback.print_exc()
        os._exit(1)


def _furnish() -> None:
    """Mounts and a network that nobody outside sees."""
    _check(libc.unshare(_NEWNS | CLONE_NEWNET | _NEWIPC))
    _check(libc.mount(b"none", b"/", None, _REC | _PRIVATE, None))
    _check(libc.mount(b"proc", b"/proc", b"proc", 0, None))
    _check(libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None))
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
