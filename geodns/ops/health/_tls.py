"""Owns TLS as checks see it: contexts, the handshake, the judgement of certificates; refuses to know what is said inside."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from cryptography import x509

from geodns.ops.health._reasons import causes, sentence
from geodns.ops.health._values import Failed, HttpCheck, Passed, TlsCheck, shown

DAY = 86_400.0  # seconds
_SECOND_LOOK = 1.0  # seconds, at most, to read a refused certificate
_EXPIRED, _NOT_YET_VALID, _SELF_SIGNED = 10, 9, 18  # X509_V_ERR_… of OpenSSL's x509_vfy.h
_WRONG_NAME = {62, 64}  # … HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a check needs to know of the peer's own certificate: validity as unix times, and whom it is for."""

    not_before: float
    expires: float
    names: tuple[str, ...]


def context(check: HttpCheck | TlsCheck) -> ssl.SSLContext:
    """The context that a check wants; `Failed` when its `ca_file` cannot be used.

    To read the system's trusted certificates takes some 10 ms, so contexts are kept; a `ca_file` that was replaced is read again.
    """
    try:
        changed = check.ca_file.stat().st_mtime_ns if check.ca_file else 0
        return _context(verify=check.verify, ca_file=check.ca_file, changed=changed, http=isinstance(check, HttpCheck))
    except ssl.SSLError:
        raise Failed(f"CA file {check.ca_file} holds no certificate") from None
    except OSError as error:
        raise Failed(f"CA file {check.ca_file} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=64)
def _context(*, verify: bool, ca_file: Path | None, changed: int, http: bool) -> ssl.SSLContext:  # noqa: ARG001 -- they only tell apart
    """HTTP has its own: httpcore offers ALPN "http/1.1" through them, which other servers may refuse (RFC 7301 §3.2)."""
    if verify:
        return ssl.create_default_context(cafile=ca_file)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


async def check_tls(check: TlsCheck, address: str) -> Passed:
    """Shake hands; `Failed` says why not."""
    name = check.host.rstrip(".") or address  # SNI has no dot at the end (RFC 6066 §3)
    trusted = context(check)
    try:
        found, version = await _handshake(address, check.port, name, trusted)
    except OSError as error:  # ssl.SSLError is one
        await raise_refused(error, address, check.port, name)
    return Passed(version, judge_days(found, check.certificate_days))


def peer_certificate(connection: ssl.SSLObject | None) -> Certificate | None:
    """The certificate that a connection's other side showed; None where there was none, or none that can be read."""
    octets = connection.getpeercert(binary_form=True) if connection else None
    if not octets:
        return None
    try:
        read = x509.load_der_x509_certificate(octets)
        return Certificate(read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp(), _names(read))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None


def judge_days(found: Certificate | None, days: int) -> float | None:
    """The unix time at which the certificate expires; `Failed` where fewer than `days` days are left and that matters (> 0)."""
    if found is None:
        return None
    left = (found.expires - time.time()) / DAY
    if days > 0 and left < 0:
        raise Failed(f"certificate expired {_span(-left)} ago", found.expires)
    if days > 0 and left < days:
        raise Failed(f"certificate expires in {_span(left)}, at least {days} days are wanted", found.expires)
    return found.expires


async def raise_refused(error: Exception, address: str, port: int, name: str) -> NoReturn:
    """Raise the `Failed` for a connection that broke.

    OpenSSL drops a certificate that it refuses, and says neither when it expired nor whom it is for: a second connection, which
    trusts everybody and says nothing, reads it.
    """
    refused = next((cause for cause in causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if refused is None:
        raise Failed(sentence(error)) from None
    found = None
    trusting = _context(verify=False, ca_file=None, changed=0, http=False)
    try:
        async with asyncio.timeout(_SECOND_LOOK):
            found, _version = await _handshake(address, port, name, trusting)
    except OSError:  # asyncio's TimeoutError is one too
        pass
    raise Failed(_refusal(refused, found, name), found.expires if found else None) from None


def _refusal(error: ssl.SSLCertVerificationError, found: Certificate | None, name: str) -> str:
    now = time.time()
    if error.verify_code == _EXPIRED:
        if found is None or found.expires > now:
            return "a certificate in its chain has expired" if found else "certificate has expired"
        return f"certificate expired {_span((now - found.expires) / DAY)} ago"
    if error.verify_code == _NOT_YET_VALID and found and found.not_before > now:
        return f"certificate is valid only in {_span((found.not_before - now) / DAY)}"
    if error.verify_code in _WRONG_NAME:
        whose = ", ".join(found.names[:_NAMES_SHOWN]) + (", …" if len(found.names) > _NAMES_SHOWN else "") if found else ""
        return f"certificate is for {shown(whose) or 'nobody'}, not {name}" if found else f"certificate is not for {name}"
    if error.verify_code == _SELF_SIGNED:
        return "certificate is self-signed and not trusted"
    return f"certificate is not trusted: {error.verify_message}"


async def _handshake(address: str, port: int, name: str, trusted: ssl.SSLContext) -> tuple[Certificate | None, str]:
    _reader, writer = await asyncio.open_connection(address, port, ssl=trusted, server_hostname=name)
    try:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return peer_certificate(connection), connection.version() or ""
    finally:
        writer.transport.abort()  # the peer's farewell is worth no waiting


def _names(read: x509.Certificate) -> tuple[str, ...]:
    try:
        named = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:  # then it is for nobody: RFC 9525 §2 knows no common names
        return ()
    return (*named.get_values_for_type(x509.DNSName), *map(str, named.get_values_for_type(x509.IPAddress)))


def _span(days: float) -> str:
    count, unit = (int(days), "day") if days >= 1 else (int(days * 24), "hour")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
