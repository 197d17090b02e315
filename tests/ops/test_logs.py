"""The form of log messages and their way out: to pipes, files and a socket that stands for journald's."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops import logs
from geodns.problem import Severity

LOG = logging.getLogger("geodns.test")
NAMES = ("", logs.QUERIES, "geodns")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What a test configures ends with it."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, propagate, handlers in before:
        for handler in [handler for handler in logger.handlers if handler not in handlers]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


@dataclass(slots=True)
class Pipe:
    """A pipe that stands for standard error."""

    reader: int
    writer: int

    def said(self) -> str:
        """What has come since the last time."""
        return os.read(self.reader, 1 << 20).decode()

    def fill(self) -> None:
        """Write until no more fits."""
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, bytes(4096))
        except BlockingIOError:
            os.set_blocking(self.writer, True)

    def empty(self) -> None:
        """Read what there is."""
        os.set_blocking(self.reader, False)
        try:
            while os.read(self.reader, 1 << 20):
                pass
        except BlockingIOError:
            os.set_blocking(self.reader, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    yield Pipe(reader, writer)
    os.close(reader)
    os.close(writer)


class Journal:
    """A datagram socket that reads entries by the specification of journald's native protocol."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(5)
        self.in_memory = False

    def entry(self) -> dict[str, list[str]]:
        """The next entry, whether it came in the datagram or in memory, never in both."""
        octets, descriptors, _flags, _address = socket.recv_fds(self.sock, 1 << 20, 2)
        assert bool(octets) != bool(descriptors)
        self.in_memory = bool(descriptors)
        if descriptors:
            [descriptor] = descriptors
            with open(descriptor, "rb") as file:
                file.seek(0)
                octets = file.read()
        return parsed(octets)

    def close(self) -> None:
        self.sock.close()


def parsed(octets: bytes) -> dict[str, list[str]]:
    """The fields of an entry: NAME=value and a newline, or NAME, newline, 64 bits of length, value, newline."""
    found: dict[str, list[str]] = {}
    while octets:
        line, _, rest = octets.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert b"\n" == end
        assert name.decode().isidentifier()
        assert name == name.upper()
        found.setdefault(name.decode(), []).append(value.decode())
        octets = rest
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "socket")
    yield made
    made.close()


def a_fault() -> Exception:
    """An exception that was raised."""
    try:
        raise ValueError("broken")
    except ValueError as fault:
        return fault


# --- lines --------------------------------------------------------------------------------------------------------


def test_a_line_for_humans_is_level_and_message(pipe: Pipe) -> None:
    """The human form is the level, a blank and the message."""
    assert [] == logs.configure("human", "info", stderr=pipe.writer)
    LOG.warning("disk %s is full", "sda")

    assert "WARNING disk sda is full\n" == pipe.said()


def test_every_line_tells_the_instance(pipe: Pipe) -> None:
    """In brackets for humans, as a field of JSON that no message can replace; a name cannot break a line."""
    logs.configure("human", "info", "fra1", stderr=pipe.writer)
    LOG.info("one")
    logs.configure("human", "info", "fra\n1", stderr=pipe.writer)
    LOG.info("two")
    logs.configure("json", "info", "nyc1", stderr=pipe.writer)
    LOG.info("three", extra={"fields": {"identity": "other"}})
    first, second, third = pipe.said().splitlines()

    assert ("INFO [fra1] one", "INFO [fra\\n1] two") == (first, second)
    assert ("nyc1", "three") == (json.loads(third)["identity"], json.loads(third)["message"])


def test_the_journal_tells_the_instance(journal: Journal) -> None:
    """As a field by which to select entries; without a name there is no such field."""
    record = logging.makeLogRecord({"msg": "x", "levelno": 20, "fields": {"identity": "other"}})

    assert ["fra1"] == parsed(logs.journal_entry(record, identity="fra1"))["GEODNS_IDENTITY"]
    assert "GEODNS_IDENTITY" not in parsed(logs.journal_entry(logging.makeLogRecord({"msg": "x", "levelno": 20})))
    logs.configure("journal", "info", "fra1", journal=journal.path)
    LOG.info("to the journal")

    assert ["fra1"] == journal.entry()["GEODNS_IDENTITY"]


