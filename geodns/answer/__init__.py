"""Owns the judgement: which records a client gets and why; refuses to know sockets, clocks, chance and files."""

from geodns.answer.authoritative import Judgement, Selection, Step, judge
from geodns.answer.compiled import compile_answers
from geodns.answer.expect import Expectation, unmet
from geodns.answer.explain import Asker, Explanation, explain, rdata_text, type_text
from geodns.answer.fastpath import Datagram, matcher, sender
from geodns.answer.ladder import Attempt, Client, Climb, Rung, Subnet, climb
from geodns.answer.respond import respond
from geodns.answer.snapshot import Identity, Snapshot, Tailored, Trust, Zone, compile_zones, lint

__all__ = [
    "Asker",
    "Attempt",
    "Client",
    "Climb",
    "Datagram",
    "Expectation",
    "Explanation",
    "Identity",
    "Judgement",
    "Rung",
    "Selection",
    "Snapshot",
    "Step",
    "Subnet",
    "Tailored",
    "Trust",
    "Zone",
    "climb",
    "compile_answers",
    "compile_zones",
    "explain",
    "judge",
    "lint",
    "matcher",
    "rdata_text",
    "respond",
    "sender",
    "type_text",
    "unmet",
]
