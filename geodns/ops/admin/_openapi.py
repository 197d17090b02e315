"""Owns the OpenAPI document: the API's operations in a form for other programs; refuses to know what an operation does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from geodns.ops.admin._bodies import Body
from geodns.ops.admin._guard import OPEN_PATHS
from geodns.ops.admin._replies import JSON


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query: a text, or with `most` a whole number from 0 up to it, whose example is the default."""

    name: str
    meaning: str
    example: str
    required: bool = False
    most: int = 0

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        if self.most:
            return {"type": "integer", "minimum": 0, "maximum": self.most, "default": int(self.example)}
        return {"type": "string", "minLength": 1} if self.required else {"type": "string"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API: `answer` and `other` (by status) name schemas, `body` is what a write takes."""

    method: str
    path: str
    name: str
    summary: str
    answer: str
    query: tuple[Parameter, ...] = ()
    body: type[Body] | None = None
    other: Mapping[int, str] = field(default_factory=dict)


def document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of operations."""
    listed = list(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(_template(operation.path), {})[operation.method.lower()] = _operation(operation)
    bodies = {kind.__name__: _schema(kind) for operation in listed if (kind := operation.body)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "geodns", "version": version or "0", "description": "What the admin door of a geodns instance does."},
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS | bodies,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where admin.token_file is set."}},
        },
    }


def _template(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)", operation.path)
    ]
    in_query = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.meaning,
            "schema": parameter.schema,
            "example": int(parameter.example) if parameter.most else parameter.example,
        }
        for parameter in operation.query
    ]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [] if operation.path in OPEN_PATHS else [{"token": []}, {}],
        "responses": {
            "200": _response("Done.", operation.answer),
            **{str(status): _response("Not so.", schema) for status, schema in operation.other.items()},
            "default": _response("Refused: what is wrong, and what to do.", "Error"),
        },
    }
    if in_path or in_query:
        described["parameters"] = in_path + in_query
    if operation.body:
        content = {JSON: {"schema": _reference(operation.body.__name__)}}
        described["requestBody"] = {"required": bool(_schema(operation.body).get("required")), "content": content}
    return described


