"""Owns how results look: a table for people, the same as Markdown, a plot as SVG; refuses to measure.

A row tells the worst of the clients that the target had, in all rounds: whoever waited longest and lost most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

from rich.console import Console
from rich.table import Table

from tests.lab import topology
from tests.lab.experiment import Result
from tests.lab.measure import Outcome, Way

TITLES = {
    Way.ANYCAST: "anycast",
    Way.SUBNET: "GeoDNS, far resolver, client subnets",
    Way.PROVIDER: "GeoDNS, provider's resolver",
    Way.PLAIN: "GeoDNS, far resolver, none",
}
COLOURS = {Way.ANYCAST: "#1f6feb", Way.SUBNET: "#d97706", Way.PROVIDER: "#f0b429", Way.PLAIN: "#9aa4af"}
COLUMNS = ("good again", "lost", "lost on return", "open TCP", "wrong region", "round trip")
_WORST = ("silent", "reset", "broken", "closed", "alive", "none")
"""Ends of a connection, the worst first."""


@dataclass(frozen=True, slots=True)
class Row:
    """What an event did to the target's clients on one way."""

    event: str
    way: Way
    again: float | None
    """Milliseconds; None: never."""
    lost: int
    lost_on_return: int
    connection: str
    connection_after: float | None
    wrong_region: float
    """Share of the answers."""
    before: float | None
    after: float | None

    def cells(self) -> list[str]:
        """The columns as text."""
        connection = self.connection if self.connection_after is None else f"{self.connection} {duration(self.connection_after)}"
        return [
            duration(self.again) if self.lost else "no loss",
            str(self.lost),
            str(self.lost_on_return),
            connection,
            f"{self.wrong_region:.0%}" if self.wrong_region else "none",
            f"{_number(self.before)} → {_number(self.after)}",
        ]


def rows(results: Iterable[Result]) -> list[Row]:
    """One for each event and way that the target had clients on."""
    found = []
    for event, outcomes in _by_event(results).items():
        for way in TITLES:
            had = [one for one in outcomes if one.way == way.value and one.before == topology.TARGET.name]
            if had:
                found.append(_row(event, way, had))
    return found


def _by_event(results: Iterable[Result]) -> dict[str, list[Outcome]]:
    """What happened to whom, of all rounds."""
    found: dict[str, list[Outcome]] = {}
    for result in results:
        found.setdefault(result.name, []).extend(result.outcomes)
    return found


def _row(event: str, way: Way, had: Sequence[Outcome]) -> Row:
    again = [one.well_after for one in had if one.lost]
    ended = min(had, key=lambda one: (_WORST.index(one.connection), -(one.connection_after or 0)))
    trips = max(had, key=lambda one: one.round_trip_before or 0)
    return Row(
        event,
        way,
        None if None in again else max((one for one in again if one is not None), default=0.0),
        max(one.lost for one in had),
        max(one.lost_on_return for one in had),
        ended.connection,
        ended.connection_after,
        max(one.wrong_region / max(one.sent - one.lost, 1) for one in had),
        trips.round_trip_before,
        trips.round_trip_after,
    )


def duration(milliseconds: float | None) -> str:
    """A time as people say it."""
    if milliseconds is None:
        return "never"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _number(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.0f} ms"


def table(results: Sequence[Result]) -> Table:
    """All rows, for a terminal."""
    made = Table(title=f"what happened to the clients of {topology.TARGET.name}", title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(("event", "way", *COLUMNS)):
        made.add_column(column, justify="right" if number > 1 else "left", no_wrap=True)
    last = ""
    for row in rows(results):
        if row.event != last and last:
            made.add_section()
        made.add_row("" if row.event == last else row.event, TITLES[row.way], *row.cells())
        last = row.event
    return made


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table, and plainly what did not come as it should."""
    console.print(table(results))
    for result in results:
        if not result.moved:
            console.print(f"{result.name}: not all clients got to another instance in time", highlight=False)
        if not result.returned:
            console.print(f"{result.name}: not all was as before in time when it was undone", highlight=False)


def markdown(results: Sequence[Result]) -> str:
    """Anycast and GeoDNS with client subnets side by side, a line for each event."""
    head = ("event", *(f"{name}: {column}" for name in ("anycast", "GeoDNS") for column in COLUMNS[:5]))
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    found = {(row.event, row.way): row.cells()[:5] for row in rows(results)}
    for event in _by_event(results):
        sides = [found.get((event, way), ["-"] * 5) for way in (Way.ANYCAST, Way.SUBNET)]
        lines.append(f"| {' | '.join([f'`{event}`', *sides[0], *sides[1]])} |")
    return "\n".join(lines) + "\n"


# --- the plot ---------------------------------------------------------------------------------------------------------

_LEFT, _RIGHT, _TOP, _BAR = 110, 620, 56, 11
_FLOOR, _CEILING = 10.0, 60_000.0
"""Milliseconds at both ends of the axis, which is logarithmic; what never ended goes to the right end."""


def svg(results: Sequence[Result]) -> str:
    """For each event a bar for each way: the time until all was well again, with the probes lost."""
    found = rows(results)
    parts, y = _legend(), _TOP + 24
    for event in _by_event(results):
        parts.append(_text(0, y + 14, event, "font-weight='bold'"))
        for row in (row for row in found if row.event == event):
            parts += _bar(y, row)
            y += _BAR
        y += 8
    axis = [
        f"<path d='M{_across(mark):.1f} {_TOP + 16} V{y}' stroke='#d0d7de'/>"
        + _text(_across(mark), _TOP + 10, duration(mark).replace(".0 s", " s"), "text-anchor='middle' fill='#57606a'")
        for mark in (10, 100, 1000, 10_000)
    ]
    size = f"width='{_RIGHT + 130}' height='{y + 8}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} font-family='sans-serif' font-size='11'>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *axis, *parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    parts = [_text(0, 14, "time until the last lost query is over, for the clients of the instance that the event strikes")]
    x = 0.0
    for way, title in TITLES.items():
        parts.append(f"<rect x='{x}' y='24' width='10' height='10' fill='{COLOURS[way]}'/>" + _text(x + 14, 33, title))
        x += 26 + 6.0 * len(title)
    return parts


def _bar(y: int, row: Row) -> list[str]:
    if not row.lost:
        return [_text(_LEFT + 2, y + 9, "no loss", f"fill='{COLOURS[row.way]}' font-size='10'")]
    end = _RIGHT if row.again is None else _across(row.again)
    said = f"{duration(row.again)}, {row.lost} lost"
    bar = f"<rect x='{_LEFT}' y='{y}' width='{end - _LEFT:.1f}' height='{_BAR - 2}' fill='{COLOURS[row.way]}'/>"
    return [bar, _text(end + 4, y + 9, said, "font-size='10'")]


def _across(milliseconds: float) -> float:
    share = log10(max(_FLOOR, min(milliseconds, _CEILING)) / _FLOOR) / log10(_CEILING / _FLOOR)
    return _LEFT + share * (_RIGHT - _LEFT)


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{escape(text)}</text>"
