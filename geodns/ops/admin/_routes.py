"""Owns the table of the API: each operation, its path, what it takes and does; refuses to know how anything is done."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from geodns.ops.admin import _openapi, _page
from geodns.ops.admin._bodies import BadBody, DrainBody, HealthBody, OverrideBody, ReasonBody, ReloadBody, one_line, parse
from geodns.ops.admin._guard import OPEN_PATHS, Access, Guard
from geodns.ops.admin._openapi import Operation, Parameter
from geodns.ops.admin._replies import refusal, reply

Json = dict[str, Any]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_NAMED = 10  # names that a remedy lists at most
_PACKING = 1  # gzip's level: a higher one takes longer than the network does

_log = logging.getLogger("geodns.admin")


class Keeper(Protocol):
    """What the door asks of the daemon behind it. All values are ready for JSON; synchronous methods return at once.

    A name that is not known raises KeyError, which becomes 404; what makes no sense raises ValueError, 400, and if that has a
    `remedy` it is told too. `who` is one line of text.
    """

    def status(self) -> Json:
        """The whole instance at a glance."""

    def zones(self) -> list[Json]:
        """Every zone: name, serial, records, …"""

    def pools(self) -> list[Json]:
        """Every pool, its sites, endpoints and addresses."""

    def pool(self, name: str) -> Json:
        """One of them; raises KeyError."""

    def explain(self, name: str, rdtype: str, client: str, ecs: str, resolver: str) -> Json:
        """What a client gets and why; raises ValueError."""

    def catchment(self, pool: str, worst: int, min_samples: int) -> Json:
        """Which client networks come here, from how far, and where pools would send them; raises ValueError."""

    def metrics(self, *, openmetrics: bool) -> bytes:
        """All metrics, in one of two forms."""

    def alive(self) -> list[str]:
        """Reasons why a restart is needed; none is well."""

    def ready(self) -> list[str]:
        """Reasons why no queries should come here; none is well."""

    async def reload(self, force: bool) -> Json:
        """Reload: `accepted`, `generation`, `problems`, `plan`."""

    async def drain(self, reason: str, *, stop: bool, last: bool) -> Json:
        """Take this instance out of service, while it goes on answering; `error` and `remedy` where that is refused."""

    async def undrain(self, reason: str) -> Json:
        """Put it into service again."""

    def set_override(self, pattern: str, word: str, seconds: float | None, reason: str, who: str) -> Json:
        """The operator's word; raises ValueError."""

    def post_state(self, key: str, up: bool, who: str) -> Json:
        """The state of an external health check; raises KeyError."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request on its way to the keeper."""

    keeper: Keeper
    request: Request
    query: dict[str, str]
    who: str

    async def body(self, kind: type[Any]) -> Any:
        return parse(kind, await self.request.body())


_Handler = Callable[[_Call], Awaitable[Response]]


async def _live(call: _Call) -> Response:
    reasons = call.keeper.alive()
    return reply({"alive": not reasons, "reasons": reasons}, 503 if reasons else 200)


