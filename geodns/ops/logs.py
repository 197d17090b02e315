"""Owns the form of log messages and their way out: human, JSON, systemd's journal; refuses to know what they are about."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Literal

from geodns.problem import Problem, Severity

Format = Literal["auto", "human", "json", "journal"]
Level = Literal["debug", "info", "warning", "error"]

JOURNAL = "/run/systemd/journal/socket"
QUERIES = "geodns.queries"
"""Name of the logger of single queries: its messages are dropped at once where others wait a moment."""

_OURS = "geodns"
_PATIENCE = 0.05  # s that a message may wait for a reader that is slow; queries are not answered meanwhile
_PIECE = 4096  # octets: PIPE_BUF on Linux, what a pipe that can be written to takes without waiting
_SEND_BUFFER = 1 << 20  # octets
_FIELD = re.compile(r"[^A-Z0-9_]")
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)
_LONGEST_FIELD_NAME = 64  # octets, as journald limits it
_RESERVED = ("time", "level", "logger", "identity", "message", "exception", "lost")
_TEXT_OF_EXCEPTION = logging.Formatter()


def configure(form: Format, level: Level, identity: str = "", *, stderr: int = 2, journal: str = JOURNAL) -> list[Problem]:
    """Send what this process logs where `log.format` says; may be called again, and then replaces what held before.

    Our own loggers get `level`, those of libraries "warning" or less; single queries are written whatever the level is, for they
    were asked for. Each message is told with `identity`, if there is one. `stderr` is a file descriptor, `journal` the path of
    journald's socket. Where the journal cannot be reached the lines go to standard error, and a warning is returned.
    """
    problems: list[Problem] = []
    chosen = _chosen(form, stderr)
    patient: _Lines | _Journal
    hurried: _Lines | _Journal
    try:
        if chosen == "journal":
            patient, hurried = _Journal(journal, _PATIENCE, identity), _Journal(journal, 0, identity)
        else:
            patient, hurried = _Lines(chosen, stderr, _PATIENCE, identity), _Lines(chosen, stderr, 0, identity)
    except OSError as error:
        patient, hurried = _Lines("human", stderr, _PATIENCE, identity), _Lines("human", stderr, 0, identity)
        remedy = 'start it as a service of systemd, or set log.format to "human" or "json"'
        message = f"log.format: {journal} cannot be reached: {error.strerror}; the log goes to standard error"
        problems.append(Problem("", 0, message, remedy, Severity.WARNING))
    _attach(logging.getLogger(), patient)
    _attach(logging.getLogger(QUERIES), hurried)
    logging.getLogger(QUERIES).propagate = False
    logging.getLogger(QUERIES).setLevel(logging.INFO)
    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(_OURS).setLevel(numeric)
    logging.getLogger().setLevel(max(numeric, logging.WARNING))
    return problems


def lost() -> int:
    """Messages of this process that nobody took in time, since `configure`."""
    loggers = (logging.getLogger(), logging.getLogger(QUERIES))
    return sum(handler.lost for logger in loggers for handler in logger.handlers if isinstance(handler, _Way))


def _chosen(form: Format, stderr: int) -> Literal["human", "json", "journal"]:
    if form != "auto":
        return form
    try:
        status = os.fstat(stderr)
    except OSError:
        return "human"
    # systemd.exec(5), JOURNAL_STREAM: device and inode, for a shell may have led standard error elsewhere
    return "journal" if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}" else "human"


def _attach(logger: logging.Logger, way: _Way) -> None:
    """Replace our handler of before; others', such as a test's, stay."""
    for handler in [handler for handler in logger.handlers if isinstance(handler, _Way)]:
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(way)


class _Way(logging.Handler, ABC):
    """A way out that never holds the process for longer than `patience` seconds: what cannot go is dropped and counted.

    After a loss nothing waits until one message has passed again, so that a dead reader costs one wait and no more.
    """

    def __init__(self, patience: float, identity: str) -> None:
        super().__init__()
        self._patience = patience
        self._identity = identity
        self._untold = 0
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler.emit."""
        try:
            octets = self.octets(record, self._untold)
        except Exception:  # a message whose arguments do not fit it
            self.handleError(record)
            return
        if self.send(octets, 0 if self._untold else self._patience):
            self._untold = 0
        else:
            self._untold += 1
            self.lost += 1

    @abstractmethod
    def octets(self, record: logging.LogRecord, untold: int) -> bytes:
        """What is sent for a message; `untold` is how many before it were lost."""

    @abstractmethod
    def send(self, octets: bytes, patience: float) -> bool:
        """Send it within so many seconds; False if that was not possible."""


