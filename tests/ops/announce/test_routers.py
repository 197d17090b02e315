"""What routers are told, and what their answers mean: control sockets and programs that answer, refuse, hang and end too soon."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.announce import Attributes, Include, Program, Protocols, RouterFault, State, Vtysh
from geodns.ops.announce._bird import written
from tests.support.daemons import poll

FOUR, SIX = "198.51.100.0/24", "2001:db8::/48"
END = "and then the end: "
GREETING = "0001 BIRD 2.0.12 ready.\n"
ROUTE = "1007-Table master4:\n 198.51.100.0/24      blackhole [anycast4 16:42:48.943] * (200)\n0000 \n"
NONE = "8001 Network not found\n"


@asynccontextmanager
async def bird(path: Path, *replies: str | None) -> AsyncIterator[list[str]]:
    """A control socket that greets and gives one reply after the other, None for silence; what it was told."""
    told: list[str] = []
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING.encode())
        while line := await reader.readline():
            told.append(line.decode().strip())
            answer = left.pop(0) if left else ""
            if answer is None:
                continue
            writer.write(answer.removeprefix(END).encode())
            if not answer or answer.startswith(END):
                break
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield told
    finally:
        server.close()


async def test_a_protocol_is_enabled_and_looked_at(tmp_path: Path) -> None:
    """The command, and then the route that BIRD has."""
    async with bird(tmp_path / "ctl", "0011-anycast4: enabled\n0000 \n", ROUTE) as told:
        await Protocols(str(tmp_path / "ctl"), {FOUR: "anycast4"}).apply({FOUR: State.ANNOUNCED})

    assert ['enable "anycast4"', f"show route {FOUR} primary protocol 'anycast4' all"] == told


async def test_a_protocol_that_is_disabled_has_no_route(tmp_path: Path) -> None:
    """It is looked at again while BIRD is still taking the route away."""
    async with bird(tmp_path / "ctl", "0009-anycast4: disabled\n0000 \n", ROUTE, NONE) as told:
        await Protocols(str(tmp_path / "ctl"), {FOUR: "anycast4"}).apply({FOUR: State.WITHDRAWN})

    assert 3 == len(told)


REFUSALS = {
    "no such protocol": (("8003 No protocols match\n",), "BIRD refuses to enable anycast4: No protocols match"),
    "the end in the middle": ((f"{END}0011-anycast4: ",), "BIRD's control socket ends in the middle of a reply"),
    "no reply at all": (("",), "BIRD's control socket ends in the middle of a reply"),
    "octets that are none of BIRD's": ((END + "\x00\xff\n" * 3,), "BIRD's control socket ends in the middle of a reply"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_bird_refuses_is_told(case: str, tmp_path: Path) -> None:
    """A reason for the operator, and no exception of another kind."""
    replies, expected = REFUSALS[case]
    async with bird(tmp_path / "ctl", *replies, ""):
        with pytest.raises(RouterFault) as refused:
            async with asyncio.timeout(10):
                await Protocols(str(tmp_path / "ctl"), {FOUR: "anycast4"}).apply({FOUR: State.ANNOUNCED})

    assert expected == str(refused.value)


async def test_a_missing_control_socket_is_told(tmp_path: Path) -> None:
    """BIRD does not run, or the path is wrong."""
    with pytest.raises(RouterFault, match=r"BIRD cannot be reached at .*ctl: No such file or directory"):
        await Protocols(str(tmp_path / "ctl"), {FOUR: "anycast4"}).seen()


async def test_a_file_that_bird_refuses_is_put_back(tmp_path: Path) -> None:
    """What BIRD runs with stays what the file says: the next start must not fail."""
    include = Include(str(tmp_path / "ctl"), tmp_path / "bird.conf", Attributes())
    (tmp_path / "bird.conf").write_text("before")
    async with bird(tmp_path / "ctl", "0002-Reading configuration from a.conf\n8002 bird.conf:3:5 syntax error\n"):
        with pytest.raises(RouterFault, match=r"BIRD refuses its configuration: bird\.conf:3:5 syntax error"):
            await include.apply({FOUR: State.ANNOUNCED})

    assert "before" == (tmp_path / "bird.conf").read_text()


async def test_a_file_that_bird_does_not_include_is_told(tmp_path: Path) -> None:
    """BIRD reads its configuration without a fault, and announces nothing: that line is what is missing."""
    include = Include(str(tmp_path / "ctl"), tmp_path / "bird.conf", Attributes())
    async with bird(tmp_path / "ctl", "0002-Reading configuration\n0003 Reconfigured\n", "8003 No protocols match\n"):
        with pytest.raises(RouterFault, match=r'add the line  include ".*bird\.conf";  to bird\.conf'):
            await include.apply({FOUR: State.ANNOUNCED})


QUEUED = "0002-Reading configuration\n0005 Reconfiguration already in progress, queueing new config\n"
KNOWN = "1002-geodns_announce4 Static     master4    up\n     geodns_announce6 Static     master6    up\n0000 \n"
OURS = ROUTE.replace("anycast4", "geodns_announce4")


async def test_a_file_that_waits_its_turn_is_accepted(tmp_path: Path) -> None:
    """BIRD is still busy with the configuration before: it has read the new one, and follows it in the end."""
    include = Include(str(tmp_path / "ctl"), tmp_path / "bird.conf", Attributes())
    (tmp_path / "bird.conf").write_text("before")
    async with bird(tmp_path / "ctl", QUEUED, KNOWN, NONE, OURS):
        await include.apply({FOUR: State.ANNOUNCED})

    assert f"route {FOUR} blackhole;" in (tmp_path / "bird.conf").read_text()


@pytest.mark.parametrize("before", [None, written({FOUR: State.ANNOUNCED}, Attributes())])
async def test_a_refusal_leaves_no_file_that_announces_more(before: str | None, tmp_path: Path) -> None:
    """What BIRD refuses is taken back where it would announce, and stays where it announces less than before."""
    file = tmp_path / "bird.conf"
    include = Include(str(tmp_path / "ctl"), file, Attributes())
    if before:
        file.write_text(before)
    wanted = State.WITHDRAWN if before else State.ANNOUNCED
    async with bird(tmp_path / "ctl", "8002 bird.conf:3:5 syntax error\n", "8003 No protocols match\n", OURS * 30):
        with pytest.raises(RouterFault):
            await include.apply({FOUR: wanted})

    assert (written({FOUR: wanted}, Attributes()) if before else None) == (file.read_text() if file.exists() else None)


async def test_what_cannot_be_done_without_its_configuration_is_told(tmp_path: Path) -> None:
    """One family is withdrawn all the same; of the other BIRD's refusal is what is told."""
    refused, disabled = "8002 bird.conf:3:5 syntax error\n", "0009-geodns_announce4: disabled\n0000 \n"
    include = Include(str(tmp_path / "ctl"), tmp_path / "bird.conf", Attributes())
    async with bird(tmp_path / "ctl", refused, disabled, *[NONE] * 100) as told:
        with pytest.raises(RouterFault, match=r"BIRD refuses its configuration: bird\.conf:3:5 syntax error"):
            await include.apply({FOUR: State.WITHDRAWN, SIX: State.ANNOUNCED})

    assert ["configure", 'disable "geodns_announce4"'] == told[:2]
    assert all(line.startswith("show route") for line in told[2:])