async def _ready(call: _Call) -> Response:
    reasons = call.keeper.ready()
    return reply({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


async def _metrics(call: _Call) -> Response:
    openmetrics = _accepts(call.request.headers.get("accept", ""), "application/openmetrics-text")
    octets = call.keeper.metrics(openmetrics=openmetrics)
    headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
    if _accepts(call.request.headers.get("accept-encoding", ""), "gzip"):
        return Response(gzip.compress(octets, _PACKING), headers=headers | {"Content-Encoding": "gzip"})
    return Response(octets, headers=headers)


def _accepts(header: str, wanted: str) -> bool:
    """Whether a header names a value, with a weight that is not 0 (RFC 9110 §12.4.2)."""
    for item in header.split(","):
        value, *parameters = (part.strip().lower() for part in item.split(";"))
        if value == wanted:
            return not any(re.fullmatch(r"q=0(\.0{0,3})?", parameter) for parameter in parameters)
    return False


async def _status(call: _Call) -> Response:
    return reply(call.keeper.status())


async def _zones(call: _Call) -> Response:
    return reply(call.keeper.zones())


async def _pools(call: _Call) -> Response:
    return reply(call.keeper.pools())


async def _pool(call: _Call) -> Response:
    name = call.request.path_params["name"]
    try:
        return reply(call.keeper.pool(name))
    except KeyError:
        names = [str(pool["name"]) for pool in call.keeper.pools()]
        close = get_close_matches(name, names, 1)
        known = f"known are {', '.join(names[:_NAMED])}" if names else "the configuration has none"
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return refusal(404, f"there is no pool {name!r}", f"did you mean {close[0]!r}?" if close else known + more)


async def _explain(call: _Call) -> Response:
    asked = call.query
    if not asked.get("name"):
        raise BadBody("name: is missing")
    told = call.keeper.explain(
        asked["name"], asked.get("type", "A"), asked.get("client", ""), asked.get("ecs", ""), asked.get("resolver", "")
    )
    return reply(told)


async def _catchment(call: _Call) -> Response:
    worst, least = (_number(call, parameter) for parameter in (_WORST, _LEAST))
    return reply(call.keeper.catchment(call.query.get("pool", ""), worst, least))


def _number(call: _Call, parameter: Parameter) -> int:
    """A parameter that is a whole number; its example where it is left out."""
    text, most = call.query.get(parameter.name, parameter.example), parameter.most
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > most:
        raise BadBody(f"{parameter.name}: {text[:20]!r} is no whole number up to {most}")
    return int(text)


async def _reload(call: _Call) -> Response:
    body = await call.body(ReloadBody)
    told = await call.keeper.reload(body.force)
    accepted = bool(told["accepted"])
    _say(call, "reload, forced" if body.force else "reload", body.reason, "accepted" if accepted else "refused")
    if accepted:
        return reply(told)
    error = f"the reload is refused: {len(told['problems'])} problems; what was served before is still served"
    return reply(told | {"error": error, "remedy": "mend what `problems` tells, then reload again"}, 409)


async def _drain(call: _Call) -> Response:
    body = await call.body(DrainBody)
    told = await call.keeper.drain(body.reason, stop=body.stop, last=body.last)
    _say(call, "drain", body.reason, "refused" if "error" in told else "done")
    return reply(told, 409 if "error" in told else 200)


async def _undrain(call: _Call) -> Response:
    body = await call.body(ReasonBody)
    told = await call.keeper.undrain(body.reason)
    _say(call, "undrain", body.reason)
    return reply(told)


async def _override(call: _Call) -> Response:
    body = await call.body(OverrideBody)
    told = call.keeper.set_override(body.pattern, body.word, body.seconds, body.reason, call.who)
    time = "" if body.seconds is None else f" for {body.seconds:g} s"
    _say(call, f"pool {one_line(body.pattern)} {body.word}{time}", body.reason)
    return reply(told)


async def _health(call: _Call) -> Response:
    key = call.request.path_params["key"]
    body = await call.body(HealthBody)
    try:
        told = call.keeper.post_state(key, body.up, call.who)
    except KeyError:
        return refusal(
            404, f"no health check takes its state from {key!r}", 'see the checks of type "external" in the configuration'
        )
    _say(call, f"health {one_line(key)} {'up' if body.up else 'down'}", "")
    return reply(told)


async def _document(call: _Call) -> Response:
    return reply(_openapi.document(OPERATIONS, str(call.keeper.status().get("version", ""))))


def _say(call: _Call, what: str, reason: str, outcome: str = "done") -> None:
    """Every write leaves one line: what, by whom, why, and what came of it."""
    _log.info("admin: %s: %s, by %s: %s", what, outcome, call.who, reason or "no reason given")


_QUESTION = (
    Parameter("name", "Name to ask for.", "www.example.com", required=True),
    Parameter("type", "Record type to ask for; A if left out.", "A"),
    Parameter("client", "Address that asks, with no client subnet.", "192.0.2.1"),
    Parameter("ecs", "Client subnet that a resolver sends.", "192.0.2.0/24"),
    Parameter("resolver", "Address of that resolver.", "198.51.100.1"),
)
_WORST = Parameter("worst", "How many networks are listed, those with the longest round trips.", "20", most=1000)
_LEAST = Parameter("min_samples", "Round trips that a network must have to be listed.", "5", most=1_000_000)
_CATCHMENT = (Parameter("pool", "Pool to compare with; else all that are steered by nearest or region.", "app"), _WORST, _LEAST)
_HEALTH = {503: "Reasons"}

_TABLE: tuple[tuple[Operation, _Handler], ...] = (
    (
        Operation(
            "GET", "/livez", "livez", "Whether the process works; 503 tells why a restart is needed", "Live", other=_HEALTH
        ),
        _live,
    ),
    (
        Operation("GET", "/readyz", "readyz", "Whether queries should come here; 503 tells why not", "Ready", other=_HEALTH),
        _ready,
    ),
    (Operation("GET", "/metrics", "metrics", "Metrics for Prometheus", "Metrics"), _metrics),
    (Operation("GET", "/openapi.json", "openapi", "This document", "Document"), _document),
    (Operation("GET", "/api/v1/status", "status", "The whole instance at a glance", "Status"), _status),
    (Operation("GET", "/api/v1/zones", "zones", "The zones that are served", "Zones"), _zones),
    (Operation("GET", "/api/v1/pools", "pools", "The pools, their endpoints and their health", "Pools"), _pools),
    (Operation("GET", "/api/v1/pools/{name}", "pool", "One pool", "Pool", other={404: "Error"}), _pool),
    (Operation("GET", "/api/v1/explain", "explain", "What a client gets, and why", "Explanation", query=_QUESTION), _explain),
    (
        Operation("GET", "/api/v1/catchment", "catchment", "Who comes here, and from how far", "Catchment", query=_CATCHMENT),
        _catchment,
    ),
    (
        Operation(
            "POST",
            "/api/v1/reload",
            "reload",
            "Reload; answers when it is done",
            "Reload",
            body=ReloadBody,
            other={409: "Refused"},
        ),
        _reload,
    ),
    (
        Operation(
            "POST",
            "/api/v1/drain",
            "drain",
            "Take the instance out of service",
            "Done",
            body=DrainBody,
            other={409: "Error"},
        ),
        _drain,
    ),
    (Operation("POST", "/api/v1/undrain", "undrain", "Put it into service again", "Done", body=ReasonBody), _undrain),
    (
        Operation("PUT", "/api/v1/overrides", "override", "Overrule health checks", "Done", body=OverrideBody),
        _override,
    ),
    (
        Operation(
            "PUT", "/api/v1/health/{key:path}", "health", "Tell an external state", "Done", body=HealthBody, other={404: "Error"}
        ),
        _health,
    ),
)

OPERATIONS = tuple(operation for operation, _ in _TABLE)
"""The API: routes and OpenAPI document are both made of it."""


def application(keeper: Keeper, rules: Access) -> ASGIApp:
    """The door as an ASGI application: the API, and the page that reads it."""
    routes = [
        Route(operation.path, _endpoint(keeper, operation, handler), methods=[operation.method]) for operation, handler in _TABLE
    ]
    inner = Starlette(routes=[*routes, *_page.ROUTES], exception_handlers={HTTPException: _no_route})
    inner.router.redirect_slashes = False
    return Guard(inner, rules, OPEN_PATHS | _page.PATHS)


def _endpoint(keeper: Keeper, operation: Operation, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await handler(_Call(keeper, request, _query(request, operation), _who(request)))
        except ValueError as error:
            return refusal(400, str(error), str(getattr(error, "remedy", "") or BadBody.remedy))
        except Exception:
            _log.exception("admin: fault in %s %s", operation.method, operation.path)
            return refusal(500, "a fault of this program", "its log tells more; please report it")

    return endpoint


def _query(request: Request, operation: Operation) -> dict[str, str]:
    """The query's parameters, each known and once: a misspelled one that is passed over would answer another question."""
    known = [parameter.name for parameter in operation.query]
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise BadBody(f"{name!r} is no parameter of {operation.path}; known: {', '.join(known) or 'none'}")
        if name in found:
            raise BadBody(f"{name} is given twice")
        found[name] = value
    return found


def _who(request: Request) -> str:
    """The peer, and who it says that it is: one short line, for it goes into the log."""
    peer = request.client.host if request.client else "unix"
    name = one_line(request.headers.get("x-geodns-who", ""))[:64].strip()
    return f"{name} ({peer})" if name else peer


async def _no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = dict(error.headers or {})
        return refusal(405, f"{request.method} is not for {request.url.path}", "see Allow, and /openapi.json", allowed)
    return refusal(404, f"there is no {request.url.path}", "see /openapi.json")
