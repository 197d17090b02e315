"""Owns the picture of the lab's map, made of the map itself; refuses to measure."""

from __future__ import annotations

from html import escape

from tests.lab import topology
from tests.lab.topology import Kind, Link, Node

_PLACES = {
    "paris": (110, 40), "public": (240, 40), "chicago": (380, 40), "saopaulo": (530, 40), "tokyo": (690, 40),
    "arc-lon": (80, 140), "arc-ash": (330, 140), "arc-tok": (750, 140),
    "bay-ams": (190, 240), "bay-mia": (450, 240), "bay-sin": (640, 240),
    "fra": (110, 340), "nyc": (330, 340), "sin": (640, 340),
}  # fmt: skip
"""A scheme, for Europe's cities would lie upon each other: clients above, instances below, a network in each row between."""
_COLOURS = {Kind.TRANSIT: "#eef1f4", Kind.INSTANCE: "#cfe3ff", Kind.REGION: "#d8f5dd", Kind.RESOLVER: "#fff3c4"}
_BENT = {"arc-lon~arc-tok": 50, "bay-ams~bay-sin": 320}
"""Lines that would run through a third place: the height through which they are bent."""
_WIDTH, _HEIGHT, _HALF = 820, 400, 46
_ALONG = 0.36
"""Where on a line its number is: lines cross in their middles."""


def svg() -> str:
    """All nodes and links; the number at a link is its round trip in milliseconds."""
    parts = [_line(link) for link in topology.LINKS.values()] + [_box(node) for node in topology.NODES.values()]
    parts.append(
        _text(10, 392, "green: clients · blue: instances of AS 64500 · dashed: the line that is not preferred · ms: round trip")
    )
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_HEIGHT}' font-family='sans-serif' font-size='11'>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *parts, "</svg>"]) + "\n"


def _line(link: Link) -> str:
    (x, y), (u, v) = _PLACES[link.one], _PLACES[link.other]
    middle = ((x + u) / 2, _BENT.get(link.name, (y + v) / 2))
    asn = {topology.NODES[end].asn for end in (link.one, link.other)}
    style = "stroke='#57606a'" if len(asn) == 1 else "stroke='#8c959f'"
    if not link.preferred:
        style += " stroke-dasharray='4 3'"
    path = f"<path d='M{x} {y} Q{middle[0]} {middle[1]} {u} {v}' fill='none' {style}/>"
    near, far = (1 - _ALONG) ** 2, _ALONG**2
    at = (near * one + (1 - near - far) * bent + far * other for one, bent, other in zip((x, y), middle, (u, v), strict=True))
    return path + _text(next(at) + 3, next(at) - 3, f"{2000 * topology.delay(link):.0f} ms", "font-size='9' fill='#57606a'")


def _box(node: Node) -> str:
    x, y = _PLACES[node.name]
    owner = {topology.ARC: "Arc", topology.BAY: "Bay", topology.ORIGIN: node.name}.get(node.asn, "")
    named = {Kind.RESOLVER: "public resolver", Kind.REGION: "clients"}.get(node.kind, owner)
    if node == topology.PROVIDER:
        named += ", resolver"
    size = f"x='{x - _HALF}' y='{y - 16}' width='{2 * _HALF}' height='32' rx='4'"
    box = f"<rect {size} fill='{_COLOURS[node.kind]}' stroke='#8c959f'/>"
    return (
        box + _text(x, y - 3, node.city, "text-anchor='middle'") + _text(x, y + 11, named, "text-anchor='middle' font-size='9'")
    )


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:g}' y='{y:g}' {more}>{escape(text)}</text>"
