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


@dataclass
class Memory:
    """A keeper that answers from its fields, and remembers what it was told to do."""

    done: list[tuple[object, ...]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    text: bytes = b"# HELP x Some.\n# TYPE x gauge\nx 1\n"
    wait: float = 0.0
    generation: int = 1

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
