"""Owns the tests of where a TOML document's keys stand."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.toml_lines import KeyPath, locate, nearest

DOCUMENT = '''\
a.b = 1  # [not.a.table]
[ c . "d e" ]
x = [ 1,
  [2, """a
""\\"#
"""""],  # ] } "
  {q = 1, 'r'.s = "}"},
  1979-05-27 07:32:00,
]
after = """

"""
[[z]]
[[z.y]]
k = \'\'\'
"\'\'\'
[z.y.w]
l = 1
[[z]]
[z.v]
[c]
'''
LINES: dict[KeyPath, int] = {
    ("a",): 1,
    ("a", "b"): 1,
    ("c", "d e"): 2,
    ("c", "d e", "x"): 3,
    ("c", "d e", "x", 0): 3,
    ("c", "d e", "x", 1): 4,
    ("c", "d e", "x", 1, 0): 4,
    ("c", "d e", "x", 1, 1): 4,
    ("c", "d e", "x", 2): 7,
    ("c", "d e", "x", 2, "q"): 7,
    ("c", "d e", "x", 2, "r"): 7,
    ("c", "d e", "x", 2, "r", "s"): 7,
    ("c", "d e", "x", 3): 8,
    ("c", "d e", "after"): 10,
    ("z",): 13,
    ("z", 0): 13,
    ("z", 0, "y"): 14,
    ("z", 0, "y", 0): 14,
    ("z", 0, "y", 0, "k"): 15,
    ("z", 0, "y", 0, "w"): 17,
    ("z", 0, "y", 0, "w", "l"): 18,
    ("z", 1): 19,
    ("z", 1, "v"): 20,
    ("c",): 21,
}


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key and index of a document, as tomllib sees it."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


BARE = st.from_regex(r"[A-Za-z0-9_-]{1,3}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=4) | st.text('a"\\\n#]}', max_size=5)
KEYS = BARE | TEXTS
BLANKS = st.sampled_from(["", " ", "\t"])
BREAKS = st.sampled_from(["", " ", "\n", " # ]}'\"\n", "\n\n  "])


def basic(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for surrogate pairs and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def multi_line(text: str) -> str:
    """A TOML multi-line string whose quotes and breaks stand as they are where TOML allows it."""
    return '"""' + text.replace("\\", "\\\\").replace('"""', '""\\"') + '"""'


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> str:
    """The text of a value."""
    kinds = ["number", "date", "text", "lines", "literal", *(["array", "table"] if depth else [])]
    match draw(st.sampled_from(kinds)):
        case "number":
            return str(draw(st.integers(-9, 99)))
        case "date":
            return "1979-05-27 07:32:00.5Z"
        case "text":
            return basic(draw(TEXTS))
        case "lines":
            return multi_line(draw(st.text('a"\\\n# ]}', max_size=8).filter(lambda text: not text.endswith('"""'))))
        case "literal":
            return draw(st.sampled_from(["''", "'a\\'", "'''\n\\''''", "'''#]}'''"]))
        case "array":
            items = [draw(BREAKS) + draw(values(depth - 1)) + draw(BREAKS) for _ in range(draw(st.integers(0, 3)))]
            trailing = draw(st.sampled_from(["", ","])) if items else ""
            return "[" + ",".join(items) + trailing + draw(BREAKS) + "]"
        case _:
            names = draw(st.lists(BARE, max_size=3, unique=True))
            return "{" + ", ".join(f"{name} = {draw(values(depth - 1))}" for name in names) + "}"


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """Text that tomllib accepts, and the lines of its pairs by their unique values' keys."""
    text = ""
    written: dict[str, int] = {}
    for number in range(draw(st.integers(1, 6))):
        before = text
        opening = draw(st.sampled_from(["[{}]\n", "[[{}]]\n", "[ {} ] # x\r\n", ""]))
        parts: list[str] = draw(st.lists(KEYS, min_size=1, max_size=3))
        header = draw(BLANKS).join(["", ".".join(map(basic, parts)), ""])
        text += draw(st.sampled_from(["", "\n", "# [no]\n", " \r\n"])) + opening.format(header)
        for pair in range(draw(st.integers(0, 2))):
            name = f"pair-{number}-{pair}"
            dotted = draw(st.sampled_from(["{}", "'{}'", "inner-{} . {}"])).format(*[name] * 2)
            line = text.count("\n") + 1
            text += f"{draw(BLANKS)}{dotted} = {draw(values())} # end\n"
            written[name] = line
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError:  # a table declared twice: leave this part out
            text = before
            written = {name: line for name, line in written.items() if not name.startswith(f"pair-{number}-")}
    return text, written


@given(documents())
def test_the_locator_and_tomllib_agree_on_the_keys(document: tuple[str, dict[str, int]]) -> None:
    """Whatever a valid document holds, the same paths are located as tomllib reads, and each pair where it was written."""
    text, written = document
    located = locate(text)

    assert set(paths(tomllib.loads(text))) == set(located)
    assert written == {str(path[-1]): line for path, line in located.items() if path[-1] in written}


def test_lines_of_every_form() -> None:
    """Tables, arrays of tables, dotted and quoted keys, multi-line strings and arrays: each key has the line it begins on."""
    assert locate(DOCUMENT) == LINES
    assert locate(DOCUMENT.replace("\n", "\r\n")) == LINES


def test_what_is_missing_is_at_the_table_around_it() -> None:
    """A path that is not written has the line of the innermost written one, and none if there is none."""
    lines = locate("\n[[zones]]\nname = 'x'\n")

    assert nearest(lines, ("zones", 0, "file")) == 2
    assert nearest(lines, ("zones", 0, "name")) == 3
    assert nearest(lines, ("server", "listen")) == 0
    assert nearest(lines, ()) == 0


@pytest.mark.parametrize("text", ["a 1", "[a", "a = ]", "a = [1", "a = {b", "= 1", 'a = "'])
def test_what_is_not_toml_is_a_value_error(text: str) -> None:
    """Text that tomllib refuses ends in ValueError, not in a wrong line or an endless loop."""
    with pytest.raises(ValueError, match="line 1"):
        locate(text)
