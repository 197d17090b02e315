"""Owns an admin door with a keeper behind it that only remembers; refuses to know what is asked there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from geodns.ops import admin

PROBLEM = {"file": "a.zone", "line": 3, "message": "no such type", "remedy": "write A", "severity": "error"}
OVERRIDE = {"word": "drain", "until": 1_800_000_000.0, "reason": "disks", "who": "ops (unix)", "since": 1_790_000_000.0}


def address(text: str, health: str = "up") -> dict[str, Any]:
    """An address of an endpoint, as the API tells it."""
    return {
        "address": text,
        "family": 6 if ":" in text else 4,
        "health": health,
        "pending": 0,
        "since": 1_790_000_000.0,
        "transitions": 3,
        "error": "" if health == "up" else "connection refused",
        "duration": 0.0123,
        "checked": 1_790_000_100.0,
        "certificate_expires": None,
        "eligible": health == "up",
    }


def endpoint(name: str, *addresses: dict[str, Any], override: dict[str, Any] | None = None) -> dict[str, Any]:
    """An endpoint, as the API tells it."""
    return {"name": name, "addresses": list(addresses), "weight": 1.0, "capacity": None, "override": override}


def pool(name: str = "web") -> dict[str, Any]:
    """A pool with a site that is up and one that is down, as the API tells it."""
    return {
        "name": name,
        "steering": "nearest",
        "ttl": 30,
        "when_all_down": "all",
        "check": {"type": "http", "interval": 5.0},
        "degraded": True,
        "sites": [
            {"name": "fra", "up": True, "endpoints": [endpoint("fra1", address("192.0.2.1"), address("2001:db8::1"))]},
            {"name": "nyc", "up": False, "endpoints": [endpoint("nyc1", address("198.51.100.1", "down"), override=OVERRIDE)]},
        ],
        "history": [{"at": 1_790_000_000.0, "what": "nyc/nyc1 198.51.100.1 is down: connection refused"}],
    }


def round_trips(count: int, fastest: float, median: float) -> dict[str, Any]:
    """Round trips in milliseconds, as the API tells them."""
    return {"round_trips": count, "fastest_ms": fastest, "median_ms": median, "p90_ms": 2 * median}


FAR = {"verdict": "polarised", "sentence": "at best 180 ms, fra would be about 13.2 ms"}
CATCHMENT: dict[str, Any] = {
    "measured": True,
    "why_not": "",
    "since": 1_790_000_000.0,
    "window": 21_600.0,
    "prefix_lengths": {"ipv4": 24, "ipv6": 48},
    "networks": 2,
    "round_trips": 42,
    "forgotten": {"networks": 0, "round_trips": 0},
    "place": {"latitude": 1.35, "longitude": 103.82},
    "pools": ["web"],
    "regions": [
        {"region": "country:DE", "networks": 1, **round_trips(40, 180.0, 195.5)},
        {"region": "unknown", "networks": 1, **round_trips(2, 3.1, 4.2)},
    ],
    "compared": 1,
    "worst": [
        {
            "prefix": "198.51.100.0/24",
            "region": "country:DE",
            "asn": 64500,
            **round_trips(40, 180.0, 195.5),
            "within_km": 18_000.0,
            "latitude": 51.0,
            "longitude": 9.0,
            "distance_km": 10_100.0,
            **FAR,
            "instead": [
                {"pool": "web", "site": "fra", "endpoint": "fra1", "distance_km": 160.0, "best_ms": 1.6, **FAR},
            ],
        }
    ],
}
"""Two networks: one that had better go elsewhere, and one with too few round trips to say."""


@dataclass
class Memory:
    """A keeper that answers from its fields, and remembers what it was told to do."""

    done: list[tuple[object, ...]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    text: bytes = b"# HELP x Some.\n# TYPE x gauge\nx 1\n"
    wait: float = 0.0
    generation: int = 1
    seen: dict[str, Any] = field(default_factory=lambda: dict(CATCHMENT))

    def status(self) -> dict[str, Any]:
        return {
            "version": "1.2.3",
            "pid": 42,
            "uptime": 93_784.0,
            "ready": self.reasons,
            "draining": False,
            "generation": self.generation,
            "loaded_at": 1_790_000_000.0,
            "last_reload": {"at": 1_790_000_000.0, "accepted": not self.problems, "seconds": 0.25, "problems": self.problems},
            "listening": ["127.0.0.1:53"],
            "workers": [{"slot": 0, "pid": 43}],
            "rates": {"queries": 1234.5},
            "pools": {"web": "degraded"},
            "zones": 1,
            "overrides": 1,
            "catchment": {"measured": True, "why_not": "", "networks": 2},
            "cookie_secrets": ["1a2b3c4d", "5e6f7a8b"],
            "announce": None,
        }

    def zones(self) -> list[dict[str, Any]]:
        return [{"name": "example.com.", "serial": 2026112201, "records": 53}]

    def pools(self) -> list[dict[str, Any]]:
        return [pool()]

    def pool(self, name: str) -> dict[str, Any]:
        return {"web": pool()}[name]

    def explain(self, name: str, rdtype: str, client: str, ecs: str, resolver: str) -> dict[str, Any]:
        if name == "fault.example.":
            raise RuntimeError("a fault")
        if not rdtype.isalnum():
            raise ValueError(f"{rdtype!r} is no record type")
        return {"asked": [name, rdtype, client, ecs, resolver]}

    def catchment(self, pool: str, worst: int, min_samples: int) -> dict[str, Any]:
        if pool not in ("", "web"):
            raise ValueError(f"there is no pool {pool!r}; known: web")
        return self.seen | {"worst": [each for each in self.seen["worst"] if each["round_trips"] >= min_samples][:worst]}

    def metrics(self, *, openmetrics: bool) -> bytes:
        return self.text + b"# EOF\n" * openmetrics

    def alive(self) -> list[str]:
        return self.reasons

    def ready(self) -> list[str]:
        return self.reasons

    async def reload(self, force: bool) -> dict[str, Any]:
        self.done.append(("reload", force))
        await asyncio.sleep(self.wait)
        accepted = force or not self.problems
        self.generation += accepted
        return {"accepted": accepted, "generation": self.generation, "problems": self.problems, "plan": None}

    async def drain(self, reason: str, *, stop: bool = False, last: bool = False) -> dict[str, Any]:
        self.done.append(("drain", reason))
        return {"draining": True}

    async def undrain(self, reason: str) -> dict[str, Any]:
        self.done.append(("undrain", reason))
        return {"draining": False}

    def set_override(self, pattern: str, word: str, seconds: float | None, reason: str, who: str) -> dict[str, Any]:
        if not pattern.startswith(("web", "*")):
            error = ValueError(f"nothing is called {pattern!r}")
            error.remedy = "did you mean 'web'?"  # type: ignore[attr-defined]
            raise error
        self.done.append(("override", pattern, word, seconds, reason, who))
        return {"touched": [pattern]}

    def post_state(self, key: str, up: bool, who: str) -> dict[str, Any]:
        if key not in ("web", "web/fra/fra1"):
            raise KeyError(key)
        self.done.append(("state", key, up, who))
        return {"key": key, "up": up}


@dataclass
class Door:
    """A door that is open: where, as `admin.listen` says it, and who is behind it."""

    listen: str
    keeper: Memory
    loop: asyncio.AbstractEventLoop

    @property
    def connections(self) -> int:
        """How many are open, or are closed and not yet forgotten."""
        return sum(getattr(task.get_coro(), "__name__", "") == "_connected" for task in asyncio.all_tasks(self.loop))

    @property
    def url(self) -> str:
        """Where a browser would go."""
        return f"http://{self.listen}"


@contextmanager
def opened(listen: str = "127.0.0.1:0", *, hosts: Iterable[str] = (), token: str = "") -> Iterator[Door]:
    """Serve, in a thread with a loop of its own, until the block ends."""
    sock = admin.bind(listen)
    keeper = Memory()
    app = admin.application(keeper, admin.access(sock, hosts, token))
    loop = asyncio.new_event_loop()
    shutdown = asyncio.Event()
    ended: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(admin.serve(app, sock, shutdown))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        where = listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{sock.getsockname()[1]}"
        yield Door(where, keeper, loop)
    finally:
        loop.call_soon_threadsafe(shutdown.set)
        thread.join(20)
        admin.release(sock)
        assert not thread.is_alive()
        assert [] == ended
