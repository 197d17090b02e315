"""Owns the administrative door's socket and token over reloads; refuses to know what is asked there."""

from __future__ import annotations

import socket

from geodns.ops import admin, control
from geodns.ops.config import Config
from geodns.problem import Problem, ProblemsFound, Severity


class Door:
    """The administrative door's socket, which outlives reloads as long as its address is the same.

    `token` is what a bearer must show, "" for nothing.
    """

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._wanted = ""
        self.token = ""

    @property
    def sock(self) -> socket.socket | None:
        """The listening socket, if the door is open."""
        return self._sock

    @property
    def text(self) -> str:
        """Where it is, as text; a port that was given as 0 is the real one."""
        if self._sock is None:
            return ""
        name = self._sock.getsockname()
        if isinstance(name, str):
            return f"unix:{name}"
        return f"[{name[0]}]:{name[1]}" if self._sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"

    def open(self, config: Config) -> list[Problem]:
        """Listen where a configuration says; what stands in the way is a warning, for queries are answered all the same.

        Where the new address cannot be had, the old one stays open. Without the token that is wanted nobody is let in, and
        nothing listens: a client is refused, and does not wait for an answer that nobody gives.
        """
        wanted, file, before = config.admin.listen, config.admin.token_file, self.token
        try:
            self.token = control.read_token(config.path(file)) if wanted and file else ""
        except ProblemsFound as found:
            self.close()
            return _closed(found)
        if wanted == self._wanted and (self._sock or not wanted):
            return []
        try:
            opened = admin.bind(wanted) if wanted else None
        except ProblemsFound as found:
            if self._sock is None:
                return _closed(found)
            self.token = self.token or before  # the old address may be one that must not be open to everybody
            return _kept(found, self.text)
        self.close()
        self._sock, self._wanted = opened, wanted
        return []

    def close(self) -> None:
        """Give it up."""
        if self._sock:
            admin.release(self._sock)
        self._sock = None


def _closed(found: ProblemsFound) -> list[Problem]:
    return [_warning(fault, "no metrics and no API") for fault in found.problems]


def _kept(found: ProblemsFound, where: str) -> list[Problem]:
    return [_warning(fault, f"metrics and API stay at {where}") for fault in found.problems]


def _warning(fault: Problem, outcome: str) -> Problem:
    return Problem(fault.file, fault.line, f"{fault.message}: {outcome}", fault.remedy, Severity.WARNING)
