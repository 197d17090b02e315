"""Owns a small web site and a small forwarding proxy on loopback; refuses to know what is fetched from them and why."""

from __future__ import annotations

import base64
import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Page:
    """One answer: `cut` closes the connection after so many octets of the body, `hold` waits there instead until told."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = -1
    hold: threading.Event | None = None


class Site:
    """A web site on loopback: pages by path, and every request seen."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.seen: list[tuple[str, str]] = []
        self.key = ""
        self.reached = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        for page in self.pages.values():
            if page.hold:
                page.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        authorization = request.headers.get("Authorization", "")
        self.seen.append((request.path, authorization))
        page = self.pages.get(request.path, Page(status=404))
        if self.key and authorization != "Basic " + base64.b64encode(self.key.encode()).decode():
            page = Page(status=401)
        request.send_response(page.status)
        for name, value in ({"Content-Length": str(len(page.body))} | page.headers).items():
            if value:
                request.send_header(name, value)
        request.end_headers()
        request.wfile.write(page.body if page.cut < 0 else page.body[: page.cut])
        if page.hold:
            request.wfile.flush()
            self.reached.set()
            page.hold.wait(20)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
                pass

        return Handler


class ForwardingProxy(Site):
    """A real, small HTTP proxy: it takes absolute addresses, and fetches them itself."""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.seen.append((request.path, request.headers.get("Proxy-Authorization", "")))
        target = urlsplit(request.path)
        upstream = http.client.HTTPConnection(target.netloc, timeout=10)
        upstream.request("GET", target.path + (f"?{target.query}" if target.query else ""))
        response = upstream.getresponse()
        body = response.read()
        upstream.close()
        request.send_response(response.status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