PEERS = (
    "2002-Name       Proto      Table      State  Since         Info\n"
    "1002-device1    Device     ---        up     19:53:00.998  \n"
    "1002-up1        BGP        ---        up     2026-11-28 19:53:00  Established   \n"
    "1006-  BGP state:          Established\n     Neighbor address: 192.0.2.9\n"
    "1002-off        BGP        ---        down   19:53:00.998  \n1006-  BGP state:          Down\n"
    "1002-away       BGP        ---        start  19:53:00.998  Active        Socket: Connection refused\n"
    "1006-  BGP state:          Active\n0000 \n"
)


async def test_the_peers_of_bird_are_known(tmp_path: Path) -> None:
    """By the names of its protocols, whatever else it runs, and however it writes times."""
    for router in (Protocols(str(tmp_path / "ctl"), {}), Include(str(tmp_path / "ctl"), tmp_path / "bird.conf", Attributes())):
        async with bird(tmp_path / "ctl", PEERS):
            assert {"up1": "established", "off": "down", "away": "active"} == await router.peers()


async def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The directory must be there and this user's."""
    with pytest.raises(RouterFault, match="cannot be written: No such file or directory"):
        await Include("ctl", tmp_path / "none" / "bird.conf", Attributes()).apply({FOUR: State.ANNOUNCED})


