"""Owns the faults of [announce] whose values are each right but wrong together; refuses to judge a value by itself.

Judged in the raw document, as far as its values are of the right kind: the tables complain of those that are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pydantic import BaseModel

from geodns.ops.config._announce import Announce
from geodns.ops.config._listen import BadListen, parse_listen
from geodns.ops.config._raw import array, number, table, text_of
from geodns.ops.config._words import Fault
from geodns.ops.toml_lines import KeyPath

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
_DEFAULTS = Announce()
_NOT_FRR = ("communities", "prepend", "med")
MOST_QUESTIONS = 32
"""Questions of one judgement, at most: more would make the asking a load of its own."""


def announce_faults(document: dict[str, object]) -> Iterator[Fault]:
    """Every fault between values of [announce]."""
    told = table(document, "announce")
    method = text_of(told, "method")
    prefixes = list(_networks(told))
    yield from _overlaps(prefixes)
    yield from _pools(document, told)
    yield from _own_siblings(document, told, [network for _, network in prefixes])
    if not method:
        return
    if not array(told, "prefixes"):
        yield ("announce", "prefixes"), "is missing", 'list what to announce: prefixes = ["198.51.100.0/24"]'
    if text_of(table(document, "server"), "state", "/var/lib/geodns") == "":
        remedy = "name a directory as server.state: daemon and gate meet there"
        yield ("announce", "method"), "needs a state directory, and server.state is empty", remedy
    yield from _served(document, told, prefixes)
    yield from _of_method(method, told, prefixes)
    prepends = text_of(told, "drain", _DEFAULTS.drain) == "prepend" or number(told, "prepend", 0.0)
    if prepends and method not in {"frr", "exec"} and "asn" not in told:
        yield ("announce", "asn"), "is missing", "give the number of this AS, which prepends are made of"
    if number(told, "hold_down", _DEFAULTS.hold_down) > number(told, "hold_down_max", _DEFAULTS.hold_down_max):
        yield ("announce", "hold_down"), "is longer than hold_down_max", "raise announce.hold_down_max"


def announce_warnings(document: dict[str, object]) -> Iterator[Fault]:
    """What of [announce] is allowed but seldom meant."""
    told = table(document, "announce")
    if not text_of(told, "method"):
        if told.get("prefixes"):
            yield ("announce", "method"), "is missing: nothing is announced", 'set "exabgp", "bird", "frr" or "exec"'
        return
    if len(asked := array(document, "expect") + array(document, "zones")) > MOST_QUESTIONS:
        message = f"{len(asked)} expectations and zones: the gate asks for the first {MOST_QUESTIONS} only"
        yield ("announce",), message, "put the expectations that matter most first"
    for index, expect in enumerate(array(document, "expect")):
        if isinstance(expect, dict) and (why := _unaskable(document, expect)):
            yield (
                ("expect", index),
                f"the announce gate does not ask for it: {why}",
                "nothing, if other expectations show the same",
            )


def _own_siblings(document: dict[str, object], told: dict[str, object], prefixes: list[Network]) -> Iterator[Fault]:
    """Siblings that are this instance, or whichever one routing chooses: they tell nothing of others."""
    own = set(map(str, array(table(document, "server"), "listen")))
    for index, text in enumerate(array(told, "siblings")):
        path = ("announce", "siblings", index)
        try:
            listen = parse_listen(text) if isinstance(text, str) else None
        except BadListen:
            continue
        if listen is None:
            continue
        if str(text) in own:
            yield path, f"'{text}' is this instance itself (server.listen)", "name the others only, at their own addresses"
        elif any(
            ip_address(listen.host) in network for network in prefixes if network.version == ip_address(listen.host).version
        ):
            yield path, f"'{text}' is in a prefix that all instances announce", "name each at an address of its own"


def service_addresses(config: BaseModel) -> tuple[str, ...]:
    """The addresses at which the prefixes are served: as given, else those of server.listen that a prefix holds."""
    return tuple(map(str, _service_addresses(config.model_dump(mode="json", include={"server", "announce"}))))


def unaskable(config: BaseModel) -> tuple[str, ...]:
    """For each expectation why it cannot be asked on the wire from this machine; "" where it can."""
    document = config.model_dump(mode="json", include={"server", "ecs", "announce", "expect"})
    return tuple(_unaskable(document, expect) for expect in document["expect"])


def _unaskable(document: dict[str, object], expect: dict[str, object]) -> str:
    ecs = table(document, "ecs")
    if ecs.get("enabled", True) is False:
        return "client subnets are off, so it would be answered as for this machine"
    trusted = [network for text in array(ecs, "trust") if (network := _network(text))] if "trust" in ecs else None
    if trusted is None:
        return ""
    resolver = text_of(expect, "resolver")
    for asker in _service_addresses(document) + ([ip_address(resolver)] if _address(resolver) else []):
        if not any(asker.version == network.version and asker in network for network in trusted):
            return f"ecs.trust does not believe {asker}"
    return ""


def _service_addresses(document: dict[str, object]) -> list[Address]:
    told = table(document, "announce")
    given = [address for text in array(told, "addresses") if (address := _address(text))]
    if given:
        return given
    prefixes = [network for _, network in _networks(told)]
    return [address for address in _listened(document) if any(address in network for network in prefixes)]


def _listened(document: dict[str, object]) -> list[Address]:
    found = []
    for text in array(table(document, "server"), "listen"):
        try:
            listen = parse_listen(text) if isinstance(text, str) else None
        except BadListen:
            continue
        if listen:
            found.append(ip_address(listen.host))
    return found


def _address(text: object) -> Address | None:
    try:
        return ip_address(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _network(text: object) -> Network | None:
    try:
        return ip_network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _networks(told: dict[str, object]) -> Iterator[tuple[KeyPath, Network]]:
    for index, text in enumerate(array(told, "prefixes")):
        if network := _network(text):
            yield ("announce", "prefixes", index), network


def _overlaps(prefixes: list[tuple[KeyPath, Network]]) -> Iterator[Fault]:
    for index, (path, network) in enumerate(prefixes):
        for _, before in prefixes[:index]:
            if network.version == before.version and network.overlaps(before):
                what = "is there twice" if network == before else f"overlaps '{before}'"
                yield path, f"'{network}' {what}", "announce each address by one prefix, so that a withdrawal withdraws it"
                break


def _pools(document: dict[str, object], told: dict[str, object]) -> Iterator[Fault]:
    pools = table(document, "pools")
    for index, name in enumerate(array(told, "require_pools")):
        if isinstance(name, str) and name not in pools:
            close = get_close_matches(name, pools, 1)
            remedy = f"did you mean '{close[0]}'?" if close else "add it there"
            yield ("announce", "require_pools", index), f"'{name}' is not in [pools]", remedy


def _served(document: dict[str, object], told: dict[str, object], prefixes: list[tuple[KeyPath, Network]]) -> Iterator[Fault]:
    """A prefix without an address would attract packets that nobody answers."""
    listened = _listened(document)
    everywhere = {address.version for address in listened if address.is_unspecified}
    for index, text in enumerate(array(told, "addresses")):
        address = _address(text)
        if address is None:
            continue
        path: KeyPath = ("announce", "addresses", index)
        if not any(address in network for _, network in prefixes):
            yield path, f"'{address}' is in none of the prefixes", "correct it, or add its prefix"
        if address not in listened and address.version not in everywhere:
            yield path, f"'{address}' is not listened on", "add it with its port to server.listen"
    known = _service_addresses(document)
    for path, network in prefixes:
        if not any(address in network for address in known):
            if network.version in everywhere:
                yield path, f"no address of '{network}' is known", "server.listen is a wildcard: list them in announce.addresses"
            else:
                yield path, f"'{network}' holds no address that is served here", "add the service's address to server.listen"


def _of_method(method: str, told: dict[str, object], prefixes: list[tuple[KeyPath, Network]]) -> Iterator[Fault]:
    own = table(told, method)
    for path, network in prefixes if method != "exec" else ():
        if network.is_loopback:  # a program of your own may do with it what it likes: try it out
            yield path, f"'{network}' never leaves this machine", "write the prefix that holds your service's address"
    if method == "bird":
        if "med" in told:
            yield ("announce", "med"), "is not used with bird", "set bgp_med in its export filter: BIRD sends it only from there"
        yield from _of_bird(told, own, prefixes)
    elif method == "frr":
        if "asn" not in own:
            yield ("announce", "frr", "asn"), "is missing", "give the number of `router bgp`"
        for key in _NOT_FRR:
            if told.get(key):
                yield ("announce", key), "is not used with frr", "set it in a route map, and name that as announce.frr.route_map"
    elif method == "exec" and not own.get("command"):
        yield ("announce", "exec", "command"), "is missing", 'give a program and its arguments: command = ["./announce"]'


def _of_bird(told: dict[str, object], own: dict[str, object], prefixes: list[tuple[KeyPath, Network]]) -> Iterator[Fault]:
    protocols = table(own, "protocols")
    if own.get("include"):
        if protocols:
            yield ("announce", "bird", "protocols"), "is not used with include", "keep one of the two"
        return
    known = {network for text in protocols if (network := _network(text))}
    if not protocols:
        remedy = 'name a file that BIRD includes: include = "/run/geodns-announce/bird.conf"'
        yield ("announce", "bird"), "has neither include nor protocols", remedy
        return
    for path, network in prefixes:
        if network not in known:
            yield path, f"'{network}' has no protocol", f'add "{network}" = "…" to announce.bird.protocols'
    seen: dict[object, str] = {}
    for text, name in protocols.items():
        if isinstance(name, str) and (first := seen.setdefault(name, text)) != text:
            path = ("announce", "bird", "protocols", text)
            yield path, f"'{name}' is also that of '{first}'", "give each prefix a protocol of its own"
    for key in ("communities", "prepend"):
        if told.get(key):
            yield ("announce", key), "is not used with protocols", "set it in BIRD's filter, or use include"
