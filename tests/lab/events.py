"""Owns what happens to the instance: each event as a line of a table, how it begins and how it is undone.

An event strikes anycast and GeoDNS at the same moment, for both are ways to the same three servers. What an operator tells one,
the gate or the pool, is told to the other too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.lab import daemons, netns, topology
from tests.lab.bird import USUAL, Wishes
from tests.lab.daemons import NotReached
from tests.lab.measure import Way
from tests.lab.world import World

Act = Callable[[World], None]
GEODNS = (Way.PROVIDER, Way.SUBNET, Way.PLAIN)
_LINE = topology.LINKS["nyc~arc-ash"]


def _nothing(_world: World) -> None:
    """What most events need before and after."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to the target, and what should come of it."""

    name: str
    about: str
    strike: Act
    undo: Act
    moves: tuple[Way, ...] = tuple(Way)
    """The ways on which the target's clients should get to another instance."""
    takes_out: bool = True
    """Whether the others are where the target's clients belong meanwhile."""
    watch: float = 3.0
    """Seconds that are watched at least."""
    patience: float = 30.0
    """Seconds within which clients should have moved."""
    wishes: Wishes = field(default=USUAL)
    prepare: Act = _nothing
    restore: Act = _nothing


def _drain(world: World) -> None:
    with world.target.control() as control:
        control.drain("lab")
    _say_of_pool(world, "drain")


def _undrain(world: World) -> None:
    with world.target.control() as control:
        control.undrain()
    _say_of_pool(world, "auto")


def _say_of_pool(world: World, word: str) -> None:
    """An operator's word to each instance, for each keeps a table of its own."""
    for instance in world.instances.values():
        with instance.control() as control:
            control.override(f"service/{world.target.node.name}", word)


def _stop(world: World) -> None:
    assert world.target.process
    world.target.process.terminate()


def _kill(world: World) -> None:
    world.target.signal(signal.SIGKILL)


def _run(world: World) -> None:
    world.target.end()
    world.target.run()


def _hang(world: World) -> None:
    world.target.signal(signal.SIGSTOP)


def _go_on(world: World) -> None:
    world.target.signal(signal.SIGCONT)


def _refused(world: World) -> None:
    world.target.write_zone(daemons.zone(serial=2) + "oops IN A 192.0.2.256\n")
    _reload(world, accepted=False)


def _fail(world: World) -> None:
    world.target.say_of_backend("down")


def _recover(world: World) -> None:
    world.target.say_of_backend("up")


def _accepted(world: World) -> None:
    world.target.write_zone(daemons.zone(serial=3))
    _reload(world, accepted=True)


def _reload(world: World, *, accepted: bool) -> None:
    with world.target.control() as control:
        told = control.reload()
    if told["accepted"] is not accepted:
        raise NotReached(f"a reload that is accepted: {accepted}; the daemon says {told}")


def _kill_gate(world: World) -> None:
    world.gates[world.target.node.name].kill()


def _run_gate(world: World) -> None:
    world.gates[world.target.node.name].start()


def _freeze(world: World) -> None:
    _signal_all(world, signal.SIGSTOP)


def _thaw(world: World) -> None:
    _signal_all(world, signal.SIGCONT)


def _signal_all(world: World, number: signal.Signals) -> None:
    for pid in netns.processes(world.target.node.name):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _kill_router(world: World) -> None:
    process = world.target_router.process
    assert process
    process.kill()
    process.wait()


def _run_router(world: World) -> None:
    world.target_router.start()


def _wire(verb: str) -> Act:
    return lambda world: world.wires.tell(verb, _LINE)


def _without_gate(world: World) -> None:
    """The target announces as long as its BIRD runs."""
    world.gates[world.target.node.name].kill()
    world.announce_always(world.target.node)


def _with_gate(world: World) -> None:
    world.announce_by_gate(world.target.node)
    world.gates[world.target.node.name].start()


def _polarise(world: World) -> None:
    world.configure(Wishes(bay_first=frozenset({"saopaulo"})))


def _depolarise(world: World) -> None:
    world.configure(USUAL)


NO_BFD = Wishes(bfd=False)

EVENTS = {
    event.name: event
    for event in (
        Event("drain", "an operator drains the instance; it goes on answering", _drain, _undrain, watch=8.0),
        Event("stop", "SIGTERM to the daemon, as systemctl stop does; the pool is not told", _stop, _run),
        Event("kill", "kill -9 of the daemon", _kill, _run),
        Event("hang", "SIGSTOP of all the daemon's processes", _hang, _go_on),
        Event("refused", "a zone with an error is reloaded, and refused", _refused, _accepted, moves=(), takes_out=False),
        Event("backend", "what stands behind it fails: it answers, and not what it should", _fail, _recover),
        Event("gate", "kill -9 of the gate; the daemon goes on", _kill_gate, _run_gate, moves=(), takes_out=False),
        Event("router", "kill -9 of BIRD", _kill_router, _run_router),
        Event("freeze", "the whole host stands still, BFD notices", _freeze, _thaw),
        Event("freeze-hold", "the whole host stands still, no BFD", _freeze, _thaw, wishes=NO_BFD),
        Event("unplug", "the line is unplugged, both ends see it, no BFD", _wire("unplug"), _wire("plug"), wishes=NO_BFD),
        Event("cut", "the line loses everything, BFD notices", _wire("cut"), _wire("mend")),
        Event("cut-hold", "the line loses everything, no BFD", _wire("cut"), _wire("mend"), wishes=NO_BFD),
        Event(
            "polarise", "São Paulo's provider prefers a transit network that has no near instance as customer",
            _polarise, _depolarise, moves=(), takes_out=False,
        ),
        Event(
            "no-gate", "as hang, but BIRD announces without a gate: the control experiment",
            _hang, _go_on, moves=GEODNS, watch=12.0, prepare=_without_gate, restore=_with_gate,
        ),
    )
}  # fmt: skip

SHORT = ("drain", "kill", "hang", "no-gate")
"""Those of the short form."""
