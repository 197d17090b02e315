"""How the lab tells what it has measured."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from tests.lab import report
from tests.lab.events import EVENTS
from tests.lab.experiment import Result
from tests.lab.measure import Outcome, Way
from tests.support.daemons import REPOSITORY

WELL = Outcome(
    region="chicago",
    way="anycast",
    before="nyc",
    after="fra",
    sent=500,
    lost=3,
    bad=0,
    well_after=41.0,
    moved_after=41.0,
    wrong_region=0,
    round_trip_before=13.0,
    round_trip_after=75.0,
    connection="reset",
    connection_after=51.0,
    lost_on_return=0,
)
NEVER = replace(
    WELL, region="saopaulo", after=None, wrong_region=0, lost=500, well_after=None, connection="silent", connection_after=None
)
ELSEWHERE = replace(WELL, region="tokyo", before="sin", lost=9)


def result(*outcomes: Outcome) -> Result:
    return Result("hang", "all stands still", 0.01, 5.0, moved=False, returned=True, outcomes=outcomes)


def test_a_row_tells_the_worst() -> None:
    """Of the target's clients those count that waited longest and lost most; others' do not."""
    [row] = report.rows([result(replace(WELL, sent=503, wrong_region=250), NEVER, ELSEWHERE)])

    assert (None, 500, "silent", 0.5) == (row.again, row.lost, row.connection, row.wrong_region)


def test_there_is_a_row_for_each_way_with_clients() -> None:
    """A way on which the target had nobody has no row."""
    found = report.rows([result(WELL, replace(WELL, way="geodns-plain"), replace(ELSEWHERE, way="geodns-subnet"))])

    assert [Way.ANYCAST, Way.PLAIN] == [row.way for row in found]


@pytest.mark.parametrize(
    ("milliseconds", "said"), [(None, "never"), (0.4, "0 ms"), (51.2, "51 ms"), (999.4, "999 ms"), (7512.0, "7.5 s")]
)
def test_times_are_said_as_people_say_them(milliseconds: float | None, said: str) -> None:
    """Milliseconds below a second, tenths of seconds above."""
    assert said == report.duration(milliseconds)


def test_the_plot_is_well_formed_and_has_a_bar_for_each_row() -> None:
    """An SVG that any XML parser reads; what never ended goes to the end of the axis."""
    root = ET.fromstring(report.svg([result(WELL, replace(NEVER, way="geodns-plain"))]))
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]

    assert {"hang", "41 ms, 3 lost", "never, 500 lost"} <= set(texts)


def test_what_did_not_come_as_it_should_is_said() -> None:
    """Clients that stayed where they should not be are told below the table."""
    text = StringIO()
    report.show([result(WELL)], Console(file=text, width=160))

    assert "hang: not all clients got to another instance in time" in text.getvalue()


def test_markdown_has_a_line_for_each_event() -> None:
    """Anycast left, GeoDNS right, and a dash where nobody was."""
    lines = report.markdown([result(WELL)]).splitlines()

    assert 3 == len(lines)
    assert "| `hang` | 41 ms | 3 | 0 | reset 51 ms | none | - | - | - | - | - |" == lines[-1]


def test_the_page_tells_of_every_event() -> None:
    """Each event has a row that says what happens, one with what came out, and the plot has it."""
    page = (REPOSITORY / "docs/anycast-lab.md").read_text("utf-8")
    plot = (REPOSITORY / "docs/anycast-lab.svg").read_text("utf-8")

    assert dict.fromkeys(EVENTS, 2) == {name: page.count(f"\n| `{name}` |") for name in EVENTS}
    assert set() == {name for name in EVENTS if f">{name}<" not in plot}
