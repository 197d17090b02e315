"""Owns the reason of an answer in one sentence, and the line that a reply tells it in; refuses to decide what is answered."""

from __future__ import annotations

from geodns.answer.authoritative import Decision, Judgement, Selection
from geodns.answer.ladder import Attempt, Client, Rung, Subnet
from geodns.answer.snapshot import Snapshot
from geodns.answer.steering import EVERYONE, PoolSelection
from geodns.answer.whoami import Introduction
from geodns.answer.words import pool_reason
from geodns.geo import Atlas, winner
from geodns.geo.location import words
from geodns.wire import MAX_MESSAGE, ExtendedError, Option, Query, render, udp_limit

LONGEST = 400
"""Octets of a reason: a line or two of a terminal, and no great help to whoever would like large replies."""

_SHORTEST = 24  # octets: less than that says nothing
_HEAD = 4 + 2  # octets of an option's head and of an INFO-CODE
_TRUNCATED = 0x02


def deciding_of(judgement: Judgement) -> Decision | None:
    """The selection that made the answer's last RRset, or else the last one."""
    return judgement.selections[-1] if judgement.selections else None


def reason(atlas: Atlas, judgement: Judgement, client: Client, deciding: Decision | None) -> str:
    """The whole judgement in one sentence."""
    if deciding is None:
        return str(judgement.steps[-1])
    if isinstance(deciding, PoolSelection):
        return pool_reason(deciding)
    if isinstance(deciding, Introduction):
        return "the client is told about itself (WHOAMI)"
    if deciding.rule is None:
        return _fallback_reason(deciding, atlas)
    attempt = deciding.climb.attempts[-1]
    best = winner(deciding.rules, attempt.place, attempt.located(atlas))
    through = f" (through {best.selector})" if best and str(best.selector) != deciding.rule.name else ""
    return f"{deciding.rule.name}{through} is the most specific rule that names {_whom(attempt, client)}"


def _whom(attempt: Attempt, client: Client) -> str:
    """Whose place decided."""
    if attempt.place is None:
        return "this instance's place"
    if attempt.rung is Rung.EGRESS:
        return f"the resolver behind {attempt.place}, the sender's address"
    whose = "the client subnet" if attempt.place == client.subnet else "the sender's address"
    return f"{attempt.place}, {whose}"


def _fallback_reason(selection: Selection, atlas: Atlas) -> str:
    attempts = selection.climb.attempts
    if attempts and attempts[-1].decided:
        who = attempts[-1].place or "this instance"
        return f"{who} is located ({words(attempts[-1].located(atlas).location)}) but no rule names it: the plain records answer"
    if attempts:
        return "no address asked has a usable location: the plain records answer"
    return "nothing is known of the client: the plain records answer"


def why(snapshot: Snapshot, client: Client, judgement: Judgement) -> str:
    """Who decided, from which place, by which rule or out of which pool, who was passed over, and for whom it is true."""
    deciding = deciding_of(judgement)
    told = [*_place(snapshot, deciding), reason(snapshot.atlas, judgement, client, deciding)]
    if client.subnet_verdict not in {Subnet.ABSENT, Subnet.DISABLED}:
        told.append(f"scope /{judgement.scope_prefix_length}")
    return "; ".join(told)


def _place(snapshot: Snapshot, deciding: Decision | None) -> list[str]:
    """Who decided, and the place that was looked at; nothing where everybody gets the same."""
    if deciding is None or deciding.climb is EVERYONE:
        return []
    way = deciding.climb
    if not way.attempts or not way.attempts[-1].decided:
        return [f"rung {way.rung}"]
    return [f"rung {way.rung}", words(way.attempts[-1].located(snapshot.atlas).location)]


def with_reason(
    snapshot: Snapshot, query: Query, client: Client, judgement: Judgement, reply: bytes, *, stream: bool = False
) -> bytes:
    """A reply with its reason as EXTRA-TEXT of an extended error (RFC 8914 §2), as far as that fits; else the reply as it is.

    INFO-CODE is that of the error that the reply tells anyway; else 4, Forged Answer, where a policy chose what to answer, which
    §4.5 has it for, and 0, Other, where nothing was chosen.
    """
    options = judgement.response.options
    limit = MAX_MESSAGE if stream else udp_limit(query, snapshot.payload_size)
    room = min(limit - len(reply) - _HEAD, LONGEST)
    if reply[2] & _TRUNCATED or room < _SHORTEST:
        return reply
    chosen = judgement.selections and judgement.response.answer
    code = (ExtendedError.FORGED_ANSWER if chosen else ExtendedError.OTHER).to_bytes(2, "big")
    code = next((data for option, data in options if option == Option.EXTENDED_ERROR), code)
    options[:] = [(option, data) for option, data in options if option != Option.EXTENDED_ERROR]
    options.append((Option.EXTENDED_ERROR, code + _cut(why(snapshot, client, judgement), room)))
    return render(query, judgement.response, limit, snapshot.payload_size)


def _cut(text: str, most: int) -> bytes:
    """As much as fits, in UTF-8 that is whole (RFC 8914 §2)."""
    octets = text.encode()
    return octets if len(octets) <= most else octets[: most - 3].decode(errors="ignore").encode() + "…".encode()
