"""Owns telling FRRouting by vtysh: network statements and their route maps; refuses to know other routers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from geodns.ops.announce._course import State
from geodns.ops.announce._router import ESTABLISHED, Peers, RouterFault, States, run

_COMPLAINTS = ("% ", "Can't open configuration file", "failed to connect", "is not running")


class Vtysh:
    """Puts network statements into the running configuration and takes them out; nothing is written to FRR's files.

    Without a route map for draining a prefix that is to be drained is withdrawn.
    """

    def __init__(self, program: str, asn: int, route_map: str, drain_route_map: str) -> None:
        self._program = program
        self._asn = asn
        self._maps = {State.ANNOUNCED: route_map, State.DRAINED: drain_route_map}

    async def apply(self, states: States) -> None:
        """See `Router`."""
        running = self._statements(await self._said("show running-config bgpd"))
        commands: list[str] = []
        for prefix, state in states.items():
            wanted, there = self._statement(prefix, state), running.get(prefix)
            if wanted == there:
                continue
            family = f"address-family ipv{ip_network(prefix).version} unicast"
            lines = [wanted] if wanted else [f"no network {prefix}"]
            commands += [family, *lines, "exit-address-family"]
        if not commands:
            return
        await self._said("configure terminal", f"router bgp {self._asn}", *commands, "end")
        running = self._statements(await self._said("show running-config bgpd"))
        if unlike := [prefix for prefix, state in states.items() if running.get(prefix) != self._statement(prefix, state)]:
            raise RouterFault(f"FRR has taken the commands, and {', '.join(unlike)} is not as they say")

    def _statement(self, prefix: str, state: State) -> str | None:
        if state is State.WITHDRAWN or (state is State.DRAINED and not self._maps[State.DRAINED]):
            return None
        name = self._maps[state]
        return f"network {prefix}" + (f" route-map {name}" if name else "")

    def _statements(self, configuration: str) -> Mapping[str, str]:
        """The network statements of this AS's BGP, by prefix."""
        inside, found = False, {}
        for line in configuration.splitlines():
            if line.startswith("router bgp "):
                inside = line.split()[2] == str(self._asn) and " vrf " not in line
            elif line and not line.startswith(" "):
                inside = False
            elif inside and (statement := re.match(r" +(network (\S+)( route-map \S+)?)\s*$", line)):
                found[statement[2]] = statement[1]
        return found

    async def seen(self) -> dict[str, State] | None:
        """See `Router`. A statement alone announces nothing: FRR must also have made a route of it."""
        found: dict[str, State] = {}
        for prefix, statement in self._statements(await self._said("show running-config bgpd")).items():
            told = await self._shown(f"bgp ipv{ip_network(prefix).version} unicast {prefix}")
            if any(path.get("sourced") for path in told.get("paths", ())):
                drained = self._maps[State.DRAINED]
                found[prefix] = State.DRAINED if drained and statement.endswith(f" {drained}") else State.ANNOUNCED
        return found

    async def peers(self) -> Peers | None:
        """See `Router`: a neighbour of several address families is one, established if any of them is."""
        found: dict[str, str] = {}
        for family in (await self._shown("bgp summary")).values():
            for name, peer in family.get("peers", {}).items() if isinstance(family, dict) else ():
                if found.get(name) != ESTABLISHED:
                    found[name] = str(peer.get("state", "unknown")).lower()
        return found

    async def _shown(self, what: str) -> dict[str, Any]:
        text = await self._said(f"show {what} json")
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise RouterFault(f"vtysh shows {text[:80]!r} for {what}, which is no JSON object")
        return told

    async def _said(self, *commands: str) -> str:
        arguments = [word for command in commands for word in ("-c", command)]
        said = await run((self._program, *arguments))
        for line in said.splitlines():
            if line.startswith(_COMPLAINTS[0]) or any(text in line for text in _COMPLAINTS[1:]):
                raise RouterFault(f"FRR refuses: {line.removeprefix('% ').strip()}")
        return said