def test_the_file_has_routes_with_what_they_carry() -> None:
    """A static protocol for each family; empty where nothing is announced."""
    attributes = Attributes(("64500:70", "4200000000:1:2"), 1, 64500)
    text = written({FOUR: State.DRAINED, SIX: State.WITHDRAWN}, attributes)

    assert (
        "protocol static geodns_announce4 {\n    ipv4;\n"
        "    route 198.51.100.0/24 blackhole { bgp_community.add((64500,70)); bgp_large_community.add((4200000000,1,2)); "
        "bgp_community.add((65535,0)); bgp_path.prepend(64500); };\n}\n"
        "protocol static geodns_announce6 {\n    ipv6;\n}\n"
    ) == text.partition("\n")[2]


@given(st.sampled_from(State), st.sampled_from(["gshut", "prepend", "withdraw"]), st.integers(0, 3), st.integers(1, 5))
def test_draining_looks_worse_and_nothing_else(state: State, drain: str, prepend: int, more: int) -> None:
    """The community, or the longer path, is there exactly while it drains."""
    attributes = Attributes(("64500:70",), prepend, 64500, None, drain, more)
    draining = state is State.DRAINED

    assert (draining and drain == "gshut") == ("65535:0" in attributes.communities_in(state))
    assert (more if draining and drain == "prepend" else prepend) == attributes.prepends_in(state)


# --- programs ---------------------------------------------------------------------------------------------------------


