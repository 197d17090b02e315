"""Owns address hints in SVCB and HTTPS records that come from a pool; refuses to know how the addresses were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from geodns.wire import Name, Type

HINTS = {4: Type.A, 6: Type.AAAA}
"""SvcParamKeys ipv4hint and ipv6hint (RFC 9460 §14.3.2), and the types whose addresses they hold."""

MANDATORY = 0
"""SvcParamKey that lists keys without which a record must not be used (RFC 9460 §8)."""


def hinted(rdata: bytes) -> tuple[Name, frozenset[int]]:
    """The target of SVCB RDATA, "." for the owner itself, and the types for which it holds hints."""
    end = _target_end(rdata)
    return Name(rdata[2:end].lower()), frozenset(HINTS[key] for key, _ in _parameters(rdata, end) if key in HINTS)


def with_hints(rdata: bytes, addresses: Mapping[int, tuple[bytes, ...]]) -> bytes:
    """SVCB RDATA whose hints of the given types are these addresses; a hint without an address is left out (RFC 9460 §7.3).

    What is left out cannot be mandatory: the record would be malformed (RFC 9460 §8).
    """
    end = _target_end(rdata)
    hints = {key: b"".join(addresses[rdtype]) for key, rdtype in HINTS.items() if rdtype in addresses}
    gone = {key for key, hint in hints.items() if not hint}
    written = [rdata[:end]]
    for key, value in _parameters(rdata, end):
        value = _without(value, gone) if key == MANDATORY else hints.get(key, value)
        if key not in gone and (value or key != MANDATORY):
            written.append(key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value)
    return b"".join(written)


def _without(listed: bytes, gone: set[int]) -> bytes:
    """A list of SvcParamKeys but for some."""
    keys = [listed[at : at + 2] for at in range(0, len(listed), 2)]
    return b"".join(key for key in keys if int.from_bytes(key, "big") not in gone)


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
