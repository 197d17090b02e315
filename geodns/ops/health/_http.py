"""Owns the HTTP check: one request on a fresh connection, and the judgement of its answer; refuses to know when and why."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import ssl
import sys
from typing import Any

import httpcore
import httpx

from geodns.ops.health._reasons import sentence
from geodns.ops.health._tls import context, judge_days, peer_certificate, raise_refused
from geodns.ops.health._values import Failed, HttpCheck, Passed, shown

if importlib.util.find_spec("sniffio") is None:
    # httpcore tries to import it nine times a request, and each time Python searches its whole path: half the CPU of a check
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # "not there", known at once
with contextlib.suppress(ImportError):  # the first request would import it, and take 0.1 s longer than the others
    importlib.import_module("anyio._backends._asyncio")

_BODY_OCTETS = 64 * 1024
_HEADERS = {"User-Agent": "geodns (health check)", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
_DEFAULT_PORT = {"http": 80, "https": 443}


async def check_http(check: HttpCheck, address: str) -> Passed:
    """Ask and judge; `Failed` says what is wrong. It never ends by itself when the server does not: the caller has the clock."""
    name = check.host.rstrip(".") or address  # SNI has no dot at the end (RFC 6066 §3)
    scheme = "https" if check.tls else "http"
    url = f"{scheme}://{_authority(address)}:{check.port}{check.path}"
    host = _authority(name) + ("" if check.port == _DEFAULT_PORT[scheme] else f":{check.port}")  # RFC 9110 §7.2
    # plain HTTP gets a cheap context that is never used: without one, httpx reads 150 certificates for each client
    trusted = context(check if check.tls else _PLAIN)
    try:
        return await _asked(httpx.Request(check.method, url, headers={"Host": host} | _HEADERS), name, trusted, check)
    except httpx.InvalidURL as error:
        raise Failed(f"{shown(url)} is no URL: {error}") from None
    except httpx.ConnectError as error:
        await raise_refused(error, address, check.port, name)
    except httpx.RemoteProtocolError as error:
        raise Failed(_protocol_fault(error)) from None
    except httpx.TransportError as error:
        raise Failed(sentence(error, "connection broke")) from None


async def _asked(request: httpx.Request, name: str, trusted: ssl.SSLContext, check: HttpCheck) -> Passed:
    """Send the request and judge the answer. httpcore forgets to close a connection that is cancelled in its TLS handshake."""
    opened: list[httpcore.AsyncNetworkStream] = []

    async def note(event: str, facts: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            opened.append(facts["return_value"])

    request.extensions = {"sni_hostname": name, "trace": note}
    try:
        async with httpx.AsyncHTTPTransport(verify=trusted, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                return await _judged(check, response)
            finally:
                await response.aclose()
    finally:
        for stream in opened:
            await stream.aclose()


_PLAIN = HttpCheck(tls=False, port=80, verify=False)


async def _judged(check: HttpCheck, response: httpx.Response) -> Passed:
    stream = response.extensions["network_stream"]
    expires = judge_days(peer_certificate(stream.get_extra_info("ssl_object")), check.certificate_days)
    if check.expect_status and response.status_code not in check.expect_status:
        expected = " or ".join(map(str, check.expect_status))
        raise Failed(f"status {response.status_code}, expected {expected}", expires)
    if check.expect_body and not await _has(response, check.expect_body.encode()):
        raise Failed(f"body lacks '{shown(check.expect_body)}'", expires)
    return Passed(f"status {response.status_code}", expires)


async def _has(response: httpx.Response, wanted: bytes) -> bool:
    """Whether the start of the body has these octets; reads no further than needed, and unpacks nothing."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        searched = max(0, len(body) - len(wanted) + 1)
        body += chunk[: _BODY_OCTETS - len(body)]
        if body.find(wanted, searched) >= 0:
            return True
        if len(body) >= _BODY_OCTETS:
            return False
    return False


def _protocol_fault(error: httpx.RemoteProtocolError) -> str:
    if "disconnected without" in str(error):  # httpcore's words for an end of the stream where an answer should be
        return "connection closed before an HTTP answer"
    if "without sending complete" in str(error) or "without receiving" in str(error):  # h11's for an end inside one
        return "connection closed in the middle of the answer"
    return f"the answer is no HTTP: {shown(str(error))}"


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host