def script(path: Path, text: str) -> str:
    """A Python program of its own."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


async def test_a_program_gets_all_states(tmp_path: Path) -> None:
    """As JSON on standard input, each time all of them."""
    kept = tmp_path / "kept"
    program = Program(["tee", str(kept)], [], Attributes(("64500:70",), med=5))
    await program.apply({FOUR: State.DRAINED, SIX: State.WITHDRAWN})

    assert {
        "prefixes": {
            FOUR: {"state": "drained", "communities": ["64500:70", "65535:0"], "prepend": 0, "med": 5},
            SIX: {"state": "withdrawn", "communities": ["64500:70"], "prepend": 0, "med": 5},
        }
    } == json.loads(kept.read_text())
    assert await program.seen() is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import sys; print('no route to router', file=sys.stderr); sys.exit(3)", "exits with 3: no route to router"),
        ("import sys; sys.exit(1)", "exits with 1: it says nothing"),
    ],
)
async def test_a_program_that_fails_is_told(text: str, fault: str, tmp_path: Path) -> None:
    """Its exit status, and the last line that it wrote."""
    with pytest.raises(RouterFault) as refused:
        await Program([script(tmp_path / "tell", text)], [], Attributes()).apply({FOUR: State.ANNOUNCED})

    assert str(refused.value).endswith(fault)


async def test_a_program_that_is_missing_is_told() -> None:
    """It cannot be run, and why."""
    with pytest.raises(RouterFault, match="/no/such/program cannot be run: No such file or directory"):
        await Program(["/no/such/program"], [], Attributes()).apply({FOUR: State.ANNOUNCED})


async def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    """Whoever stops waiting leaves nothing behind."""
    pid = tmp_path / "pid"
    hanging = script(tmp_path / "tell", f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await Program([hanging], [], Attributes()).apply({FOUR: State.ANNOUNCED})

    assert not Path(f"/proc/{pid.read_text()}").exists()


@pytest.mark.parametrize("start", ["", "setsid "], ids=["its own", "one that has left its group"])
async def test_a_script_that_hangs_in_another_program_holds_nobody_up(start: str, tmp_path: Path) -> None:
    """Its children have its pipes, and nobody waits until they let go of them."""
    began, pid = monotonic(), tmp_path / "pid"
    other = script(tmp_path / "other", f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await Program(["sh", "-c", f"{start}{other} & wait"], [], Attributes()).apply({FOUR: State.ANNOUNCED})

    assert monotonic() - began < 10
    if start:  # nobody can know it; it holds what it prints to, and still nobody waits
        os.kill(int(pid.read_text()), signal.SIGKILL)
    poll("it is gone, too", lambda: not lives(int(pid.read_text())))


def lives(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_program_that_prints_without_end_is_killed() -> None:
    """Before it fills the memory."""
    with pytest.raises(RouterFault, match="yes prints more than 1,048,576 octets"):
        async with asyncio.timeout(10):
            await Program(["true"], ["yes"], Attributes()).seen()


async def test_a_program_need_not_read(tmp_path: Path) -> None:
    """What it is told is more than a pipe holds; that it is done is all that counts."""
    prefixes = {f"10.{number // 256}.{number % 256}.0/24": State.ANNOUNCED for number in range(3000)}
    await Program(["true"], [], Attributes()).apply(prefixes)
    kept = tmp_path / "kept"
    await Program(["tee", str(kept)], [], Attributes()).apply(prefixes)

    assert prefixes.keys() == json.loads(kept.read_text())["prefixes"].keys()


async def test_what_a_program_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    """An exit is an end, though a child keeps the output open, as the shared connection of ssh does."""
    pid = tmp_path / "pid"
    try:
        async with asyncio.timeout(10):
            leaving = ["sh", "-c", f"sleep 600 & echo $! >{pid}; echo {FOUR}"]
            await Program(leaving, [], Attributes()).apply({FOUR: State.ANNOUNCED})
            assert lives(int(pid.read_text()))
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_what_a_program_shows_is_read(tmp_path: Path) -> None:
    """A prefix and its state on each line; what is none is told."""
    shown = tmp_path / "shown"
    program = Program(["true"], ["cat", str(shown)], Attributes())
    shown.write_text(f"{FOUR} drained\n\n{SIX}\n192.0.2.0/24 withdrawn\n")

    assert {FOUR: State.DRAINED, SIX: State.ANNOUNCED} == await program.seen()
    assert await program.peers() is None
    shown.write_text(f"{FOUR}\npeer transit1 Established\npeer transit2 Idle (Admin)\n\n")
    assert {FOUR: State.ANNOUNCED} == await program.seen()
    assert {"transit1": "established", "transit2": "idle (admin)"} == await program.peers()
    shown.write_text("hello\n")
    with pytest.raises(RouterFault, match="prints 'hello', which is no prefix and state"):
        await program.seen()


VTYSH = """
import json, pathlib, sys
kept = pathlib.Path(sys.argv[0]).with_suffix(".json")
known = json.loads(kept.read_text()) if kept.exists() else {}
said = [word for word in sys.argv[1:] if word != "-c"]
if said[0] == "show running-config bgpd":
    print("router bgp 64500\\n neighbor 127.0.0.2 remote-as 64501\\n !\\n address-family ipv4 unicast")
    print("".join(f"  {line}\\n" for line in known.values()) + " exit-address-family\\nexit\\n!")
    print("router bgp 64500 vrf other\\n address-family ipv4 unicast\\n  network 203.0.113.0/24\\n exit-address-family\\nexit")
