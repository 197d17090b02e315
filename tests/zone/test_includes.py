"""Included files, against what reading a zone reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.wire import from_text
from geodns.zone import read
from geodns.zone.includes import includes


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"z": "@ 60 A 192.0.2.1\n"}, []),
        ({"z": "$INCLUDE a\n$include\tb below ; and a comment\n"}, ["a", "b"]),
        ({"z": '$INCLUDE "a b" below\r\n$INCLUDE c\r\n'}, ["a b", "c"]),
        ({"z": "$INCLUDE a\n", "a": "$INCLUDE sub/b\n", "sub/b": "$INCLUDE c\n"}, ["a", "c", "sub/b"]),
        ({"z": "$INCLUDE a\n", "a": "$INCLUDE z\n"}, ["a", "z"]),
        ({"z": "; $INCLUDE a\nx 60 TXT $INCLUDE b\n$INCLUDE\n"}, []),
        ({}, []),
    ],
    ids=str,
)
def test_included_files_are_found(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    """All of them, however deep, whether they exist or not; paths start at the zone file's directory, as in reading."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert [tmp_path / name for name in expected] == list(includes(tmp_path / "z"))


def test_what_is_read_is_found(tmp_path: Path) -> None:
    """Every file that records came from is among them."""
    (tmp_path / "z").write_text('$INCLUDE "one"\nx 60 A 192.0.2.1\n $INCLUDE no\n$INCLUDE two.hosts below\n')
    (tmp_path / "one").write_text("a 60 A 192.0.2.1\n")
    (tmp_path / "two.hosts").write_text("$INCLUDE three\n")
    (tmp_path / "three").write_text("b 60 A 192.0.2.1\n")
    read_from = {Path(record.file) for record in read(tmp_path / "z", from_text("example.")).records}

    assert read_from <= {tmp_path / "z", *includes(tmp_path / "z")}
    assert {"z", "one", "three"} == {path.name for path in read_from}


NAMES = ("a", "b c", "d;e", "é", "f.zone", "g\\h", 'i"j', "k(l", "$m")


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


LINES = st.builds(
    lambda form, name, word, blank, rest: form.format(word + blank + name + rest),
    st.sampled_from(["{}", "{}", "({})", "{} (\n )", 'x 9 TXT "\\\n{}']),
    st.sampled_from([*NAMES, *map(quoted, NAMES)]),
    st.sampled_from(["$INCLUDE", "$include", "$Include"]),
    st.sampled_from([" ", "\t", "  "]),
    st.sampled_from(["", " sub", "\tsub.", " ; c", ";c"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["", "\ufeff"]), st.lists(LINES, min_size=1, max_size=3), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_directive_is_found_however_it_is_written(tmp_path: Path, mark: str, lines: list[str], end: str) -> None:
    """What reading takes for `$INCLUDE` is one here too: quotes, escapes, parentheses, line ends, a mark at the file's start."""
    for name in NAMES:
        (tmp_path / name).write_text("x 9 A 192.0.2.1\n")
    (tmp_path / "z").write_bytes((mark + "\n".join(lines) + "\n").replace("\n", end).encode())
    read_from = {Path(record.file) for record in read(tmp_path / "z", from_text("example.")).records}

    assert read_from <= set(includes(tmp_path / "z"))
