"""Owns the course of one event: calm, strike, watch, undo, calm again; refuses to know what the event is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from time import monotonic, sleep
from typing import Any

from tests.lab import measure, topology
from tests.lab.daemons import NotReached
from tests.lab.events import Event
from tests.lab.measure import STREAMS, Outcome, Stream, Way
from tests.lab.world import ROOT, Clients, States, World, wait

CALM_WITHIN = 40.0  # s: BGP sessions and pools come back


@dataclass(frozen=True, slots=True)
class Result:
    """An event and what it did to each stream."""

    name: str
    about: str
    interval: float
    """Seconds between probes of a stream."""
    seconds: float
    """How long it was watched."""
    moved: bool
    """Whether all clients got where they should in time."""
    returned: bool
    """Whether all were back in time when it was undone."""
    outcomes: tuple[Outcome, ...]

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)


def usual(stream: Stream) -> str:
    """The instance that answers a stream as long as all is well."""
    return topology.nearest(topology.PUBLIC if stream.way is Way.PLAIN else stream.region).name


def calm(state: States) -> bool:
    """Whether every stream is where it is as long as all is well."""
    return all(state[stream.name] == usual(stream) for stream in STREAMS)


def elsewhere(state: States, concerned: set[str]) -> bool:
    """Whether all of these streams reach an instance that is not the target."""
    return all(state[name] not in (None, topology.TARGET.name) for name in concerned)


def run(world: World, event: Event, interval: float) -> Result:
    """Let one event happen."""
    world.configure(event.wishes)
    event.prepare(world)
    try:
        # The clients proper begin where all is well, for a connection stays where it was opened.
        with closing(Clients(ROOT / f"event-{event.name}-before.log", interval)) as scouts:
            _await_calm(event, scouts, scouts.settled)
        with closing(Clients(ROOT / f"event-{event.name}.log", interval)) as clients:
            _await_calm(event, clients, clients.settled, clients.connected)
            return _watched(world, event, clients, interval)
    finally:
        event.restore(world)


def _await_calm(event: Event, clients: Clients, *told: Callable[[], States]) -> None:
    if not wait(clients, lambda: all(calm(state()) for state in told), CALM_WITHIN):
        raise NotReached(f"not calm before {event.name}: {'; '.join(_unusual(state()) for state in told)}")


def _watched(world: World, event: Event, clients: Clients, interval: float) -> Result:
    concerned = {stream.name for stream in STREAMS if stream.way in event.moves and usual(stream) == topology.TARGET.name}
    struck = monotonic()
    event.strike(world)
    moved = wait(clients, lambda: elsewhere(clients.settled(), concerned), event.patience)
    sleep(max(0.0, struck + event.watch - monotonic()))
    undone = monotonic()
    event.undo(world)
    returned = wait(clients, lambda: calm(clients.settled()), CALM_WITHIN)
    clients.close()
    probes = clients.probes()
    outcomes = tuple(
        measure.outcome(
            stream, [probe for probe in probes if probe.stream == stream.name], struck, undone, takes_out=event.takes_out
        )
        for stream in STREAMS
    )
    return Result(event.name, event.about, interval, round(undone - struck, 1), moved, returned, outcomes)


def _unusual(state: States) -> str:
    return ", ".join(f"{stream.name} at {state[stream.name]}" for stream in STREAMS if state[stream.name] != usual(stream))
