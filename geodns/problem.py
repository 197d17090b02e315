"""Owns the operator's fault as a value: what is wrong, where, and what to do; knows nothing else, so every floor may use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a problem is: an error refuses the load, a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in what the operator wrote.

    `file` is a path as the operator would type it ("" when the fault is in no file), `line` counts from 1 (0: the whole file),
    `message` says what is wrong, `remedy` what to do about it.
    """

    file: str
    line: int
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR

    def as_json(self) -> dict[str, object]:
        """A plain object for programs."""
        return {
            "file": self.file,
            "line": self.line,
            "severity": self.severity.value,
            "message": self.message,
            "remedy": self.remedy,
        }

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        kind = "" if self.severity is Severity.ERROR else f"{self.severity}: "
        return f"{place}{kind}{self.message}" + (f" ({self.remedy})" if self.remedy else "")

    @property
    def is_error(self) -> bool:
        """Whether the load must be refused."""
        return self.severity is Severity.ERROR


def bounded(problems: Iterable[Problem], most: int = 20) -> Iterator[Problem]:
    """Problems of one kind: every error, the first warnings, and of all other warnings one line that says how many there are."""
    shown = left = 0
    first: Problem | None = None
    for problem in problems:
        if problem.is_error or shown < most:
            shown += not problem.is_error
            yield problem
        else:
            first, left = first or problem, left + 1
    if first:
        message = first.message if left == 1 else f"and {left} more like those above"
        yield Problem(first.file, first.line, message, first.remedy, first.severity)


class ProblemsFound(Exception):
    """A load that is refused: carries every problem found, warnings included."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those problems that refuse a load."""
    return [problem for problem in problems if problem.is_error]
