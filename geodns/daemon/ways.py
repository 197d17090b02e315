"""Owns the way from a configuration to a router: what it takes, the adapter, and word of it for when the file is broken.

It refuses to know when anything is announced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from geodns.ops import announce, toml_lines
from geodns.ops.config import Config
from geodns.problem import Problem, Severity

log = logging.getLogger("geodns.announce")

_LONGEST_SOCKET = 107  # octets of a unix socket's path, by unix(7)
_VOLATILE = ("/run/", "/var/run/", "/dev/shm/")  # noqa: S108 (no file is made there)


def router(config: Config, gone: Callable[[], None], before: Config | None = None) -> announce.Router:
    """The way to the router; `gone` is called when it ends by itself. It knows also what the gate `before` had to do with."""
    told = config.announce
    attributes = announce.Attributes(told.communities, told.prepend, told.asn, told.med, told.drain, told.drain_prepend)
    socket = str(config.path(told.bird.socket))
    match told.method:
        case "bird" if told.bird.include:
            return announce.Include(socket, config.path(told.bird.include), attributes)
        case "bird":
            return announce.Protocols(socket, {**(before.announce.bird.protocols if before else {}), **told.bird.protocols})
        case "frr":
            vtysh = _program(config, told.frr.vtysh)
            return announce.Vtysh(vtysh, told.frr.asn or 0, told.frr.route_map, told.frr.drain_route_map)
        case "exabgp":
            return announce.Exabgp(told.exabgp.version, told.exabgp.next_hop, attributes, gone)
        case _:
            return announce.Program(_command(config, told.exec.command), _command(config, told.exec.show), attributes)


def _program(config: Config, name: str) -> str:
    """A program's path, from the directory of the file like all paths; a bare name is looked up in PATH."""
    return str(config.path(name).absolute()) if "/" in name else name


def _command(config: Config, words: Sequence[str]) -> tuple[str, ...]:
    return (_program(config, words[0]), *words[1:]) if words else ()


def way(config: Config) -> dict[str, object]:
    """All that it takes to withdraw, as a table [announce] that does not depend on where its file is."""
    told = config.announce
    include = str(config.path(told.bird.include).absolute()) if told.bird.include else ""
    bird = {"socket": str(config.path(told.bird.socket).absolute()), "include": include, "protocols": dict(told.bird.protocols)}
    frr = {"vtysh": _program(config, told.frr.vtysh), **({"asn": told.frr.asn} if told.frr.asn else {})}
    own = {"bird": bird, "frr": frr, "exec": {"command": list(_command(config, told.exec.command))}}
    common = {"method": told.method, "prefixes": list(told.prefixes), "router_timeout": told.router_timeout, "adopt": told.adopt}
    return common | {name: table for name, table in own.items() if name == told.method}


def _kept(state: Path) -> Path:
    """The directory for word of the way: the service's own, where systemd has made one, for there the daemon cannot write."""
    own = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(own) if own else state


def remember(config: Config) -> None:
    """Leave word of the way, for whoever withdraws after this gate."""
    state = config.path(config.server.state).absolute()
    directory = _kept(state)
    try:
        announce.remember(directory, {"state": str(state), "announce": way(config)})
    except OSError as error:
        log.warning("%s: how to withdraw cannot be kept for a time without configuration: %s", directory, error.strerror)


def remembered(state: Path) -> Config | None:
    """The way that the last gate of a state directory has left; None for none that this user could believe."""
    directory = _kept(state)
    told = announce.recall(directory)
    if told is None:
        return None
    try:
        return Config.model_validate({"server": {"state": told["state"]}, "announce": told["announce"]})
    except (ValueError, KeyError) as error:
        log.warning("%s: how the last gate would withdraw makes no sense: %s", directory, error)
        return None


