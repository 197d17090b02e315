"""Owns the judgement: which records a client gets and why; refuses to know sockets, clocks, chance and files."""

from geodns.answer.authoritative import Judgement, Selection, Step, judge
from geodns.answer.census import LATENCIES, Census
from geodns.answer.compiled import compile_answers
from geodns.answer.cookied import with_cookies
from geodns.answer.cookies import Cookies, Outcome, Serve, fingerprint
from geodns.answer.expect import Expectation, unmet
from geodns.answer.explain import Asker, Explanation, explain, rdata_text, type_text
from geodns.answer.fastpath import Datagram, matcher, sender, sending_port
from geodns.answer.identity import OWN_WORDS, Identity, identity_of
from geodns.answer.ladder import LADDER, Attempt, Client, Climb, Rung, Subnet, climb
from geodns.answer.ledger import CAPACITY, How, Labels, Ledger
from geodns.answer.lint import lint
from geodns.answer.pools import (
    ALL_UNKNOWN,
    QUIET,
    Draw,
    Endpoint,
    Health,
    Moment,
    Pool,
    PoolAddress,
    Standing,
    Standings,
    Steering,
    Verdict,
    WhenAllDown,
    Word,
)
from geodns.answer.respond import respond
from geodns.answer.snapshot import Snapshot, Tailored, Trust, Zone, compile_zones
from geodns.answer.steering import PoolSelection, Steered

__all__ = [
    "ALL_UNKNOWN",
    "CAPACITY",
    "LADDER",
    "LATENCIES",
    "OWN_WORDS",
    "QUIET",
    "Asker",
    "Attempt",
    "Census",
    "Client",
    "Climb",
    "Cookies",
    "Datagram",
    "Draw",
    "Endpoint",
    "Expectation",
    "Explanation",
    "Health",
    "How",
    "Identity",
    "Judgement",
    "Labels",
    "Ledger",
    "Moment",
    "Outcome",
    "Pool",
    "PoolAddress",
    "PoolSelection",
    "Rung",
    "Selection",
    "Serve",
    "Snapshot",
    "Standing",
    "Standings",
    "Steered",
    "Steering",
    "Step",
    "Subnet",
    "Tailored",
    "Trust",
    "Verdict",
    "WhenAllDown",
    "Word",
    "Zone",
    "climb",
    "compile_answers",
    "compile_zones",
    "explain",
    "fingerprint",
    "identity_of",
    "judge",
    "lint",
    "matcher",
    "rdata_text",
    "respond",
    "sender",
    "sending_port",
    "type_text",
    "unmet",
    "with_cookies",
]
