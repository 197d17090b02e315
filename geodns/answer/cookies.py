"""Owns which server cookie a client gets, and which one that it shows is genuine; refuses to know secret files and clocks.

Nothing is refused for want of a cookie: what is found is told with each one, for who wants to count it, or to be stricter.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from geodns.wire.cookies import CLIENT_COOKIE, COOKIE, age, is_made_with, is_well_sized, make_cookie

STEP = 10
"""Seconds in which "now" is the same for cookies, so that a client that asks often costs one hash and not one a query."""

OLDEST, NEWEST = 3600, -300  # seconds of age at which a cookie is believed, RFC 9018 §4.3
_RENEWED = 1800  # seconds of age from which on a new one is given, RFC 9018 §4.3
_BOUND = 16_384  # cookies remembered: at some 250 octets each, 4 MB in each process that a flood has filled
_MAPPED = b"\0" * 10 + b"\xff\xff"  # RFC 4291 §2.5.5.2
_MEMORABLE = (CLIENT_COOKIE, COOKIE)


class Outcome(IntEnum):
    """What is found of the COOKIE option of a query."""

    CLIENT_ONLY = 0
    """No server cookie came with it: the client has none yet."""
    VALID = 1
    RENEWED = 2
    """Valid, and so old that a new one is given."""
    EXPIRED = 3
    """Made by us or a sibling, but too long ago, or by a clock that is ahead."""
    INVALID = 4
    """Made for somebody else, with another secret, or not at all."""
    MALFORMED = 5

    @property
    def is_genuine(self) -> bool:
        """Whether the client has shown that it gets what is sent to its address."""
        return self is Outcome.VALID or self is Outcome.RENEWED


class Served(NamedTuple):
    """What was found, and the content of the COOKIE option in the reply; b"" where the query is malformed."""

    outcome: Outcome
    content: bytes


Serve = Callable[[bytes], Served]
"""Judges the content of a COOKIE option of one client."""


def serve(content: bytes, address: bytes, secrets: tuple[bytes, ...], now: int) -> Served:
    """Judge the content of a COOKIE option of a client at this address, at `now` in Unix time.

    The first secret makes cookies, and any of them proves one genuine (RFC 9018 §5). A valid one is given back as it is until
    it is half an hour old.
    """
    if not is_well_sized(content):
        return Served(Outcome.MALFORMED, b"")
    if len(content) == CLIENT_COOKIE:
        outcome = Outcome.CLIENT_ONLY
    elif not any(is_made_with(content, address, secret) for secret in secrets):
        outcome = Outcome.INVALID
    elif not NEWEST <= (seconds := age(content, now)) <= OLDEST:
        outcome = Outcome.EXPIRED
    elif seconds <= _RENEWED and is_made_with(content, address, secrets[0]) and not any(content[9:12]):
        return Served(Outcome.VALID, content)
    else:
        outcome = Outcome.RENEWED
    return Served(outcome, make_cookie(content[:CLIENT_COOKIE], address, secrets[0], now))


def client_address(source: bytes) -> bytes:
    """The client's address as it is hashed, 4 or 16 octets, out of a raw socket address; IPv4 mapped into IPv6 is IPv4."""
    if len(source) == 16:
        return source[4:8]
    address = source[8:24]
    return address[12:] if address.startswith(_MAPPED) else address


def fingerprint(secret: bytes) -> str:
    """Eight hex digits by which siblings can be seen to have the same secret.

    They give nothing away: each cookie lets anybody test a guess as well, and a secret of 128 random bits cannot be guessed.
    """
    return sha256(b"geodns cookie secret " + secret).hexdigest()[:8]


class Cookies:
    """Serves the cookies of one process, and remembers them for a moment."""

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = secrets
        self._now = 0
        self.memo: dict[bytes, Served] = {}
        """By content and address; emptied in place whenever time has passed."""

    def tick(self, now: float) -> None:
        """Let it be `now`, in Unix time."""
        moment = int(now) // STEP * STEP
        if moment != self._now:
            self._now = moment
            self.memo.clear()

    def serve(self, address: bytes, content: bytes) -> Served:
        """See the function `serve`."""
        served = self.memo.get(content + address)
        if served is None:
            served = serve(content, address, self._secrets, self._now)
            if len(content) in _MEMORABLE:  # with any other length, two could look like the same
                if len(self.memo) >= _BOUND:
                    self.memo.clear()
                self.memo[content + address] = served
        return served

    def of(self, source: bytes) -> Serve:
        """What judges the cookies of one client, given by its raw socket address."""
        return partial(self.serve, client_address(source))
