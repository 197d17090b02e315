"""Owns the daemon's lease: what it says of itself, and when that no longer counts; refuses to judge what it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from ipaddress import ip_network
from math import isfinite
from pathlib import Path
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype

from geodns.ops.announce import _files
from geodns.ops.announce._questions import Question
from geodns.ops.config import parse_listen

LEASE, LEASE_LOCK = "announce.lease", "announce.lease.lock"


@dataclass(frozen=True, slots=True)
class Lease:
    """What the daemon says of itself: `renewed` in seconds since the machine started, `rate` in queries a second.

    `ready` are reasons why no queries should come, draining apart; `draining` is why clients are asked to leave. `pools_down` are
    pools that are wholly down, `listening` its addresses with ports, `questions` what it must answer; while it is `changing` from
    one generation to the next, some processes may answer as the other one.
    """

    pid: int
    renewed: float
    identity: str = ""
    generation: int = 0
    ready: tuple[str, ...] = ()
    draining: str = ""
    pools_down: tuple[str, ...] = ()
    rate: float = 0.0
    listening: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    changing: bool = False


class Holder:
    """The daemon's side: one daemon renews the lease of a state directory, another that wants to is told who does."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / LEASE
        self._lock = _files.Lock(directory / LEASE_LOCK)

    def renew(self, lease: Lease) -> str:
        """Say once more that this daemon lives; why that was not possible, "" if it was."""
        try:
            holder = self._lock.take(lease.pid)
            if holder is not None:
                return f"another daemon (process {holder or 'unknown'}) holds the lease in {self._file.parent}"
            _files.write(self._file, asdict(lease))
        except OSError as error:
            return f"the lease in {self._file.parent} cannot be renewed: {error.strerror}"
        return ""

    def release(self) -> None:
        """Let another process renew it."""
        self._lock.release()


def look(directory: Path, now: float, max_age: float) -> tuple[Lease | None, str]:
    """The lease, and why it is not held, "" if it is. What it said last is told also where it is too old."""
    file = directory / LEASE
    try:
        told = _files.read(file)
        if told is None:
            return None, f"no daemon has a lease in {directory}"
        lease = _lease(told)
    except OSError as error:
        return None, f"the lease {file} cannot be read: {error.strerror}"
    except (ValueError, TypeError, KeyError, AttributeError, dns.exception.DNSException) as error:
        return None, f"the lease {file} makes no sense: {error}"
    age = now - lease.renewed
    if age > max_age:
        return lease, f"the daemon (process {lease.pid}) has not renewed its lease for {age:.1f} s"
    if age < -max_age:
        return lease, f"the lease {file} is from the future"
    return lease, ""


def _lease(told: dict[str, Any]) -> Lease:
    """A lease as it was written. What this gate does not know is passed over: the daemon may be newer, amid an upgrade.

    Raises ValueError, TypeError or KeyError for what is none.
    """
    known = {field.name for field in fields(Lease)}
    told = {key: value for key, value in told.items() if key in known}
    if not (_is_number(told["renewed"]) and isinstance(told["pid"], int)):
        raise ValueError("it does not tell who has renewed it when")
    told["questions"] = tuple(question for each in told.get("questions", ()) if (question := _question(each)))
    for key in ("ready", "pools_down", "listening"):
        told[key] = tuple(map(str, told.get(key, ())))
    for text in told["listening"]:
        parse_listen(text)
    return Lease(**told)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _question(told: dict[str, Any]) -> Question | None:
    """A question that can be asked; None for one with conditions that this gate does not know, and so could not judge by."""
    if told.keys() - {field.name for field in fields(Question)}:
        return None
    question = Question(**(told | {"answer": tuple(map(str, told["answer"]))}))
    dns.name.from_text(question.name)
    dns.rdatatype.from_text(question.type)
    if question.subnet:
        ip_network(question.subnet)
    if not isinstance(question.serial, int | None):
        raise ValueError("a serial is no number")
    return question