def test_a_line_of_json_has_fields_and_exception(pipe: Pipe) -> None:
    """A JSON line has time, level, logger, message, the given fields and the exception; a field cannot pose as one of those."""
    logs.configure("json", "info", stderr=pipe.writer)
    LOG.error("no\nway", exc_info=a_fault(), extra={"fields": {"pool": "app", "time": "never", "path": Path("x")}})

    line = json.loads(pipe.said())

    assert ("error", "geodns.test", "no\nway", "app", "x") == tuple(
        line[key] for key in ("level", "logger", "message", "pool", "path")
    )
    assert line["time"].endswith("Z")
    assert line["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_only_what_is_worth_a_line_is_written(level: logs.Level, pipe: Pipe) -> None:
    """The level holds for our own loggers; what libraries say below a warning is nobody's business."""
    logs.configure("human", level, stderr=pipe.writer)
    for name in ("geodns.test", "somebody.else"):
        for severity in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(severity, "%s", name)

    ours = ["DEBUG", "INFO", "WARNING", "ERROR"]
    ours = ours[ours.index(level.upper()) :]
    theirs = [word for word in ours if word in {"WARNING", "ERROR"}]

    assert [
        *(f"{word} geodns.test" for word in ours),
        *(f"{word} somebody.else" for word in theirs),
    ] == pipe.said().splitlines()


def test_queries_that_were_asked_for_are_written_at_any_level(pipe: Pipe) -> None:
    """A log of errors only has the queries all the same, each once."""
    logs.configure("human", "error", stderr=pipe.writer)
    logging.getLogger(logs.QUERIES).info("a query")

    assert "INFO a query\n" == pipe.said()


def test_configuring_again_replaces_what_held_before(pipe: Pipe) -> None:
    """After a second call there is one line for a message, in the new form."""
    logs.configure("human", "info", stderr=pipe.writer)
    logs.configure("json", "info", stderr=pipe.writer)
    LOG.info("once")

    assert ["once"] == [json.loads(line)["message"] for line in pipe.said().splitlines()]


@given(st.text(st.characters(codec=None, categories=("Cs", "L", "N", "P", "Z", "C"))))
def test_any_message_is_one_line_of_json(text: str) -> None:
    """Line ends, controls and lone surrogates in a message break no line."""
    record = logging.makeLogRecord({"msg": "%s", "args": (text,), "fields": {"name": text}})
    octets = logs.json_line(record)

    assert 1 == octets.count(b"\n")
    assert text == json.loads(octets)["message"] == json.loads(octets)["name"]


# --- nobody reads -------------------------------------------------------------------------------------------------


def test_a_reader_that_sleeps_costs_one_short_wait(pipe: Pipe) -> None:
    """Messages to a full pipe are dropped and counted, and only the first of them waits; the next reader is told how many."""
    logs.configure("human", "info", stderr=pipe.writer)
    pipe.fill()
    began = monotonic()
    for _ in range(1000):
        LOG.info("nobody hears this")
    took = monotonic() - began
    pipe.empty()
    LOG.info("again")

    assert took < 1
    assert 1000 == logs.lost()
    assert "WARNING 1000 messages were lost here\nINFO again\n" == pipe.said()


def test_queries_never_wait(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """However patient other messages are, a query's is dropped at once where nobody reads."""
    monkeypatch.setattr(logs, "_PATIENCE", 60.0)
    logs.configure("human", "info", stderr=pipe.writer)
    pipe.fill()
    began = monotonic()
    logging.getLogger(logs.QUERIES).info("a query")

    assert monotonic() - began < 30
    assert 1 == logs.lost()


def test_a_torn_line_is_ended_before_the_next(pipe: Pipe) -> None:
    """A message of which only the beginning fitted is counted as lost, and the next begins a line of its own."""
    logs.configure("human", "info", stderr=pipe.writer)
    LOG.info("x" * (1 << 20))
    pipe.empty()
    LOG.info("whole")

    assert 1 == logs.lost()
    assert "\nWARNING 1 messages were lost here\nINFO whole\n" == pipe.said()


def test_a_reader_that_is_gone_harms_nobody() -> None:
    """Without a reader every message is lost, and nothing is raised."""
    reader, writer = os.pipe()
    logs.configure("json", "info", stderr=writer)
    os.close(reader)
    LOG.info("into the void")
    os.close(writer)

    assert 1 == logs.lost()


# --- the journal --------------------------------------------------------------------------------------------------


def test_an_entry_has_what_journald_shows(journal: Journal) -> None:
    """An entry has message, priority, identifier and place; fields of ours begin with GEODNS_ and may have several values."""
    logs.configure("journal", "info", journal=journal.path)
    LOG.warning("pool %s", "app", extra={"fields": {"pool": "app", "addresses": ["::1", "::2"], "odd-name": 1}})

    entry = journal.entry()

    assert ["pool app"] == entry["MESSAGE"]
    assert ["4"] == entry["PRIORITY"]
    assert ["geodns"] == entry["SYSLOG_IDENTIFIER"]
    assert [__file__] == entry["CODE_FILE"]
    assert entry["CODE_LINE"][0].isdigit()
    assert [test_an_entry_has_what_journald_shows.__name__] == entry["CODE_FUNC"]
    assert ["geodns.test"] == entry["GEODNS_LOGGER"]
    assert (["app"], ["::1", "::2"], ["1"]) == tuple(entry[f"GEODNS_{name}"] for name in ("POOL", "ADDRESSES", "ODD_NAME"))


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_levels_are_priorities_of_syslog(level: str, priority: str) -> None:
    """Levels become the severities of RFC 5424 §6.2.1."""
    record = logging.makeLogRecord({"msg": "x", "levelno": logging.getLevelNamesMapping()[level.upper()]})

    assert [priority] == parsed(logs.journal_entry(record))["PRIORITY"]


def test_an_exception_is_part_of_the_message(journal: Journal) -> None:
    """A traceback follows the message, in the form with a length, for it has lines."""
    logs.configure("journal", "info", journal=journal.path)
    LOG.error("no", exc_info=a_fault())

    [message] = journal.entry()["MESSAGE"]

    assert message.startswith("no\nTraceback")
    assert message.endswith("ValueError: broken")


def test_what_is_larger_than_a_datagram_goes_in_sealed_memory(journal: Journal) -> None:
    """A message that no datagram takes arrives whole all the same."""
    logs.configure("journal", "info", journal=journal.path)
    text = "x\n" * (1 << 20)
    LOG.info("%s", text)

    assert [text] == journal.entry()["MESSAGE"]
    assert journal.in_memory


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=3), st.text(st.characters(codec="utf-8")))
def test_every_value_is_read_back(values: list[str], text: str) -> None:
    """Whatever octets a value holds, the protocol gives it back."""
    entry = parsed(
        logs.journal_entry(logging.makeLogRecord({"msg": "%s", "args": (text,), "levelno": 20, "fields": {"it": values}}))
    )

    assert ([text], values) == (entry["MESSAGE"], entry.get("GEODNS_IT", []))


