"""Owns domain names as lower-cased absolute wire octets, so that a parent is a suffix; refuses to know messages."""

from __future__ import annotations

from typing import NewType

import dns.exception
import dns.name

Name = NewType("Name", bytes)
"""An absolute domain name: uncompressed wire octets, ASCII letters lower-cased (RFC 1035 §3.1, RFC 4343)."""

ROOT = Name(b"\x00")
MAX_NAME = 255  # octets, RFC 1035 §2.3.4
MAX_LABEL = 63

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/+=:!#%&'^`{}|~<>[]?,")


class BadName(ValueError):
    """Text or octets that are no domain name; the message says why."""


def lower(octets: bytes) -> Name:
    """Lower-case a whole wire name: length octets are at most 63, below "A", so one pass over all octets is safe."""
    return Name(octets.lower())


def from_text(text: str, origin: Name = ROOT) -> Name:
    """Read presentation form (RFC 1035 §5.1, `\\DDD` and `\\X` escapes); a name without a final dot is below `origin`."""
    if text in {"", "."}:
        if not text:
            raise BadName("an empty name")
        return ROOT
    if text == "@":
        return origin
    if not text.isascii():
        return _international(text, origin)
    labels, current, absolute = [], bytearray(), False
    octets, at = text.encode("ascii"), 0
    while at < len(octets):
        octet = octets[at]
        at += 1
        absolute = octet == 0x2E
        if absolute:
            labels.append(bytes(current))
            current.clear()
        elif octet == 0x5C:
            escaped, at = _escape(octets, at)
            current.append(escaped)
        else:
            current.append(octet)
    if not absolute:
        labels.append(bytes(current))
    return from_labels(labels, ROOT if absolute else origin)


def _international(text: str, origin: Name) -> Name:
    """As dnspython reads it (RFC 5891), for it reads the names in RDATA: an owner and a target of one text must be one name."""
    try:
        labels = list(dns.name.from_text(text, None).labels)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise BadName(f"no name of the internet: {error}") from error
    absolute = not labels[-1]
    return from_labels(labels[:-1] if absolute else labels, ROOT if absolute else origin)


def _escape(octets: bytes, at: int) -> tuple[int, int]:
    digits = octets[at : at + 3]
    if len(digits) == 3 and digits.isdigit():
        if int(digits) > 255:
            raise BadName(f"\\{digits.decode()} is no octet")
        return int(digits), at + 3
    if not digits or digits[:1].isdigit():
        raise BadName("an escape that ends too early")
    return digits[0], at + 1


def from_labels(labels: list[bytes], suffix: Name = ROOT) -> Name:
    """Join labels, leftmost first, above `suffix`; raises BadName where RFC 1035 §2.3.4 is broken."""
    for label in labels:
        if not label:
            raise BadName("an empty label")
        if len(label) > MAX_LABEL:
            raise BadName(f"a label of {len(label)} octets, more than {MAX_LABEL}")
    name = b"".join(bytes((len(label),)) + label for label in labels) + suffix
    if len(name) > MAX_NAME:
        raise BadName(f"a name of {len(name)} octets, more than {MAX_NAME}")
    return lower(name)


def labels(name: bytes) -> list[bytes]:
    """The labels of a wire name, leftmost first, without the root's empty one."""
    found, at = [], 0
    while length := name[at]:
        found.append(name[at + 1 : at + 1 + length])
        at += length + 1
    return found


def to_text(name: bytes) -> str:
    """Presentation form with the final dot; octets that would not read back are written as `\\DDD`."""
    if name == ROOT:
        return "."
    return "".join("".join(map(_printable, label)) + "." for label in labels(name))


def _printable(octet: int) -> str:
    if octet in _PLAIN:
        return chr(octet)
    return f"\\{chr(octet)}" if octet in b'."\\();@$' else f"\\{octet:03d}"


def parent(name: Name) -> Name:
    """The name without its leftmost label; the root is its own parent."""
    return Name(name[name[0] + 1 :]) if name[0] else name


def is_subdomain(name: bytes, ancestor: bytes) -> bool:
    """Whether `name` is `ancestor` or below it. A suffix alone is no proof: the match must start at a label."""
    if not name.endswith(ancestor):
        return False
    at, start = 0, len(name) - len(ancestor)
    while at < start:
        at += name[at] + 1
    return at == start


def wildcard(closest_encloser: Name) -> Name:
    """The source of synthesis below a closest encloser (RFC 4592 §3.3.1): `*.<closest_encloser>`."""
    return Name(b"\x01*" + closest_encloser)


def is_wildcard(name: bytes) -> bool:
    """Whether the leftmost label is a single asterisk (RFC 4592 §2.1.1)."""
    return name.startswith(b"\x01*")


def suffixes(name: Name) -> list[Name]:
    """The name and all its ancestors, longest first, the root last."""
    found = [name]
    while name[0]:
        name = Name(name[name[0] + 1 :])
        found.append(name)
    return found
