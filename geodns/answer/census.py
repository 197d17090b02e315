"""Owns what is counted of each reply, and by which number; refuses to know who reads the counters and where they are kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from geodns.answer.authoritative import Decision, Judgement, Selection
from geodns.answer.cookies import Outcome
from geodns.answer.ladder import Client, Climb, Rung, Subnet
from geodns.answer.ledger import How, Ledger
from geodns.answer.steering import EVERYONE, PoolSelection
from geodns.answer.whoami import Introduction
from geodns.geo import Atlas, Place, Rule, State
from geodns.wire import Opcode, Query, Rcode, Type

TRANSPORTS = ("udp", "tcp")

SCOPES = 129
"""Scopes there can be, for either family."""

LATENCIES = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3)
"""Upper bounds of the classes in which the time of the general path is counted, in seconds; one more class is above all."""

_REMEMBERED = 4096  # anycast addresses

_TYPES = frozenset(rdtype.name for rdtype in Type) - {"GEO", "POOL", "WHOAMI"}
DECIDED = {
    Rung.ECS: How.BY_SUBNET,
    Rung.NET: How.BY_NETWORK,
    Rung.EGRESS: How.BY_EGRESS,
    Rung.RESOLVER: How.BY_SENDER,
    Rung.INSTANCE: How.BY_INSTANCE,
    Rung.FALLBACK: How.NOBODY,
}
"""How replies are counted, by who decided, where there was no client subnet."""

_WITH_SUBNET = {
    How.SAME_FOR_ALL: How.SAME_FOR_ALL_WITH_SUBNET,
    How.BY_NETWORK: How.BY_NETWORK_WITH_SUBNET,
    How.BY_SENDER: How.BY_SENDER_WITH_SUBNET,
    How.NOBODY: How.NOBODY_WITH_SUBNET,
    How.BY_EGRESS: How.BY_EGRESS_WITH_SUBNET,
    How.BY_INSTANCE: How.BY_INSTANCE_WITH_SUBNET,
}


def type_label(rdtype: int) -> str:
    """A type as it is counted: those that nobody should ask for are counted together, so that no sender can make up labels."""
    try:
        name = Type(rdtype).name
    except ValueError:
        return "other"
    return name if name in _TYPES else "other"


def rcode_label(rcode: int) -> str:
    """A response code as it is counted."""
    return Rcode(rcode).name


def rule_label(rule: Rule | None) -> str:
    """A rule as it is counted: a region by name, any other by the kind of its selector."""
    if rule is None:
        return "rule:fallback"
    return f"rule:{rule.region or rule.name.partition(':')[0]}"


def pool_label(pool: str, label: str) -> str:
    """An endpoint as it is counted: `label` is site/endpoint."""
    return f"pool:{pool}/{label}"


class Census:
    """Counters of one process: a list of numbers, and which is which by a ledger that all processes share."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.scopes = {4: ledger.run(SCOPES, "scope", "ipv4"), 6: ledger.run(SCOPES, "scope", "ipv6")}
        self.anycast = ledger.number("anycast")
        self.cookies = [ledger.number("cookie", outcome.name.lower()) for outcome in Outcome]
        self._told_why = ledger.number("told_why")
        self._latency = ledger.run(len(LATENCIES) + 1, "latency")
        self._microseconds = ledger.number("latency_microseconds")
        self._opcodes = {opcode: ledger.number("opcode", opcode.name) for opcode in Opcode}
        self._replies = {
            (transport, label, rcode.name): ledger.reply(transport, label, rcode.name)
            for transport in TRANSPORTS
            for label in ("", "other", *sorted(_TYPES))
            for rcode in Rcode
        }
        self._choices: dict[str, int] = {}
        self._atlas: Atlas | None = None
        self._lists: dict[str, int] = {}
        self._sources: dict[Place, int] = {}
        self.tally: list[int] = []

    def settle(self) -> None:
        """Make room for all that the ledger knows by now; from then on nothing new may be counted, or processes would differ."""
        self.tally += [0] * (len(self.ledger) - len(self.tally))

    def expect(self, rdtype: int, choice: str) -> int:
        """Counters, by `How`, of replies that are prepared: by UDP, of a type, without error, from a rule or an endpoint."""
        if choice:
            self._choices[choice] = self.ledger.number("choice", choice)
        return self.ledger.reply("udp", type_label(rdtype), Rcode.NOERROR.name, choice)

    def negative(self, rcode: int, rdtype: int = 0) -> int:
        """Counters, by `How`, of prepared replies without records of a choice; type 0 is any that is not known."""
        return self._replies["udp", type_label(rdtype), rcode_label(rcode)]

    def by_type(self, rcode: int) -> dict[bytes, int]:
        """These counters for every type, by its two octets."""
        return {rdtype.to_bytes(2, "big"): self.negative(rcode, rdtype) for rdtype in Type}

    def note_fault(self, transport: str, rcode: int) -> None:
        """Count a message that was no query and got an error in reply."""
        self.tally[self._replies[transport, "", rcode_label(rcode)]] += 1

    def note(self, transport: str, query: Query, client: Client, judgement: Judgement) -> None:
        """Count the reply to one query off the fast path."""
        deciding = judgement.selections[-1] if judgement.selections else None
        how = how_decided(deciding.climb if deciding else None, client)
        tally = self.tally
        tally[self._replies[transport, type_label(query.rdtype), rcode_label(judgement.response.rcode)] + how] += 1
        tally[self._opcodes[Opcode(query.opcode)]] += 1
        choice = self._choices.get(choice_label(deciding))
        if choice is not None:
            tally[choice] += 1
        if client.subnet and deciding and deciding.climb is not EVERYONE and query.edns and query.edns.client_subnet:
            family = 4 if query.edns.client_subnet.family == 1 else 6
            tally[self.scopes[family] + min(judgement.scope_prefix_length, SCOPES - 1)] += 1
        if deciding and (passed := anycast_of(deciding.climb)):
            self.note_anycast(passed)

    def expect_anycast(self, atlas: Atlas) -> None:
        """Counters for each list and database that may say of an address that it is anycast."""
        self._atlas, self._sources = atlas, {}
        self._lists = {source: self.ledger.number("anycast_source", source) for source in atlas.anycast_sources}

    def note_anycast(self, passed: Sequence[Place]) -> None:
        """Count a client of whom addresses were passed over as anycast, and for each of these who says so."""
        self.tally[self.anycast] += 1
        if self._atlas is None:
            return
        for place in passed:
            number = self._sources.get(place)
            if number is None:
                number = self._remembered(place, self._lists[self._atlas.anycast_source(place)])
            self.tally[number] += 1

    def _remembered(self, place: Place, number: int) -> int:
        """Keep which counter an address has: few such addresses ask, but those ask often."""
        if len(self._sources) >= _REMEMBERED:
            self._sources.clear()
        self._sources[place] = number
        return number

    def note_cookie(self, outcome: Outcome) -> None:
        """Count what was found of the COOKIE option of a query."""
        self.tally[self.cookies[outcome]] += 1

    def note_told_why(self) -> None:
        """Count a reply that says why it is what it is."""
        self.tally[self._told_why] += 1

    def note_seconds(self, seconds: float) -> None:
        """Count how long the general path took."""
        self.tally[self._latency + bisect_left(LATENCIES, seconds)] += 1
        self.tally[self._microseconds] += round(seconds * 1e6)


def how_decided(way: Climb | None, client: Client) -> How:
    """Who decided, and whether there was a client subnet."""
    how = How.SAME_FOR_ALL if way is None or way is EVERYONE else DECIDED[way.rung]
    if client.subnet_verdict is Subnet.ABSENT or client.subnet_verdict is Subnet.DISABLED:
        return how
    return _WITH_SUBNET.get(how, how)


def anycast_of(way: Climb) -> list[Place]:
    """The addresses that were passed over because they are anycast."""
    return [attempt.place for attempt in way.attempts if attempt.state is State.ANYCAST and attempt.place]


def choice_label(deciding: Decision | None) -> str:
    """The rule or the endpoint that a reply came from."""
    match deciding:
        case None | Introduction():
            return ""
        case Selection():
            return rule_label(deciding.rule)
        case PoolSelection():
            return pool_label(deciding.steered.pool.name, deciding.first)