def is_same_way(config: Config, other: Config) -> bool:
    """Whether both tell the same router in the same way, whatever prefixes they have."""
    first, second = way(config), way(other)
    for each in (first, second):
        for key in ("prefixes", "router_timeout", "adopt"):
            del each[key]
        if isinstance(bird := each.get("bird"), dict) and not bird["include"]:
            del bird["protocols"]
    return first == second


async def withdrawn(config: Config) -> str:
    """Withdraw all prefixes of a configuration by its own way; why that failed, "" if it did not."""
    told = config.announce
    if told.method == "exabgp":
        return "ExaBGP can be told by its own process only: end that, for its routes go with it, or with ExaBGP"
    try:
        async with asyncio.timeout(told.router_timeout):
            await router(config, lambda: None).apply(dict.fromkeys(told.prefixes, announce.State.WITHDRAWN))
    except TimeoutError:
        return f"the router has not answered for {told.router_timeout:g} s"
    except announce.RouterFault as fault:
        return str(fault)
    return ""


def gate_needs(config: Config, path: Path) -> list[Problem]:
    """Warnings of what the gate needs and this machine lacks, each at the line of its key: the gate may run on another one."""
    if not config.announce.is_on:
        return []
    found = list(_missing(config))
    lines = toml_lines.locate(path.read_text("utf-8-sig")) if found else {}
    return [
        Problem(
            str(path),
            toml_lines.nearest(lines, ("announce", *key)),
            f"announce.{'.'.join(map(str, key[:2]))}: {message}",
            remedy,
            Severity.WARNING,
        )
        for key, message, remedy in found
    ]


Lack = tuple[toml_lines.KeyPath, str, str]
"""The key under [announce], what is missing, and what to do about it."""


def _missing(config: Config) -> Iterator[Lack]:
    told = config.announce
    match told.method:
        case "bird":
            yield from _of_bird(config)
        case "frr":
            yield from _of_program(config, ("frr", "vtysh"), told.frr.vtysh, "install FRR, or correct the path")
        case "exec":
            remedy = "write its path, seen from the directory of this file, or a name that is in PATH"
            for key, words in (("command", told.exec.command), ("show", told.exec.show)):
                yield from _of_program(config, ("exec", key, 0), words[0], remedy) if words else ()
        case _:
            return


def _of_program(config: Config, key: toml_lines.KeyPath, name: str, remedy: str) -> Iterator[Lack]:
    program = _program(config, name)
    if "/" not in program:
        if shutil.which(program) is None:
            yield key, f"there is no program '{program}' in PATH", remedy
        return
    mode = _mode(Path(program))
    if mode == 0:
        yield key, f"there is no {program}", remedy
    elif mode is not None and not (stat.S_ISREG(mode) and mode & 0o111):
        yield key, f"{program} cannot be run", "name a program, and make it executable (chmod +x)"


def _of_bird(config: Config) -> Iterator[Lack]:
    told = config.announce.bird
    socket = config.path(told.socket).absolute()
    mode = _mode(socket)
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        yield ("bird", "socket"), f"{socket} is too long for a socket", f"name one of {_LONGEST_SOCKET} octets at most"
    elif mode == 0:
        yield ("bird", "socket"), f"there is no {socket}", "start BIRD, or name the socket that `birdc -s` takes"
    elif mode is not None and not stat.S_ISSOCK(mode):
        yield ("bird", "socket"), f"{socket} is no socket", "name the socket that `birdc -s` takes"
    if not told.include:
        return
    include = config.path(told.include).absolute()
    mode = _mode(include.parent)
    if mode == 0 or (mode is not None and not stat.S_ISDIR(mode)):
        yield ("bird", "include"), f"there is no directory {include.parent}", "make it, and let the gate's user write there"
    if not str(include).startswith(_VOLATILE):
        message = f"{include} outlives a restart of the machine: BIRD would announce what was right before it"
        yield ("bird", "include"), message, "name a file below /run"


def _mode(path: Path) -> int | None:
    """Kind and permissions of a file; 0 where there is none, None where this user must not know."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:
        return None
