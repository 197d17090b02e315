"""Owns the verb `serve`: starts the daemon and says what it serves."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from geodns.cli.output import ConfigOption, config_path, refuse, say, show_problems, warn
from geodns.cli.progress import watched
from geodns.daemon import (
    DEMONSTRATION,
    EMBEDDED_WARNING,
    Loaded,
    Staff,
    load,
    raise_descriptor_limit,
    unbindable,
)
from geodns.ops import logs
from geodns.problem import ProblemsFound
from geodns.wire import to_text


def serve(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="Configuration file.", readable=False)] = None,
    named: ConfigOption = None,
) -> None:
    """Serve zones until SIGTERM; SIGHUP reloads configuration, zones and databases, all or nothing."""
    logs.configure("auto", "info")
    path = config_path(named, config)
    try:
        loaded, daemon, hangups = _prepared(path)
        told = loaded.config.log
        warnings = [*logs.configure(told.format, told.level, loaded.config.server.identity), *daemon.open()]
    except ProblemsFound as found:
        refuse(found.problems, "nothing is served")
    show_problems([*loaded.warnings, *warnings])
    _announce(loaded, daemon)
    del loaded  # a reload replaces it: held here, the first one would stay in memory
    daemon.serve(lambda: bool(hangups))


def _prepared(path: Path) -> tuple[Loaded, Staff, list[int]]:
    """Load, and load again if SIGHUP came meanwhile: what was read may be old, and unhandled it would end the process.

    The list grows with each SIGHUP that comes until somebody else handles them.
    """
    hangups: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _frame: hangups.append(number))
    while True:
        hangups.clear()
        try:
            with watched() as progress:
                loaded = load(path, progress)
        except ProblemsFound as found:
            raise ProblemsFound([*found.problems, *unbindable(path)]) from None
        raise_descriptor_limit()
        daemon = Staff(loaded)
        if not hangups:
            return loaded, daemon, hangups


def _announce(loaded: Loaded, daemon: Staff) -> None:
    """What is served, where, and a line to try."""
    snapshot = loaded.snapshot
    if loaded.path == DEMONSTRATION:
        say("geodns: no configuration is named, so this is the demonstration; begin yours with `geodns config example`")
    say(f"configuration  {loaded.path}")
    for served in list(snapshot.zones.values())[:20]:
        contents = served.contents
        size = f"{contents.record_count} records, {len(served.tailored)} tailored"
        say(f"zone           {to_text(contents.origin)}  serial {contents.serial}, {size}")
    if len(snapshot.zones) > 20:
        say(f"               and {len(snapshot.zones) - 20} zones more")
    say(f"places         {', '.join(database.name for database in snapshot.atlas.databases)}")
    if loaded.is_embedded:
        warn(f"WARNING        {EMBEDDED_WARNING}")
    for listen in daemon.listening():
        say(f"listening      {listen} (UDP and TCP)")
    say(f"buffer         {_buffer(loaded, daemon)}")
    if door := daemon.admin():
        say(f"admin          {door} (metrics, API and a page, by HTTP)")
    if hint := _hint(loaded, daemon):
        say(f"try            {hint}")
    sys.stdout.flush()


def _buffer(loaded: Loaded, daemon: Staff) -> str:
    """How much the kernel queues for a socket, and what to do where that is less than was asked for."""
    given, asked = daemon.receive_buffer(), loaded.config.server.udp_receive_buffer
    text = f"{given:,} octets for each UDP socket"
    return text if given >= asked else f"{text}, less than server.udp_receive_buffer: raise net.core.rmem_max to {asked}"


def _hint(loaded: Loaded, daemon: Staff) -> str:
    """A `dig` line for a name whose answer depends on who asks, or at least for one that exists."""
    listening = daemon.listening()
    if not listening:
        return ""
    host, _, port = listening[0].rpartition(":")
    for served in loaded.snapshot.zones.values():
        addresses = [name for name, rdtype in served.tailored if rdtype == 1]
        name = min(addresses, key=lambda owner: not owner.startswith(b"\x03www"), default=served.contents.origin)
        what = "A +subnet=81.2.69.0/24" if addresses else "SOA"
        return f"dig @{host.strip('[]')} -p {port} {to_text(name).rstrip('.') or '.'} {what}"
    return ""
