"""Owns the reading of RIPE Atlas ping results and of where the probes are; refuses to know what is concluded from them.

Results: "Measurement Result Format" (atlas.ripe.net/docs/apis/measurement-result-format), ping, every firmware: an array of
objects, or one object a line. Probes: what `/api/v2/probes/` answers, or the daily archive of probes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from geodns.geo.discs import KILOMETRES_PER_MILLISECOND, Disc
from geodns.geo.nearness import Spot
from geodns.problem import Problem, Severity

_BLUR = 1.0  # km: RIPE Atlas moves the probes that it publishes by up to so much
_LONGEST = 200.0  # ms: its disc is half the globe, which every other one meets
_NO_QUANTITY = 1e9  # no degrees and no milliseconds; NaN and infinity, which Python's JSON permits, are not below it
_RESULT_REMEDY = "give what https://atlas.ripe.net/api/v2/measurements/ID/results/ answers"
_PROBES_REMEDY = "give what https://atlas.ripe.net/api/v2/probes/?id__in=… answers, or the archive of probes"


@dataclass(frozen=True, slots=True)
class Ping:
    """The fastest round trip of one probe to one address: milliseconds."""

    probe: int
    address: str
    milliseconds: float
    place: Spot

    def disc(self) -> Disc:
        """Where whatever answered must be."""
        return Disc(f"probe {self.probe}", self.place, self.milliseconds * KILOMETRES_PER_MILLISECOND + _BLUR)


def read_probes(path: Path) -> tuple[dict[int, Spot], list[Problem]]:
    """Where probes are, by number: an array of probes, bare or under `results` or `objects`. Nothing is raised."""
    documents, problems = _documents(path, _PROBES_REMEDY)
    places = {}
    for probe in _listed(documents):
        number, place = _whole(probe.get("id", probe.get("prb_id"))), _place(probe)
        if number is not None and place is not None:
            places[number] = place
    if not places and not problems:
        problems.append(Problem(str(path), 0, "no probe with coordinates in it", _PROBES_REMEDY))
    return places, problems


def read_pings(path: Path, places: Mapping[int, Spot]) -> tuple[list[Ping], list[Problem]]:
    """The fastest ping of each probe to each address, in the order of the file, and every problem.

    Where a probe is comes from `places`, else from its result (`latitude` and `longitude`, `lat` and `lon`, a GeoJSON `geometry`,
    or one of them in `probe`). What cannot be used is counted in warnings. Nothing is raised.
    """
    documents, problems = _documents(path, _RESULT_REMEDY)
    fastest: dict[tuple[int, str], Ping] = {}
    unused: Counter[str] = Counter()
    for result in _listed(documents):
        read = _ping(result, places)
        if isinstance(read, str):
            unused[read] += 1
        elif (known := fastest.get((read.probe, read.address))) is None or read.milliseconds < known.milliseconds:
            fastest[read.probe, read.address] = read
    for why, count in unused.items():
        remedy = "name a file of probes with --probes" if why == _NOWHERE else ""
        problems.append(Problem(str(path), 0, f"{count} result{'s' * (count > 1)} not used: {why}", remedy, Severity.WARNING))
    if not fastest and not any(problem.is_error for problem in problems):
        problems.append(Problem(str(path), 0, "no ping that can be used in it", _RESULT_REMEDY))
    return list(fastest.values()), problems


_NOWHERE = "nobody says where the probe is"


def _ping(result: Mapping[str, object], places: Mapping[int, Spot]) -> Ping | str:
    """One result, or why it is of no use."""
    probe = _whole(result.get("prb_id"))
    target = result.get("dst_addr", result.get("addr"))  # "addr" was its name before firmware 4460
    if probe is None or result.get("type", "ping") != "ping":
        return "no ping result"
    try:
        address = str(ip_address(target if isinstance(target, str) else ""))
    except ValueError:
        return "no address was pinged"
    fastest = min(_times(result), default=None)
    if fastest is None:
        return "no reply came"
    if fastest > _LONGEST:
        return f"the reply took over {_LONGEST:.0f} ms, from which nothing follows"
    place = places.get(probe) or _place(result) or _place(result.get("probe"))
    return _NOWHERE if place is None else Ping(probe, address, fastest, place)


def _times(result: Mapping[str, object]) -> Iterator[float]:
    """Every positive round trip of a result; -1 stands for none."""
    packets = result.get("result")
    told = [packet.get("rtt") for packet in packets if isinstance(packet, dict)] if isinstance(packets, list) else []
    for value in [*told, result.get("min")]:
        if (milliseconds := _number(value)) is not None and milliseconds > 0:
            yield milliseconds


def _documents(path: Path, remedy: str) -> tuple[list[object], list[Problem]]:
    """The JSON document of a file, or those of its lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        return [], [Problem(str(path), 0, f"cannot be read: {fault.strerror}", "correct the path or its permissions")]
    except UnicodeDecodeError:
        return [], [Problem(str(path), 0, "is not a text file", remedy)]
    try:
        return [json.loads(text)], []
    except (ValueError, RecursionError):
        pass
    documents = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                documents.append(json.loads(line))
            except (ValueError, RecursionError) as fault:
                what = fault.msg if isinstance(fault, json.JSONDecodeError) else "it cannot be read"
                return [], [Problem(str(path), number, f"is not JSON: {what}", remedy)]
    return documents, []


def _listed(documents: list[object]) -> Iterator[Mapping[str, object]]:
    """The objects of documents: arrays of them, bare or in the field where the API has them, or one by itself."""
    for document in documents:
        if isinstance(document, dict):
            inner = document.get("results", document.get("objects"))
            yield from _listed([inner]) if isinstance(inner, list) else [document]
        elif isinstance(document, list):
            yield from (item for item in document if isinstance(item, dict))


def _place(holder: object) -> Spot | None:
    """Coordinates in any of the forms that a probe has them in; None if they are none or off the globe."""
    if not isinstance(holder, dict):
        return None
    geometry = holder.get("geometry")
    pair = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if isinstance(pair, list) and len(pair) == 2:
        east, north = map(_number, pair)  # GeoJSON has the longitude first, RFC 7946 §3.1.1
    else:
        north = _number(holder.get("latitude", holder.get("lat")))
        east = _number(holder.get("longitude", holder.get("lon")))
    if north is None or east is None or abs(north) > 90 or abs(east) > 180:
        return None
    return Spot(north, east)


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _NO_QUANTITY:
        return float(value)
    return None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
