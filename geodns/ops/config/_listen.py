"""Owns the text of addresses to listen on; refuses to know sockets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal


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


def parse_listen(text: str) -> Listen:
    """Read "192.0.2.1:53" or "[2001:db8::1]:53"; raises BadListen. Host names are refused: they may change under us."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise BadListen(f"'{text}' does not end in a port from 0 to 65535")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError as error:
        raise BadListen(f"'{host}' is no IP address") from error
    if bracketed and address.version == 4:
        raise BadListen(f"'{host}' is an IPv4 address in brackets")
    if not bracketed and address.version == 6:
        raise BadListen(f"'{host}' is an IPv6 address without brackets")
    return Listen(str(address), int(port), address.version)
