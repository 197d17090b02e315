"""Owns the laws of the admin API over real connections: what each operation answers, who is let in, who is not."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from geodns import __version__
from geodns.ops import admin
from tests.support.admin import PROBLEM, Door, opened

TOKEN = "correct-horse-battery-staple"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def shared() -> Iterator[Door]:
    with opened(hosts=["Geo.Example.NET"]) as door:
        yield door


@pytest.fixture
def door(shared: Door) -> Door:
    """A door without a token; its keeper has forgotten what others asked."""
    shared.keeper.__init__()  # type: ignore[misc]
    return shared


@pytest.fixture(scope="module")
def locked() -> Iterator[Door]:
    with opened(token=TOKEN) as door:
        yield door


def ask(door: Door, method: str, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, verify=False, base_url=door.url) as client:
        return client.request(method, path, **options)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "ask_keeper"), [("status", "status"), ("zones", "zones"), ("pools", "pools")], ids=lambda value: str(value)
)
def test_what_the_keeper_tells_is_what_is_answered(door: Door, path: str, ask_keeper: str) -> None:
    """A read is the keeper's value as JSON."""
    told = ask(door, "GET", f"/api/v1/{path}")

    assert (200, "application/json") == (told.status_code, told.headers["content-type"])
    assert getattr(door.keeper, ask_keeper)() == told.json()


def test_the_catchment_is_told_as_far_as_it_is_wanted(door: Door) -> None:
    """How many networks, of how many round trips, compared with which pool; 20 and 5 where nothing is said."""
    found = [
        ask(door, "GET", f"/api/v1/catchment{query}")
        for query in ("", "?pool=web&worst=1&min_samples=40", "?worst=0", "?min_samples=41")
    ]

    assert [200] * 4 == [each.status_code for each in found]
    assert [1, 1, 0, 0] == [len(each.json()["worst"]) for each in found]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("worst=1001", "worst: '1001' is no whole number up to 1000"),
        ("worst=-1", "worst: '-1' is no whole number up to 1000"),
        ("worst=", "worst: '' is no whole number up to 1000"),
        ("min_samples=1e3", "min_samples: '1e3' is no whole number up to 1000000"),
        ("min_samples=٣", "min_samples: '٣' is no whole number up to 1000000"),
        (f"min_samples={'9' * 5000}", f"min_samples: '{'9' * 20}' is no whole number up to 1000000"),
        ("pool=wbe", "there is no pool 'wbe'; known: web"),
        ("least=5", "'least' is no parameter of /api/v1/catchment; known: pool, worst, min_samples"),
    ],
)
def test_a_catchment_that_cannot_be_meant_is_refused(door: Door, query: str, error: str) -> None:
    """Numbers are whole and bounded, a pool is one that there is."""
    told = ask(door, "GET", f"/api/v1/catchment?{query}")

    assert (400, error) == (told.status_code, told.json()["error"])


def test_a_pool_is_found_by_name(door: Door) -> None:
    """One pool is told by its name; another name is 404 with a remedy: the nearest name, else all that there are."""
    far = ask(door, "GET", "/api/v1/pools/mail").json()
    assert "known are web" == far["remedy"]
    known, unknown = ask(door, "GET", "/api/v1/pools/web"), ask(door, "GET", "/api/v1/pools/wbe")

    assert (200, "web") == (known.status_code, known.json()["name"])
    assert (404, {"error": "there is no pool 'wbe'", "remedy": "did you mean 'web'?"}) == (unknown.status_code, unknown.json())


@pytest.mark.parametrize("path", ["livez", "readyz"])
def test_a_probe_has_its_reasons_in_the_body(door: Door, path: str) -> None:
    """200 while there is no reason against it, else 503 and every reason."""
    key = path.removesuffix("z").replace("live", "alive")
    well = ask(door, "GET", f"/{path}")
    door.keeper.reasons = ["no zone is loaded", "worker 1 is dead"]
    ill = ask(door, "GET", f"/{path}")

    assert (200, {key: True, "reasons": []}) == (well.status_code, well.json())
    assert (503, {key: False, "reasons": door.keeper.reasons}) == (ill.status_code, ill.json())


