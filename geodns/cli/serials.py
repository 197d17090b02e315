"""Owns the verb that compares the serials that siblings serve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from geodns import wire
from geodns.cli.output import PROBLEMS_FOUND, ConfigOption, JsonOption, config_path, refuse, say, say_json, table, usage
from geodns.daemon import counted
from geodns.ops import anycast
from geodns.ops import config as configuration
from geodns.problem import ProblemsFound
from geodns.wire.serials import distance, newest


@dataclass(frozen=True, slots=True)
class Compared:
    """What all servers say of one zone."""

    zone: str
    told: Sequence[anycast.Serial]

    @property
    def newest(self) -> int | None:
        """The serial that is ahead of all others; None if nobody tells one, or if they cannot be ordered."""
        return newest(each.serial for each in self.told if each.serial is not None)

    @property
    def agree(self) -> bool:
        """Whether every server tells the same serial."""
        return len({each.serial for each in self.told}) == 1 and self.newest is not None

    def verdict(self, each: anycast.Serial) -> str:
        """One server in a few words."""
        if each.serial is None:
            return f"NO SERIAL: {each.fault}"
        if self.newest is None:
            return "CANNOT BE ORDERED (RFC 1982)"
        behind = distance(each.serial, self.newest)
        return f"BEHIND by {behind}" if behind else "newest" if not self.agree else "the same everywhere"

    def as_json(self) -> dict[str, object]:
        """A plain object."""
        latest = self.newest
        servers = [
            {
                "server": str(each.server),
                "instance": each.instance,
                "serial": each.serial,
                "behind": None if each.serial is None or latest is None else distance(each.serial, latest),
                "fault": each.fault,
            }
            for each in self.told
        ]
        return {"zone": self.zone, "agree": self.agree, "newest": latest, "servers": servers}


def serials(
    zones: Annotated[list[str] | None, typer.Argument(metavar="[ZONE]", help="Zones; else those of the configuration.")] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS[:PORT]", help="A sibling, by an address that is its alone; give it for each of them."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of servers that are given without one.")] = 53,
    timeout: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for each reply.")] = 2.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask siblings which serial of each zone they serve, and tell who is behind; exit code 1 unless all serve the same."""
    if not server:
        usage("who is to be asked? give --server for each sibling")
    names = _zones(zones, config)
    try:
        told = asyncio.run(_asked(server, port, names, timeout))
    except anycast.BadServer as error:
        usage(str(error))
    except ProblemsFound as found:
        refuse(found.problems)
    compared = [Compared(name, [each for each in told if each.zone == name]) for name in names]
    if as_json:
        say_json([each.as_json() for each in compared])
    else:
        _tell(compared)
    if not all(each.agree for each in compared):
        raise typer.Exit(PROBLEMS_FOUND)


def _tell(compared: Sequence[Compared]) -> None:
    rows = [
        (one.zone, each.server, each.instance or "-", "-" if each.serial is None else each.serial, one.verdict(each))
        for one in compared
        for each in one.told
    ]
    table(("zone", "server", "instance", "serial", ""), rows)
    differ = sum(not each.agree for each in compared)
    say(
        f"{differ} of {len(compared)} zones not the same everywhere"
        if differ
        else f"the same everywhere: {counted(len(compared), 'zone')}"
    )


def _zones(named: Sequence[str] | None, config: Path | None) -> list[str]:
    """The zones to ask for, each once, as text."""
    try:
        if named:
            return list(dict.fromkeys(wire.to_text(wire.from_text(name)) for name in named))
        path = config_path(config)
        found = [wire.to_text(wire.from_text(zone.name)) for zone in configuration.load(path).zones]
    except wire.BadName as error:
        usage(str(error))
    except ProblemsFound as problems:
        refuse(problems.problems)
    if not found:
        usage(f"{path} has no zones: name some")
    return found


async def _asked(servers: Sequence[str], port: int, zones: Sequence[str], timeout: float) -> list[anycast.Serial]:
    return await anycast.serials([await anycast.find(text, port) for text in dict.fromkeys(servers)], zones, timeout)
