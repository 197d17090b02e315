"""The wires: a frame is as long on its way as light in fibre, and a line that is cut or unplugged is what it is called."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.lab import cage, netns, topology
from tests.lab.delay_line import DelayLine
from tests.lab.topology import NODES
from tests.support.daemons import REPOSITORY, poll

LINK = topology.LINKS["saopaulo~arc-ash"]


def round_trip(seconds: float) -> float | None:
    """Milliseconds of a datagram's way along the link and back; None if it does not come back in time."""
    ends = []
    for node in (LINK.one, LINK.other):
        with netns.entered(node):
            ends.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        ends[-1].bind((str(LINK.address(node)), 5300))
        ends[-1].settimeout(seconds)
    here, there = ends
    try:
        began = monotonic()
        here.sendto(b"there", there.getsockname())
        there.recv(10)
        there.sendto(b"and back", here.getsockname())
        here.recv(10)
        return 1000 * (monotonic() - began)
    except TimeoutError:
        return None
    finally:
        here.close()
        there.close()


def carriers() -> list[bool]:
    """Whether each end of the link has one."""
    return [
        "NO-CARRIER" not in netns.command("ip", "-n", node, "link", "show", LINK.peer(node)) for node in (LINK.one, LINK.other)
    ]


def inside() -> bytes:
    """What is seen of one link in all its states; runs in the lab's walls."""
    netns.NAMES.mkdir()
    netns.build()
    wires = DelayLine(Path("/run/wires.log"))
    netns.connect()
    poll("the line carries", lambda: round_trip(0.5) is not None)  # the ends have found each other's address
    found: dict[str, Any] = {"whole": min(filter(None, (round_trip(1) for _ in range(5)))), "plugged": carriers()}
    wires.tell("cut", LINK)
    found |= {"cut": round_trip(0.5), "cut carriers": carriers()}
    wires.tell("mend", LINK)
    found["mended"] = round_trip(1)
    wires.tell("unplug", LINK)
    poll("both ends have seen it", lambda: carriers() == [False, False])
    wires.tell("plug", LINK)
    poll("both ends have seen it", lambda: carriers() == [True, True])
    poll("the line carries again", lambda: round_trip(0.5) is not None)
    return json.dumps(found).encode()


@pytest.mark.slow
def test_a_line_delays_loses_and_loses_its_carrier() -> None:
    """A round trip takes 1 ms for each 100 km at least; a cut line loses all and looks well; an unplugged one is seen by both."""
    if reason := cage.why_not():
        pytest.skip(reason)
    program = "from tests.lab import cage, test_delay_line as test\nwith cage.run(test.inside) as lab: print(lab.result.decode())"
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    found = json.loads(ran.stdout)

    assert topology.kilometres(NODES[LINK.one], NODES[LINK.other]) / 100 <= found["whole"]
    assert [True, True] == found["plugged"] == found["cut carriers"]
    assert found["cut"] is None
    assert found["mended"] is not None
