"""Owns withdrawing without a gate: by the configuration, and as the last gate has left word; refuses to judge."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from geodns.daemon.announcing import told_by_gate
from geodns.daemon.gatekeeping import load_gate
from geodns.daemon.ways import remembered, way, withdrawn
from geodns.ops import announce
from geodns.ops import config as configuration
from geodns.ops.config import Config
from geodns.problem import Problem, ProblemsFound

_NO_CRASH = {"success", "timeout"}
"""A gate that ended, or that hung when it was told to end: nobody begins another one."""


def withdraw(path: Path, *, after_stop: bool = False) -> str:
    """Withdraw every prefix of a configuration, whatever a gate may think; what was done. Raises ProblemsFound.

    What the last gate announced is withdrawn, too, where the configuration says something else by now, or cannot be read.
    With `after_stop` systemd asks for it at the end of a gate (ExecStopPost=): what a crashed one has announced stays for its
    successor, as long as somebody has judged lately.
    """
    configured, known, why = _ways(path)
    last = known or configured
    if after_stop and last and _may_be_succeeded(last):
        return "left for the next gate to take over"
    found = [each for each in (known, configured) if each]
    faults = [fault for each in found if (fault := asyncio.run(_told(each)))]
    if faults:
        raise ProblemsFound([Problem("", 0, fault, "the prefixes may still be announced: see the router") for fault in faults])
    done = f"withdrawn: {', '.join(dict.fromkeys(prefix for each in found for prefix in each.announce.prefixes))}"
    remarks = [f"as the last gate did, for {why}"] if why else []
    remarks += [text for each in found[-1:] if (text := _gate_at_work(each))]
    return "; ".join([done, *remarks])


def _ways(path: Path) -> tuple[Config | None, Config | None, str]:
    """The configuration, if there is one with something to announce; what the last gate did, if that was something else; why.

    Raises ProblemsFound where there is neither of the two.
    """
    try:
        configured = load_gate(path)
    except ProblemsFound as refused:
        known = remembered(_state(refused))
        if known is None:
            raise
        return None, known, str(refused.problems[0])
    known = remembered(configured.path(configured.server.state))
    return configured, known if known and way(known) != way(configured) else None, ""


def _state(refused: ProblemsFound) -> Path:
    """The state directory of a configuration that cannot be read: as far as it can, or systemd's, or the usual one."""
    rest = refused.rest if isinstance(refused, configuration.ConfigurationRefused) else None
    if rest:
        return rest.config.path(rest.config.server.state)
    return Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or configuration.Server().state)


def _may_be_succeeded(config: Config) -> bool:
    """Whether a gate has crashed that has judged lately; $SERVICE_RESULT is systemd's word on how it ended (systemd.exec(5))."""
    if os.environ.get("SERVICE_RESULT", "success") in _NO_CRASH:
        return False
    told = told_by_gate(config)
    return bool(told and told["judged"] is not None and announce.now() - told["judged"] < config.announce.adopt)


def _gate_at_work(config: Config) -> str:
    """What to know of a gate that is at work while somebody else withdraws; "" where there is none."""
    told = told_by_gate(config)
    if not told or not told["alive"]:
        return ""
    blind = config.announce.method == "exec" and not config.announce.exec.show
    then = "does not see it" if blind else "announces again what it finds good"
    return f"but a gate (process {told['pid']}) is at work and {then}: stop it, or drain instead"


async def _told(config: Config) -> str:
    fault = await withdrawn(config)
    if not fault:
        announce.forget(config.path(config.server.state))
    return fault
