"""Owns expectations: answers that the operator wants to come out, compared with what the same judgement gives."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from geodns.answer.explain import Asker, Explanation, explain, type_text
from geodns.answer.snapshot import Snapshot
from geodns.wire import Name, to_text


@dataclass(frozen=True, slots=True)
class Expectation:
    """One question and the RDATA, in presentation form and any order, that its answer must have.

    Of a pool that draws among several endpoints, all that may come out with everything up.
    """

    name: Name
    rdtype: int
    asker: Asker
    answer: tuple[str, ...]
    rcode: str = "NOERROR"


def unmet(snapshot: Snapshot, expectation: Expectation) -> str:
    """What comes out instead, with the reason; "" if the expectation is met."""
    found = explain(snapshot, expectation.name, expectation.rdtype, expectation.asker)
    asked = (
        f"{to_text(expectation.name)} {type_text(expectation.rdtype)} for {expectation.asker.subnet or expectation.asker.source}"
    )
    if found.rcode != expectation.rcode:
        return f"{asked}: {expectation.rcode} is expected, {found.rcode} comes out: {found.reason}"
    wanted = sorted(normal(text, expectation.rdtype) for text in expectation.answer)
    possible = sorted(_possible(found))
    if wanted == possible:
        return ""
    expected, got = (", ".join(texts) or "no records" for texts in (wanted, possible))
    return f"{asked}: expected {expected}, got {got}: {found.reason}"


def _possible(found: Explanation) -> list[str]:
    """The RDATA that comes out; where a pool draws, all that may come out."""
    if found.pool is None or found.question["type"] not in {"A", "AAAA"}:
        return found.answer
    return [address for candidate in found.pool["candidates"] for address in candidate["addresses"]]


def normal(text: str, rdtype: int) -> str:
    """RDATA text as dnspython would write it, so that spelling does not matter; unreadable text stays as it is."""
    try:
        return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), text).to_text()
    except dns.exception.DNSException:
        return text