elif said[0].startswith("show bgp"):
    print(json.dumps({"paths": [{"sourced": True}]} if said[0].split()[4] in known else {}))
elif "router bgp 64501" in said:
    sys.exit("BGP is already running; AS is 64500")
else:
    for line in said:
        words = line.split()
        if words[0] == "network":
            known[words[1]] = line
        elif words[:2] == ["no", "network"]:
            known.pop(words[2])
    kept.write_text(json.dumps(known))
"""


async def test_network_statements_come_and_go(tmp_path: Path) -> None:
    """Without a route map, with the one for draining, and not at all; what is so already is left alone."""
    frr = Vtysh(script(tmp_path / "vtysh", VTYSH), 64500, "", "drain")
    seen = []
    for state in (State.ANNOUNCED, State.ANNOUNCED, State.DRAINED, State.WITHDRAWN, State.WITHDRAWN):
        await frr.apply({FOUR: state})
        seen.append(await frr.seen())

    assert [{FOUR: State.ANNOUNCED}, {FOUR: State.ANNOUNCED}, {FOUR: State.DRAINED}, {}, {}] == seen


async def test_another_vrf_is_another_router(tmp_path: Path) -> None:
    """What a VRF of the same AS has does not stand for what is wanted here."""
    there = "203.0.113.0/24"
    frr = Vtysh(script(tmp_path / "vtysh", VTYSH), 64500, "", "")
    await frr.apply({there: State.ANNOUNCED})

    assert {there: State.ANNOUNCED} == await frr.seen()


async def test_commands_that_change_nothing_are_told(tmp_path: Path) -> None:
    """vtysh says nothing, and the statement is not there: that is no announcement."""
    deaf = VTYSH.replace("kept.write_text(json.dumps(known))", "pass")
    with pytest.raises(RouterFault, match=f"FRR has taken the commands, and {FOUR} is not as they say"):
        await Vtysh(script(tmp_path / "vtysh", deaf), 64500, "", "").apply({FOUR: State.ANNOUNCED})


async def test_an_as_that_frr_does_not_know_is_told(tmp_path: Path) -> None:
    """What vtysh says is the reason."""
    with pytest.raises(RouterFault, match="exits with 1: BGP is already running; AS is 64500"):
        await Vtysh(script(tmp_path / "vtysh", VTYSH), 64501, "", "").apply({FOUR: State.ANNOUNCED})


SUMMARY = (
    '{"ipv4Unicast": {"as": 64500, "peers": {"192.0.2.9": {"state": "Established"}, "fe80::1": {"state": "Idle (Admin)"}}}, '
    '"ipv6Unicast": {"peers": {"192.0.2.9": {"state": "Idle"}, "2001:db8::9": {"state": "Connect"}}}, "warning": "more"}'
)


@pytest.mark.parametrize(
    ("shown", "peers"),
    [("{}", {}), (SUMMARY, {"192.0.2.9": "established", "fe80::1": "idle (admin)", "2001:db8::9": "connect"})],
)
async def test_the_peers_of_frr_are_known(shown: str, peers: dict[str, str], tmp_path: Path) -> None:
    """A neighbour of two families is one."""
    assert peers == await Vtysh(script(tmp_path / "vtysh", f"print({shown!r})"), 64500, "", "").peers()


@pytest.mark.parametrize("shown", ["", "[]", "bgpd is busy"])
async def test_what_frr_shows_otherwise_is_told(shown: str, tmp_path: Path) -> None:
    """Another version, or half of an answer."""
    with pytest.raises(RouterFault, match="which is no JSON object"):
        await Vtysh(script(tmp_path / "vtysh", f"print({shown!r})"), 64500, "", "").peers()
