"""Owns telling routers by a program of the operator's; refuses to know what that does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_network

from geodns.ops.announce._course import State
from geodns.ops.announce._router import Attributes, Peers, RouterFault, States, run

_PEER = "peer"


class Program:
    """Runs `command` with all prefixes and their states as JSON on standard input; exit status 0 means that it is so.

    `show` prints what is announced, one prefix and its state a line, and BGP peers if it likes: `peer`, a name and a state.
    """

    def __init__(self, command: Sequence[str], show: Sequence[str], attributes: Attributes) -> None:
        self._command = command
        self._show = show
        self._attributes = attributes

    async def apply(self, states: States) -> None:
        """See `Router`."""
        told = {
            prefix: {
                "state": state.value,
                "communities": list(self._attributes.communities_in(state)),
                "prepend": self._attributes.prepends_in(state),
                "med": self._attributes.med,
            }
            for prefix, state in states.items()
        }
        await run(self._command, json.dumps({"prefixes": told}) + "\n")

    async def seen(self) -> dict[str, State] | None:
        """See `Router`."""
        if not self._show:
            return None
        found: dict[str, State] = {}
        for line in (await run(self._show)).splitlines():
            words = line.split()
            if not words or words[0] == _PEER:
                continue
            try:
                state = State(words[1] if len(words) > 1 else State.ANNOUNCED)
                found[str(ip_network(words[0]))] = state
            except ValueError:
                raise RouterFault(f"{self._show[0]} prints {line!r}, which is no prefix and state") from None
        return {prefix: state for prefix, state in found.items() if state is not State.WITHDRAWN}

    async def peers(self) -> Peers | None:
        """See `Router`: as far as the program tells."""
        lines = [line.split(maxsplit=2) for line in (await run(self._show)).splitlines()] if self._show else []
        found = {words[1]: words[2].strip().lower() for words in lines if len(words) == 3 and words[0] == _PEER}
        return found or None