def _response(description: str, schema: str) -> dict[str, Any]:
    if schema == "Metrics":
        text: dict[str, Any] = {"schema": {"type": "string"}}
        return {"description": description, "content": {"text/plain": text, "application/openmetrics-text": text}}
    return {"description": description, "content": {JSON: {"schema": _reference(schema)}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(kind: type[Body]) -> dict[str, Any]:
    return kind.model_json_schema(ref_template="#/components/schemas/{model}")


# --- answers ----------------------------------------------------------------------------------------------------------

_TEXT, _NUMBER, _WHOLE, _FLAG = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
_TEXTS = {"type": "array", "items": _TEXT}


def _object(**members: Any) -> dict[str, Any]:
    """An object that has all of these members, and maybe more."""
    return {"type": "object", "required": list(members), "properties": members}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_PROBLEM = _object(file=_TEXT, line=_WHOLE, message=_TEXT, remedy=_TEXT, severity={"enum": ["error", "warning"]})
_OVERRIDE = _object(word={"enum": ["up", "down", "drain"]}, until=_or_null(_NUMBER), reason=_TEXT, who=_TEXT, since=_NUMBER)
_ADDRESS = _object(
    address=_TEXT,
    family=_WHOLE,
    health={"enum": ["up", "down", "unknown", "unchecked"]},
    pending=_WHOLE,
    since=_or_null(_NUMBER),
    transitions=_WHOLE,
    error=_TEXT,
    duration=_or_null(_NUMBER),
    checked=_or_null(_NUMBER),
    certificate_expires=_or_null(_NUMBER),
    eligible=_FLAG,
)
_ENDPOINT = _object(
    name=_TEXT, addresses=_list(_ADDRESS), weight=_NUMBER, capacity=_or_null(_NUMBER), override=_or_null(_OVERRIDE)
)
_POOL = _object(
    name=_TEXT,
    steering=_TEXT,
    ttl=_WHOLE,
    when_all_down=_TEXT,
    check=_object(type=_TEXT),
    degraded=_FLAG,
    sites=_list(_object(name=_TEXT, up=_FLAG, endpoints=_list(_ENDPOINT))),
    history=_list(_object(at=_NUMBER, what=_TEXT)),
)
_ROUND_TRIPS = {"round_trips": _WHOLE, "fastest_ms": _NUMBER, "median_ms": _NUMBER, "p90_ms": _NUMBER}
_VERDICT = {"enum": ["polarised", "detour", "slow", "misplaced", "unknown", "well"]}
_INSTEAD = _object(
    pool=_TEXT,
    site=_or_null(_TEXT),
    endpoint=_or_null(_TEXT),
    distance_km=_or_null(_NUMBER),
    best_ms=_or_null(_NUMBER),
    verdict=_VERDICT,
    sentence=_TEXT,
)
_NETWORK = _object(
    prefix=_TEXT,
    region=_TEXT,
    asn=_or_null(_WHOLE),
    **_ROUND_TRIPS,
    within_km=_NUMBER,
    latitude=_or_null(_NUMBER),
    longitude=_or_null(_NUMBER),
    distance_km=_or_null(_NUMBER),
    verdict=_VERDICT,
    sentence=_TEXT,
    instead=_list(_INSTEAD),
)
_ANNOUNCE = _object(
    method=_TEXT,
    gate=_or_null({"type": "object"}),
    lease=_TEXT,
    departure=_or_null(_TEXT),
    departed=_FLAG,
    stuck=_FLAG,
    stopping=_FLAG,
)
_LAST_RELOAD = _object(at=_NUMBER, accepted=_FLAG, seconds=_NUMBER, problems=_list(_PROBLEM))
_RELOAD = _object(accepted=_FLAG, generation=_WHOLE, problems=_list(_PROBLEM))

_SCHEMAS: dict[str, Any] = {
    "Error": _object(error=_TEXT, remedy=_TEXT),
    "Live": _object(alive=_FLAG, reasons=_TEXTS),
    "Ready": _object(ready=_FLAG, reasons=_TEXTS),
    "Reasons": _object(reasons=_TEXTS),
    "Document": _object(openapi=_TEXT, paths={"type": "object"}),
    "Status": _object(
        version=_TEXT,
        pid=_WHOLE,
        uptime=_NUMBER,
        ready=_TEXTS,
        draining=_FLAG,
        generation=_WHOLE,
        loaded_at=_NUMBER,
        last_reload=_or_null(_LAST_RELOAD),
        listening=_TEXTS,
        workers=_list(_object(slot=_WHOLE, pid=_WHOLE)),
        rates={"type": "object", "additionalProperties": _NUMBER},
        pools={"type": "object", "additionalProperties": {"enum": ["up", "degraded", "down"]}},
        zones=_WHOLE,
        overrides=_WHOLE,
        catchment=_object(measured=_FLAG, why_not=_TEXT, networks=_WHOLE),
        cookie_secrets=_TEXTS,
        announce=_or_null(_ANNOUNCE),
    ),
    "Zones": _list(_object(name=_TEXT)),
    "Pools": _list(_POOL),
    "Pool": _POOL,
    "Explanation": {"type": "object"},
    "Catchment": _object(
        measured=_FLAG,
        why_not=_TEXT,
        since=_NUMBER,
        window=_NUMBER,
        prefix_lengths=_object(ipv4=_WHOLE, ipv6=_WHOLE),
        networks=_WHOLE,
        round_trips=_WHOLE,
        forgotten=_object(networks=_WHOLE, round_trips=_WHOLE),
        place=_or_null(_object(latitude=_NUMBER, longitude=_NUMBER)),
        pools=_TEXTS,
        regions=_list(_object(region=_TEXT, networks=_WHOLE, **_ROUND_TRIPS)),
        compared=_WHOLE,
        worst=_list(_NETWORK),
    ),
    "Reload": _RELOAD,
    "Refused": {"allOf": [_RELOAD, _object(error=_TEXT, remedy=_TEXT)]},
    "Done": {"type": "object"},
}
