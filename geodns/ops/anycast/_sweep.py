"""Owns the same question asked for clients of many networks (RFC 7871), and the table of answers; refuses to judge it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from dnslib import QTYPE, RCODE, DNSRecord

from geodns.ops.exchange import CLIENT_SUBNET, Answered, Server, Silent, flow, option, printable, question

_ROUNDS = 2  # what changes between two equal questions is not for the client's sake
_AT_ONCE = 8
_OCTETS_OF_HEAD = 4  # FAMILY, SOURCE and SCOPE PREFIX-LENGTH, RFC 7871 §6
_LONGEST_SOURCE = {4: 24, 6: 56}  # what resolvers send, RFC 7871 §11.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What clients of one network are answered.

    `data` are addresses or other RDATA of the type that was asked for, or the last alias where there are none, sorted. `scope` is
    SCOPE PREFIX-LENGTH, None where the server did not echo the client subnet. `varies`: two equal questions had different
    answers. `failure` is "" or why there is no answer: a response code, or what was seen instead of a reply where it `is_silent`.
    """

    subnet: str
    data: tuple[str, ...]
    scope: int | None
    varies: bool
    failure: str
    is_silent: bool


async def sweep(
    server: Server, name: str, rdtype: str, subnets: Sequence[IPv4Network | IPv6Network], timeout: float = 2.0
) -> list[Answer]:
    """Ask for clients of each network, twice, a few at once; in the order given. `ProblemsFound`: no way to the server."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(subnet: IPv4Network | IPv6Network) -> Answer:
        async with gate, flow(server) as one:
            replies = [await one.ask(question(name, rdtype, subnet=_cut(subnet)), timeout) for _ in range(_ROUNDS)]
            return _sum(subnet, rdtype, replies)

    return list(await asyncio.gather(*map(ask, subnets)))


def _cut(subnet: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """The network as a client subnet of the length that resolvers send."""
    length = _LONGEST_SOURCE[subnet.version]
    if subnet.prefixlen >= length:
        return subnet.supernet(new_prefix=length)
    return type(subnet)((int(subnet.network_address), length))


def _sum(subnet: IPv4Network | IPv6Network, rdtype: str, replies: Sequence[Answered | Silent]) -> Answer:
    answered = [reply.message for reply in replies if isinstance(reply, Answered)]
    data = [_data(message, rdtype) for message in answered]
    codes = {RCODE.get(message.header.rcode) for message in answered if message.header.rcode}
    silences = {reply.why for reply in replies if isinstance(reply, Silent)}
    failure = ", ".join(sorted(codes or silences)) if not any(data) else ""
    scopes = [scope for message in answered if (scope := _scope(message)) is not None]
    return Answer(
        str(_cut(subnet)),
        tuple(sorted({text for texts in data for text in texts})),
        max(scopes, default=None),
        len(set(data)) > 1,
        failure,
        not answered,
    )


def _data(message: DNSRecord, rdtype: str) -> tuple[str, ...]:
    """The RDATA of the type; where there is none, the name at which the last alias points."""
    told = [(QTYPE.get(record.rtype), printable(str(record.rdata).encode())) for record in message.rr]
    wanted = tuple(sorted(text for kind, text in told if kind == rdtype))
    aliases = [text for kind, text in told if kind == "CNAME"]
    return wanted or tuple(aliases[-1:])


def _scope(message: DNSRecord) -> int | None:
    echoed = option(message, CLIENT_SUBNET)
    return echoed[3] if echoed is not None and len(echoed) >= _OCTETS_OF_HEAD else None