@pytest.mark.parametrize(
    ("accept", "kind", "end"),
    [
        ("*/*", "text/plain", b"x 1\n"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", "application/openmetrics-text", b"# EOF\n"),
        ("application/openmetrics-text;q=0, text/plain", "text/plain", b"x 1\n"),
        ("application/openmetrics-text; version=\x7f", "application/openmetrics-text", b"# EOF\n"),
    ],
)
def test_the_form_of_metrics_is_negotiated(door: Door, accept: str, kind: str, end: bytes) -> None:
    """OpenMetrics for those who take it, the text format for all others."""
    told = ask(door, "GET", "/metrics", headers={"Accept": accept})

    assert kind == told.headers["content-type"].partition(";")[0]
    assert told.content.endswith(end)


def test_metrics_are_packed_for_those_who_can_unpack_them(door: Door) -> None:
    """gzip is used where it is accepted, and only there."""
    with httpx.Client(trust_env=False, verify=False, base_url=door.url) as client:
        with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as response:
            packed = b"".join(response.iter_raw())
        plain = client.get("/metrics", headers={"Accept-Encoding": "gzip;q=0, br"})

    assert "gzip" == response.headers["content-encoding"]
    assert door.keeper.text == gzip.decompress(packed) == plain.content
    assert "content-encoding" not in plain.headers


def test_a_question_is_explained(door: Door) -> None:
    """The query's parameters reach the keeper; what is left out has its default."""
    told = ask(door, "GET", "/api/v1/explain?name=www.example.com&ecs=192.0.2.0/24&resolver=198.51.100.1")

    assert {"asked": ["www.example.com", "A", "", "192.0.2.0/24", "198.51.100.1"]} == told.json()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "name: is missing"),
        ("name=", "name: is missing"),
        ("name=a&clinet=192.0.2.1", "'clinet' is no parameter of /api/v1/explain; known: name, type, client, ecs, resolver"),
        ("name=a&name=b", "name is given twice"),
        ("name=a&type=A%0A", "'A\\n' is no record type"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_so(door: Door, query: str, said: str) -> None:
    """What is missing, misspelled, doubled or meaningless is 400 and named."""
    told = ask(door, "GET", f"/api/v1/explain?{query}")

    assert (400, said) == (told.status_code, told.json()["error"])
    assert told.json()["remedy"]


def test_a_reload_tells_its_outcome(door: Door) -> None:
    """Accepted is 200, refused 409 with every problem, and force is passed on."""
    fine = ask(door, "POST", "/api/v1/reload", json={})
    door.keeper.problems = [PROBLEM]
    refused, forced = (ask(door, "POST", "/api/v1/reload", json={"force": force}) for force in (False, True))

    assert (200, True, 2) == (fine.status_code, fine.json()["accepted"], fine.json()["generation"])
    assert (409, False, [PROBLEM]) == (refused.status_code, refused.json()["accepted"], refused.json()["problems"])
    assert {"error", "remedy"} < refused.json().keys()
    assert (200, True) == (forced.status_code, forced.json()["accepted"])
    assert [("reload", False), ("reload", False), ("reload", True)] == door.keeper.done


def test_writes_reach_the_keeper(door: Door) -> None:
    """Each write is done once, with what the body says and by whom."""
    who = {"X-Geodns-Who": "ada"}
    told = [
        ask(door, "POST", "/api/v1/drain", json={"reason": "kernel"}),
        ask(door, "POST", "/api/v1/undrain", headers={"Content-Type": "application/json; charset=utf-8"}),
        ask(door, "PUT", "/api/v1/overrides", json={"pattern": "web/*", "word": "down", "seconds": 90}, headers=who),
        ask(door, "PUT", "/api/v1/overrides", json={"pattern": "web", "word": "auto", "seconds": None, "reason": "back"}),
        ask(door, "PUT", "/api/v1/health/web/fra/fra1", json={"up": False}, headers=who),
    ]

    assert [200] * 5 == [each.status_code for each in told]
    assert [
        ("drain", "kernel"),
        ("undrain", ""),
        ("override", "web/*", "down", 90.0, "", "ada (127.0.0.1)"),
        ("override", "web", "auto", None, "back", "127.0.0.1"),
        ("state", "web/fra/fra1", False, "ada (127.0.0.1)"),
    ] == door.keeper.done


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PUT", "overrides", '{"pattern": "wbe", "word": "up"}', 400, "nothing is called 'wbe'"),
        ("PUT", "overrides", '{"word": "sideways", "extra": 1}', 400, "pattern: Field required; word: "),
        ("PUT", "overrides", '{"pattern": "web", "word": "up", "seconds": -1}', 400, "seconds: Input should be greater than 0"),
        ("PUT", "overrides", '{"pattern": "web", "word": "up", "seconds": NaN}', 400, "seconds: "),
        ("PUT", "overrides", '{"pattern": "web", "word": "up", "seconds": true}', 400, "seconds: "),
        ("PUT", "overrides", "[]", 400, "body: Input should be an object"),
        ("PUT", "overrides", "{", 400, "body: Invalid JSON"),
        ("PUT", "overrides", "", 400, "pattern: Field required; word: Field required"),
        ("PUT", "overrides", b"\xff", 400, "body: Invalid JSON"),
        ("POST", "drain", '{"reason": "\\ud800"}', 400, "body: Invalid JSON"),
        ("POST", "drain", json.dumps({"reason": "x" * 501}), 400, "reason: String should have at most 500 characters"),
        ("POST", "drain", "[" * 60_000, 400, "body: Invalid JSON"),
        ("PUT", "health/wbe", '{"up": true}', 404, "no health check takes its state from 'wbe'"),
        ("PUT", "health/web", '{"up": 1}', 400, "up: Input should be a valid boolean"),
        ("POST", "nothing", "{}", 404, "there is no /api/v1/nothing"),
        ("GET", "reload", "", 405, "GET is not for /api/v1/reload"),
        ("DELETE", "pools/web", "", 405, "DELETE is not for /api/v1/pools/web"),
    ],
)
def test_a_write_that_makes_no_sense_does_nothing(
    door: Door, method: str, path: str, body: str | bytes, status: int, said: str
) -> None:
    """Every fault has its status, is told with a remedy, and nothing is done."""
    told = ask(door, method, f"/api/v1/{path}", content=body, headers={"Content-Type": "application/json"})

    assert status == told.status_code
    assert told.json()["error"].startswith(said)
    assert told.json()["remedy"]
    assert [] == door.keeper.done


