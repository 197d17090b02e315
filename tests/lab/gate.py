"""Owns the announce gate of an instance: its part of the configuration and its process; refuses to know what events are."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab import topology
from tests.lab.daemons import Pace, launch
from tests.lab.topology import Node


def configuration(node: Node, directory: Path, pace: Pace) -> str:
    """The table [announce] of an instance."""
    siblings = [f"{other.host}:53" for other in topology.INSTANCES if other != node]
    return (
        f'[announce]\nmethod = "bird"\nprefixes = ["{topology.ANYCAST_PREFIX}"]\nsiblings = {siblings}\n'
        'require_pools = ["backend"]\n'
        f"interval = {pace.gate_interval}\ntimeout = {pace.gate_interval}\nrise = 2\nfall = {pace.gate_fall}\n"
        f"lease_max_age = {pace.lease_max_age}\nhold_down = 1.0\nhold_down_max = 1.0\n"
        f"drain_soft = {pace.drain_soft}\ndrain_max = {pace.drain_max}\n"
        f'[announce.bird]\nsocket = "{directory}/bird.ctl"\ninclude = "{include(directory)}"\n'
    )


def include(directory: Path) -> Path:
    """The file that the gate writes and BIRD includes."""
    return directory / "announce.conf"


def announced(directory: Path) -> str:
    """The part of bird.conf that leaves it to the gate what is announced."""
    include(directory).touch()
    return f'include "{include(directory)}";'


@dataclass(slots=True)
class Gate:
    """One gate."""

    node: Node
    directory: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it beside the instance, with the same configuration."""
        words = (sys.executable, "-m", "geodns", "announce", "run", str(self.directory / "geodns.toml"))
        self.process = launch(self.node, self.directory / "gate.log", words)

    def kill(self) -> None:
        """End it as a fault would, so that it can tell nobody."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
