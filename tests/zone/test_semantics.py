"""The zone check: every fault of a zone, with its line, as the table of cases lists them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.problem import errors
from geodns.wire import names
from geodns.zone import load
from geodns.zone.master import parse_text
from geodns.zone.semantics import check

ORIGIN = names.from_text("example.com.")
HEAD = "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\n"
CASES = tomllib.loads((Path(__file__).parent.parent / "cases" / "zone_problems.toml").read_text())["case"]


def selector_fault(selector: str) -> str | None:
    return None if selector in {"eu", "continent:EU"} else f"no region '{selector}' (name it in the config)"


def pool_fault(pool: str) -> str | None:
    return None if pool == "app" else f"no pool '{pool}' (name it in the config)"


@pytest.mark.parametrize("case", CASES, ids=[case["law"] for case in CASES])
def test_problems_are_told_where_they_are(tmp_path: Path, case: dict[str, Any]) -> None:
    """Each zone of the table has exactly the problems listed, in the order of their lines, and is refused for an error."""
    path = tmp_path / "z"
    path.write_text(("" if case.get("bare") else HEAD) + case["zone"])
    contents, problems = load(path, ORIGIN, selector_fault, pool_fault)

    assert [line for line, _fragment in case["expected"]] == [problem.line for problem in problems], problems
    for (_line, fragment), problem in zip(case["expected"], problems, strict=True):
        assert fragment in str(problem)
        assert str(path) == problem.file
    assert bool(errors(problems)) == (contents is None)


def test_forty_faults_are_forty_problems(tmp_path: Path) -> None:
    """A file with forty faults of the zone and of its text is told in forty problems, each with its line."""
    faults = ["a{n} A 192.0.2.300", "b{n}.example.org. A 192.0.2.1", "c{n} GEO eu A 192.0.2.1", "ns A 192.0.2.53"] * 10
    path = tmp_path / "z"
    path.write_text(HEAD + "\n".join(fault.format(n=number) for number, fault in enumerate(faults)))
    contents, problems = load(path, ORIGIN, selector_fault, pool_fault)

    assert contents is None
    assert list(range(5, 45)) == [problem.line for problem in problems]
    assert all(problem.is_error for problem in problems)


def test_a_sound_zone_is_loaded(tmp_path: Path) -> None:
    """A zone without problems is built, and keeps the path as it was given."""
    path = tmp_path / "z"
    path.write_text(HEAD)
    contents, problems = load(path, ORIGIN, selector_fault, pool_fault)

    assert [] == problems
    assert contents is not None
    assert (str(path), 1, 3) == (contents.file, contents.serial, contents.record_count)


def test_an_unreadable_file_is_one_problem(tmp_path: Path) -> None:
    """That a file which cannot be read has no SOA is no second fault."""
    contents, problems = load(tmp_path / "absent", ORIGIN, selector_fault, pool_fault)

    assert contents is None
    assert 1 == len(problems)


def test_faults_of_included_files_name_them(tmp_path: Path) -> None:
    """A problem in an included file names that file, and the other place with its file too."""
    (tmp_path / "hosts").write_text("ns A 192.0.2.53\n")
    path = tmp_path / "z"
    path.write_text(HEAD + "$INCLUDE hosts\n")
    _contents, (problem,) = load(path, ORIGIN, selector_fault, pool_fault)

    assert (str(tmp_path / "hosts"), 1) == (problem.file, problem.line)
    assert f"on {path}:4" in problem.message


OWNERS = st.sampled_from(["@", "a", "b.a", "*.a", "*", "sub", "x.sub", "other.org."])
DATA = st.sampled_from(
    ["A 192.0.2.1", "CNAME a", "NS x.sub", "DNAME b", "POOL app", "POOL p", "GEO eu A 192.0.2.1", "GEO us CNAME a"]
) | st.sampled_from(
    ["MX 10 b.a", "SRV 0 0 1 x.sub", "SOA a b 1 2 3 4 5", "GEO eu MX 10 a", "TXT x", "DS 1 8 9 00", "GEO eu NS a"]
)


@given(st.lists(st.tuples(OWNERS, DATA), max_size=8))
def test_any_records_are_judged(lines: list[tuple[str, str]]) -> None:
    """No records make the check raise, its problems are sorted, and each belongs to a line of the zone."""
    read = parse_text("$TTL 60\n" + "".join(f"{owner} {data}\n" for owner, data in lines), ORIGIN, "z")
    problems = check(ORIGIN, read.records, "z", selector_fault, pool_fault)

    assert () == read.problems
    assert sorted(problems) == problems
    assert {problem.line for problem in problems} <= {0, *(record.line for record in read.records)}


@given(st.integers(0, 50), st.integers(0, 50))
def test_every_error_is_told_and_few_of_many_warnings(wrong: int, odd: int) -> None:
    """An operator needs all that refuses the load at once; of a kind of warning twenty, and how many more there are."""
    errors_text = "".join(f"e{number} CNAME a.\ne{number} CNAME b.\n" for number in range(wrong))
    warnings_text = "".join(f"w{number} WHOAMI\n" for number in range(odd))
    found = check(ORIGIN, parse_text(HEAD + errors_text + warnings_text, ORIGIN).records, "z", selector_fault, pool_fault)

    assert wrong == len(errors(found))
    assert min(odd, 21) == len(found) - wrong
    assert [f"and {odd - 20} more like those above"] * (odd > 21) == [
        each.message for each in found if each.message.startswith("and")
    ]
