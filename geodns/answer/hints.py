"""Owns address hints in SVCB and HTTPS records that come from a pool; refuses to know how the addresses were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from geodns.wire import Name, Type

HINTS = {4: Type.A, 6: Type.AAAA}
"""SvcParamKeys ipv4hint and ipv6hint (RFC 9460 §14.3.2), and the types whose addresses they hold."""


def hinted(rdata: bytes) -> tuple[Name, frozenset[int]]:
    """The target of SVCB RDATA, "." for the owner itself, and the types for which it holds hints."""
    end = _target_end(rdata)
    return Name(rdata[2:end].lower()), frozenset(HINTS[key] for key, _ in _parameters(rdata, end) if key in HINTS)


def with_hints(rdata: bytes, addresses: Mapping[int, tuple[bytes, ...]]) -> bytes:
    """SVCB RDATA whose hints of the given types are these addresses; a hint without an address is left out (RFC 9460 §7.3)."""
    end = _target_end(rdata)
    written = [rdata[:end]]
    for key, value in _parameters(rdata, end):
        found = addresses.get(HINTS[key]) if key in HINTS else None
        value = value if found is None else b"".join(found)
        if value or found is None:
            written.append(key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value)
    return b"".join(written)


def _target_end(rdata: bytes) -> int:
    at = 2
    while rdata[at]:
        at += rdata[at] + 1
    return at + 1


def _parameters(rdata: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at < len(rdata):
        size = int.from_bytes(rdata[at + 2 : at + 4], "big")
        yield int.from_bytes(rdata[at : at + 2], "big"), rdata[at + 4 : at + 4 + size]
        at += 4 + size
