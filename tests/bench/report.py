"""Owns how results look: tables for people, a plot as SVG; refuses to measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rich.console import Console
from rich.table import Table

from tests.bench.compare import Results, Spread, base_of, cpu, spread, throughput
from tests.bench.load import Latency
from tests.bench.measure import Flood

MEBIBYTE = 1024 * 1024
BASES = ("gdnsd", "pdns", "echo")
_BAR, _LABEL, _WIDTH = 18, 90, 760
_COLOURS = {"geodns": "#1f6feb"}
_OTHERS = "#9aa4af"


def show(found: Results, console: Console) -> None:
    """Print all tables, and plainly what was not measured."""
    for load in found.loads:
        console.print(load_table(found, load))
    console.print(server_table(found))
    if found.floods:
        console.print(flood_table(found.floods))
    for label, reason in found.not_measured.items():
        console.print(f"not measured: {label}: {reason}", markup=False, highlight=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table: the first column is text, the others are numbers."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def load_table(found: Results, load: str) -> Table:
    """One row for each server: throughput, CPU time, ratios, latency, losses."""
    columns = ["server", "queries/s", "±", "µs CPU", "±", *(f"×{base}" for base in BASES), "CPU ×gdnsd", "p50 ms", "p99 ms", "by"]
    return table(f"load {load}", [*columns, "lost", "wrong"], [_row(found, label, load) for label in found.visits])


def _row(found: Results, label: str, load: str) -> list[str]:
    rate, time = found.spread(label, load, throughput), found.spread(label, load, cpu)
    samples = found.samples(label, load)
    ratios = [_ratio(found, label, base, load) for base in BASES]
    base = base_of(found, label, "gdnsd")
    dearer = found.ratio(label, base, load, cpu) if base else None
    latencies = [sample.half_load for sample in samples if sample.half_load]
    wrong = "" if label == "echo" else str(sum(sample.counts.wrong for sample in samples))
    return [
        label,
        f"{rate.median:,.0f}" if rate else "",
        _noise(rate),
        f"{time.median * 1e6:.2f}" if time else "",
        _noise(time),
        *ratios,
        f"{dearer.median:.2f}" if dearer else "",
        *_latency(latencies),
        str(sum(sample.counts.lost for sample in samples)),
        wrong,
    ]


def _ratio(found: Results, label: str, other: str, load: str) -> str:
    base = base_of(found, label, other)
    value = found.ratio(label, base, load, throughput) if base else None
    return f"{value.median:.2f}" if value else ""


def _noise(value: Spread | None) -> str:
    return f"{value.noise:.0%}" if value else ""


def _latency(latencies: Sequence[Latency]) -> list[str]:
    p50, p99 = spread([one.p50 for one in latencies]), spread([one.p99 for one in latencies])
    if not p50 or not p99:
        return ["", "", ""]
    return [f"{p50.median * 1e3:.2f}", f"{p99.median * 1e3:.2f}", latencies[-1].measured_by]


def server_table(found: Results) -> Table:
    """One row for each server: memory after the loads, start-up, whether it knows geography."""
    rows = []
    knows = {subject.label: subject.peer.knows_geography for subject in found.subjects}
    for label, visits in found.visits.items():
        memory = spread([one.memory.pss for one in visits])
        began = spread([one.start_up for one in visits])
        rows.append([
            label,
            f"{memory.median / MEBIBYTE:.1f}" if memory else "",
            f"{began.median:.2f}" if began else "",
            "yes" if knows[label] else "no",
        ])  # fmt: skip
    return table("servers", ["server", "Pss MiB", "start-up s", "geography"], rows)


def flood_table(floods: Sequence[Flood]) -> Table:
    """One row for each flood: what good queries got beside it, how late the loop was, what it did to memory."""
    rows = [
        [
            flood.name,
            f"{flood.offered_flood:,.0f}",
            f"{flood.offered_good:,.0f}",
            f"{flood.good.qps:,.0f}",
            f"{flood.good.qps / flood.offered_good:.0%}",
            str(flood.good.wrong),
            f"{flood.probe.p50 * 1e3:.1f}",
            f"{flood.probe.largest * 1e3:.1f}",
            f"{flood.before.pss / MEBIBYTE:.1f}",
            f"{flood.after.pss / MEBIBYTE:.1f}",
        ]
        for flood in floods
    ]
    head = [
        "flood",
        "flood/s",
        "good/s asked",
        "answered",
        "share",
        "wrong",
        "lag p50 ms",
        "lag max ms",
        "Pss before",
        "after MiB",
    ]
    return table("geodns beside floods", head, rows)


def svg(found: Results) -> str:
    """A plot of throughput and CPU time a query, bars for each load; a line goes from the lowest round to the highest."""
    parts, y = [], 0
    for title, value, scale, unit in (("throughput", throughput, 1e-3, "k/s"), ("server CPU time a query", cpu, 1e6, "µs")):
        for load in found.loads:
            spreads = {label: one for label in found.visits if (one := found.spread(label, load, value))}
            y += 34
            parts.append(_text(0, y - 10, f"{title}, load {load}", "font-weight='bold'"))
            largest = max((one.high for one in spreads.values()), default=1.0)
            for label, one in spreads.items():
                parts += _bar(y, label, one, (_WIDTH - _LABEL - 90) / largest, f"{one.median * scale:.1f} {unit}")
                y += _BAR
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{y + 16}' font-family='sans-serif' font-size='12'>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *parts, "</svg>"]) + "\n"


def _bar(y: int, label: str, value: Spread, scale: float, text: str) -> list[str]:
    colour = _COLOURS.get(label.partition(" ")[0], _OTHERS)
    low, high = _LABEL + value.low * scale, _LABEL + value.high * scale
    middle = y + _BAR / 2 - 1
    return [
        _text(0, y + 12, label),
        f"<rect x='{_LABEL}' y='{y}' width='{value.median * scale:.1f}' height='{_BAR - 4}' fill='{colour}'/>",
        f"<path d='M{low:.1f} {middle} H{high:.1f}' stroke='black'/>",
        _text(high + 6, y + 12, text),
    ]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{escape(text)}</text>"
