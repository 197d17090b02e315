"""Owns the cautious look into a document that nobody has judged yet; refuses to complain of what it does not find."""

from __future__ import annotations

from typing import TypeVar

Default = TypeVar("Default", float, None)


def table(document: dict[str, object], key: str) -> dict[str, object]:
    """A table as far as it is one; the models complain where it is not."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def array(document: dict[str, object], key: str) -> list[object]:
    """A list as far as it is one."""
    found = document.get(key)
    return found if isinstance(found, list) else []


def text_of(document: dict[str, object], key: str, default: str = "") -> str:
    """A text as far as it is one."""
    found = document.get(key)
    return found if isinstance(found, str) else default


def number(document: dict[str, object], key: str, default: Default) -> float | Default:
    """A finite number as far as it is one, and not larger than any key allows."""
    found = document.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not -1e300 < found < 1e300:
        return default
    return float(found)
