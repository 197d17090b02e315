"""Owns the text of addresses to listen on; refuses to know sockets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

_UNIX = "unix:"
_MAX_SOCKET_PATH = 103  # octets: sun_path holds 104 with its NUL on BSD and macOS, 108 on Linux


class BadListen(ValueError):
    """Text that names no address and port to listen on; the message says why."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and port to listen on; `host` in its shortest form, so equal addresses compare equal; port 0: any."""

    host: str
    port: int
    family: Literal[4, 6]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.family == 6 else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixListen:
    """A socket of the file system to listen on, by its absolute path."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


def parse_admin_listen(text: str) -> Listen | UnixListen:
    """Read "unix:/run/geodns/admin.sock", or an address and port as `parse_listen` does; raises BadListen."""
    return parse_socket(text) or parse_listen(text)


def parse_socket(text: str) -> UnixListen | None:
    """Read "unix:/run/dnstap.sock"; None for text that does not begin as a socket's does. Raises BadListen."""
    if not text.startswith(_UNIX):
        return None
    path = text.removeprefix(_UNIX)
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise BadListen(f"'{path}' is no absolute path of a socket")
    if (octets := len(path.encode())) > _MAX_SOCKET_PATH:
        raise BadListen(f"the path has {octets} octets, and a socket's at most {_MAX_SOCKET_PATH}")
    return UnixListen(path)


def parse_listen(text: str) -> Listen:
    """Read "192.0.2.1:53" or "[2001:db8::1]:53"; raises BadListen. Host names are refused: they may change under us."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise BadListen(f"'{text}' does not end in a port from 0 to 65535")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError as error:
        every = ": every address is 0.0.0.0 for IPv4 and [::] for IPv6" if host in ("", "*") else ""
        raise BadListen(f"'{host}' is no IP address{every}") from error
    if bracketed and address.version == 4:
        raise BadListen(f"'{host}' is an IPv4 address in brackets")
    if not bracketed and address.version == 6:
        raise BadListen(f"'{host}' is an IPv6 address without brackets")
    return Listen(str(address), int(port), address.version)
