"""Owns the values of health checks: what is checked, how, and what came out; refuses to know how a check is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """One HTTP/1.1 request, over TLS where `tls` says so; redirects are answers, not followed.

    `path` starts with "/" and may have a query. `host` goes into Host and SNI ("": the address itself). An empty `expect_status`
    allows any status; `expect_body` must be found in the first 64 KiB of the body ("": the body is not even read). `ca_file`
    replaces the system's trusted certificates. `certificate_days` > 0 fails the check when fewer days are left.
    """

    tls: bool
    port: int
    path: str = "/"
    host: str = ""
    method: str = "GET"
    expect_status: tuple[int, ...] = (200,)
    expect_body: str = ""
    verify: bool = True
    ca_file: Path | None = None
    certificate_days: int = 0


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A TCP connection that is accepted."""

    port: int


@dataclass(frozen=True, slots=True)
class TlsCheck:
    """A TLS handshake that succeeds; the keys mean what they mean in `HttpCheck`."""

    port: int
    host: str = ""
    verify: bool = True
    ca_file: Path | None = None
    certificate_days: int = 0


@dataclass(frozen=True, slots=True)
class DnsCheck:
    """One query over UDP, recursion desired.

    `rcode` and `rdtype` are mnemonics. The RDATA of that type in the answer section must be exactly the texts of `expect_answer`,
    in any order; () allows any answer, also none.
    """

    port: int
    name: str
    rdtype: str = "A"
    expect_answer: tuple[str, ...] = ()
    rcode: str = "NOERROR"


@dataclass(frozen=True, slots=True)
class ExecCheck:
    """A program that must exit with status 0, run without a shell.

    `{address}` in an argument is replaced. Its environment holds only PATH, LC_ALL and GEODNS_ADDRESS.
    """

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExternalCheck:
    """A state that somebody else knows: posted, or read from `file`; one older than `max_age` seconds is no state at all.

    The file holds the word `up` or `down` for every target that names it, or a JSON object that maps keys of targets to such
    words. Its modification time is the time of the states in it.
    """

    file: Path | None
    max_age: float


@dataclass(frozen=True, slots=True)
class NoCheck:
    """Nothing is checked."""


Check = HttpCheck | TcpCheck | TlsCheck | DnsCheck | ExecCheck | ExternalCheck | NoCheck


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One address under one check; `timeout` and `interval` are in seconds.

    Targets that would be probed alike are equal, whatever their interval and key: they are probed once. Only the state of an
    `ExternalCheck` is told by key, so there the key is part of the identity.
    """

    address: str
    check: Check
    timeout: float
    interval: float
    key: str

    @property
    def _identity(self) -> tuple[str, Check, float, str]:
        return (self.address, self.check, self.timeout, self.key if isinstance(self.check, ExternalCheck) else "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found: `error` is one sentence ("" when ok), `detail` what is worth knowing of a success.

    `seconds` is how long it took, `certificate_expires` a unix time (None: no certificate was seen).
    """

    ok: bool
    error: str
    seconds: float
    certificate_expires: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class NoState:
    """An external state that does not exist, or no longer counts: neither up nor down. `reason` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Passed:
    """What a check gives back when it succeeds."""

    detail: str
    certificate_expires: float | None = None


class Failed(Exception):
    """What a check raises when it fails: the text is the sentence of the result."""

    def __init__(self, error: str, certificate_expires: float | None = None) -> None:
        super().__init__(error)
        self.certificate_expires = certificate_expires


def shown(text: str) -> str:
    """What a peer said, fit for a line of a log: nothing unprintable, and not so long that it hides the rest."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[:400])
    words = " ".join(plain.split())
    return words if len(words) <= 200 else f"{words[:199]}…"
