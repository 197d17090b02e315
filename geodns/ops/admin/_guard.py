"""Owns who may come in: Host, Origin, token, form and size of a request; refuses to know what is behind the door."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geodns.geo.address import is_address
from geodns.ops.admin._replies import JSON, refusal

MOST_OCTETS = 65_536
"""Of a request's body."""
_BODY_TIME = 5.0  # s for a whole body, however it drips in
_LINGER = 1.0  # s that a client has to read why it is cut off, before the connection is closed
OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""What may be asked without a token: a supervisor has none, and they tell nothing that an attacker could use."""

_FRONT = "/"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READS = frozenset({"GET", "HEAD"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@?#\s]+))(?::[0-9]{1,5})?")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer that does not say otherwise itself."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in.

    `token`: what a bearer must show, "" = nothing. `hosts`: names and addresses that a Host header may have, lower-case,
    without port. `any_address`: also every IP address, which no other site's name can stand for; `any_host`: anything.
    """

    token: str
    hosts: frozenset[str]
    any_address: bool
    any_host: bool


def access(sock: socket.socket, hosts: Iterable[str], token: str) -> Access:
    """The rules for a listening socket: its own address, loopback, and these names more; no name matters on a unix socket."""
    if sock.family == socket.AF_UNIX:
        return Access(token, frozenset(), any_address=True, any_host=True)
    address = ip_address(sock.getsockname()[0])
    named = {_plain_host(host) for host in hosts}
    return Access(token, frozenset({*_LOOPBACK_NAMES, str(address), *named}), any_address=address.is_unspecified, any_host=False)


def _plain_host(text: str) -> str:
    """The name or the address of a Host header, in its shortest form; "" if it is none."""
    found = _HOST.fullmatch(text)
    if not found:
        return ""
    host = (found[1] or found[2]).lower().removesuffix(".")
    try:
        return str(ip_address(host))
    except ValueError:
        return "" if found[1] else host


class Guard:
    """An ASGI application around another: reads a bounded body, judges the request, and hardens the answer."""

    def __init__(self, inner: ASGIApp, rules: Access, open_paths: frozenset[str] = OPEN_PATHS) -> None:
        self._inner = inner
        self._open_paths = open_paths
        self._rules = rules
        self._token = rules.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it with the reason why not."""
        match scope["type"]:
            case "http":
                await self._request(scope, receive, _hardened(send))
            case "websocket":
                await receive()
                await send({"type": "websocket.close"})
            case _:
                await self._inner(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The body is read before all else: one that nobody takes would stay in memory with its connection."""
        headers = Headers(scope=scope)
        try:
            async with asyncio.timeout(_BODY_TIME):
                body = await _body(headers, receive)
        except ClientDisconnect:
            return
        except TimeoutError:
            late = refusal(408, f"the body was not there after {_BODY_TIME:g} s", "send it at once")
            await _cut(late, scope, receive, send)
            return
        if body is None:
            large = refusal(413, f"the body has more than {MOST_OCTETS} octets", "no request of this API needs that many")
            await _cut(large, scope, receive, send)
            return
        refused = self._judge(scope["method"], scope["path"], headers)
        await (refused or self._inner)(scope, _replayed(body, receive), send)

    def _judge(self, method: str, path: str, headers: Headers) -> Response | None:
        """Why a request is not let through, None if it is."""
        if refused := self._judge_site(path, headers):
            return refused
        if self._token and path not in self._open_paths and not self._is_bearer(headers):
            return refusal(
                401,
                "this door wants a token",
                "send the header `Authorization: Bearer TOKEN` with what is in admin.token_file",
                {"WWW-Authenticate": 'Bearer realm="geodns"'},
            )
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method not in _READS and kind != JSON:  # which no form of another site can send without asking before
            return refusal(415, f"the content type is {kind or 'not told'!r}", f"send {JSON} with Content-Type: {JSON}")
        return None

    def _judge_site(self, path: str, headers: Headers) -> Response | None:
        """Refuse what a page of another site makes a browser send, and names that were made to point here."""
        host = headers.get("host", "")
        if not self._knows(host):
            return refusal(421, f"the Host header {host!r} is none of this door's", "add that name to admin.hosts")
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            return refusal(403, f"the request comes from another site, {origin}", "ask from no page, or from one of this door")
        is_link = (
            path == _FRONT and headers.get("sec-fetch-dest") == "document"
        )  # in a wiki, say: whoever follows it sees the page
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} and not is_link:
            return refusal(403, "the request comes from another site", "open the address by itself")
        return None

    def _knows(self, text: str) -> bool:
        if self._rules.any_host:
            return True
        host = _plain_host(text)
        return host in self._rules.hosts or (self._rules.any_address and is_address(host))

    def _is_bearer(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token)


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return hardened


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, None if it is too large; a length that is told and too large is believed before an octet is read."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MOST_OCTETS:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MOST_OCTETS:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What `receive` would give if nothing had been read from it yet."""
    told = False

    async def replayed() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _cut(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a client that is still sending, and end the connection.

    What it sends is taken and thrown away all the while, or the server below would wait for ever to hand it over; and the answer
    is not ended at once, for a connection that is closed with octets unread is reset, which may destroy the answer on its way.
    """
    discarding = asyncio.create_task(_discard(receive))
    try:
        response.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        is_seen = scope["method"] != "HEAD"
        await send({"type": "http.response.body", "body": response.body if is_seen else b"", "more_body": True})
        await asyncio.wait({discarding}, timeout=_LINGER)
        await send({"type": "http.response.body"})
        await asyncio.wait({discarding}, timeout=_LINGER)
    finally:
        discarding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await discarding


async def _discard(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
