"""Owns what an instance tells of itself, and under which names; refuses to know who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from geodns.wire import Name

NSID = "nsid"
_OF_INSTANCE = {"id_server": Name(b"\x02id\x06server\x00"), "hostname_bind": Name(b"\x08hostname\x04bind\x00")}
_OF_VERSION = {"version_server": Name(b"\x07version\x06server\x00"), "version_bind": Name(b"\x07version\x04bind\x00")}

OWN_WORDS = (NSID, *_OF_INSTANCE, *_OF_VERSION)
"""What may be told in words of its own: the keys of the configuration."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an instance tells of itself: `name` is who it is, `nsid` what NSID (RFC 5001) says, "" for nothing.

    `chaos` has what TXT in class CH (RFC 4892) says, by owner; an owner that is not in it is refused.
    """

    name: str = ""
    nsid: str = ""
    chaos: Mapping[Name, str] = field(default_factory=dict)


def identity_of(name: str, version: str, own: Mapping[str, str] | None = None) -> Identity:
    """An instance that tells its name and version wherever it is asked, but for what it has `own` words for; "" is not told.

    `own` is keyed by OWN_WORDS.
    """
    words = {**dict.fromkeys((NSID, *_OF_INSTANCE), name), **dict.fromkeys(_OF_VERSION, version), **(own or {})}
    owners = {**_OF_INSTANCE, **_OF_VERSION}
    return Identity(name, words[NSID], {owner: words[key] for key, owner in owners.items() if words[key]})
