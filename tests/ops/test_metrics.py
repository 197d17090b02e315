"""Owns the laws of the metrics: names, the two forms against prometheus_client's readers and promtool, process groups."""

from __future__ import annotations

import gzip
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from geodns.ops.metrics import CATALOGUE, Family, Histogram, Kind, Sample, exposition, filled, process_samples
from tests.support.daemons import need

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
FORBIDDEN_LABELS = {"address", "client", "ip", "name", "qname", "query", "resolver"}


def example(family: Family, label: str = "x") -> Sample:
    """A sample that fits a family."""
    value: float | Histogram = 1
    if family.kind is Kind.HISTOGRAM:
        value = Histogram((0.5, 1.0, 24.0), (1, 2, 0, 3), 74.5)
    return tuple(f"{label}{number}" for number in range(len(family.labels))), value


def full() -> list[Family]:
    """The whole catalogue with two samples each, or one where there are no labels."""
    return filled(
        {
            name: [example(family), example(family, "y")] if family.labels else [example(family)]
            for name, family in CATALOGUE.items()
        }
    )


def read(octets: bytes, *, openmetrics: bool) -> Iterable[Metric]:
    text = octets.decode()
    return read_openmetrics(text) if openmetrics else read_text(text)  # type: ignore[no-untyped-call]


def numbers(octets: bytes, *, openmetrics: bool) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that the reader finds."""
    found = [sample for metric in read(octets, openmetrics=openmetrics) for sample in metric.samples]
    read_ones = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}
    assert len(found) == len(read_ones)
    return read_ones


@pytest.mark.parametrize("openmetrics", [False, True])
def test_readers_find_what_was_written(openmetrics: bool) -> None:
    """Both forms are read back by prometheus_client: every family's kind and help, every sample."""
    families = full()
    found = {metric.name: metric for metric in read(exposition(families, openmetrics=openmetrics), openmetrics=openmetrics)}

    assert len(families) == len(found)
    for family in families:
        by_name = {name: found.get(name) for name in (family.name, re.sub("_(total|info)$", "", family.name))}
        metric = next(metric for metric in by_name.values() if metric)
        kind = "gauge" if family.kind is Kind.INFO and not openmetrics else str(family.kind)

        assert (kind, family.help) == (metric.type, metric.documentation)
        assert (6 if family.kind is Kind.HISTOGRAM else 1) * len(family.samples) == len(metric.samples)


@pytest.mark.parametrize("openmetrics", [False, True])
@given(label=st.text(st.characters(exclude_categories=["Cs"])), value=st.floats() | st.integers(-(2**53), 2**53))
def test_every_label_and_number_survives(openmetrics: bool, label: str, value: float) -> None:
    """Whatever a label or a value is, the reader finds the same."""
    family = Family("geodns_some", Kind.GAUGE, 'one "of" \\ these', ("a",), (((label,), value),))
    ((found_name, found_labels), found) = next(
        iter(numbers(exposition([family], openmetrics=openmetrics), openmetrics=openmetrics).items())
    )

    assert ("geodns_some", {"a": label}) == (found_name, dict(found_labels))
    assert value == found or (math.isnan(value) and math.isnan(found))


