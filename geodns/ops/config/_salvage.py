"""Owns what of a faulty configuration can be read on, so that a fault hides no other file's; refuses to judge faults."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from geodns.ops.config._raw import table
from geodns.ops.config._tables import Config
from geodns.ops.toml_lines import KeyPath
from geodns.problem import Problem, ProblemsFound


@dataclass(frozen=True, slots=True)
class Rest:
    """A refused configuration without the values that are at fault: never to be served, only to look at the files that it names.

    `pools` and `regions` are the names that the file has, those at fault included, for a zone is right to use them.
    """

    config: Config
    pools: frozenset[str]
    regions: frozenset[str]


class ConfigurationRefused(ProblemsFound):
    """A configuration with errors; `rest` is None where nothing of it can be read on, as without TOML."""

    def __init__(self, problems: Iterable[Problem], rest: Rest | None = None) -> None:
        super().__init__(problems)
        self.rest = rest


def salvaged(document: dict[str, object]) -> Rest | None:
    """What is left of a document that tomllib gave when every value at fault is taken out, with whatever cannot be without it."""
    left = deepcopy(document)
    while True:
        try:
            config = Config.model_validate(left)
        except ValidationError as error:
            paths = {_at_fault(details["type"], details["loc"]) for details in error.errors(include_url=False)}
            taken_out = sum(_take_out(left, path) for path in sorted(paths, key=_last_first, reverse=True))
            if not taken_out:
                return None  # a fault of no value
        else:
            return Rest(config, frozenset(table(document, "pools")), frozenset(table(document, "regions")))


def _at_fault(kind: str, path: KeyPath) -> KeyPath:
    """What has to go: a value, or the table that lacks one."""
    if path and path[-1] == "[key]":
        return path[:-1]
    return path[:-1] if kind == "missing" else path


def _last_first(path: KeyPath) -> list[tuple[int, int, str]]:
    """A key to sort by, in which a list's later items, and what is inside an item, come later."""
    return [(0, part, "") if isinstance(part, int) else (1, 0, part) for part in path]


def _take_out(document: dict[str, object], path: KeyPath) -> bool:
    """Whether there was something to take out: the value at a path, or what it would be in."""
    inside: Any = document
    for depth, part in enumerate(path, 1):
        if part not in (inside if isinstance(inside, dict) else range(len(inside))):
            return False
        value = inside[part]
        if depth == len(path) or not isinstance(value, dict | list):
            del inside[part]
            return True
        inside = value
    return False
