"""Owns asking this very daemon, and its siblings, by UDP and TCP within a bounded time; refuses to draw conclusions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from time import perf_counter

from dnslib import DNSRecord

from geodns.ops.announce._questions import Question, fault, shape_fault
from geodns.ops.config import parse_listen
from geodns.ops.exchange import Answered, Server, Silent, ask_by_tcp, flow, question
from geodns.problem import ProblemsFound

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound)


@dataclass(frozen=True, slots=True)
class Target:
    """Where this daemon is asked. `prefix` is the announced one around the address, "" for the loopback."""

    server: Server
    prefix: str = ""

    def __str__(self) -> str:
        return str(self.server)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one round has shown: faults by target, and how many questions were sent."""

    faults: dict[Target, tuple[str, ...]]
    sent: int

    def of_prefix(self, prefix: str) -> tuple[str, ...]:
        """What speaks against a prefix: its own addresses, and the loopback."""
        return tuple(text for target, found in self.faults.items() if target.prefix in {"", prefix} for text in found)


def targets(
    prefixes: Sequence[str], addresses: Sequence[str], listening: Sequence[str]
) -> tuple[list[Target], dict[str, tuple[str, ...]]]:
    """Where to ask: the loopback, if it is listened on, and each service address; by prefix what is not served at all."""
    found: list[Target] = []
    missing: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
    heard = [parse_listen(text) for text in listening]
    for listen in heard:
        host = _WILDCARDS.get(listen.host, listen.host)
        if ip_address(host).is_loopback and host not in addresses:
            found.append(Target(Server(host, listen.port)))
    for prefix in prefixes:
        network = ip_network(prefix)
        for text in addresses:
            address = ip_address(text)
            if address.version != network.version or address not in network:
                continue
            ports = sorted(
                {listen.port for listen in heard if listen.host == text or _is_wildcard_of(listen.host, address.version)}
            )
            found += [Target(Server(text, port), prefix) for port in ports]
            if not ports:
                missing[prefix].append(f"the daemon does not listen on {text}")
    return list(dict.fromkeys(found)), {prefix: tuple(texts) for prefix, texts in missing.items()}


def _is_wildcard_of(host: str, version: int) -> bool:
    return host in _WILDCARDS and (":" in host) == (version == 6)


Judge = Callable[[Question, DNSRecord], str]
"""What is wrong with a reply to a question; "" for nothing."""


async def ask(where: Iterable[Target], questions: Sequence[Question], timeout: float, judge: Judge = fault) -> Asked:
    """Ask every question at every target by UDP, and the first by TCP; all of it takes `timeout` seconds at most."""
    asked = list(where)
    results = await asyncio.gather(*(_ask_at(target, questions, timeout, judge) for target in asked))
    faults = {target: tuple(found) for target, (found, _) in zip(asked, results, strict=True)}
    return Asked(faults, sum(sent for _, sent in results))


async def _ask_at(target: Target, questions: Sequence[Question], timeout: float, judge: Judge) -> tuple[list[str], int]:
    if not _is_here(target.server.address):
        return [f"{target.server.address} is not an address of this machine: add it to lo (ip address add … dev lo)"], 0
    if not questions:
        return [f"{target}: there is nothing to ask: no zone, no expectation"], 0
    by_udp, by_tcp = await asyncio.gather(
        _by_udp(target, questions, timeout, judge), _by_tcp(target, questions[0], timeout, judge)
    )
    found, sent = by_udp
    return [*found, *by_tcp], sent + 1


async def _by_udp(target: Target, questions: Sequence[Question], timeout: float, judge: Judge) -> tuple[list[str], int]:
    """All questions one after the other; the first silence ends it, for the others would only wait."""
    found: list[str] = []
    due = perf_counter() + timeout
    try:
        async with flow(target.server) as opened:
            for number, each in enumerate(questions, start=1):
                match await opened.ask(_message(each), max(due - perf_counter(), 0.001)):
                    case Silent(why):
                        found.append(f"{target} by UDP: {why}")
                        return found, number
                    case Answered(message):
                        if text := judge(each, message):
                            found.append(f"{target} by UDP: {text}")
    except ProblemsFound as problems:
        return [f"{target} by UDP: {problems.problems[0].message}"], 0
    return found, len(questions)


async def _by_tcp(target: Target, asked: Question, timeout: float, judge: Judge) -> list[str]:
    match await ask_by_tcp(target.server, _message(asked), timeout):
        case Silent(why):
            return [f"{target} by TCP: {why}"]
        case Answered(message):
            text = judge(asked, message)
            return [f"{target} by TCP: {text}"] if text else []


def _message(asked: Question) -> DNSRecord:
    return question(asked.name, asked.type, subnet=ip_network(asked.subnet) if asked.subnet else None)


def _is_here(address: str) -> bool:
    """Whether it is an address of this machine, so that no sibling answers in its place.

    Not told by binding it, which the kernel may allow for any (ip_nonlocal_bind): what goes to an own address leaves from it.
    """
    if ip_address(address).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


async def ask_siblings(siblings: Sequence[str], asked: Sequence[Question], timeout: float) -> dict[str, str]:
    """What is wrong with each sibling, by its address as written; "" where it answers right.

    Without a question, as before the first lease, they are asked who they are: who answers anything is there.
    """
    first = asked[0] if asked else None
    found = await asyncio.gather(*(_sibling(text, first, timeout) for text in siblings))
    return dict(zip(siblings, found, strict=True))


async def _sibling(text: str, asked: Question | None, timeout: float) -> str:
    listen = parse_listen(text)
    message = _message(asked) if asked else question("id.server", "TXT", "CH")
    try:
        async with flow(Server(listen.host, listen.port)) as opened:
            match await opened.ask(message, timeout):
                case Silent(why):
                    return why
                case Answered(reply):
                    return shape_fault(asked, reply) if asked else ""
    except ProblemsFound as problems:
        return problems.problems[0].message