@pytest.mark.parametrize("openmetrics", [False, True])
@given(identity=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_instances_name_is_in_every_sample(openmetrics: bool, identity: str) -> None:
    """Whatever it is called: each sample, of histograms too, is the one without it and one label more."""
    plain = numbers(exposition(full(), openmetrics=openmetrics), openmetrics=openmetrics)
    named = numbers(exposition(full(), openmetrics=openmetrics, identity=identity), openmetrics=openmetrics)

    assert {(name, labels | {("identity", identity)}): value for (name, labels), value in plain.items()} == named


def test_no_family_has_an_identity_of_its_own() -> None:
    """The label is ours for all of them."""
    assert [] == [family.name for family in CATALOGUE.values() if "identity" in family.labels]


def test_half_a_surrogate_pair_does_not_stop_a_scrape() -> None:
    """Text that has no octets is replaced, for one strange file name must not cost all metrics."""
    family = Family("geodns_some", Kind.GAUGE, "x", ("a",), ((("\udcff",), 1),))

    assert '{a="\ufffd"}' in exposition([family], openmetrics=False).decode()


def test_a_serial_keeps_its_last_digits() -> None:
    """Whole numbers are written in full, never rounded to an exponent."""
    families = filled({"geodns_zone_serial": [(("example.com.",), 4294967295)]})

    assert b'geodns_zone_serial{zone="example.com."} 4294967295\n' in exposition(families, openmetrics=False)


def test_a_histogram_is_cumulative() -> None:
    """Each bucket holds those below it, the last one all, and the sum is told."""
    family = Family("geodns_h", Kind.HISTOGRAM, "x", (), (((), Histogram((1, 2.5), (3, 0, 4), 20.5)),))

    assert [
        'geodns_h_bucket{le="1.0"} 3',
        'geodns_h_bucket{le="2.5"} 3',
        'geodns_h_bucket{le="+Inf"} 7',
        "geodns_h_sum 20.5",
        "geodns_h_count 7",
    ] == exposition([family], openmetrics=False).decode().splitlines()[2:]


def test_promtool_is_silent() -> None:
    """Prometheus' own linter has nothing to say of the whole catalogue."""
    promtool = need("promtool", "prometheus")
    told = subprocess.run([promtool, "check", "metrics"], input=exposition(full(), openmetrics=False), capture_output=True)

    assert (0, b"", b"") == (told.returncode, told.stdout, told.stderr)


def test_no_label_could_hold_an_address_or_a_query_name() -> None:
    """Labels are bounded by the configuration, never by who asks what."""
    assert set() == {label for family in CATALOGUE.values() for label in family.labels} & FORBIDDEN_LABELS


def test_the_gates_counters_are_all_exposed() -> None:
    """Whatever the gates count has its metric."""
    from geodns.daemon.gates import COUNTERS, KERNEL_DROPS  # the floor above: only this law needs it

    assert set() == {f"geodns_{name}_total" for name in (*COUNTERS, KERNEL_DROPS)} - CATALOGUE.keys()


def test_what_is_not_in_the_catalogue_is_refused() -> None:
    """A misspelled name, too many labels or a plain number for a histogram is a fault that is told."""
    with pytest.raises(KeyError, match="geodns_raedy"):
        filled({"geodns_raedy": [((), 1)]})
    with pytest.raises(ValueError, match="geodns_ready has the labels"):
        filled({"geodns_ready": [(("x",), 1)]})
    with pytest.raises(TypeError, match="is a histogram"):
        exposition(filled({"geodns_udp_batch_size": [((), 1)]}), openmetrics=False)


def test_families_without_samples_are_left_out() -> None:
    """Nothing is said of what was not measured."""
    assert [] == filled({"geodns_ready": []})


def test_ten_thousand_zones_are_written_in_under_100_ms() -> None:
    """The scrape of 10,000 zones costs less than 100 ms of CPU, packing included."""
    zones = [((f"zone-{number}.example.net.",), 2026112200 + number) for number in range(10_000)]
    spent = []
    for _ in range(5):
        start = time.process_time()
        families = filled({"geodns_zone_serial": zones, "geodns_zone_records": zones})
        octets = exposition(families, openmetrics=True, identity="fra1")
        gzip.compress(octets, 1)
        spent.append(time.process_time() - start)

    assert 20_005 == octets.count(b"\n")
    assert 0.1 > min(spent), spent


def test_every_metric_is_documented() -> None:
    """The page of metrics has one row for each: name, kind, labels and help, as in the catalogue."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)

    assert [
        (family.name, str(family.kind), ", ".join(f"`{label}`" for label in family.labels) or "none", family.help)
        for family in CATALOGUE.values()
    ] == rows


# --- processes --------------------------------------------------------------------------------------------------------


def test_a_process_group_is_summed() -> None:
    """Memory, descriptors and CPU time are those of all processes, and the start is the first one's."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        alone, together = process_samples([os.getpid()]), process_samples([os.getpid(), child.pid])
        assert child.stdin
        child.stdin.close()

    def value(samples: dict[str, list[Sample]], name: str) -> float:
        ((_, found),) = samples[name]
        assert not isinstance(found, Histogram)
        return found

    for name in ("process_resident_memory_bytes", "process_open_fds"):
        assert value(alone, name) < value(together, name)
    assert value(alone, "process_start_time_seconds") == value(together, "process_start_time_seconds")
    assert 0 < time.time() - value(alone, "process_start_time_seconds") < 86_400
    assert sum(os.times()[:4]) == pytest.approx(value(alone, "process_cpu_seconds_total"), abs=30)  # dead children included
    assert [] == [name for name in together if name not in CATALOGUE]


def test_a_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    """A worker that dies during a scrape costs nobody the scrape; without /proc there are no such metrics."""
    assert process_samples([os.getpid()]).keys() == process_samples([os.getpid(), 2**22 + 1]).keys()
    assert {} == process_samples([os.getpid()], tmp_path)


def test_the_dead_children_of_a_process_are_counted() -> None:
    """CPU time that a waited-for child has spent does not vanish with it, so the counter does not fall."""
    before = process_samples([os.getpid()])["process_cpu_seconds_total"][0][1]
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.1: pass"], check=True)
    after = process_samples([os.getpid()])["process_cpu_seconds_total"][0][1]

    assert not isinstance(before, Histogram)
    assert not isinstance(after, Histogram)
    assert after - before >= 0.09
