"""Owns keeping a router at what is wanted: tells it, looks, tries again; no router, however stuck, holds up a judgement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from geodns.ops.announce._course import State
from geodns.ops.announce._router import Peers, Router, RouterFault, States

log = logging.getLogger("geodns.announce")

_FIRST_DELAY, _LAST_DELAY = 1.0, 30.0  # seconds until what has failed is tried again, doubled each time


class Reconciler:
    """One router and what it is to announce. `wanted` may change at any time; `applied` is what it has confirmed last, but for
    prefixes that it may have announced since.

    `told` is called when it has confirmed, or has not.
    """

    def __init__(self, router: Router, *, timeout: float, verify_interval: float) -> None:
        self._router = router
        self._timeout = timeout
        self._verify_interval = verify_interval
        self._wanted: dict[str, State] | None = None
        self._changed = asyncio.Event()
        self._delay = 0.0
        self._is_sure = False
        self._is_blind = False  # the last look has failed, or shown nothing
        self.peers: Peers | None = None
        self.applied: dict[str, State] | None = None
        self.trouble = ""
        self.failures = 0
        self.drifts = 0
        self.settled = asyncio.Event()
        self.told: Callable[[], None] = lambda: None

    @property
    def is_settled(self) -> bool:
        """Whether the router has confirmed what is wanted, and could be asked since."""
        return self._is_told and not self._is_blind

    @property
    def _is_told(self) -> bool:
        return self._is_sure and self.applied == self._wanted

    def want(self, states: States) -> None:
        """What is to be announced from now on."""
        if dict(states) != self._wanted:
            self._wanted = dict(states)
            self._delay = 0.0
            self.settled.clear()
            self._changed.set()

    async def seen(self) -> dict[str, State] | None:
        """What the router announces now; None where it cannot be asked, or does not say."""
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._router.seen()
        except TimeoutError:
            self._note(f"the router has not answered for {self._timeout:g} s")
        except RouterFault as fault:
            self._note(str(fault))
        except Exception as fault:
            self._note(_own_fault(fault))
        else:
            if self.trouble:
                log.info("the router can be asked again")
            self._is_blind, self.trouble = False, ""
            return found
        self._is_blind = True
        return None

    async def _count_peers(self) -> None:
        """To whom it announces. It decides nothing, so it is no trouble where nobody can tell."""
        self.peers = None
        if self._is_blind:
            return
        try:
            async with asyncio.timeout(self._timeout):
                self.peers = await self._router.peers()
        except (TimeoutError, RouterFault) as fault:
            log.debug("the router's peers are not known: %r", fault)
        except Exception as fault:
            _own_fault(fault)

    async def run(self) -> None:
        """Tell it whenever something else is wanted, again where that failed, and look from time to time; until cancelled."""
        due = monotonic() + self._verify_interval
        while True:
            wait = max(due - monotonic(), 0.0) if self._is_told or self._wanted is None else self._delay
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if self._wanted is None:
                continue
            if self._is_told and monotonic() >= due:
                await self._verify()
                due = monotonic() + (min(self._slower(), self._verify_interval) if self._is_blind else self._verify_interval)
            if not self._is_told:
                await self._apply(dict(self._wanted))
            if self._is_told and not self._changed.is_set():
                await self._count_peers()
                self.told()

    async def _apply(self, wanted: dict[str, State]) -> None:
        self._is_sure = False
        self.applied = {  # from now on until it is confirmed, who is to be announced may be so, and is not told as withdrawn
            prefix: state
            for prefix, state in (self.applied or {}).items()
            if state is not State.WITHDRAWN or wanted.get(prefix, state) is state
        }
        self.told()
        try:
            async with asyncio.timeout(self._timeout):
                await self._router.apply(wanted)
        except TimeoutError:
            self._fail(f"the router has not answered for {self._timeout:g} s")
        except RouterFault as fault:
            self._fail(str(fault))
        except Exception as fault:
            self._fail(_own_fault(fault))
        else:
            if self.trouble:
                log.info("the router is told again")
            self.trouble, self.applied, self._delay, self._is_sure, self._is_blind = "", wanted, 0.0, True, False
            if self.is_settled:
                self.settled.set()
        self.told()

    def _fail(self, why: str) -> None:
        self._note(why)
        self._slower()

    def _slower(self) -> float:
        """Seconds until the next try, twice as many each time."""
        self._delay = min(max(2 * self._delay, _FIRST_DELAY), _LAST_DELAY)
        return self._delay

    def _note(self, why: str) -> None:
        self.failures += 1
        if why != self.trouble:
            log.error("%s; what was announced before may still be", why)
        self.trouble = why

    async def _verify(self) -> None:
        """Compare what is announced with what is wanted; anything else is drift, and told anew."""
        found = await self.seen()
        if found is None or self._wanted is None:
            return
        unlike = [
            f"{prefix} is {found.get(prefix, State.WITHDRAWN)} instead of {state}"
            for prefix, state in self._wanted.items()
            if found.get(prefix, State.WITHDRAWN) is not state
        ]
        if unlike:
            self.drifts += 1
            log.warning("somebody else has changed it: %s; it is told anew", "; ".join(unlike))
            self.applied = None


def _own_fault(fault: Exception) -> str:
    """A fault of ours, told as trouble with the router: to go on telling it is worth more than to end."""
    log.error("a fault of our own while the router was told or asked", exc_info=fault)
    return f"the router could not be told or asked, by a fault of our own: {fault!r}"
