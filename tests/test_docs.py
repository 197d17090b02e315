"""The promises of the documentation: what it shows happens, what it names exists, and what exists is named.

How examples in README.md and docs/ are read:

* a block marked `console` is typed into one shell for each page, line by line where a line begins with `$ `; the lines below a
  command are its output, error output and the log of a server in the background included;
* in that output a line `...` stands for any lines, and `…` inside a line for any text; all else must come out as it is shown;
* a block marked `file=NAME` is written to that file, in the directory where the page's commands run;
* a page that asks with `dig` and starts no server itself asks the demonstration; `geodns geo update` fetches from a web site on
  loopback; the ports 5300 and 9153 are free ports in truth, also where a configuration with zones leaves [admin] out;
* blocks marked `toml` or `dns` must be a configuration or a zone file that can be read.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

import geodns
from geodns import wire, zone
from geodns.cli.app import app
from geodns.daemon import DEMONSTRATION
from geodns.ops import config as configuration
from tests.support import mmdb
from tests.support.daemons import Endpoint, Unreached, free_port, has_ipv6, poll
from tests.support.website import Page, Site

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
PORT, ADMIN = "5300", "9153"
MARK = "=== done ==="
ASKS = re.compile(r"\bdig |\bcurl |\bgeodns (status|reload|drain|undrain|anycast catchment|pool (list|show|set))|--live")
"""Commands that need a server."""
PLACES = {"81.2.69.0/24": "GB", "193.99.144.0/24": "DE", "133.11.0.0/16": "JP", "2a02:8100::/32": "DE"}
"""What the database on loopback knows; a real one says the same of these networks, and more."""

COMMANDS, CONFIGURATION, CHANGELOG = DOCS / "commands.md", DOCS / "configuration.md", ROOT / "CHANGELOG.md"
FORBIDDEN = re.compile(
    r"/work/|/tmp/|/root/|\bsessions?\b|\bissue \d|#\d+\b(?=.*\bissue)|\bTODO\b|\bFIXME\b|lorem ipsum", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its info string as words, its text, and the line of its fence."""

    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str:
        """The file it is written to; "" for none."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), "")


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what is shown to come out of it."""

    text: str
    shown: tuple[str, ...]
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    words: tuple[str, ...] | None = None
    inside: list[str] = []
    start = 0
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        if not line.startswith("```"):
            inside.append(line)
        elif words is None:
            words, inside, start = tuple(line[3:].split()), [], number
        else:
            yield Block(words, "\n".join(inside) + "\n", start)
            words = None
    assert words is None, f"{page.name}:{start}: the block does not end"


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        if line.startswith("$ "):
            found.append(Command(line[2:], (), number))
        else:
            assert found, f"line {number}: output before any command"
            last = found.pop()
            found.append(Command(last.text, (*last.shown, line), last.line))
    return found


def pattern(shown: tuple[str, ...]) -> re.Pattern[str]:
    """What the shown output matches."""
    parts = [
        r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*\n" for line in shown
    ]
    return re.compile("".join(parts))


class Shell:
    """One bash that runs a page's commands in a directory of its own."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.output = directory.parent / "output"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                ["bash", "--norc"],
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )

    def said(self, since: int) -> str:
        """Everything that came out beyond so many characters."""
        return self.output.read_text("utf-8")[since:]

    def run(self, text: str, wanted: re.Pattern[str]) -> str:
        """Run a command; what came out of it, as soon as that matches, or whatever came within the deadline."""
        since = len(self.said(0))
        assert self.process.stdin
        self.process.stdin.write(f"{text}\nkept=$?; echo '{MARK}'; (exit $kept)\n")
        self.process.stdin.flush()
        poll(f"`{text}` ends", lambda: f"{MARK}\n" in self.said(since), 30)
        with contextlib.suppress(Unreached):  # a server in the background says some things later
            poll(text, lambda: wanted.fullmatch(self._without_mark(since)) is not None, 15 if self._has_jobs() else 0)
        return self._without_mark(since)

    def close(self) -> None:
        """End the shell and what it has started, which is all in one process group."""
        assert self.process.stdin
        self.process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)

    def _without_mark(self, since: int) -> str:
        return self.said(since).replace(f"{MARK}\n", "", 1)

    def _has_jobs(self) -> bool:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return not children.exists() or bool(children.read_text().strip())


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Site]:
    """A web site on loopback that has DB-IP's country database of this month."""
    records = {network: {"country": {"iso_code": country}} for network, country in PLACES.items()}
    today = datetime.now(tz=UTC)
    packed = gzip.compress(
        mmdb.write(
            tmp_path / "made.mmdb", records, database_type="DBIP-Country-Lite", build_epoch=int(today.timestamp())
        ).read_bytes()
    )
    site = Site()
    for day in (today, today + timedelta(days=1)):  # at midnight a month may end
        site.pages[f"/dbip-country-lite-{day:%Y-%m}.mmdb.gz"] = Page(packed)
    yield site
    site.close()


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one page's daemons: what stands for 5300 and for 9153."""

    dns: str
    admin: str

    def inward(self, text: str) -> str:
        """Text as it is typed: with these ports instead of those that the page shows."""
        return _ported(_ported(text, PORT, self.dns), ADMIN, self.admin)

    def outward(self, text: str) -> str:
        """Text as the page shows it."""
        return _ported(_ported(text, self.dns, PORT), self.admin, ADMIN)

    def beside(self, text: str) -> str:
        """A configuration whose daemon stands in nobody's way: without [admin] it would be at port 9153."""
        return (
            text if "\n[admin]\n" in text or "[[zones]]" not in text else f'{text}\n[admin]\nlisten = "127.0.0.1:{self.admin}"\n'
        )


