"""Owns moves put into words and JSON; refuses to find them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from geodns.answer.explain import rdata_text, type_text
from geodns.answer.moves import Move, Parts, Shift, Told
from geodns.geo.countries import CONTINENTS, countries
from geodns.wire import Name, RRset, to_text

PLACELESS = "those alone whose place is not known"
"""Who moves where no part of the address space does."""

_SHOWN_SHIFTS = 5
_SHOWN_PREFIXES = 4
_SHOWN_AREAS = 8
_SHOWN_RDATA = 4
_ALL = 1 - 1e-9  # what is more is rounding
_LEAST = 0.0005  # smaller parts would be shown as 0.0


def question_text(name: Name, rdtype: int) -> str:
    """A name and a type."""
    return f"{to_text(name)} {type_text(rdtype)}"


def part_text(part: float) -> str:
    """A part of 1 as a percentage, never as nothing where it is something."""
    if not part:
        return "0 %"
    if part < _LEAST:
        return "< 0.1 %"
    return "100 %" if part > _ALL else f"{min(part, 0.999) * 100:.1f} %"


def parts_text(parts: Parts) -> str:
    """Parts of both families."""
    if min(parts.ipv4, parts.ipv6) > _ALL:
        return "everyone"
    return f"{part_text(parts.ipv4)} of IPv4, {part_text(parts.ipv6)} of IPv6"


def by_text(shift: Shift) -> str:
    """The rule or pool that says what the clients get; two where it is another one afterwards."""
    before, after = (told.by or "plain records" for told in (shift.before, shift.after))
    return before if before == after else f"{before} → {after}"


def lines(move: Move) -> Iterator[str]:
    """A move in words: who it is first, then what they get instead."""
    yield f"{question_text(move.name, move.rdtype)}: another answer for {_whom(move)}"
    for shift in move.shifts[:_SHOWN_SHIFTS]:
        before, after = (_answer_text(move, told) for told in (shift.before, shift.after))
        who = "" if len(move.shifts) == 1 else f" ({_of_shift(shift)})"
        unplaced = ", also where no place is known" if shift.placeless and shift.parts != Parts() else ""
        yield f"  {by_text(shift)}: {before} → {after}{who}{unplaced}"
        if shift.prefixes:
            left = len(shift.prefixes) > _SHOWN_PREFIXES or shift.ranges_left
            listed = ", ".join(map(str, shift.prefixes[:_SHOWN_PREFIXES]))
            yield f"    {listed}{', and others' if left else ''}"
    if len(move.shifts) > _SHOWN_SHIFTS:
        yield f"  and {len(move.shifts) - _SHOWN_SHIFTS} more kinds of clients"
    if move.areas:
        most = sorted(move.areas.items(), key=lambda item: (-item[1].ipv4 - item[1].ipv6, item[0]))
        told = ", ".join(f"{_area_text(area)} {_area_parts(parts)}" for area, parts in most[:_SHOWN_AREAS])
        more = f", and {len(most) - _SHOWN_AREAS} more" if len(most) > _SHOWN_AREAS else ""
        yield f"  by country: {told}{more}"


def _whom(move: Move) -> str:
    """Who gets another answer, in all."""
    told = [parts_text(move.parts)] if move.parts != Parts() else []
    if not told and any(shift.placeless for shift in move.shifts):
        told = [PLACELESS]
    if move.resolvers != Parts():
        told.append(f"resolvers in egress maps ({parts_text(move.resolvers)})")
    return ", and for ".join(told)


def _of_shift(shift: Shift) -> str:
    if shift.resolvers:
        return f"resolvers in egress maps: {parts_text(shift.parts)}"
    return parts_text(shift.parts) if shift.parts != Parts() else PLACELESS


def _answer_text(move: Move, told: Told) -> str:
    texts = rdata_texts(move, told)
    more = f" and {len(texts) - _SHOWN_RDATA} more" if len(texts) > _SHOWN_RDATA else ""
    return ", ".join(texts[:_SHOWN_RDATA]) + more or "nothing"


def rdata_texts(move: Move, told: Told) -> list[str]:
    """What some clients are answered, in presentation form."""
    rrset = RRset(move.name, move.rdtype, 0, told.rdatas)
    return [rdata_text(rrset, rdata) for rdata in told.rdatas]


def _area_text(area: str) -> str:
    kind, _, code = area.partition(":")
    match kind:
        case "country":
            return f"{countries()[code].name} ({code})"
        case "continent":
            return f"{CONTINENTS[code]} (country unknown)"
        case _:
            return "neither country nor continent known"


def _area_parts(parts: Parts) -> str:
    if parts.ipv4 == parts.ipv6 or not parts.ipv6:
        return part_text(parts.ipv4)
    return f"IPv6 {part_text(parts.ipv6)}" if not parts.ipv4 else f"{part_text(parts.ipv4)} (IPv6 {part_text(parts.ipv6)})"


def as_json(move: Move) -> dict[str, Any]:
    """A move as a plain object."""
    return {
        "name": to_text(move.name),
        "type": type_text(move.rdtype),
        **parts_json(move.parts),
        "resolvers": parts_json(move.resolvers),
        "shifts": [_shift_json(move, shift) for shift in move.shifts],
        "areas": [{"area": area, **parts_json(parts)} for area, parts in move.areas.items()],
    }


def _shift_json(move: Move, shift: Shift) -> dict[str, Any]:
    return {
        "rule_before": shift.before.by or None,
        "rule_after": shift.after.by or None,
        "before": rdata_texts(move, shift.before),
        "after": rdata_texts(move, shift.after),
        **parts_json(shift.parts),
        "placeless": shift.placeless,
        "resolvers": shift.resolvers,
        "prefixes": list(map(str, shift.prefixes)),
        "ranges_left": shift.ranges_left,
    }


def parts_json(parts: Parts) -> dict[str, float]:
    """Parts of 1."""
    return {"ipv4": parts.ipv4, "ipv6": parts.ipv6}
