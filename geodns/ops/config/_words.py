"""Owns the wording of faults in a configuration: what was found, expected, and to be done; refuses to know how they are found."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from geodns.ops.config._announce import Announce, Bird, Exabgp, Exec, Frr
from geodns.ops.config._judges import shown
from geodns.ops.config._pools import Check, Endpoint, Pool
from geodns.ops.config._tables import (
    Admin,
    Catchment,
    Config,
    Ecs,
    Expect,
    Explain,
    Geo,
    InstancePlace,
    Log,
    NetworkPlace,
    Server,
    Zone,
)
from geodns.ops.toml_lines import KeyPath
from geodns.problem import Problem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_MAX_MESSAGE = 240  # characters

Fault = tuple[KeyPath, str, str]
"""Where, what is wrong, what to do."""


def syntax_problem(message: str, text: str, file: str) -> Problem:
    """Give the line, which tomllib tells only in its message."""
    what, _, place = message.partition(" (at ")
    line = 0
    if found := re.match(r"line ([0-9]+)", place):
        line = int(found[1])
    elif place.startswith("end of document"):
        line = text.rstrip().count("\n") + 1
    remedy = "text needs quotes, lists need [ ]; see toml.io"
    if what == "Cannot overwrite a value" or what.endswith(" twice"):
        remedy = "a key or a table begins here for the second time: keep one, with all that belongs to it"
    return Problem(file, line, f"not TOML: {what[:1].lower()}{what[1:]}", remedy)


def fault_of(details: ErrorDetails, lines: dict[KeyPath, int]) -> Fault:
    """Say in an operator's words what pydantic found."""
    path = details["loc"]
    if path[-1] == "[key]" and path not in lines:
        path = path[:-1]
    value, limits = details["input"], details.get("ctx", {})
    match details["type"]:
        case "refused":
            return path, str(limits["what"]), str(limits["remedy"])
        case "missing":
            return path, "is missing", _list_remedy(path) if _is_list_of_tables(path) else f"add {path[-1]} = …"
        case "extra_forbidden":
            return path, "no such key", _nearest_key(path)
        case "string_type":
            return path, f"expected text, found {_kind(value)}", "write it in double quotes"
        case "int_type":
            return path, f"expected a whole number, found {_kind(value)}", "write digits without quotes"
        case "float_type":
            return path, f"expected a number, found {_kind(value)}", "write digits without quotes"
        case "bool_type":
            return path, f"expected true or false, found {_kind(value)}", "write true or false without quotes"
        case "tuple_type":
            return path, f"expected a list, found {_kind(value)}", _list_remedy(path)
        case "literal_error":
            return path, f"{_kind(value)} is none of its values", _choice_remedy(value, str(limits["expected"]))
        case "dict_type" | "model_type":
            return path, f"expected a table, found {_kind(value)}", "write it as a table of key = value"
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "finite_number" as kind:
            return path, f"{shown(value)} is out of range", _range_remedy(kind, limits)
        case _:
            return path, details["msg"], "see the configuration's JSON Schema"


def _is_list_of_tables(path: KeyPath) -> bool:
    return path in {("zones",), ("expect",)} or (len(path) == 3 and path[0] == "pools" and path[2] == "endpoints")


def _list_remedy(path: KeyPath) -> str:
    return f"begin each with a line [[{dotted(path)}]]" if _is_list_of_tables(path) else "write it in brackets: [ … ]"


def _choice_remedy(value: object, expected: str) -> str:
    """`expected` is pydantic's list: 'a', 'b' or 'c'."""
    close = get_close_matches(value.lower(), re.findall("'([^']*)'", expected), 1) if isinstance(value, str) else []
    return f"did you mean '{close[0]}'?" if close else f"write {expected}"


def _range_remedy(kind: str, limits: dict[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"write {limits['ge']} or more"
        case "less_than_equal":
            return f"write {limits['le']} or less"
        case "greater_than":
            return f"write more than {limits['gt']}"
        case _:
            return "write a finite number"


def _nearest_key(path: KeyPath) -> str:
    known = list(_table_at(path[:-1]).model_fields)
    if close := get_close_matches(str(path[-1]).lower(), known, 1):
        return f"did you mean '{close[0]}'?"
    return f"known here: {', '.join(known)}"


_SECTIONS: dict[str, type[BaseModel]] = {
    "server": Server,
    "admin": Admin,
    "log": Log,
    "geo": Geo,
    "ecs": Ecs,
    "catchment": Catchment,
    "explain": Explain,
    "announce": Announce,
}
_METHODS: dict[str, type[BaseModel]] = {"exabgp": Exabgp, "bird": Bird, "frr": Frr, "exec": Exec}


def _table_at(path: KeyPath) -> type[BaseModel]:
    match path:
        case (name,):
            return _SECTIONS.get(str(name), Config)
        case ("server", "place"):
            return InstancePlace
        case ("geo", "networks", _):
            return NetworkPlace
        case ("pools", _):
            return Pool
        case ("pools", _, "check"):
            return Check
        case ("pools", _, "endpoints", _):
            return Endpoint
        case ("announce", method):
            return _METHODS.get(str(method), Announce)
        case ("zones", _):
            return Zone
        case ("expect", _):
            return Expect
        case _:
            return Config


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {shown(value)}"
        case str():
            return f"the text {shown(value)}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def one_line(text: str) -> str:
    """A message that stays one line of bounded length, whatever the operator's text in it holds."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return line if len(line) <= _MAX_MESSAGE else f"{line[: _MAX_MESSAGE - 1]}…"


def dotted(path: KeyPath) -> str:
    """A path as an operator would write it; arrays count from 0."""
    text = ""
    for part in path:
        match part:
            case int():
                text += f"[{part}]"
            case str():
                text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return text
