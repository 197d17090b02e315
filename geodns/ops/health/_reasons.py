"""Owns the sentence for each way a connection can fail; refuses to know what was asked through it."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator

from geodns.ops.health._values import shown

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection closed by the other side",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
    errno.EADDRNOTAVAIL: "no local address can reach it",
}


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the latest first: clients wrap what the system said, some of them twice."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def sentence(error: BaseException, otherwise: str = "") -> str:
    """What the system or TLS said, in one sentence; `otherwise` where neither said anything."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLEOFError):
            return "connection closed during the TLS handshake"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {_tls_words(cause)}"
        if isinstance(cause, OSError) and cause.errno is not None:
            return _WORDS.get(cause.errno) or os.strerror(cause.errno).lower()
    return otherwise or shown(str(error)) or type(error).__name__


def _tls_words(error: ssl.SSLError) -> str:
    if error.reason == "WRONG_VERSION_NUMBER":  # OpenSSL's word for octets that are no TLS record
        return "the answer is no TLS"
    return (error.reason or shown(str(error))).replace("_", " ").lower()
