"""What ExaBGP is told in its two languages, and what its answers mean."""

from __future__ import annotations

import asyncio
import os
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from geodns.ops.announce import Attributes, Exabgp, RouterFault, State

FOUR, SIX = "198.51.100.0/24", "2001:db8::/48"
SHOWN = (
    f"neighbor 127.0.0.2 local-ip 127.0.0.1 local-as 64500 peer-as 64501 router-id 192.0.2.1 family-allowed in-open "
    f"ipv4 unicast {FOUR} next-hop self med 100 community 65535:0\n"
    f"neighbor 127.0.0.2 local-ip 127.0.0.1 local-as 64500 peer-as 64501 router-id 192.0.2.1 family-allowed in-open "
    f"ipv6 unicast {SIX} next-hop self\ndone\n"
)


@dataclass(slots=True)
class Told:
    """An ExaBGP that answers: what it heard, and whether the adapter learnt of its end."""

    adapter: Exabgp
    heard: list[str] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


@asynccontextmanager
async def exabgp(
    answer: Callable[[str], str | None], version: str = "auto", attributes: Attributes | None = None
) -> AsyncIterator[Told]:
    """A thread that reads lines and answers each; None ends it."""
    hear, say = os.pipe()
    listen, tell = os.pipe()
    gone = threading.Event()
    told = Told(Exabgp(version, "self", attributes or Attributes(), gone.set, (listen, say)), gone=gone)

    def work() -> None:
        with open(hear, encoding="utf-8") as lines, open(tell, "wb", buffering=0) as out:
            for line in lines:
                told.heard.append(line.rstrip("\n"))
                reply = answer(told.heard[-1])
                if reply is None:
                    return
                out.write(reply.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield told
    finally:
        told.adapter.close()
        for descriptor in (say, listen):
            os.close(descriptor)
        await asyncio.to_thread(thread.join, 10)


def old(line: str) -> str:
    """What versions 4 and 5 say to all else."""
    return SHOWN if line.startswith("show") else "done\n"


@pytest.mark.parametrize("version", ["error\n", "exabgp 4.2.21\ndone\n", "exabgp 5.0.1\ndone\n"])
async def test_the_language_of_4_and_5(version: str) -> None:
    """Asked in the language of version 6 it says its version or error; then routes are announced with all that they carry."""
    attributes = Attributes(("64500:70", "4200000000:1:2"), 2, 64500, 100)
    async with exabgp(lambda line: version if line == "system version" else old(line), attributes=attributes) as told:
        await told.adapter.apply({FOUR: State.DRAINED, SIX: State.WITHDRAWN})
        seen = await told.adapter.seen()

    assert [
        "system version",
        f"announce route {FOUR} next-hop self med 100 as-path [ 64500 64500 ] "
        "community [ 64500:70 65535:0 ] large-community [ 4200000000:1:2 ]",
        f"withdraw route {SIX} next-hop self",
        "show adj-rib out extensive",
    ] == told.heard
    assert {FOUR: State.DRAINED, SIX: State.ANNOUNCED} == seen


NEIGHBORS = """\
Neighbor 192.0.2.9

  Session                         Local
   local                      192.0.2.1
   state                    ESTABLISHED
   up for                       0:00:02

Neighbor 192.0.2.10

  Session                         Local
   state                         ACTIVE
done
"""


async def test_the_peers_are_known() -> None:
    """Of 4 and 5, those that are not established too; 6 is not asked."""
    async with exabgp(lambda _line: NEIGHBORS, "4") as told:
        assert {"192.0.2.9": "established", "192.0.2.10": "active"} == await told.adapter.peers()
    async with exabgp(lambda _line: "done\n", "6") as told:
        assert await told.adapter.peers() is None


async def test_the_language_of_6() -> None:
    """It answers, so each command names its peers; what it has is not asked."""
    replies = '{"version": "6.0.0", "application": "exabgp"}\ndone\n'
    async with exabgp(lambda line: replies if line == "system version" else '{"answer": "done", "message": ""}\n') as told:
        await told.adapter.apply({FOUR: State.ANNOUNCED, SIX: State.WITHDRAWN})

        assert await told.adapter.seen() is None

    assert [
        "system version",
        f"peer * announce route {FOUR} next-hop self",
        f"peer * withdraw route {SIX} next-hop self",
    ] == told.heard


@pytest.mark.parametrize("version", ["4", "5", "6"])
async def test_a_language_that_is_given_is_not_asked_for(version: str) -> None:
    """The first line is the announcement already."""
    async with exabgp(lambda _line: "done\n", version) as told:
        await told.adapter.apply({FOUR: State.ANNOUNCED})

    assert [f"{'peer * ' if version == '6' else ''}announce route {FOUR} next-hop self"] == told.heard


async def test_what_nobody_has_asked_for_is_not_kept() -> None:
    """An ExaBGP that sends its neighbours' updates to every process fills no memory."""
    news = '{"exabgp": "5.0.0", "type": "update"}\n' * 50_000
    async with exabgp(lambda _line: f"done\n{news}shutdown\n", "4") as told, asyncio.timeout(30):
        tracemalloc.start()
        await told.adapter.apply({FOUR: State.ANNOUNCED})
        while not told.gone.is_set():  # when it has read all of them
            await asyncio.sleep(0.01)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert most < 3 * len(news)  # twice that is with the thread that sends it: text, and octets


async def test_a_refusal_is_told() -> None:
    """With the line that it was about."""
    async with exabgp(lambda _line: "error\n", "4") as told:
        with pytest.raises(RouterFault, match=f"refuses “announce route {FOUR}"):
            await told.adapter.apply({FOUR: State.ANNOUNCED})


async def test_silence_is_waited_for_by_nobody_for_ever() -> None:
    """Without acknowledgements the caller's time-out ends it, and late words are not taken for the answer to the next line."""
    async with exabgp(lambda line: "" if FOUR in line else "done\n", "4") as told:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await told.adapter.apply({FOUR: State.ANNOUNCED})
        await told.adapter.apply({SIX: State.ANNOUNCED})

    assert 2 == len(told.heard)


@pytest.mark.parametrize(
    "last", [None, "shutdown\n", "x" * (2 << 20)], ids=["its pipes are closed", "it says so", "it says something without an end"]
)
async def test_the_end_of_exabgp_is_noticed(last: str | None) -> None:
    """Then the gate ends, too."""
    async with exabgp(lambda _line: last, "4") as told:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await told.adapter.apply({FOUR: State.ANNOUNCED})

        assert told.gone.is_set()
