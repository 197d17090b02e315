"""Owns the assembled lab: namespaces, wires, routers, instances, resolvers, clients; knows how to start and ask all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from tests.lab import bird, daemons, gate, measure, netns, topology
from tests.lab.daemons import NotReached, Pace, until
from tests.lab.delay_line import DelayLine
from tests.lab.gate import Gate
from tests.lab.measure import STREAMS, Probe
from tests.lab.topology import Kind

ROOT = Path("/run/geodns-lab")
States = dict[str, str | None]
"""For each stream the instance that it has reached for a while; None where that is not so."""
CALM = 1.0  # s of good answers by one instance are taken for a state that lasts


class Clients:
    """The probing process, from its start to its end, and its log."""

    def __init__(self, file: Path, interval: float) -> None:
        self.file = file
        file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.lab.probes", str(file), str(interval)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._kept: list[Probe] = []
        self._rest = ""
        self._position = 0

    def probes(self) -> list[Probe]:
        """Everything that is known by now."""
        if self.file.exists():
            with self.file.open(encoding="utf-8") as file:
                file.seek(self._position)
                text = self._rest + file.read()
                self._position = file.tell()
            whole, newline, self._rest = text.rpartition("\n")
            self._kept += measure.read(f"{line}\n" for line in whole.splitlines()) if newline else []
        return self._kept

    def settled(self) -> States:
        """Where all streams are."""
        now = monotonic()
        return {name: measure.settled(probes, now, CALM) for name, probes in self._recent(now).items()}

    def connected(self) -> States:
        """Where the streams' open connections are."""
        now = monotonic()
        return {name: measure.connected(probes, now, CALM) for name, probes in self._recent(now).items()}

    def _recent(self, now: float) -> dict[str, list[Probe]]:
        recent: dict[str, list[Probe]] = {stream.name: [] for stream in STREAMS}
        for probe in reversed(self.probes()):
            if probe.done < now - 2 * CALM:
                break
            recent[probe.stream].append(probe)
        return {name: probes[::-1] for name, probes in recent.items()}

    def close(self) -> None:
        """End probing; the log is complete then."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


@dataclass(slots=True)
class World:
    """The running lab."""

    pace: Pace
    wires: DelayLine = field(init=False)
    routers: dict[str, bird.Router] = field(default_factory=dict)
    instances: dict[str, daemons.Instance] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    def start(self) -> Self:
        """Bring everything up; returns when every instance serves."""
        netns.NAMES.mkdir(parents=True)
        netns.build()
        for node in topology.NODES.values():
            (ROOT / node.name).mkdir(parents=True)
        self.wires = DelayLine(ROOT / "wires.log")
        netns.connect()
        for node in topology.NODES.values():
            directory = ROOT / node.name
            router = bird.Router(node, directory, gate.announced(directory) if node.kind is Kind.INSTANCE else "")
            router.start()
            self.routers[node.name] = router
        for node in topology.INSTANCES:
            directory = ROOT / node.name
            self.instances[node.name] = daemons.Instance(
                node, directory, self.pace, gate.configuration(node, directory, self.pace)
            )
            self.gates[node.name] = Gate(node, directory)
            self.instances[node.name].start()
            self.gates[node.name].start()
        public, provider = topology.PUBLIC, topology.PROVIDER
        daemons.resolve_for(public, ROOT / "public/subnet", str(public.host), clients_told=True)
        daemons.resolve_for(public, ROOT / "public/plain", str(public.resolver), clients_told=False)
        daemons.resolve_for(provider, ROOT / "chicago/resolver", str(provider.resolver), clients_told=False)
        for instance in self.instances.values():
            until(f"{instance.node.name} serves", instance.is_up)
        return self

    @property
    def target(self) -> daemons.Instance:
        """The instance that events happen to."""
        return self.instances[topology.TARGET.name]

    @property
    def target_router(self) -> bird.Router:
        """Its router."""
        return self.routers[topology.TARGET.name]

    def last_words(self) -> str:
        """The ends of all logs, for whoever wonders why something did not come up."""
        logs = [file for file in sorted(ROOT.rglob("*.log")) if not file.match("event-*")]
        ends = {file.relative_to(ROOT): file.read_text(errors="replace").splitlines()[-4:] for file in logs}
        return "\n".join(f"{name}: {line}" for name, lines in ends.items() for line in lines)

    def announce_always(self, node: topology.Node) -> None:
        """Let an instance announce as long as its BIRD runs, whatever its server does."""
        router = self.routers[node.name]
        router.announced = bird.always()
        router.configure(bird.USUAL)

    def announce_by_gate(self, node: topology.Node) -> None:
        """Leave that to the instance's gate again."""
        router = self.routers[node.name]
        router.announced = gate.announced(router.directory)
        router.configure(bird.USUAL)

    def configure(self, wishes: bird.Wishes) -> None:
        """Give all routers what an event wants of them."""
        for router in self.routers.values():
            router.configure(wishes)


def wait(clients: Clients, reached: Callable[[], bool], seconds: float) -> bool:
    """Poll until a condition on the clients holds; False after the deadline."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if clients.process.poll() is not None:
            raise NotReached("the probing process has ended")
        if reached():
            return True
        sleep(0.1)
    return False
