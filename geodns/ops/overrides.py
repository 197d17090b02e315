"""Owns the operator's word on pools, sites and endpoints: what, by whom, until when; refuses to know clocks, files and health."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal

Path = tuple[str, ...]
"""What a word is about: a pool, a site of it, or an endpoint of that."""

Known = Mapping[str, Mapping[str, Collection[str]]]
"""What there is: endpoints by site by pool."""

Auto = Literal["auto"]
"""The word that takes other words back: checks decide again."""

_DURATION = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
_SECONDS = (86_400, 3600, 60, 1)
_LONGEST = 366 * 86_400
_CLOSE = 0.75  # of get_close_matches: paths of one pool are all a little alike
_MAX_TEXT = 200  # characters
_END_OF_TIME = 2**53  # Unix time beyond which seconds are not exact


class Word(StrEnum):
    """What an operator can say of an endpoint; it wins over every check."""

    UP = "up"
    DOWN = "down"
    DRAIN = "drain"


class BadPattern(ValueError):
    """A pattern that names nothing; `remedy` tells what it may have meant."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class BadDuration(ValueError):
    """Text that is no duration; `remedy` shows one."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class BadOverrides(ValueError):
    """Values that `to_json` never made; the message says where."""


@dataclass(frozen=True, slots=True, order=True)
class Override:
    """One word: `since` and `until` are Unix time in seconds, `until` None for a word without end."""

    path: Path
    word: Word
    since: float
    until: float | None
    reason: str
    who: str

    def holds(self, now: float) -> bool:
        """Whether its time is not over."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        return "/".join(self.path)


@dataclass(frozen=True, slots=True)
class Overrides:
    """All words that are in force or have run out unnoticed; at most one for each path. Never changed: `set` gives another."""

    by_path: Mapping[Path, Override] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Override]:
        return (self.by_path[path] for path in sorted(self.by_path))

    def __len__(self) -> int:
        return len(self.by_path)

    def set(
        self, pattern: str, word: Word | Auto, *, now: float, until: float | None, reason: str, who: str, known: Known
    ) -> tuple[Overrides, list[Path]]:
        """Say a word about all that a pattern names, and the paths that it touched.

        A pattern is POOL, POOL/SITE or POOL/SITE/ENDPOINT, each part with `*`, `?` and `[…]` as in a shell; it names what there
        is now, not what may come. "auto" takes back the words about these paths and about all below them, and needs no `until`.
        Raises BadPattern where nothing is named, ValueError for an end that has passed.
        """
        matched = matching(pattern, known)
        if word == "auto":
            gone = [path for path in sorted(self.by_path) if any(path[: len(above)] == above for above in matched)]
            return Overrides({path: told for path, told in self.by_path.items() if path not in gone}), gone
        if until is not None and until <= now:
            raise ValueError("the end has passed already")
        said = {path: Override(path, Word(word), now, until, _one_line(reason), _one_line(who)) for path in matched}
        return Overrides({**self.by_path, **said}), matched

    def word_for(self, path: Path, now: float) -> Override | None:
        """The word that holds for a pool, site or endpoint; the most specific wins. None: nobody has said anything."""
        for length in range(len(path), 0, -1):
            told = self.by_path.get(path[:length])
            if told and told.holds(now):
                return told
        return None

    def expired(self, now: float) -> tuple[Overrides, list[Override]]:
        """These without the words whose time is over, and those."""
        return self._split([told for told in self if not told.holds(now)])

    def restricted_to(self, known: Known) -> tuple[Overrides, list[Override]]:
        """These without the words about what is no longer there, and those."""
        there = {path for length in (1, 2, 3) for path in _paths(known, length)}
        return self._split([told for told in self if told.path not in there])

    def _split(self, gone: list[Override]) -> tuple[Overrides, list[Override]]:
        paths = {told.path for told in gone}
        return Overrides({path: told for path, told in self.by_path.items() if path not in paths}) if gone else self, gone

    def to_json(self) -> list[dict[str, object]]:
        """Values of JSON's kinds, sorted by path."""
        return [
            {
                "path": list(told.path),
                "word": told.word.value,
                "since": told.since,
                "until": told.until,
                "reason": told.reason,
                "who": told.who,
            }
            for told in self
        ]

    @classmethod
    def from_json(cls, value: object) -> Overrides:
        """What `to_json` made; raises BadOverrides for anything else."""
        if not isinstance(value, list):
            raise BadOverrides("the operator's words are no list")
        read = [_override(item, index) for index, item in enumerate(value)]
        return cls({told.path: told for told in read})


