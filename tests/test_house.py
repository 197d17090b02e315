"""The rules of the house as tests: one staircase of imports, pure floors, small modules, silent tools."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "geodns"
STAIRCASE = ["problem", "wire", "zone", "geo", "answer", "server", "ops", "daemon", "cli"]
"""Rooms from the ground up; a room may import those before it, but zone and geo never meet, and geo knows no DNS."""

NEVER_MEET = {("zone", "geo"), ("geo", "zone"), ("geo", "wire"), ("server", "wire"), ("server", "zone"), ("server", "geo"),
              ("server", "answer"), ("ops", "answer"), ("ops", "server"), ("ops", "zone")}  # fmt: skip
PURE = {"problem", "wire", "zone", "geo", "answer"}
WORLD = {"asyncio", "socket", "ssl", "threading", "subprocess", "time", "random", "secrets", "os", "logging", "prometheus_client"}
LONGEST_MODULE, LONGEST_FUNCTION = 600, 40  # lines
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Absolute dotted names of everything that a module imports, relative imports resolved."""
    package = ["geodns", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                base = [*package[: len(package) - level + 1], *([module] if module else [])] if level else [module or ""]
                yield from (".".join([*base, alias.name]) for alias in names)
            case _:
                pass


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_one_staircase(path: Path) -> None:
    """A room imports only rooms below it, and never one that it must not meet."""
    here = room(path)
    if here in {"__init__", "__main__"}:
        return
    there = {name.split(".")[1] for name in imported(path) if name.startswith("geodns.")} - {here}
    wrong = {other for other in there if STAIRCASE.index(other) > STAIRCASE.index(here) or (here, other) in NEVER_MEET}

    assert set() == wrong


@pytest.mark.parametrize("path", [path for path in modules() if room(path) in PURE], ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_floors_touch_no_socket_clock_or_chance(path: Path) -> None:
    """Time and chance come into pure floors as arguments; they import nothing that reaches the world."""
    assert set() == {name.split(".")[0] for name in imported(path)} & WORLD


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_small_enough_to_hold(path: Path) -> None:
    """No module is longer than 600 lines, no function than 40, and each module says first what it owns."""
    text = path.read_text()
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    too_long = [
        f"{node.name}: {length}" for node in functions if (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]

    assert LONGEST_MODULE >= text.count("\n")
    assert [] == too_long
    assert ast.get_docstring(tree)


def test_no_module_has_an_empty_name() -> None:
    """Nothing is called utils, helpers, common or manager: such a name says nothing."""
    assert set() == {path.stem for path in [*modules(), *(ROOT / "tests").rglob("*.py")]} & EMPTY_WORDS


def test_the_top_level_holds_only_what_users_look_for() -> None:
    """Files that git tracks at the top are those of the agreed list, and dot-files."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    allowed = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "docs", "geodns", "zones", "config", "tests", "systemd"}
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}

    assert set() == {name for name in top if not name.startswith(".")} - allowed


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join)
def test_tools_are_silent(command: tuple[str, ...]) -> None:
    """ruff and mypy (strict) find nothing in the package nor in its tests."""
    found = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == found.returncode, found.stdout + found.stderr
