"""Owns what is promised to whoever watches: a real Prometheus scrapes a real geodns; rules and dashboard fit what it finds."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from geodns.ops.metrics import CATALOGUE, Kind
from tests.support import backends, mmdb
from tests.support.backends import IN_ASIA, IN_EUROPE, ZONE, ask
from tests.support.daemons import REPOSITORY, STOP, Geodns, Site, free_port, need, poll, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address")]

SHIPPED = REPOSITORY / "config" / "prometheus"
ALERTS, RECORDING = SHIPPED / "geodns.alerts.yml", SHIPPED / "geodns.recording.yml"
RULE_TESTS = sorted(SHIPPED.glob("*.tests.yml"))
DASHBOARD = REPOSITORY / "config" / "grafana" / "geodns.json"
HANDBOOK = REPOSITORY / "docs" / "operations.md"
ADDED_BY_PROMETHEUS = {"job", "instance"}


# --- the world --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """A Prometheus that runs with the shipped configuration and rules, and the geodns that it watches."""

    url: str
    server: Geodns

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of Prometheus' API; raises AssertionError with its words where it refuses."""
        reply = httpx.get(f"{self.url}/api/v1/{path}", params=query, trust_env=False, timeout=STOP)
        assert reply.is_success, f"{query}: {reply.text}"
        return reply.json()["data"]

    def names(self) -> set[str]:
        """The names of all series that it has."""
        return set(self.ask("label/__name__/values"))


