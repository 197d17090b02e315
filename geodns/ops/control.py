"""Owns asking a running daemon through its admin door: the client's side of it; refuses to know what is shown of the answers."""

from __future__ import annotations

import contextlib
import getpass
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from geodns.ops.config import BadListen, Listen, UnixListen, parse_admin_listen
from geodns.problem import Problem, ProblemsFound

ANSWER_TIME = 10.0  # s
_RELOAD_TIME = 3600.0  # s: a million records take minutes
_CONFLICT = 409
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # told where to listen, not listened on here
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,4096}")  # RFC 6750 §2.1, and too long to be guessed


class ControlError(Exception):
    """What was asked for could not be done; the message says why, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Unreachable(ControlError):
    """No daemon answers there, or not in time, or not as a daemon would."""


class Refused(ControlError):
    """The daemon has answered that it will not; `status` is HTTP's."""

    def __init__(self, status: int, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.status = status


def read_token(file: Path) -> str:
    """The token of a file that holds nothing else; daemon and client read it the same way. Raises ProblemsFound."""
    try:
        text = file.read_text("ascii").strip()
    except FileNotFoundError:
        raise _bad_token(file, "there is no such file", f"make one: (umask 077; openssl rand -hex 32 > {file})") from None
    except OSError as error:
        raise _bad_token(file, f"cannot be read: {error.strerror}", "let this user read it, or run as one that may") from None
    except UnicodeDecodeError:
        text = ""
    if not _TOKEN.fullmatch(text):
        remedy = f"make a new one: (umask 077; openssl rand -hex 32 > {file})"
        raise _bad_token(file, "holds no token: that is one word of 16 or more letters, digits or ._~+/=-", remedy)
    return text


def _bad_token(file: Path, message: str, remedy: str) -> ProblemsFound:
    return ProblemsFound([Problem(str(file), 0, f"admin.token_file: {message}", remedy)])


class Control:
    """One admin door, by `admin.listen` of its configuration and, where there is one, its token.

    Every method returns what the API answers and raises Unreachable or Refused. No proxy of the environment is used.
    """

    def __init__(self, listen: str, token: str = "") -> None:
        self.listen = listen
        self._socket, url = _way(listen)
        transport = httpx.HTTPTransport(uds=self._socket or None)
        headers = {"X-Geodns-Who": _user()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            transport=transport, base_url=url, headers=headers, timeout=ANSWER_TIME, trust_env=False, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def status(self) -> dict[str, Any]:
        """The whole instance at a glance."""
        return self._object("GET", "/api/v1/status")

    def zones(self) -> list[dict[str, Any]]:
        """Every zone."""
        return self._list("/api/v1/zones")

    def pools(self) -> list[dict[str, Any]]:
        """Every pool."""
        return self._list("/api/v1/pools")

    def pool(self, name: str) -> dict[str, Any]:
        """One pool; Refused with status 404 if there is none of that name."""
        return self._object("GET", f"/api/v1/pools/{quote(name, safe='')}")

    def explain(self, name: str, rdtype: str, *, client: str = "", ecs: str = "", resolver: str = "") -> dict[str, Any]:
        """What a client gets from the running daemon, and why."""
        asked = {"name": name, "type": rdtype, "client": client, "ecs": ecs, "resolver": resolver}
        return self._object("GET", "/api/v1/explain", params={key: value for key, value in asked.items() if value})

    def reload(self, *, force: bool = False, reason: str = "") -> dict[str, Any]:
        """Reload, wait for the end, and tell it: `accepted`, `generation`, `problems`, `plan`; refused or not."""
        body = {"force": force, "reason": reason}
        return self._object("POST", "/api/v1/reload", json=body, timeout=httpx.Timeout(ANSWER_TIME, read=_RELOAD_TIME))

    def drain(self, reason: str = "", *, stop: bool = False, last: bool = False) -> dict[str, Any]:
        """Take the instance out of service, and stop it when clients have left; Refused where it is the last, unless `last`."""
        body = {"reason": reason} | ({"stop": True} if stop else {}) | ({"last": True} if last else {})
        return self._object("POST", "/api/v1/drain", json=body)

    def undrain(self, reason: str = "") -> dict[str, Any]:
        """Put it into service again."""
        return self._object("POST", "/api/v1/undrain", json={"reason": reason})

    def override(self, pattern: str, word: str, *, seconds: float | None = None, reason: str = "") -> dict[str, Any]:
        """Overrule health checks; None seconds: until it is ended by the word "auto"."""
        body = {"pattern": pattern, "word": word, "seconds": seconds, "reason": reason}
        return self._object("PUT", "/api/v1/overrides", json=body)

    def post_state(self, key: str, *, up: bool) -> dict[str, Any]:
        """Tell the state of an external health check."""
        return self._object("PUT", f"/api/v1/health/{quote(key)}", json={"up": up})

    def _object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._ask(method, path, **options)
        if not isinstance(answer, dict):
            raise self._strange()
        return answer

    def _list(self, path: str) -> list[dict[str, Any]]:
        answer = self._ask("GET", path)
        if not isinstance(answer, list):
            raise self._strange()
        return answer

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        with self._reached():
            if self._socket:
                _knock(self._socket)
            response = self._client.request(method, path, **options)
        try:
            answer = response.json()
        except ValueError:
            raise self._strange() from None
        if response.is_success or (response.status_code == _CONFLICT and "accepted" in answer):
            return answer
        if not isinstance(answer, dict) or "error" not in answer:
            raise self._strange()
        raise Refused(response.status_code, str(answer["error"]), str(answer.get("remedy", "")))

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """Turns what the way to the daemon does into an error with a remedy."""
        door = f"the admin door of this configuration is {self.listen}"
        try:
            yield
        except PermissionError:
            remedy = "join the group that may open it, or be root"
            raise Unreachable(f"no permission to reach {self.listen}", remedy) from None
        except (OSError, httpx.ConnectError, httpx.ConnectTimeout):
            raise Unreachable(f"nobody answers at {self.listen}", f"is geodns running? {door}") from None
        except httpx.TimeoutException:
            raise Unreachable(f"{self.listen} does not answer in time", f"is it geodns, and well? {door}") from None
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the connection to {self.listen} broke: {str(error) or type(error).__name__}", "try again"
            ) from None

    def _strange(self) -> Unreachable:
        remedy = "another server may have its port: see `ss -lntp`"
        return Unreachable(f"what answers at {self.listen} is not geodns", remedy)


def _way(listen: str) -> tuple[str, str]:
    """How to go there: the path of a socket or "", and the URL with a Host that the door knows."""
    if not listen:
        raise Unreachable("this configuration has no admin door", 'set admin.listen, for example "127.0.0.1:9153", and restart')
    try:
        where = parse_admin_listen(listen)
    except BadListen as error:
        raise Unreachable(f"{listen}: {error}", "correct admin.listen") from None
    match where:
        case UnixListen(path):
            return path, "http://localhost"
        case Listen(host, port):
            host = _EVERYWHERE.get(host, host)
            return "", f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _knock(path: str) -> None:
    """Find out whether somebody listens; raises OSError. httpcore would leave its socket open where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_TIME)
        probe.connect(path)


def _user() -> str:
    """The user's name, for the daemon's log; it is a courtesy, not a proof."""
    try:
        return getpass.getuser().encode("ascii", "replace").decode()
    except (OSError, KeyError):
        return "a user without name"
