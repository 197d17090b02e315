"""Owns what a pool leads to: web servers on loopback that die and come back, a pool of them, its clients; knows no checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.edns
import dns.message

from tests.support.daemons import Endpoint, free_port

FRANKFURT, NEW_YORK, TOKYO = "127.0.0.11", "127.0.0.12", "127.0.0.13"
IN_EUROPE, IN_AMERICA, IN_ASIA = "81.2.69.0/24", "66.66.0.0/24", "133.11.0.0/24"
OTHERS = {IN_AMERICA: NEW_YORK, IN_ASIA: TOKYO}
"""Clients to whom Frankfurt is not the nearest, and whom they get."""

TTL, TTL_DEGRADED = 30, 10

ZONE = """\
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ NS ns.example.net.
app POOL app
app A 192.0.2.30
"""

CONFIG = f"""\
[server]
listen = ["127.0.0.1:$port"]
state = "state"
workers = 2
[admin]
listen = "127.0.0.1:$admin"
[geo.networks]
"{IN_EUROPE}" = {{ continent = "EU", country = "DE", latitude = 48.1, longitude = 11.6 }}
"{IN_AMERICA}" = {{ continent = "NA", country = "US", latitude = 42.4, longitude = -71.1 }}
"{IN_ASIA}" = {{ continent = "AS", country = "JP", latitude = 34.7, longitude = 135.5 }}
[pools.app]
steering = "nearest"
ttl = {TTL}
ttl_degraded = {TTL_DEGRADED}
[pools.app.check]
type = "http"
port = $check
path = "/healthz"
host = "app.example.com"
expect_body = "well"
interval = $interval
timeout = $interval
rise = 2
fall = 3
[[pools.app.endpoints]]
name = "fra"
addresses = ["{FRANKFURT}"]
latitude = 50.11
longitude = 8.68
[[pools.app.endpoints]]
name = "nyc"
addresses = ["{NEW_YORK}"]
latitude = 40.71
longitude = -74.01
[[pools.app.endpoints]]
name = "tyo"
addresses = ["{TOKYO}"]
latitude = 35.68
longitude = 139.69
[[zones]]
name = "example.com"
file = "example.com.zone"
"""
RISE, FALL = 2, 3


class Backend:
    """A web server at one address that says it is well; `hold` lets it take requests and say nothing, until `release`."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._speaking = threading.Event()
        self._speaking.set()
        self._server: ThreadingHTTPServer | None = None
        self.hosts: set[str] = set()
        self.start()

    def start(self) -> None:
        """Live, again."""
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                backend.hosts.add(self.headers["Host"])
                backend._speaking.wait()
                self.send_response(200 if self.path == "/healthz" else 404)
                self.end_headers()
                self.wfile.write(b"all is well\n")

            def log_message(self, *_arguments: object) -> None:
                """Nobody reads it."""

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_arguments: object) -> None:
                """A check that ends before the reply is no fault."""

        self._server = Quiet(self._address, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def kill(self) -> None:
        """Refuse connections."""
        self.release()
        if self._server:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def hold(self) -> None:
        """Say nothing any more."""
        self._speaking.clear()

    def release(self) -> None:
        """Say it, also to whoever is waiting."""
        self._speaking.set()


@dataclass(frozen=True, slots=True)
class Backends:
    """The three sites of the pool, all at one port."""

    port: int
    frankfurt: Backend
    new_york: Backend
    tokyo: Backend

    def config(self, interval: float = 0.5) -> str:
        """The configuration of a server that leads to them."""
        return CONFIG.replace("$check", str(self.port)).replace("$interval", str(interval))


@contextmanager
def backends() -> Iterator[Backends]:
    """Three web servers that live."""
    hosts = (FRANKFURT, NEW_YORK, TOKYO)
    port = free_port(*hosts)
    made = [Backend(host, port) for host in hosts]
    try:
        yield Backends(port, *made)
    finally:
        for each in made:
            each.kill()


Answer = tuple[str, int]
"""An address and its TTL."""


def ask(endpoint: Endpoint, subnet: str) -> Answer:
    """What clients of a network get, asked from a new source port, so that any of the server's processes may answer."""
    query = dns.message.make_query("app.example.com", "A", use_edns=0, options=[dns.edns.ECSOption.from_text(f"ECS {subnet}")])
    octets = endpoint.udp(query.to_wire())
    assert octets is not None, f"no reply for {subnet}"
    (rrset,) = dns.message.from_wire(octets).answer
    (rdata,) = rrset
    return rdata.to_text(), rrset.ttl


def ask_all(endpoint: Endpoint, subnet: str, times: int = 16) -> set[Answer]:
    """As `ask`, so often that all of two processes have answered: but for once in 32,768 times."""
    return {ask(endpoint, subnet) for _ in range(times)}
