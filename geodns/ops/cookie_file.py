"""Owns the file of cookie secrets that siblings share: how it is read, judged and rolled over; refuses to know what a cookie is.

One secret a line, 32 hex digits; the first makes cookies, each is accepted. It is the form of NSD's `cookie-secret-file` too. No
message ever shows what a line holds.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import time

from geodns.problem import Problem, ProblemsFound
from geodns.wire.cookies import SECRET

MOST = 4
"""Secrets at once: a roll-over needs two, and each costs a hash for every forged cookie."""

SETTLED = 3900
"""Seconds for which the file must have rested before a secret goes: cookies are believed for an hour (RFC 9018 §4.3), and clocks
may differ by five minutes."""

Secrets = tuple[bytes, ...]
Step = Callable[[Secrets, float], Secrets]
"""What becomes of secrets, given for how many seconds their file has not changed."""

_HEX = re.compile(rf"[0-9A-Fa-f]{{{2 * SECRET}}}")
_MODE = 0o600
_FORBIDDEN = 0o037  # only the owner writes, only owner and group read
_LARGEST = 65_536  # octets: a file of secrets has a hundred


class NotNow(Exception):
    """A step of a roll-over that does not fit to the file as it is; the message says why, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read(file: Path) -> Secrets:
    """The secrets of a file; raises ProblemsFound with all that is wrong with it, line by line."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            octets = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        problem = Problem(str(file), 0, "there is no such file", f"make one: geodns cookie add {file}")
        raise ProblemsFound([_named(problem)]) from None
    except OSError as error:
        remedy = "let this user read it, and nobody else: chmod 640, and the daemon's group"
        raise ProblemsFound([_named(Problem(str(file), 0, f"cannot be read: {error.strerror}", remedy))]) from None
    lines = octets[:_LARGEST].decode("ascii", "replace").splitlines()
    problems = [*_of_file(file, mode, len(octets)), *_of_lines(file, lines)]
    if problems:
        raise ProblemsFound(map(_named, problems))
    return tuple(bytes.fromhex(line.strip()) for line in lines if _is_meant(line))


def _named(problem: Problem) -> Problem:
    return Problem(problem.file, problem.line, f"server.cookie_secrets: {problem.message}", problem.remedy)


def _is_meant(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _of_file(file: Path, mode: int, octets: int) -> Iterator[Problem]:
    if stat.S_ISREG(mode) and mode & _FORBIDDEN:
        message = f"its mode {stat.S_IMODE(mode):04o} lets others than its owner write it, or others than its group read it"
        yield Problem(str(file), 0, message, f"chmod 640 {file}; if it was so for long, roll the secret over")
    if octets > _LARGEST:
        yield Problem(str(file), 0, f"has more than {_LARGEST} octets", "name a file of secrets: 32 hex digits a line")


def _of_lines(file: Path, lines: Sequence[str]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().lower()
        if not _is_meant(line):
            continue
        if not _HEX.fullmatch(text):
            yield Problem(
                str(file), number, f"is no secret of 128 bits: it has {_shape(text)}", "write what `openssl rand -hex 16` prints"
            )
        elif text in seen:
            yield Problem(str(file), number, f"is the secret of line {seen[text]} again", "keep one")
        elif len(set(text)) < 4:
            yield Problem(str(file), number, "is a secret that anybody guesses", "write what `openssl rand -hex 16` prints")
        seen.setdefault(text, number)
    if not seen:
        yield Problem(str(file), 0, "holds no secret", f"make one: geodns cookie add {file}")
    if len(seen) > MOST:
        yield Problem(str(file), 0, f"holds {len(seen)} secrets, more than {MOST}", "keep the one in use and the one before it")


def _shape(text: str) -> str:
    """What a line looks like, without a word of it."""
    strange = sum(character not in "0123456789abcdef" for character in text)
    return (
        f"{len(text)} characters, not 32"
        if len(text) != 2 * SECRET
        else f"{strange} that {'is' if strange == 1 else 'are'} no hex"
    )


def add(secrets: Secrets, fresh: bytes) -> Secrets:
    """Step one: a new secret, accepted but not used; of an empty file, the first one."""
    if len(secrets) > 1:
        message = "a roll-over is under way: there are several secrets already"
        raise NotNow(message, "end it first: geodns cookie promote, and geodns cookie retire an hour later")
    return (*secrets, fresh)


def promote(secrets: Secrets) -> Secrets:
    """Step two: the second secret makes cookies, the one before is still accepted."""
    if len(secrets) < 2:
        raise NotNow("there is no second secret to make cookies with", "begin with geodns cookie add")
    return (secrets[1], secrets[0], *secrets[2:])


def retire(secrets: Secrets, rested: float) -> Secrets:
    """Step three: only the first secret stays. `rested` is for how many seconds the file has not changed."""
    if len(secrets) < 2:
        raise NotNow("there is one secret only, and it is in use", "begin a roll-over with geodns cookie add")
    if rested < SETTLED:
        message = (
            f"the file changed {max(0, int(rested)) // 60} minutes ago, and clients have cookies of the old secret for an hour"
        )
        raise NotNow(message, f"wait {int(SETTLED - max(0.0, rested)) // 60 + 1} minutes, or say --now")
    return secrets[:1]


def change(file: Path, step: Step) -> Secrets:
    """Read the file, take one step, and put the new file in its place with the same owner and mode; gives the new secrets.

    A file that is not there is empty. Raises ProblemsFound, or what the step raises; nothing has changed then.
    """
    try:
        status = file.stat()
    except FileNotFoundError:
        status = None
    except OSError as error:
        raise _unwritable(file, error) from None
    secrets = step(read(file) if status else (), time() - status.st_mtime if status else 0.0)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
        with open(descriptor, "w", encoding="ascii") as opened:
            if status:
                os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            opened.writelines(f"{secret.hex()}\n" for secret in secrets)
            opened.flush()
            os.fsync(descriptor)
        beside.replace(file.resolve())
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise _unwritable(file, error) from None
    return secrets


def _unwritable(file: Path, error: OSError) -> ProblemsFound:
    return ProblemsFound([Problem(str(file), 0, f"cannot be changed: {error.strerror}", "be its owner, or root")])
