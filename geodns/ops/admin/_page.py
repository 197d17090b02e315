"""Owns the page's files as the door hands them out, and what a browser may do with them; refuses to know what they show."""

from __future__ import annotations

import json
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from geodns.geo.countries import countries
from geodns.ops.admin._replies import JSON

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": JSON,
    "svg": "image/svg+xml",
}
"""Media types by the end of a file's name."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Nothing from elsewhere, nothing inline, and no text that becomes markup, whatever a name from the API may hold."""


def _contents() -> dict[str, bytes]:
    """Path → octets; the table of countries is made from the one that the server itself measures with."""
    page = files("geodns.ops.admin").joinpath("page")
    found = {f"/page/{file.name}": file.read_bytes() for file in page.iterdir() if file.name.rpartition(".")[2] in TYPES}
    table = {code: (country.latitude, country.longitude, country.name) for code, country in countries().items()}
    return {"/": found.pop("/page/index.html"), "/page/countries.json": json.dumps(table).encode(), **found}


CONTENTS = _contents()
"""Read once: a request never reaches the file system, so no path can lead out of it."""

PATHS = frozenset(CONTENTS)
"""What is open to whoever may ask at all: the files are public, and what they show wants the token."""


async def _file(request: Request) -> Response:
    path = request.scope["path"]
    kind = "html" if path == "/" else path.rpartition(".")[2]
    return Response(CONTENTS[path], headers=HEADERS | {"Content-Type": TYPES[kind]})


ROUTES = tuple(Route(path, _file, methods=["GET"]) for path in sorted(PATHS))
