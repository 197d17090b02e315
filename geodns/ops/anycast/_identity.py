"""Owns the question which instance answers: NSID and CHAOS names over many source ports; refuses to judge what that shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import ceil
from time import perf_counter

from dnslib import QTYPE, DNSRecord

from geodns.ops.exchange import NSID, Answered, Flow, Server, Silent, flow, option, printable, question

NAMES = ("id.server", "hostname.bind", "version.server")
"""What is asked in class CH (RFC 4892), each question with NSID (RFC 5001)."""

_EVERY = 1.0  # s between rounds


@dataclass(frozen=True, slots=True)
class Sample:
    """What one source port saw in one round; "" is not told. `milliseconds` is the fastest reply, None if none came."""

    port: int
    nsid: str
    names: tuple[str, ...]
    milliseconds: float | None
    silence: str = ""

    @property
    def identity(self) -> str:
        """What tells this instance from others: NSID, else id.server, else hostname.bind; the version tells none apart."""
        return self.nsid or self.names[0] or self.names[1]


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance: its names, "" where it tells none, on how many source ports it answered, and its share of all replies."""

    identity: str
    nsid: str
    id_server: str
    hostname_bind: str
    version: str
    ports: int
    share: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Identification:
    """Who answers at a server, the most frequent instance first.

    `ports_answered` counts the source ports of `ports` that had a reply, `ports_changed` those that saw more than one instance,
    `unanswered` the samples without a reply, and `silences` says what was seen instead.
    """

    server: Server
    ports: int
    rounds: int
    instances: tuple[Instance, ...]
    ports_answered: int
    ports_changed: int
    unanswered: int
    silences: tuple[str, ...]

    @property
    def identities(self) -> tuple[str, ...]:
        """The names of the instances that tell one."""
        return tuple(instance.identity for instance in self.instances if instance.identity)

    @property
    def milliseconds(self) -> float | None:
        """The fastest round trip; None if nothing answered."""
        return min((instance.milliseconds for instance in self.instances), default=None)

    @property
    def finding(self) -> str:
        """What was seen, in a sentence."""
        if not self.instances:
            return "nothing answered"
        if not self.identities:
            return "what answers does not tell its name"
        if len(self.instances) == 1:
            return f"one instance on {self._answered}"
        if self.rounds == 1:
            return f"{len(self.instances)} instances, by source port"
        if not self.ports_changed:
            return f"{len(self.instances)} instances; each source port keeps its own"
        return f"{len(self.instances)} instances; {self.ports_changed} of {self.ports_answered} source ports changed theirs"

    @property
    def _answered(self) -> str:
        if self.ports == 1:
            return "one source port"
        all_of = "all" if self.ports_answered == self.ports else f"{self.ports_answered} of"
        return f"{all_of} {self.ports} source ports"


async def identify(server: Server, ports: int, seconds: float = 0.0, timeout: float = 2.0) -> Identification:
    """Ask over so many source ports at once, again each second and at the end of so many seconds, unless all is silent.

    `ProblemsFound`: no way to the server.
    """
    async with AsyncExitStack() as stack:
        flows = [await stack.enter_async_context(flow(server)) for _ in range(ports)]
        samples: list[Sample] = []
        began = perf_counter()
        for rounds in range(1, ceil(seconds / _EVERY) + 2):
            await asyncio.sleep(max(0.0, began + min((rounds - 1) * _EVERY, seconds) - perf_counter()))
            samples += await asyncio.gather(*(_sample(one, timeout) for one in flows))
            if all(sample.milliseconds is None for sample in samples):
                break
    return _sum(server, ports, rounds, samples)


async def _sample(one: Flow, timeout: float) -> Sample:
    """Ask one port for every name, one after the other; who does not answer the first is not asked for the others."""
    nsid, names, fastest = "", [""] * len(NAMES), None
    for number, name in enumerate(NAMES):
        match await one.ask(question(name, "TXT", "CH", nsid=True), timeout):
            case Answered(message, milliseconds):
                fastest = milliseconds if fastest is None else min(fastest, milliseconds)
                nsid = nsid or printable(option(message, NSID) or b"")
                names[number] = _text(message)
            case Silent(why):
                if fastest is None:
                    return Sample(one.port, "", tuple(names), None, why)
    return Sample(one.port, nsid, tuple(names), fastest)


def _text(message: DNSRecord) -> str:
    """The first TXT record of a reply."""
    return next((printable(b"".join(record.rdata.data)) for record in message.rr if record.rtype == QTYPE.TXT), "")


def _sum(server: Server, ports: int, rounds: int, samples: Sequence[Sample]) -> Identification:
    answered = [sample for sample in samples if sample.milliseconds is not None]
    seen: dict[int, set[str]] = {}
    for sample in answered:
        seen.setdefault(sample.port, set()).add(sample.identity)
    instances = sorted(_instances(answered), key=lambda instance: (-instance.share, instance.identity))
    return Identification(
        server,
        ports,
        rounds,
        tuple(instances),
        len(seen),
        sum(len(identities) > 1 for identities in seen.values()),
        len(samples) - len(answered),
        tuple(sorted({sample.silence for sample in samples if sample.silence})),
    )


def _instances(answered: Sequence[Sample]) -> Iterator[Instance]:
    by_identity: dict[str, list[Sample]] = {}
    for sample in answered:
        by_identity.setdefault(sample.identity, []).append(sample)
    for identity, samples in by_identity.items():
        id_server, hostname_bind, version = (
            next((sample.names[number] for sample in samples if sample.names[number]), "") for number in range(len(NAMES))
        )
        yield Instance(
            identity,
            samples[0].nsid,
            id_server,
            hostname_bind,
            version,
            len({sample.port for sample in samples}),
            len(samples) / len(answered),
            min(sample.milliseconds for sample in samples if sample.milliseconds is not None),
        )