def _ported(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<!\d){old}(?!\d)", new, text)


def demonstration(directory: Path, ports: Ports) -> Path:
    """The demonstration, on other ports."""
    copy = shutil.copytree(DEMONSTRATION.parent, directory / "demo")
    listen = [f"127.0.0.1:{ports.dns}", *([f"[::1]:{ports.dns}"] if has_ipv6() else [])]
    file = copy / DEMONSTRATION.name
    file.write_text(ports.beside(file.read_text().replace("[server]\n", f"[server]\nlisten = {listen}\n", 1)))
    return file


def surroundings(directory: Path, ports: Ports) -> dict[str, str]:
    """What commands of a page find: the program in PATH, the demonstration as configuration, no proxy, no colours."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    binaries = f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}"
    return kept | {"PATH": binaries, "GEODNS_CONFIG": str(demonstration(directory, ports)), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def play(page: Path, directory: Path, mirror: Site) -> Iterator[tuple[Command, str]]:
    """Type a page's examples into a shell: each command, and what came out."""
    hosts = ("127.0.0.1", *(["::1"] if has_ipv6() else []))
    ports = Ports(str(free_port(*hosts)), str(free_port(*hosts)))
    work = directory / "work"
    work.mkdir()
    for name in ("zones", "config"):
        (work / name).symlink_to(ROOT / name)
    shell = Shell(work, surroundings(directory, ports))
    try:
        if _asks_demonstration(page):
            shell.run("geodns serve >/dev/null 2>&1 &", re.compile(".*"))
            poll("the demonstration answers", Endpoint("127.0.0.1", int(ports.dns)).is_alive)
        for block in blocks(page):
            if block.file:
                text = ports.inward(block.text)
                (work / block.file).write_text(ports.beside(text) if "toml" in block.words else text)
            for command in commands(block) if "console" in block.words else ():
                text = ports.inward(command.text)
                if text.startswith("geodns geo update ") and "--base-url" not in text:
                    text += f" --base-url {mirror.url}"
                yield command, ports.outward(shell.run(text, pattern(tuple(map(ports.inward, command.shown)))))
    finally:
        shell.close()


def _typed(page: Path) -> list[str]:
    return [command.text for block in blocks(page) if "console" in block.words for command in commands(block)]


def _asks_demonstration(page: Path) -> bool:
    typed = _typed(page)
    return any(ASKS.search(text) for text in typed) and not any(text.startswith("geodns serve") for text in typed)


def _name(page: Path) -> str:
    return page.name


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _typed(page)], ids=_name)
def test_what_a_page_shows_is_what_comes_out(page: Path, tmp_path: Path, mirror: Site) -> None:
    """Every command of a page, typed into a shell, gives the output that the page shows."""
    if shutil.which("dig") is None and any("dig " in text for text in _typed(page)):
        pytest.skip("dig is not installed (Debian package bind9-dnsutils)")
    wrong = [
        f"{page.name}:{command.line}: $ {command.text}\n--- shown\n" + "\n".join(command.shown) + f"\n--- came out\n{actual}"
        for command, actual in play(page, tmp_path, mirror)
        if not pattern(command.shown).fullmatch(actual)
    ]

    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_examples_of_files_can_be_read(page: Path) -> None:
    """Every example of a configuration or of zone data is free of syntax errors, unless its page says that it is not."""
    for block in blocks(page):
        if "wrong" in block.words:
            continue
        if "toml" in block.words:
            configuration.parse(block.text, f"{page.name}:{block.line}")
        elif "dns" in block.words:
            assert () == zone.parse_text(block.text, wire.from_text("example.com."), f"{page.name}:{block.line}").problems