def test_a_remedy_of_the_keeper_is_told(door: Door) -> None:
    """What an error offers as its remedy comes through."""
    told = ask(door, "PUT", "/api/v1/overrides", json={"pattern": "wbe", "word": "up"})

    assert "did you mean 'web'?" == told.json()["remedy"]


def test_methods_that_are_not_allowed_name_those_that_are(door: Door) -> None:
    """405 has an Allow header (RFC 9110 §15.5.6), and GET allows HEAD."""
    assert "POST" == ask(door, "GET", "/api/v1/reload").headers["allow"]
    assert {"GET", "HEAD"} == set(
        ask(door, "PUT", "/api/v1/status", content="{}", headers={"Content-Type": "application/json"})
        .headers["allow"]
        .split(", ")
    )
    assert (200, b"") == ((head := ask(door, "HEAD", "/api/v1/status")).status_code, head.content)


def test_a_fault_of_the_program_is_told_once_and_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """A fault is 500 in JSON without its inside, which is in the log; the door goes on."""
    with caplog.at_level(logging.ERROR, "geodns.admin"):
        told = ask(door, "GET", "/api/v1/explain?name=fault.example.")

    assert (500, "a fault of this program") == (told.status_code, told.json()["error"])
    assert ["admin: fault in GET /api/v1/explain"] == [record.getMessage() for record in caplog.records]
    assert 200 == ask(door, "GET", "/livez").status_code


# --- the log ----------------------------------------------------------------------------------------------------------


