"""Owns the routers: what each BIRD is configured to do, and its process; refuses to know why a route should come or go.

Policy is what networks of the Internet do (Gao and Rexford): routes of customers are preferred and told to everybody, routes of
peers only to customers. A transit network sends a packet out at the nearest of its places that has the best route, for its IGP
metric is the way's delay. GRACEFUL_SHUTDOWN (RFC 8326) of a customer is honoured.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import netns, topology
from tests.lab.topology import Kind, Link, Node

HOLD, KEEPALIVE = 9, 3  # s
BFD_INTERVAL, BFD_MULTIPLIER = 100, 3  # ms


@dataclass(frozen=True, slots=True)
class Wishes:
    """What differs from event to event."""

    bfd: bool = True
    """Whether instances and their providers watch each other by BFD (RFC 5880)."""
    bay_first: frozenset[str] = field(default_factory=frozenset)
    """Regions whose provider would rather send through its second line."""


USUAL = Wishes()


def configuration(node: Node, wishes: Wishes, announced: str) -> str:
    """The whole bird.conf of a node; `announced` is the part of an instance that announces the anycast prefix."""
    parts = [
        f"log stderr all; debug protocols {{ states }};\nrouter id {node.router};\nprotocol device {{ scan time 5; }}",
        f'protocol bfd {{ interface "*" {{ interval {BFD_INTERVAL} ms; multiplier {BFD_MULTIPLIER}; }}; }}',
        _kernel(node),
        "template bgp session {\n"
        f"  hold time {HOLD}; keepalive time {KEEPALIVE}; startup hold time {HOLD};\n"
        "  connect delay time 1; connect retry time 1; error wait time 1, 2;\n}",
    ]
    if node.kind is Kind.TRANSIT:
        parts += _transit(node, wishes)
    else:
        parts.append(f"protocol static site {{ ipv4; route {node.prefix} unreachable; }}")
        parts.append(announced)
        parts += [_provider(node, link, wishes) for link in topology.links_of(node)]
    return "\n".join(part for part in parts if part) + "\n"


def always() -> str:
    """The anycast prefix announced as long as BIRD runs, whatever the DNS server does: an instance without a gate."""
    return f"protocol static anycast {{ ipv4; route {topology.ANYCAST_PREFIX} unreachable; }}"


def _kernel(node: Node) -> str:
    source = "" if node.kind is Kind.TRANSIT else f" krt_prefsrc = {node.host};"
    wanted = f'if source = RTS_BGP || proto = "inside" then {{{source} accept; }} reject;'
    return f"protocol kernel {{ ipv4 {{ export filter {{ {wanted} }}; }}; }}"


def _transit(node: Node, wishes: Wishes) -> Iterator[str]:
    inside = [link for link in topology.links_of(node) if topology.NODES[link.peer(node.name)].asn == node.asn]
    routes = "".join(
        f"\n  route {topology.NODES[link.peer(node.name)].router}/32 via {link.address(link.peer(node.name))}"
        f" {{ igp_metric = {round(topology.delay(link) * 10_000)}; }};"
        for link in inside
    )
    yield f"protocol static inside {{ ipv4;{routes}\n}}"
    for link in topology.links_of(node):
        peer = topology.NODES[link.peer(node.name)]
        if link in inside:
            yield (
                f"protocol bgp {_protocol(peer)} from session {{\n"
                f"  local {node.router} as {node.asn}; neighbor {peer.router} as {peer.asn};\n"
                "  ipv4 { import all; export where source = RTS_BGP; next hop self; };\n}"
            )
        elif peer.kind is Kind.TRANSIT:
            yield _session(node, link, _learn(node, 100, 2), f"where ({node.asn}, 1) ~ bgp_community")
        else:
            watch = "bfd on;" if peer.kind is Kind.INSTANCE and wishes.bfd else ""
            yield _session(node, link, _learn(node, 200, 1), "where source = RTS_BGP", watch)


def _learn(node: Node, preference: int, mark: int) -> str:
    """Import of a transit network: mark from whom it came; a route that is about to go is the last resort."""
    return (
        f"filter {{ bgp_local_pref = {preference};"
        f" bgp_community.delete([({node.asn}, *)]); bgp_community.add(({node.asn}, {mark}));"
        " if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }"
    )


def _provider(node: Node, link: Link, wishes: Wishes) -> str:
    """An edge network's session with a provider."""
    first = link.preferred != (node.name in wishes.bay_first)
    if node.kind is Kind.INSTANCE:
        watch = "allow local as 1;" + (" bfd on;" if wishes.bfd else "")  # siblings' unicast prefixes have this AS in their path
        wanted = f"if net = {topology.ANYCAST_PREFIX} then reject;"
        told = f'where proto = "site" || (source = RTS_STATIC && net = {topology.ANYCAST_PREFIX})'
    else:
        watch, wanted, told = "", "", 'where proto = "site"'
    return _session(node, link, f"filter {{ {wanted} bgp_local_pref = {120 if first else 110}; accept; }}", told, watch)


def _session(node: Node, link: Link, learnt: str, told: str, more: str = "") -> str:
    peer = topology.NODES[link.peer(node.name)]
    return (
        f"protocol bgp {_protocol(peer)} from session {{\n"
        f"  local {link.address(node.name)} as {node.asn}; neighbor {link.address(peer.name)} as {peer.asn}; {more}\n"
        f"  ipv4 {{ import {learnt}; export {told}; }};\n}}"
    )


def _protocol(node: Node) -> str:
    return f"to_{node.name.replace('-', '_')}"  # a prefix, for some names are words of BIRD


@dataclass(slots=True)
class Router:
    """One BIRD."""

    node: Node
    directory: Path
    announced: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return self.directory / "bird.ctl"

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.directory / "bird.conf"

    def start(self) -> None:
        """Write the configuration and run it."""
        self.file.write_text(configuration(self.node, USUAL, self.announced))
        words = ("bird", "-f", "-c", str(self.file), "-s", str(self.socket), "-P", str(self.directory / "bird.pid"))
        with (self.directory / "bird.log").open("wb") as log:
            self.process = subprocess.Popen(netns.within(self.node.name, *words), stdout=log, stderr=log)

    def configure(self, wishes: Wishes) -> None:
        """Give it another configuration; what does not differ goes on."""
        text = configuration(self.node, wishes, self.announced)
        if text != self.file.read_text():
            self.file.write_text(text)
            self.ask("configure")

    def ask(self, *words: str) -> str:
        """What birdc prints."""
        return netns.command("birdc", "-s", str(self.socket), *words)
