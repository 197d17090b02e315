"""Owns the lines on which a TOML document's keys stand, which tomllib does not tell; refuses to know what any key means."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Keys of tables and indexes of arrays (from 0), outermost first: `("zones", 1, "file")`."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # one or two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_OTHER_VALUE = re.compile(r"[^,\]}\n#]+")  # numbers, words, and dates, which may hold a space


def locate(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every table, key and array element of a document that tomllib accepts (TOML 1.0).

    A table has the line of its own header, or else of the first key or header that implies it. Raises ValueError where
    text that tomllib refuses stops making sense, and RecursionError where arrays nest deeper than the interpreter goes.
    """
    reader = _Reader(text.replace("\r\n", "\n"))
    reader.document()
    return reader.lines


def nearest(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of a path, or of the innermost table around it that is written down; 0 where none is."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 0)


class _Reader:
    """One pass over a document; `at` is the offset of what is read next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}  # how many tables each array of tables has so far
        self._starts = [found.end() for found in re.finditer("\n", text)]

    def document(self) -> None:
        table: KeyPath = ()
        while self._peek():
            if self._take("[["):
                table = self._header("]]")
            elif self._take("["):
                table = self._header("]")
            else:
                self._pair(table)

    def _header(self, closing: str) -> KeyPath:
        line = self._line()
        *above, last = self._key()
        self._expect(closing)
        path: KeyPath = ()
        for part in above:
            path = self._enter((*path, part), line)
        path = (*path, last)
        if closing == "]]":
            self.lines.setdefault(path, line)
            index = self._tables.get(path, 0)
            self._tables[path] = index + 1
            path = (*path, index)
        self.lines[path] = line  # also where a header of a table below has implied this one before
        return path

    def _enter(self, path: KeyPath, line: int) -> KeyPath:
        """Pass through a table on the way to one below it: of an array of tables the last is meant."""
        self.lines.setdefault(path, line)
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        for part in self._key():
            table = (*table, part)
            self.lines.setdefault(table, line)
        self._expect("=")
        self._value(table)

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        elif self._peek() in {'"', "'"}:
            self._match(_STRING)
        else:
            self._match(_OTHER_VALUE)

    def _array(self, path: KeyPath) -> None:
        index = 0
        while not self._take("]"):
            self._peek()  # an element's line is where it begins, not where the one before it ended
            self.lines[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
            if not self._take(","):
                self._expect("]")
                return

    def _inline_table(self, path: KeyPath) -> None:
        while not self._take("}"):
            self._peek()
            self._pair(path)
            if not self._take(","):
                self._expect("}")
                return

    def _key(self) -> list[str]:
        parts = [self._part()]
        while self._take("."):
            parts.append(self._part())
        return parts

    def _part(self) -> str:
        if self._peek() in {'"', "'"}:
            return str(tomllib.loads(f"key = {self._match(_STRING)}")["key"])
        return self._match(_BARE_KEY)

    def _peek(self) -> str:
        """The next character behind blanks and comments, "" at the end."""
        if found := _BLANK.match(self.text, self.at):
            self.at = found.end()
        return self.text[self.at : self.at + 1]

    def _take(self, token: str) -> bool:
        self._peek()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise ValueError(f"line {self._line()}: no '{token}' where TOML needs one")

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if not found:
            raise ValueError(f"line {self._line()}: this is not TOML")
        self.at = found.end()
        return found.group()

    def _line(self) -> int:
        return bisect_right(self._starts, self.at) + 1