def test_every_write_is_logged_with_who_and_why(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """One line a write: what, its outcome, by whom, why; reads leave none."""
    door.keeper.problems = [PROBLEM]
    with caplog.at_level(logging.INFO, "geodns.admin"):
        ask(door, "GET", "/api/v1/status")
        ask(door, "POST", "/api/v1/reload", json={"reason": "new zones"}, headers={"X-Geodns-Who": "ada"})
        ask(door, "PUT", "/api/v1/overrides", json={"pattern": "web", "word": "drain", "seconds": 1800, "reason": "disks"})
        ask(door, "PUT", "/api/v1/health/web", json={"up": True})
        ask(door, "POST", "/api/v1/drain", json={})
        ask(door, "POST", "/api/v1/undrain", json={"reason": "done"})

    assert [
        "admin: reload: refused, by ada (127.0.0.1): new zones",
        "admin: pool web drain for 1800 s: done, by 127.0.0.1: disks",
        "admin: health web up: done, by 127.0.0.1: no reason given",
        "admin: drain: done, by 127.0.0.1: no reason given",
        "admin: undrain: done, by 127.0.0.1: done",
    ] == [record.getMessage() for record in caplog.records]


def test_a_log_line_cannot_be_forged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever names and reasons hold, a write is one line of bounded length."""
    with caplog.at_level(logging.INFO, "geodns.admin"):
        ask(door, "POST", "/api/v1/drain", json={"reason": "a\nERROR b\x1b[2J\u2028c"}, headers={"X-Geodns-Who": "e\tve" * 50})

    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable()
    assert line.endswith("(127.0.0.1): a\\nERROR b\\x1b[2J\\u2028c")
    assert 200 > len(line)


# --- who may come in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "localhost:9153", "LOCALHOST.", "[::1]:9153", "geo.example.net", "[0:0::1]"]
)
def test_the_doors_own_names_are_known(door: Door, host: str) -> None:
    """The address, loopback and configured names are accepted, with any port, in any case."""
    assert 200 == ask(door, "GET", "/livez", headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "host",
    ["evil.example", "192.0.2.1", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1", "a b", "localhost:80:80"],
)
def test_a_name_made_to_point_here_is_refused(door: Door, host: str) -> None:
    """A Host that is none of ours, as DNS rebinding brings, is 421, even at the open probes."""
    told = ask(door, "GET", "/livez", headers={"Host": host})

    assert 421 == told.status_code
    assert "add that name to admin.hosts" == told.json()["remedy"]


def test_on_every_address_any_address_is_known() -> None:
    """A door on 0.0.0.0 may be asked by each of the machine's addresses, but by no name that is not configured."""
    with opened("0.0.0.0:0") as door:
        port = door.listen.rpartition(":")[2]
        with httpx.Client(trust_env=False, verify=False, base_url=f"http://127.0.0.1:{port}") as client:
            statuses = [
                client.get("/livez", headers={"Host": host}).status_code for host in ("192.0.2.1", "[2001:db8::1]", "a.b")
            ]

    assert [200, 200, 421] == statuses


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://HOST"}, 200),
        ({"Origin": "https://HOST"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_are_refused(door: Door, headers: dict[str, str], status: int) -> None:
    """What a page of another site makes a browser send is 403, reading or writing."""
    host = door.listen
    sent = {name: value.replace("HOST", host) for name, value in headers.items()}
    read = ask(door, "GET", "/api/v1/status", headers=sent)
    write = ask(door, "POST", "/api/v1/drain", json={}, headers=sent)

    assert (status, status) == (read.status_code, write.status_code)
    assert ([("drain", "")] if status == 200 else []) == door.keeper.done


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None])
def test_a_form_of_another_site_cannot_write(door: Door, kind: str | None) -> None:
    """A write wants JSON's content type, which a simple cross-site form cannot have."""
    headers = {"Content-Type": kind} if kind else {}
    told = ask(door, "POST", "/api/v1/drain", content=b'{"reason": "x"}', headers=headers)

    assert 415 == told.status_code
    assert [] == door.keeper.done


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \xff"],
)
@pytest.mark.parametrize("operation", admin.OPERATIONS, ids=lambda operation: operation.name)
def test_without_the_token_only_probes_are_answered(locked: Door, operation: Any, shown: str) -> None:
    """Everything but /livez and /readyz, metrics and the document included, is 401 without the right token."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": shown} if shown else {})
    path = operation.path.replace("{name}", "web").replace("{key:path}", "web")
    told = ask(locked, operation.method, path, headers=[(k.encode(), v.encode("latin1")) for k, v in headers.items()])

    assert (200 if operation.path in ("/livez", "/readyz") else 401) == told.status_code
    if told.status_code == 401:
        assert 'Bearer realm="geodns"' == told.headers["www-authenticate"]
    assert [] == locked.keeper.done


def test_the_token_opens(locked: Door) -> None:
    """With the token everything is answered; the scheme's case is of no matter (RFC 9110 §11.1)."""
    statuses = [
        ask(locked, "GET", path, headers={"Authorization": f"{scheme} {TOKEN}"}).status_code
        for scheme in ("Bearer", "bearer")
        for path in ("/metrics", "/api/v1/status", "/openapi.json")
    ]

    assert [200] * 6 == statuses


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/api/v1/status", "/nothing", "/api/v1/reload"])
def test_every_answer_is_hardened(door: Door, path: str) -> None:
    """No answer is kept, framed, guessed at, or lets a browser load anything."""
    headers = ask(door, "GET", path).headers

    assert "default-src 'none'; frame-ancestors 'none'" == headers["content-security-policy"]
    assert ("nosniff", "no-store") == (headers["x-content-type-options"], headers["cache-control"])
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_a_preflight_is_not_answered_as_one(door: Door) -> None:
    """No other site is ever allowed anything."""
    told = ask(
        door, "OPTIONS", "/api/v1/reload", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    )

    assert 400 <= told.status_code
    assert [] == [name for name in told.headers if name.startswith("access-control-")]


# --- documents --------------------------------------------------------------------------------------------------------


def test_the_document_has_every_route(door: Door) -> None:
    """The served OpenAPI document has each operation once, with its version, and no other."""
    told = ask(door, "GET", "/openapi.json").json()
    described = {(method.upper(), path) for path, item in told["paths"].items() for method in item}

    assert {(each.method, each.path.replace(":path", "")) for each in admin.OPERATIONS} == described
    assert len(admin.OPERATIONS) == len(described)
    assert ("3.1.0", "1.2.3") == (told["openapi"], told["info"]["version"])
    assert json.loads(json.dumps(admin.document(admin.OPERATIONS, "1.2.3"))) == told


def test_the_page_has_every_operation() -> None:
    """The documentation names each operation with its method and path."""
    page = (DOCS / "admin.md").read_text()

    assert [] == [each.path for each in admin.OPERATIONS if f"| `{each.method} {each.path.replace(':path', '')}` |" not in page]
    assert __version__
