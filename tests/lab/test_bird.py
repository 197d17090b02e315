"""What the routers of the lab are told: BIRD itself reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import bird, topology
from tests.lab.bird import USUAL, Wishes
from tests.lab.topology import Kind
from tests.support.daemons import need

WISHES = [USUAL, Wishes(bfd=False), Wishes(bay_first=frozenset(node.name for node in topology.REGIONS))]


@pytest.mark.parametrize("wishes", WISHES, ids=["usual", "no BFD", "other provider first"])
def test_bird_accepts_every_configuration(wishes: Wishes, tmp_path: Path) -> None:
    """Every node's file is free of errors, whatever an event wishes."""
    program = need("bird", "bird2")
    for node in topology.NODES.values():
        file = tmp_path / f"{node.name}.conf"
        file.write_text(bird.configuration(node, wishes, bird.always() if node.kind is Kind.INSTANCE else ""))
        read = subprocess.run([program, "-p", "-c", str(file)], capture_output=True, text=True, check=False)

        assert (0, "") == (read.returncode, read.stderr), node.name


def test_only_instances_and_their_providers_watch_each_other() -> None:
    """BFD is where an event may cut the line, and nowhere without the wish."""
    watched = {node.name for node in topology.NODES.values() if "bfd on" in bird.configuration(node, USUAL, "")}
    ends = {end for link in topology.LINKS.values() for end in (link.one, link.other) if link.one in ("fra", "nyc", "sin")}

    assert ends == watched
    assert not any("bfd on" in bird.configuration(node, Wishes(bfd=False), "") for node in topology.NODES.values())