# --- links ------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What a link may name inside a page, by GitHub's rule: lower case, no punctuation, hyphens for blanks."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the project, and a heading in it where it names one."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert [] == dead


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=_name)
def test_tables_are_whole(page: Path) -> None:
    """Every table has a head and a line below it, and as many columns in each row; a blank line would end it as text."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, *rows = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        if not re.match(r"\|.*\n\|[ :|-]+\|\n", table) or {head} != set(rows):
            broken.append(table.splitlines()[0])

    assert [] == broken


def test_every_page_is_in_the_index() -> None:
    """The index of the documentation links every page of it, and the README links the index."""
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "index.md").read_text("utf-8")))

    assert set() == {page.name for page in DOCS.glob("*.md")} - linked - {"index.md"}
    assert "](docs/index.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=_name)
def test_text_speaks_of_the_product_only(page: Path) -> None:
    """No page speaks of the workplace where it was written, nor leaves something undone."""
    assert [] == [line for line in page.read_text("utf-8").splitlines() if FORBIDDEN.search(line)]


# --- configuration ----------------------------------------------------------------------------------------------------


def schema_keys() -> dict[str, str]:
    """Every key of the configuration in dotted form, and its default as the documentation writes it."""
    schema: Any = configuration.schema()
    found: dict[str, str] = {}

    def walk(prefix: str, table: dict[str, Any]) -> None:
        for name, value in table["properties"].items():
            [named] = value.get("patternProperties", {"": {}}).values()
            inner = value.get("$ref") or (value.get("items") or value.get("additionalProperties") or named).get("$ref")
            dotted = f"{prefix}{name}"
            if inner:
                depth = "[]" if "items" in value else "" if "$ref" in value else ".NAME" if named else ".PREFIX"
                walk(f"{dotted}{depth}.", schema["$defs"][inner.rpartition("/")[2]])
            elif name in table.get("required", ()):
                found[dotted] = "required"
            elif "patternProperties" in value:
                found[f"{dotted}.NAME"] = "none"
            else:
                found[dotted] = literal(value["default"]) if "default" in value else "none"

    walk("", schema)
    return found


def literal(value: object) -> str:
    """A default in TOML."""
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case list() | tuple():
            return f"`[{', '.join(literal(item).strip('`') for item in value)}]`"
        case str():
            return f'`"{value}"`'
        case _:
            return f"`{value}`"


def test_every_key_is_described_with_its_default() -> None:
    """The tables of the page about the configuration have exactly the keys of the schema, with their defaults."""
    rows = re.findall(r"^\| `([\w.\[\]]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", CONFIGURATION.read_text("utf-8"), re.MULTILINE)

    assert schema_keys() == {key: default.strip() for key, _unit, default, _meaning in rows}
    assert [] == [key for key, unit, _default, meaning in rows if not (unit.strip() and meaning.strip())]


# --- commands ---------------------------------------------------------------------------------------------------------


def verbs() -> dict[str, set[str]]:
    """Every command that does something, and its long options without --help."""
    found: dict[str, set[str]] = {}

    def walk(name: str, command: Any) -> None:
        if children := getattr(command, "commands", None):
            for child, inner in children.items():
                walk(f"{name} {child}", inner)
        else:
            options = {text for parameter in command.params for text in parameter.opts if text.startswith("--")}
            found[name] = options - {"--help"}

    walk("geodns", typer.main.get_command(app))
    return found


def test_every_verb_and_option_is_described() -> None:
    """The page about the commands has a section for each verb, and in it a row for each option; nothing else."""
    described: dict[str, set[str]] = {}
    for title, text in re.findall(
        r"^## `(geodns[^`]*)`\n(.*?)(?=^## |\Z)", COMMANDS.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        verb = " ".join(word for word in title.split() if re.fullmatch("[a-z-]+", word))
        described[verb] = {
            option for row in re.findall(r"^\| `([^|]*)` \|", text, re.MULTILINE) for option in re.findall(r"--[a-z\d-]+", row)
        }

    assert verbs() == described


def test_every_variable_of_the_environment_is_described() -> None:
    """Every environment variable that an option takes is named on the page about the commands."""
    text = COMMANDS.read_text("utf-8")
    taken = {"GEODNS_CONFIG"}

    def walk(command: Any) -> None:
        for parameter in command.params:
            names = getattr(parameter, "envvar", None) or ()
            taken.update([names] if isinstance(names, str) else names)
        for child in getattr(command, "commands", {}).values():
            walk(child)

    walk(typer.main.get_command(app))

    assert set() == {name for name in taken if f"`{name}`" not in text}


# --- changes ----------------------------------------------------------------------------------------------------------


def test_the_changelog_has_this_version() -> None:
    """The first section of the changelog is the current version's."""
    first = re.search(r"^## \[([^\]]+)\]", CHANGELOG.read_text("utf-8"), re.MULTILINE)

    assert first
    assert geodns.__version__ == first[1]
