"""Owns the content of the COOKIE option (RFC 7873 §4) and the server cookie in it (RFC 9018 §4): octets only.

Refuses to know clocks, and whom to believe: moments are Unix time, secrets are given.
"""

from __future__ import annotations

import struct
from hmac import compare_digest

from siphash24 import siphash24

from geodns.wire.serials import distance

SECRET = 16  # octets of a server secret, RFC 9018 §4.4
CLIENT_COOKIE = 8  # octets
SHORTEST, LONGEST = 16, 40  # octets of a client cookie with a server cookie, RFC 7873 §4
COOKIE = 24  # octets of a client cookie with a server cookie of ours

_HEAD = struct.Struct("!BxxxI")  # Version, Reserved, Timestamp
_VERSION = 1
_HASHED = CLIENT_COOKIE + _HEAD.size


def is_well_sized(content: bytes) -> bool:
    """Whether a COOKIE option may be so long; all else is FORMERR (RFC 7873 §5.2.2)."""
    return len(content) == CLIENT_COOKIE or SHORTEST <= len(content) <= LONGEST


def make_cookie(client_cookie: bytes, address: bytes, secret: bytes, moment: int) -> bytes:
    """A client cookie and the server cookie for it, made at `moment`; `address` is the client's, 4 or 16 octets (RFC 9018 §4)."""
    head = client_cookie + _HEAD.pack(_VERSION, moment & 0xFFFF_FFFF)
    return head + _hash(head + address, secret)


def is_made_with(content: bytes, address: bytes, secret: bytes) -> bool:
    """Whether the server cookie was made with this secret for this client; whatever is reserved is hashed as it came."""
    if len(content) != COOKIE or content[CLIENT_COOKIE] != _VERSION:
        return False
    return compare_digest(_hash(content[:_HASHED] + address, secret), content[_HASHED:])


def _hash(octets: bytes, secret: bytes) -> bytes:
    hashed: bytes = siphash24(octets, key=secret).digest()
    return hashed


def age(content: bytes, now: int) -> int:
    """Seconds since a cookie of ours was made, negative for one of the future, by serial number arithmetic (RFC 9018 §4.3)."""
    return distance(int.from_bytes(content[_HASHED - 4 : _HASHED], "big"), now)
