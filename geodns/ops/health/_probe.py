"""Owns a single probe from start to result, its clock included; refuses to know when the next one is due and what it means."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from typing import assert_never

from geodns.geo.address import is_address
from geodns.ops.health._dns import check_dns
from geodns.ops.health._exec import check_exec
from geodns.ops.health._external import check_file
from geodns.ops.health._http import check_http
from geodns.ops.health._reasons import sentence
from geodns.ops.health._tls import check_tls
from geodns.ops.health._values import (
    DnsCheck,
    ExecCheck,
    ExternalCheck,
    Failed,
    HttpCheck,
    NoCheck,
    Passed,
    Result,
    Target,
    TcpCheck,
    TlsCheck,
)

log = logging.getLogger("geodns.health")
_FAULTS_KEPT = 100
_told: set[str] = set()
"""Faults of our own that were logged: a probe comes back every few seconds, its traceback need not."""


_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Shortage(Exception):
    """This machine lacks what a check needs, such as a file descriptor: that tells nothing of the target."""


async def probe(target: Target) -> Result:
    """Check once, on a fresh connection, within `target.timeout` seconds; any failure becomes a result. Raises Shortage."""
    started = time.monotonic()
    expires, detail, error = None, "", ""
    try:
        async with asyncio.timeout(target.timeout) as limit:
            passed = await _check(target)
        expires, detail = passed.certificate_expires, passed.detail
    except Failed as failed:
        _refuse_shortage(failed)
        expires, error = failed.certificate_expires, str(failed)
    except Exception as fault:
        _refuse_shortage(fault)
        if limit.expired():
            error = f"timed out after {target.timeout:g} s"
        elif isinstance(fault, OSError):
            error = sentence(fault)
        else:
            error = f"fault of this program: {type(fault).__name__}: {fault}"
            _tell(target, error)
    return Result(not error, error, time.monotonic() - started, expires, detail)


def _refuse_shortage(fault: BaseException) -> None:
    """Raise Shortage if that is what is behind a fault."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _SHORT:
            raise Shortage(sentence(cause)) from fault
        cause = cause.__cause__ or cause.__context__


async def _check(target: Target) -> Passed:
    check, address = target.check, target.address
    if not is_address(address):
        raise Failed(f"{address} cannot be resolved: checks go to addresses, not to names")
    match check:
        case HttpCheck():
            return await check_http(check, address)
        case TcpCheck(port):
            return await _check_tcp(address, port)
        case TlsCheck():
            return await check_tls(check, address)
        case DnsCheck():
            return await check_dns(check, address)
        case ExecCheck():
            return await check_exec(check, address)
        case ExternalCheck():
            return check_file(check, target.key, time.time())
        case NoCheck():
            return Passed("nothing is checked")
        case _:
            assert_never(check)


async def _check_tcp(address: str, port: int) -> Passed:
    """A bare socket: nothing is read or written here, and a stream costs a third more CPU."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connecting:
        connecting.settimeout(0.0)
        await asyncio.get_running_loop().sock_connect(connecting, (address, port))
    return Passed("connected")


def _tell(target: Target, error: str) -> None:
    what = f"{type(target.check).__name__}: {error}"
    if what not in _told and len(_told) < _FAULTS_KEPT:
        _told.add(what)
        log.exception("the check of %s failed by a fault of this program", target.key or target.address)