def _certificate(directory: Path) -> ssl.SSLContext:
    """A server's context with a certificate that it has signed itself, valid for a month."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tls.example.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    file = directory / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextmanager
def _tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """A port where TLS is spoken."""
    port = free_port()
    server = ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


TLS_POOL = """\
[pools.tls]
steering = "failover"
[pools.tls.check]
type = "tls"
port = $tls
verify = false
interval = 0.5
timeout = 0.5
[[pools.tls.endpoints]]
name = "only"
addresses = ["127.0.0.1"]
"""


MORE = """\
tls POOL tls
tls A 192.0.2.31
www A 192.0.2.32
www GEO country:DE A 192.0.2.33
"""


@contextmanager
def _geodns(directory: Path) -> Iterator[Geodns]:
    """A server that has something to tell of every metric."""
    directory.mkdir()
    with backends.backends() as three, _tls_server(_certificate(directory)) as tls:
        mmdb.write(directory / "country.mmdb", {IN_EUROPE: {"country": {"iso_code": "DE"}}})
        (directory / "anycast-2026-11-01.txt").write_text("192.0.2.0/24\n")
        (directory / "egress.csv").write_text("192.0.2.0/24,DE\n")
        (directory / "cookies.secret").write_text("e5e973e5a6b2a43f48e7dc849e37bfcf\n")
        (directory / "cookies.secret").chmod(0o600)
        shared = '[server]\ncookie_secrets = "cookies.secret"\nidentity = "fra1"\n'
        config = (
            'geo.databases = ["country.mmdb"]\ngeo.anycast = ["anycast-2026-11-01.txt"]\ngeo.egress = ["egress.csv"]\n'
            + three.config().replace("[server]\n", shared, 1)
            + TLS_POOL.replace("$tls", str(tls))
            + ANNOUNCED
        )
        with serving(Site(directory), config, {"example.com.zone": ZONE + MORE}) as server:
            poll("it is ready", lambda: server.ask("GET", "/readyz").status_code == 200)
            word = {"pattern": "app/tyo", "word": "drain", "seconds": None, "reason": "to be seen"}
            server.ask("PUT", "/api/v1/overrides", word).raise_for_status()
            for subnet in (IN_EUROPE, IN_ASIA):
                ask(server.endpoint, subnet)
            assert server.endpoint.is_alive()
            with _gate(server):
                yield server


ANNOUNCED = """\
[announce]
method = "exec"
prefixes = ["127.0.0.0/24"]
addresses = ["127.0.0.1"]
siblings = ["127.0.1.1:$port"]
rise = 1
[announce.exec]
command = ["true"]
show = ["echo", "127.0.0.0/24 announced\\npeer transit established"]
"""


@contextmanager
def _gate(server: Geodns) -> Iterator[None]:
    """A gate that announces the server, on paper."""
    command = (sys.executable, "-m", "geodns", "announce", "run", "--config", str(server.site.configuration))
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        poll("it is announced", lambda: "geodns_announce_peers" in server.ask("GET", "/metrics").text)
        yield
    finally:
        process.terminate()
        process.wait(STOP)


@contextmanager
def _prometheus(directory: Path, server: Geodns) -> Iterator[str]:
    """Debian's Prometheus with the shipped files, but for the port that it scrapes and how often."""
    directory.mkdir()
    shipped = (SHIPPED / "prometheus.yml").read_text()
    hasty = re.sub(r"(scrape|evaluation)_interval: \d+s", r"\1_interval: 200ms", shipped)
    for rules in (RECORDING, ALERTS):
        hasty = hasty.replace(f"- {rules.name}", f"- {rules}")
    (directory / "prometheus.yml").write_text(hasty.replace("127.0.0.1:9153", f"127.0.0.1:{server.site.admin}"))
    port = free_port()
    command = (
        need("prometheus", "prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        "--scrape.discovery-reload-interval=100ms",  # its first scrape comes after one of them, usually 5 s
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(STOP)


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Prometheus and geodns, once the rules were evaluated over two scrapes."""
    need("prometheus", "prometheus")
    directory = tmp_path_factory.mktemp("watch")
    with ExitStack() as stack:
        server = stack.enter_context(_geodns(directory / "geodns"))
        made = Watch(stack.enter_context(_prometheus(directory / "prometheus", server)), server)
        poll("Prometheus has recorded something", lambda: _has_recorded(made))
        yield made


def _has_recorded(watch: Watch) -> bool:
    """Whether the last rules have values; rates and quantiles of what is counted exist only while queries come."""
    ask(watch.server.endpoint, IN_EUROPE)
    assert watch.server.endpoint.is_alive()  # by TCP too
    try:
        if not httpx.get(f"{watch.url}/-/ready", trust_env=False, timeout=STOP).is_success:
            return False
    except httpx.TransportError:
        return False
    return watch.names() >= set(re.findall(r"- record: (\S+)", RECORDING.read_text()))


# --- expressions ------------------------------------------------------------------------------------------------------


def _rules(watch: Watch) -> list[Any]:
    return [rule for group in watch.ask("rules")["groups"] for rule in group["rules"]]


def _of_dashboard() -> list[tuple[str, str]]:
    """The title of the panel, and an expression of it with Grafana's variables replaced."""
    told = json.loads(DASHBOARD.read_text("utf-8"))
    queries = [(panel["title"], target["expr"]) for panel in told["panels"] for target in panel.get("targets", ())]
    queries += [(each["name"], each["expr"]) for each in told["annotations"]["list"]]
    return [(title, text.replace("$__rate_interval", "1m").replace("$instance", ".*")) for title, text in queries]


def _metrics_of(expression: str) -> set[str]:
    """The names of metrics and recorded series in an expression."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|(?:by|ignoring|on|group_left) \([^)]*\)', "", expression)
    return set(re.findall(r"[a-z_]+:[a-z\d_:]+|\b(?:geodns|process)_\w+|\bup\b", bare))


def _labels_of(expression: str) -> dict[str, set[str]]:
    """By the metric in front of the braces: the labels that a selector asks for."""
    return {name: set(re.findall(r"(\w+)\s*[=!]", inner)) for name, inner in re.findall(r"(\w+)\{([^}]*)\}", expression)}


def _scraped_labels(name: str) -> set[str]:
    """The labels that the catalogue gives to a series."""
    family = CATALOGUE.get(name) or CATALOGUE.get(re.sub("_(bucket|sum|count)$", "", name))
    if family is None:
        return set()
    return {*family.labels, *(["le"] if family.kind is Kind.HISTOGRAM else [])}


# --- laws -------------------------------------------------------------------------------------------------------------


def _promtool(*arguments: str, given: bytes = b"", cwd: Path = SHIPPED) -> tuple[int, str]:
    told = subprocess.run(
        [need("promtool", "prometheus"), *arguments], cwd=cwd, input=given, capture_output=True, check=False, timeout=100
    )
    return told.returncode, (told.stdout + told.stderr).decode()


def test_prometheus_scrapes_it(watch: Watch) -> None:
    """Prometheus finds the instance up, and reads its state as the instance tells it."""

    def read(expression: str) -> list[str]:
        return [each["value"][1] for each in watch.ask("query", query=expression)["result"]]

    assert ["1"] == read('up{job="geodns"}')
    assert ["1"] == read("geodns_ready")
    assert ["1"] == read('geodns_override{pool="app", site="tyo", endpoint="", word="drain"}')


def test_promtool_finds_nothing_wrong_with_the_metrics(watch: Watch) -> None:
    """`promtool check metrics` is silent about everything that a busy server exposes."""
    text = watch.server.ask("GET", "/metrics").raise_for_status().content

    assert (0, "") == _promtool("check", "metrics", given=text)


def test_the_server_tells_of_every_metric_that_there_is(watch: Watch) -> None:
    """The server under watch exposes the whole catalogue, so that to be found here means to exist."""
    found = {name for name in watch.names() if name.startswith(("geodns_", "process_"))}

    assert set(CATALOGUE) == {re.sub("_(bucket|sum|count)$", "", name) for name in found}


def test_promtool_accepts_configuration_and_rules() -> None:
    """`promtool check config` and `check rules` find nothing wrong."""
    for arguments in (("config", "prometheus.yml"), ("rules", RECORDING.name, ALERTS.name)):
        code, said = _promtool("check", *arguments)

        assert 0 == code, said
        assert "FAILED" not in said


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.name)
def test_alerts_fire_when_they_should(file: Path) -> None:
    """`promtool test rules` passes."""
    code, said = _promtool("test", "rules", file.name)

    assert 0 == code, said


def _alerts() -> set[str]:
    return set(re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE))


def test_each_alert_is_seen_to_fire_and_to_be_silent() -> None:
    """For every alert the tests of rules hold series that make it fire, and other series that do not."""
    text = "".join(file.read_text() for file in RULE_TESTS)
    cases = re.findall(r"- name: (\w+) ([a-z ]+)\n(.*?)(?=\n  - name: |\Z)", text, re.DOTALL)
    firing = {
        name for name, case, body in cases if case == "fires" and "exp_annotations:" in body and f"alertname: {name}" in body
    }
    silent = {name for name, case, body in cases if case == "stays silent" and "exp_labels:" not in body}

    assert (_alerts(), _alerts()) == (firing, silent)


def test_each_alert_has_its_page_of_the_handbook() -> None:
    """Every alert has a section in the handbook, which its annotation names; no section is about an alert that is gone."""
    sections = set(re.findall(r"^### (Geodns\w+)$", HANDBOOK.read_text("utf-8"), re.MULTILINE))
    runbooks = set(re.findall(r"runbook: docs/operations\.md#(\w+)", ALERTS.read_text()))

    assert _alerts() == sections
    assert {name.lower() for name in sections} == runbooks


def test_prometheus_evaluates_every_rule(watch: Watch) -> None:
    """No rule fails against a live server, and no alert fires on a healthy one."""
    rules = _rules(watch)

    assert [] == [rule["name"] for rule in rules if rule["health"] != "ok"]
    assert [] == [rule["name"] for rule in rules if rule.get("state") == "firing"]
    assert _alerts() == {rule["name"] for rule in rules if rule["type"] == "alerting"}


def test_every_query_of_the_dashboard_is_understood(watch: Watch) -> None:
    """Prometheus evaluates every query of every panel."""
    for _, expression in _of_dashboard():
        watch.ask("query", query=expression)


def test_rules_and_dashboard_name_only_what_exists(watch: Watch) -> None:
    """Every series that a rule or a panel names is one that Prometheus has, with the labels that are asked for."""
    expressions = [(rule["name"], rule["query"]) for rule in _rules(watch)] + _of_dashboard()
    there = watch.names()
    missing = {(title, name) for title, text in expressions for name in _metrics_of(text) - there}
    strange = {
        (title, name, label)
        for title, text in expressions
        for name, labels in _labels_of(text).items()
        for label in labels - ADDED_BY_PROMETHEUS - _scraped_labels(name)
    }

    assert set() == missing
    assert set() == strange


def test_the_dashboard_shows_every_metric(watch: Watch) -> None:
    """No metric of the catalogue is missing from the dashboard: each is in a panel, or in a recorded series that is in one."""
    recorded = {rule["name"]: rule["query"] for rule in _rules(watch) if rule["type"] == "recording"}
    shown = {name for _, text in _of_dashboard() for name in _metrics_of(text)}
    shown |= {name for each in shown & recorded.keys() for name in _metrics_of(recorded[each])}

    assert set() == set(CATALOGUE) - {re.sub("_(bucket|sum|count)$", "", name) for name in shown}


def test_panels_are_in_place() -> None:
    """Panels of the dashboard have a number and a place of their own."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    taken = [
        (column, line)
        for place in (panel["gridPos"] for panel in panels)
        for column in range(place["x"], place["x"] + place["w"])
        for line in range(place["y"], place["y"] + place["h"])
    ]

    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) < 24
