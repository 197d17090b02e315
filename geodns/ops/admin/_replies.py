"""Owns the form of what the door answers: JSON, and for every error a sentence and a remedy; refuses to know about what."""

from __future__ import annotations

import json

from starlette.responses import Response

JSON = "application/json"


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON document. In ASCII only, for the name of a file may hold what UTF-8 cannot say."""
    return Response(json.dumps(value, allow_nan=False).encode(), status, headers, media_type=JSON)


def refusal(status: int, error: str, remedy: str, headers: dict[str, str] | None = None) -> Response:
    """An error: what is wrong, and what to do about it."""
    return reply({"error": error, "remedy": remedy}, status, headers)
