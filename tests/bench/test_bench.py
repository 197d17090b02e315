"""The benchmark measures what it says: right answers, none lost, and plain words where nothing could be measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import dns.message
import dns.rcode
import pytest

from tests.bench import compare, make_mmdb, peers, processes, queries, report, stages
from tests.bench.load import Counts, Latency, NotMeasured, Programs, compile_programs
from tests.bench.measure import Options, Sample, Subject, Visit
from tests.bench.peers import Peer, Setup

OPTIONS = Options(0.1, Path("no.mmdb"))
WELL_FORMED = {**queries.LOADS, **{name: recipe for name, recipe in queries.FLOODS.items() if name != "garbage"}}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small country database."""
    path = tmp_path_factory.mktemp("database") / "country.mmdb"
    make_mmdb.make(path, networks=2_000, records=100, kind="country")
    return path


def bench(module: str, directory: Path, *words: str) -> dict[str, object]:
    """Run a command of the benchmark, with its result as JSON."""
    try:
        compile_programs(directory)
    except NotMeasured as reason:
        pytest.skip(str(reason))
    file = directory / "result.json"
    command = (sys.executable, "-m", module, "--json", str(file), *words)
    done = subprocess.run(command, cwd=processes.REPOSITORY, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    result: dict[str, object] = json.loads(file.read_text())
    assert {} == result["not_measured"], done.stdout + done.stderr
    return result


@pytest.mark.slow
def test_every_query_gets_the_answer_expected(tmp_path: Path, database: Path) -> None:
    """Under each load the server answers NOERROR for names that exist and NXDOMAIN for the others, and loses nothing."""
    plot = tmp_path / "plot.svg"
    words = ("--seconds", "0.3", "--rounds", "1", "--servers", "geodns", "--database", str(database), "--plot", str(plot))
    servers = bench("tests.bench", tmp_path, *words)["servers"]
    assert isinstance(servers, dict)
    counts = {load: sample["counts"] for load, sample in servers["geodns"]["rounds"][0]["samples"].items()}

    assert set(queries.LOADS) == set(counts)
    for load, found in counts.items():
        assert (0, 0, 0) == (found["lost"], found["wrong"], found["stray"]), load
        assert found["sent"] == found["answered"] > 100
        assert ({"0", "3"} if load == "mixed" else {"0"}) == set(found["rcodes"])
        assert (load == "mixed") == bool(found["empty"]), "only AAAA, which nobody has, is answered without data"
    assert plot.read_text().startswith("<svg")


@pytest.mark.slow
def test_a_reload_is_seen_by_its_serial(tmp_path: Path) -> None:
    """A measurement with many zones ends with the new serial answered, and tells times and memory."""
    words = ("--cases", "zones", "--scale", "0.005", "--seconds", "0.2")
    listed = bench("tests.bench.scale", tmp_path, *words)["measured"]
    assert isinstance(listed, list)
    (one,) = listed

    assert "zones" == one["name"]
    assert one["start_up"] > 0
    assert one["reload"] > 0
    assert one["after"]["pss"] > 0


@pytest.mark.parametrize("name", WELL_FORMED)
def test_messages_are_queries(name: str) -> None:
    """What loads and floods are made of, garbage aside, is well-formed; its id tells an RCODE, or that any will do."""
    for octets in WELL_FORMED[name](queries.NAMES, 200, queries.Draw(1)):
        message = dns.message.from_wire(octets)

        assert 1 == len(message.question)
        assert message.id in {queries.NOERROR, queries.NXDOMAIN, queries.REFUSED}


def test_same_seed_same_queries(tmp_path: Path) -> None:
    """The same seed gives the same file, so that runs can be compared."""
    files = [queries.write(tmp_path / name, queries.mixed, count=500) for name in "ab"]

    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_frames_of_a_file_hold_the_messages(tmp_path: Path) -> None:
    """A file is nothing but messages after their lengths, of garbage too."""
    messages = list(queries.garbage(queries.NAMES, 200, queries.Draw(1)))
    octets = queries.write_messages(tmp_path / "garbage", messages).read_bytes()

    found = []
    while octets:
        size = int.from_bytes(octets[:2], "big")
        found.append(octets[2 : 2 + size])
        octets = octets[2 + size :]
    assert messages == found


def measured(label: str, prepare: object, tmp_path: Path) -> compare.Results:
    """One round with one server of the test's own."""
    subject = Subject(Peer(label, prepare), 1)  # type: ignore[arg-type]
    found = compare.Results([subject], ["plain"])
    nothing = Programs(tmp_path / "load", tmp_path / "echo")
    compare.rounds(found, nothing, {"plain": tmp_path / "plain"}, OPTIONS, 2, lambda _text: None)
    return found


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """A server that is not there takes no part, and the result says why."""

    def prepare(_setup: Setup) -> Sequence[str]:
        return (peers.program("no-such-server", "no-such-package"),)

    found = measured("absent", prepare, tmp_path)

    assert {"absent": "no-such-server is not installed (Debian package no-such-package)"} == found.not_measured
    assert {} == found.visits


def test_what_does_not_start_is_said(tmp_path: Path) -> None:
    """A server that gives up takes no part, and the result has its exit code and last words."""

    def prepare(_setup: Setup) -> Sequence[str]:
        return (sys.executable, "-c", "print('my last words'); raise SystemExit(3)")

    assert {"broken": "it ended with exit code 3: my last words"} == measured("broken", prepare, tmp_path).not_measured


def visited(rates: Sequence[float]) -> list[Visit]:
    """Rounds with these throughputs."""
    latency = Latency(0.001, 0.002, 0.003, 10.0, "load")
    return [
        Visit(
            0.1,
            processes.Memory(1, 1),
            {"plain": Sample(Counts(rate, 1, 1, 0, 0, 0, 0, 50.0, {0: 1}, latency), 1 / rate, latency)},
        )
        for rate in rates
    ]


def results() -> compare.Results:
    """Two servers in three rounds, the machine twice as slow in the second."""
    found = compare.Results([Subject(peers.PEERS[name], 1) for name in ("geodns", "gdnsd")], ["plain"])
    found.visits = {"geodns": visited([100, 50, 110]), "gdnsd": visited([200, 100, 200])}
    return found


def test_ratios_are_taken_within_rounds() -> None:
    """What slows a whole round down changes no ratio; the median of the rounds counts."""
    ratio = results().ratio("geodns", "gdnsd", "plain", compare.throughput)

    assert compare.Spread(0.5, 0.5, 0.55) == ratio


def test_a_plot_is_well_formed_and_shows_every_server() -> None:
    """The plot is XML and has a bar for each server, for throughput and for CPU time."""
    texts = [element.text for element in ElementTree.fromstring(report.svg(results())).iter() if element.text]

    assert (2, 2) == (texts.count("geodns"), texts.count("gdnsd"))


def test_no_such_server() -> None:
    """A server nobody knows is refused with the names of those there are."""
    with pytest.raises(ValueError, match=r"no such server: djbdns; there are geodns, gdnsd"):
        compare.subjects(["geodns", "djbdns"], [1])


def test_cores_of_server_and_load_are_disjoint_where_they_can_be() -> None:
    """One server and the load share no core unless there is only one; nobody gets a core that is not ours."""
    cores = processes.cores(1)

    assert bool(cores.server & cores.load) == cores.is_shared == (len(cores.server | cores.load) == 1)


def test_the_stages_of_an_answer_are_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One row a load, and the compiled matcher takes less time than the general path for what it is made for."""
    monkeypatch.setattr("sys.argv", ["stages", "--count", "200"])
    stages.main()
    rows = {line[:20].strip(): [float(text) for text in line[20:].split()] for line in capsys.readouterr().out.splitlines()[1:]}

    assert [*stages.LOADS, *stages.COOKIED] == list(rows)
    assert all(rows[load][0] < rows[load][1] for load in ("plain", "ecs", "mixed", *stages.COOKIED))