class _Lines(_Way):
    """Lines to a file descriptor, for humans or as JSON."""

    def __init__(self, form: Literal["human", "json"], descriptor: int, patience: float, identity: str) -> None:
        super().__init__(patience, identity)
        self._form = form
        self._prefix = f"[{repr(identity)[1:-1]}] " if identity else ""  # of one line, whatever it holds
        self._human = logging.Formatter("%(levelname)s %(prefix)s%(message)s", defaults={"prefix": self._prefix})
        self._descriptor = descriptor
        self._is_torn = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def octets(self, record: logging.LogRecord, untold: int) -> bytes:
        """See _Way.octets."""
        if self._form == "json":
            return json_line(record, untold, self._identity)
        told = f"WARNING {self._prefix}{untold} messages were lost here\n" if untold else ""
        return f"{told}{self._human.format(record)}\n".encode(errors="backslashreplace")

    def send(self, octets: bytes, patience: float) -> bool:
        """See _Way.send. A long message may lose its end: what is written cannot be called back."""
        deadline = monotonic() + patience
        rest = memoryview(b"\n" + octets if self._is_torn else octets)
        while rest:
            if not _await_room(self._poll, deadline):
                return False
            try:
                written = os.write(self._descriptor, rest[:_PIECE])
            except BlockingIOError:  # another process was quicker
                if monotonic() >= deadline:
                    return False
            except OSError:  # a full disk, a reader that is gone
                return False
            else:
                rest = rest[written:]
                self._is_torn = len(rest) > 0
        return True


def _await_room(poll: select.poll, deadline: float) -> bool:
    """Whether something can be written, by the monotonic `deadline` at the latest."""
    milliseconds = max(0.0, deadline - monotonic()) * 1000
    return any(events & select.POLLOUT for _, events in poll.poll(milliseconds))


def json_line(record: logging.LogRecord, untold: int = 0, identity: str = "") -> bytes:
    """A message as one line of JSON: time (RFC 3339, UTC), level, logger, identity, message, fields, and the exception's text.

    A field that is called like one of these gives way. `lost` tells how many messages before it were lost, where there were any.
    """
    line: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        **({"identity": identity} if identity else {}),
        "message": record.getMessage(),
    }
    line |= {name: value for name, value in fields_of(record).items() if name not in _RESERVED}
    if text := _exception(record):
        line["exception"] = text
    if untold:
        line["lost"] = untold
    return json.dumps(line, ensure_ascii=False, default=str).encode(errors="backslashreplace") + b"\n"


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """What was given as `extra={"fields": {…}}`."""
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _exception(record: logging.LogRecord) -> str:
    return _TEXT_OF_EXCEPTION.formatException(record.exc_info) if record.exc_info else ""


class _Journal(_Way):
    """Entries to journald by its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""

    def __init__(self, path: str, patience: float, identity: str) -> None:
        super().__init__(patience, identity)
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._sock.settimeout(0)
            self._sock.connect(path)
        except OSError:
            self._sock.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLOUT)

    def close(self) -> None:
        """See logging.Handler.close."""
        self._sock.close()
        super().close()

    def octets(self, record: logging.LogRecord, untold: int) -> bytes:
        """See _Way.octets."""
        return journal_entry(record, untold, self._identity)

    def send(self, octets: bytes, patience: float) -> bool:
        """See _Way.send. What is larger than a datagram goes in sealed memory, as the protocol wants it."""
        deadline = monotonic() + patience
        while True:
            try:
                self._send(octets)
            except BlockingIOError:
                if monotonic() >= deadline:
                    return False
                _await_room(self._poll, deadline)
            except OSError:
                return self._again(octets)
            else:
                return True

    def _again(self, octets: bytes) -> bool:
        """Once more to a journal that may have been restarted, and has another socket at the same place then."""
        try:
            self._sock.connect(self._path)
            self._send(octets)
        except OSError:
            return False
        return True

    def _send(self, octets: bytes) -> None:
        try:
            self._sock.send(octets)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            with _sealed(octets) as descriptor:
                socket.send_fds(self._sock, [b""], [descriptor])


@contextlib.contextmanager
def _sealed(octets: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("geodns-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(octets)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        yield descriptor
    finally:
        os.close(descriptor)


def journal_entry(record: logging.LogRecord, untold: int = 0, identity: str = "") -> bytes:
    """A message as the datagram that journald takes: MESSAGE with the exception's text, PRIORITY, CODE_…, GEODNS_… for fields."""
    text = record.getMessage()
    if trace := _exception(record):
        text = f"{text}\n{trace}"
    entry: list[tuple[str, object]] = [
        ("MESSAGE", text),
        ("PRIORITY", _priority(record.levelno)),
        ("SYSLOG_IDENTIFIER", "geodns"),
        ("CODE_FILE", record.pathname),
        ("CODE_LINE", record.lineno),
        ("CODE_FUNC", record.funcName),
        ("GEODNS_LOGGER", record.name),
    ]
    if identity:
        entry.append(("GEODNS_IDENTITY", identity))
    if untold:
        entry.append(("GEODNS_LOST", untold))
    for name, value in fields_of(record).items():
        values = value if isinstance(value, list | tuple) else (value,)  # the journal knows fields with several values
        entry.extend((f"GEODNS_{name}", one) for one in values if name != "identity")
    return _rendered(entry)


def _rendered(entry: Iterable[tuple[str, object]]) -> bytes:
    """Each field as NAME=value, or where the value has lines as NAME, its length in 64 bits little-endian, and the value."""
    parts = []
    for name, value in entry:
        key = _FIELD.sub("_", name.upper())[:_LONGEST_FIELD_NAME].encode()
        octets = str(value).encode(errors="backslashreplace")
        if b"\n" in octets:
            parts.append(key + b"\n" + len(octets).to_bytes(8, "little") + octets + b"\n")
        else:
            parts.append(key + b"=" + octets + b"\n")
    return b"".join(parts)


def _priority(level: int) -> int:
    """The severity of RFC 5424 §6.2.1 for a level of the logging module."""
    for least, severity in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= least:
            return severity
    return 7
