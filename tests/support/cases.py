"""Owns reading case tables (`tests/cases/`): worlds, questions and the replies due; refuses to know how to check them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.message
import dns.opcode

from geodns.answer import Snapshot
from tests.support.world import SENDER, Reply, question, snapshot_of

DIRECTORY = Path(__file__).parent.parent / "cases"
HEAD = "$TTL 3600\n@ SOA ns.example.net. host.example.net. 1 7200 900 1209600 300\n"
"""What every zone of a table begins with: negative answers live for 300 seconds."""


@dataclass(frozen=True)
class Case:
    """One line of a table: a world, a question from somebody, the reply that is due, and the law behind it."""

    table: str
    world: int
    law: str
    query: dns.message.Message
    source: str
    subnet: str | None
    stream: bool
    expected: Reply
    rung: str | None

    @property
    def snapshot(self) -> Snapshot:
        """The world of this case, compiled once for all its cases."""
        return _snapshot(self.table, self.world)

    def __str__(self) -> str:
        return self.law


def cases(table: str) -> list[Case]:
    """All cases of a table, in its order."""
    return [_case(table, number, dict(row)) for number, world in enumerate(_worlds(table)) for row in world["case"]]


@cache
def _worlds(table: str) -> list[dict[str, Any]]:
    worlds: list[dict[str, Any]] = tomllib.loads((DIRECTORY / f"{table}.toml").read_text())["world"]
    return worlds


@cache
def _snapshot(table: str, number: int) -> Snapshot:
    settings = {key: value for key, value in _worlds(table)[number].items() if key != "case"}
    zones = {origin: HEAD + text for origin, text in settings.pop("zones").items()}
    return snapshot_of(zones, **settings)


def _case(table: str, world: int, row: dict[str, Any]) -> Case:
    """A row as a case; a key that nobody knows is a mistake in the table."""
    asked = row.pop("ask")
    subnet = row.get("subnet")
    if subnet:
        row["subnet"] = str(ip_network(subnet))
    query = question(asked, client_subnet=subnet, payload_size=row.pop("payload_size", 1232))
    if "opcode" in row:
        query.set_opcode(dns.opcode.from_text(row.pop("opcode")))
    law, source, stream = row.pop("law"), row.pop("source", SENDER), row.pop("stream", False)
    rung = row.pop("rung", None)
    if not row.pop("echo", True):
        row.pop("subnet")
    for section in ("authority", "additional"):
        row[section] = sorted(row.get(section, []))
    return Case(table, world, f"{asked}: {law}", query, source, subnet, stream, Reply(**row), rung)