def matching(pattern: str, known: Known) -> list[Path]:
    """Everything there is that a pattern names, in the order of `known`; raises BadPattern where that is nothing."""
    parts = pattern.split("/")
    if len(parts) > 3 or not all(parts):
        raise BadPattern(f"'{_one_line(pattern)}' names no pool, site or endpoint", "write POOL, POOL/SITE or POOL/SITE/ENDPOINT")
    there = list(_paths(known, len(parts)))
    if found := [path for path in there if all(map(fnmatchcase, path, parts))]:
        return found
    texts = ["/".join(path) for path in there]
    if close := get_close_matches(pattern, texts, 3, _CLOSE):
        remedy = f"did you mean {' or '.join(map(repr, close))}?"
    elif texts:
        remedy = f"there {'is' if len(texts) == 1 else 'are'} {', '.join(texts[:5])}{' …' if len(texts) > 5 else ''}"
    else:
        remedy = "the configuration has no pools"
    raise BadPattern(f"'{_one_line(pattern)}' names nothing", remedy)


def parse_duration(text: str) -> float:
    """Seconds of "30m", "1h30m", "2d": days, hours, minutes and seconds, in this order; raises BadDuration."""
    found = _DURATION.fullmatch(text.strip())
    seconds = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _SECONDS, strict=True)) if found else 0
    if not found or not text.strip():
        remedy = (
            f"write {text.strip()}s or {text.strip()}m" if re.fullmatch("[0-9]{1,9}", text.strip()) else "write 30m, 1h30m or 2d"
        )
        raise BadDuration(f"'{_one_line(text)}' is no duration", remedy)
    if not 0 < seconds <= _LONGEST:
        what = "no time at all" if not seconds else "longer than a year"
        raise BadDuration(f"'{_one_line(text)}' is {what}", "write 30m, 1h30m or 2d; without a duration a word has no end")
    return float(seconds)


def _paths(known: Known, length: int) -> Iterator[Path]:
    for pool, sites in known.items():
        if length == 1:
            yield (pool,)
            continue
        for site, endpoints in sites.items():
            if length == 2:
                yield pool, site
            else:
                yield from ((pool, site, endpoint) for endpoint in endpoints)


def _override(item: object, index: int) -> Override:
    match item:
        case {
            "path": [*path],
            "word": str(word),
            "since": int() | float() as since,
            "until": (int() | float() | None) as until,
            "reason": str(reason),
            "who": str(who),
        } if 0 < len(path) <= 3 and all(isinstance(part, str) for part in path) and word in set(Word):
            ends = None if until is None else _seconds(until, index)
            names = tuple(map(str, path))
            return Override(names, Word(word), _seconds(since, index), ends, _one_line(reason), _one_line(who))
        case _:
            raise BadOverrides(f"the operator's word number {index + 1} is not of the form in which words are written")


def _seconds(number: float, index: int) -> float:
    if not abs(number) < _END_OF_TIME:
        raise BadOverrides(f"the operator's word number {index + 1} has a time that is none")
    return float(number)


def _one_line(text: str) -> str:
    """Text from outside as logs and tables may show it: printable and of bounded length."""
    line = "".join(char if char.isprintable() else " " for char in text).strip()
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…"
