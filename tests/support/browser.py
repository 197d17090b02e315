"""Owns a headless Chromium, driven by its DevTools protocol through two pipes; refuses to know what pages it shows."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from tests.support.daemons import STOP, need, poll

PATIENCE = 30.0  # s until Chromium has done what it is told; its first page takes long on a busy machine
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # which refuses to work for root; every page that it shows here is our own
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)


@dataclass(slots=True)
class Browser:
    """A running Chromium and one tab of it at a time; what the tab says and asks for is kept in `events`."""

    _to: int
    _from: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _session: str = ""
    _target: str = ""
    _left: bytes = b""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def open(self, url: str, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Show a page in a new tab, with a storage of its own and nothing remembered of tabs before."""
        if self._target:
            self._call("Target.disposeBrowserContext", {"browserContextId": self._target}, session="")
        self._target = self._call("Target.createBrowserContext", session="")["browserContextId"]
        made = self._call("Target.createTarget", {"url": "about:blank", "browserContextId": self._target}, session="")
        attached = self._call("Target.attachToTarget", {"targetId": made["targetId"], "flatten": True}, session="")
        self._session = attached["sessionId"]
        self.events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.look(width=width, height=height, scheme=scheme)
        self._go("Page.navigate", {"url": url})

    def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Be a screen of this size, for eyes that like it light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", size)
        self._call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def reload(self) -> None:
        """The same page again."""
        self._go("Page.reload")

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to, as JSON has it; raises AssertionError if it throws."""
        told = self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, expression: str, seconds: float = PATIENCE) -> None:
        """Ask again and again until an expression is true in JavaScript's sense; raises Unreached."""
        poll(expression, lambda: self.value(f"Boolean({expression})") is True, seconds)

    def press(self, key: str, *, text: str = "") -> None:
        """One key, as "Tab" or "Enter"."""
        codes = {"Tab": 9, "Enter": 13}
        named = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "text": text}
        self._call("Input.dispatchKeyEvent", {"type": "keyDown", **named})
        self._call("Input.dispatchKeyEvent", {"type": "keyUp", **named})

    def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field and type."""
        self.value(f"document.querySelector({json.dumps(selector)}).select()")
        self._call("Input.insertText", {"text": text})

    def screenshot(self, scale: float = 1.0) -> bytes:
        """A PNG of what the screen shows, smaller or larger than it is."""
        clip = {"x": 0, "y": 0, "scale": scale} | self.value("({width: innerWidth, height: innerHeight})")
        return base64.b64decode(self._call("Page.captureScreenshot", {"format": "png", "clip": clip})["data"])

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the page, its security policy's included."""
        self.value("0")  # what was said before has been read after this
        found = []
        for event in self.events:
            match event["method"], event["params"]:
                case "Log.entryAdded", {"entry": {"level": "error" | "warning", "text": text}}:
                    found.append(str(text))
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    found.append(str(details))
                case "Runtime.consoleAPICalled", {"type": "error" | "warning" | "assert", "args": said}:
                    found.append(str(said))
                case _:
                    pass
        return found

    @property
    def requests(self) -> set[str]:
        """The addresses that were asked for."""
        self.value("0")
        return {event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"}

    def _go(self, method: str, params: dict[str, Any] | None = None) -> None:
        """A call that leads to another document; until that is there."""
        known = len(self.events)
        self._call(method, params)
        deadline = monotonic() + PATIENCE
        while all(event["method"] != "Page.domContentEventFired" for event in self.events[known:]):
            self._keep(self._read(deadline))

    def _call(self, method: str, params: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        """One call and its outcome; events that come meanwhile are kept."""
        number = next(self._numbers)
        call: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        where = self._session if session is None else session
        if where:
            call["sessionId"] = where
        os.write(self._to, json.dumps(call).encode() + b"\x00")
        deadline = monotonic() + PATIENCE
        while (told := self._read(deadline)).get("id") != number:
            self._keep(told)
        assert "error" not in told, f"{method}: {told['error']}"
        result: dict[str, Any] = told["result"]
        return result

    def _keep(self, told: dict[str, Any]) -> None:
        """Remember an event of the tab that is open; those of tabs before are nobody's."""
        if "method" in told and told.get("sessionId") == self._session:
            self.events.append(told)

    def _read(self, deadline: float) -> dict[str, Any]:
        """The next message; each ends with a NUL."""
        while b"\x00" not in self._left:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - monotonic()))
            assert ready, "Chromium says nothing"
            octets = os.read(self._from, 1 << 20)
            assert octets, "Chromium is gone"
            self._left += octets
        message, _, self._left = self._left.partition(b"\x00")
        told: dict[str, Any] = json.loads(message)
        return told


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """Chromium, its profile and what it says in a directory; the test is skipped where it is not installed."""
    command = (need("chromium", "chromium"), *_OPTIONS, f"--user-data-dir={directory / 'profile'}", "about:blank")
    calls, to = os.pipe()
    from_, replies = os.pipe()
    # Chromium wants its two pipes at 3 and 4; only a shell can put them there without code between fork and exec.
    shell = ("bash", "-c", f'exec "$@" 3<&{calls} 4>&{replies}', "chromium", *command)
    with (directory / "chromium.log").open("wb") as said:
        process = subprocess.Popen(
            shell, stdin=subprocess.DEVNULL, stdout=said, stderr=said, pass_fds=(calls, replies), start_new_session=True
        )
    os.close(calls)
    os.close(replies)
    try:
        yield Browser(to, from_)
    finally:
        os.close(to)
        os.close(from_)  # at which it ends by itself
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