def test_a_journal_that_is_restarted_is_found_again(tmp_path: Path) -> None:
    """While journald is away messages are lost; the first one after its return tells how many."""
    path = tmp_path / "socket"
    first = Journal(path)
    logs.configure("journal", "info", journal=first.path)
    first.close()
    path.unlink()
    LOG.info("lost")
    second = Journal(path)
    LOG.info("found")
    entry = second.entry()
    second.close()

    assert (["found"], ["1"]) == (entry["MESSAGE"], entry["GEODNS_LOST"])


def test_a_journal_that_sleeps_holds_nobody_for_long(journal: Journal) -> None:
    """A journal that reads nothing loses messages, and costs one short wait."""
    logs.configure("journal", "info", journal=journal.path)
    began = monotonic()
    for _ in range(2000):
        LOG.info("x")

    assert monotonic() - began < 2
    assert logs.lost() > 0


def test_without_a_journal_the_lines_go_to_standard_error(tmp_path: Path, pipe: Pipe) -> None:
    """A journal that cannot be reached is a warning with a remedy, and the log goes on."""
    [warning] = logs.configure("journal", "info", stderr=pipe.writer, journal=str(tmp_path / "nothing"))
    LOG.info("still here")

    assert Severity.WARNING is warning.severity
    assert warning.remedy
    assert "INFO still here\n" == pipe.said()


def test_auto_asks_systemd(journal: Journal, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form is journal where JOURNAL_STREAM names what standard error is, and human where it is something else."""
    status = os.fstat(pipe.writer)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    logs.configure("auto", "info", stderr=pipe.writer, journal=journal.path)
    LOG.info("to the journal")
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
    logs.configure("auto", "info", stderr=pipe.writer, journal=journal.path)
    LOG.info("to the pipe")

    assert ["to the journal"] == journal.entry()["MESSAGE"]
    assert "INFO to the pipe\n" == pipe.said()
