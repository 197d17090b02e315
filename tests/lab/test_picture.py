"""The picture of the lab's map."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.lab import picture, topology
from tests.support.daemons import REPOSITORY


def test_it_has_every_place_and_every_line() -> None:
    """A box for each node, a path for each link, in well-formed SVG."""
    root = ET.fromstring(picture.svg())
    kinds = [element.tag.rpartition("}")[2] for element in root.iter()]
    texts = {element.text for element in root.iter()}

    assert len(topology.NODES) + 1 == kinds.count("rect")
    assert len(topology.LINKS) == kinds.count("path")
    assert {node.city for node in topology.NODES.values()} <= texts


def test_the_page_shows_this_map() -> None:
    """The picture of the documentation is that of the map as it is: `python -m tests.lab --map FILE` draws it anew."""
    assert picture.svg() == (REPOSITORY / "docs/anycast-lab-map.svg").read_text("utf-8")
