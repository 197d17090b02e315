"""Owns the laws of the page as the door serves it: who gets its files, and what those do with what they are told."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from geodns.geo.countries import countries
from tests.support.admin import PROBLEM, Door, opened, pool
from tests.support.browser import Browser, browser

TOKEN = "correct-horse-battery-staple"
PAGE = files("geodns.ops.admin").joinpath("page")
FILES = {file.name: file.read_text() for file in PAGE.iterdir()}
SCRIPTS = sorted(name for name in FILES if name.endswith(".js"))
PATHS = ["/", "/page/countries.json", *(f"/page/{name}" for name in sorted(FILES) if name != "index.html")]
TYPES = {
    "css": "text/css; charset=utf-8",
    "": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "frame-ancestors 'none'",
}
SVG = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with opened() as door:
        yield door


@pytest.fixture(scope="module")
def locked() -> Iterator[Door]:
    with opened(token=TOKEN) as door:
        yield door


def ask(door: Door, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, f"{door.url}{path}", headers=headers, trust_env=False)


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_every_file_is_open_and_may_reach_nothing_else(locked: Door, path: str) -> None:
    """Without a token the page and its files are served, of the right type, under a policy that knows this door only."""
    told = ask(locked, path)

    assert (200, TYPES[path.rpartition(".")[2].strip("/")]) == (told.status_code, told.headers["content-type"])
    policy = set(told.headers["content-security-policy"].split("; "))
    assert set() == POLICY - policy
    assert not re.search(r"unsafe|\*|https?:", told.headers["content-security-policy"])
    assert "nosniff" == told.headers["x-content-type-options"]


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/pools", "/metrics", "/openapi.json", "/page", "/page/none.js"])
def test_what_the_page_shows_wants_the_token(locked: Door, path: str) -> None:
    """Files are public, facts are not."""
    assert 401 == ask(locked, path).status_code


@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/page/index.html", "/page/none.js", "/page/%2e%2e/_guard.py", "/page/..%2f_guard.py", "//"]
)
def test_there_is_nothing_else(door: Door, path: str) -> None:
    """A path that is no file of the page is 404, and none leads out of it."""
    assert 404 == ask(door, path).status_code


def test_a_path_in_disguise_is_the_same_file(door: Door) -> None:
    """Percent-encoding changes nothing (RFC 3986 §2.3)."""
    assert FILES["page.js"] == ask(door, "/page/page%2Ejs").text


def test_the_page_is_for_reading(door: Door) -> None:
    """HEAD is answered without a body; a write has nothing to write to."""
    head = ask(door, "/", "HEAD")
    write = ask(door, "/", "POST", **{"Content-Type": "application/json"})

    assert (200, b"") == (head.status_code, head.content)
    assert 405 == write.status_code


@pytest.mark.parametrize(
    ("path", "dest", "status"),
    [
        ("/", "document", 200),
        ("/", "iframe", 403),
        ("/", "", 403),
        ("/page/page.js", "script", 403),
        ("/page/page.js", "document", 403),
        ("/api/v1/status", "document", 403),
    ],
)
def test_a_link_from_a_wiki_leads_to_the_page_and_nowhere_else(door: Door, path: str, dest: str, status: int) -> None:
    """Following a link of another site shows the page; nothing else of this door can be had from there."""
    assert status == ask(door, path, **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": dest}).status_code


def test_countries_are_those_that_the_server_measures_with(door: Door) -> None:
    """The map has the server's own table, each country with its point and its name."""
    told = ask(door, "/page/countries.json").json()

    assert {code: [each.latitude, each.longitude, each.name] for code, each in countries().items()} == told


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_names_only_files_that_are_served(name: str) -> None:
    """Imports, links and addresses lead to files of the page or operations of the API, never to another site."""
    text = FILES[name]
    imported = re.findall(r'from "\./([^"]+)"', text)
    linked = re.findall(r'(?:href|src)="([^"#]+)"', text)

    assert set() == {f"/page/{each}" for each in imported} - set(PATHS)
    assert set() == {f"/{each}" for each in linked} - {*PATHS, "/openapi.json"}
    assert set() == set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\"'\s]*", text)) - {SVG}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_of_texts(name: str) -> None:
    """What the API tells becomes text nodes and attributes; nothing is parsed as HTML or run."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|srcdoc", FILES[name]
    )
    assert re.match(r"// Owns .+; refuses to .+\.\n", FILES[name])


def test_the_document_has_nothing_inline() -> None:
    """Neither scripts, styles nor handlers, which the policy would not run."""
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", FILES["index.html"])


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2)."""
    lower, higher = sorted((luminance(one), luminance(other)))
    return (higher + 0.05) / (lower + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_can_be_read_by_day_and_by_night(scheme: int) -> None:
    """Every colour of a text stands out from cards and paper by 4.5 to 1, those of sites from the sea by 3 to 1 (WCAG 2.2 AA)."""
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", re.findall(r":root \{(.*?)\}", FILES["page.css"], re.DOTALL)[scheme]))
    texts = ("ink", "quiet", "link", "up", "degraded", "down", "unknown")

    assert [] == [(text, paper) for text in texts for paper in ("card", "paper") if contrast(colours[text], colours[paper]) < 4.5]
    assert [] == [name for name in colours if name.startswith("hue") and contrast(colours[name], colours["sea"]) < 3]


# --- the page in a browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def text(tab: Browser, selector: str) -> str:
    return str(tab.value(f"document.querySelector({selector!r})?.textContent ?? ''"))


def placed(name: str, **places: tuple[float, float]) -> dict[str, Any]:
    """A pool whose sites have coordinates."""
    told = pool(name)
    for site in told["sites"]:
        site["latitude"], site["longitude"] = places[site["name"]]
    return told


PLACES = {"fra": (50.11, 8.68), "nyc": (40.71, -74.01)}


@pytest.mark.slow
def test_the_token_is_asked_for_once(tab: Browser, locked: Door) -> None:
    """A wrong one is told so; the right one opens the page and is kept for the tab, so a reload does not ask again."""
    tab.open(locked.url)
    tab.until("document.getElementById('token-dialog').open")
    before = text(tab, "#instance-body")
    tab.type("#token", "a-wrong-token-of-some-length")
    tab.press("Enter", text="\r")
    tab.until("document.getElementById('token-why').textContent")
    why = text(tab, "#token-why")
    tab.type("#token", TOKEN)
    tab.press("Enter", text="\r")
    tab.until("document.getElementById('instance-body').textContent.includes('1.2.3')")
    tab.reload()
    tab.until("document.readyState === 'complete' && document.querySelector('#instance-body dl')")

    assert ("", "That is not the token.") == (before, why)
    assert tab.value("document.getElementById('token-dialog').open") is False
    assert 0 == tab.value("localStorage.length + document.cookie.length")
    assert TOKEN not in "".join(tab.requests)


@pytest.mark.slow
def test_a_door_that_is_gone_is_told_and_tried_again(tab: Browser) -> None:
    """The page says that nobody answers and how old it is, and goes on by itself when the door is there again."""
    with opened() as first:
        tab.open(first.url)
        tab.until("document.querySelector('#pools-body details')")
    tab.until("!document.getElementById('banner').hidden")
    said = text(tab, "#banner")
    kept = text(tab, "#pools-body")
    with opened(first.listen) as second:
        second.keeper.generation = 7
        tab.until("document.getElementById('banner').hidden")
        tab.until("document.getElementById('instance-body').textContent.includes('generation 7')")

    assert "The door does not answer: no connection. What is shown is " in said
    assert "198.51.100.1" in kept


@pytest.mark.slow
def test_what_the_api_tells_stays_text(tab: Browser, door: Door) -> None:
    """Markup in names, errors and reasons is shown as it is written, and nothing of it comes alive."""
    door.keeper.__init__()  # type: ignore[misc]
    evil = "<img src=x onerror=\"document.title='evil'\"><script>document.title='evil'</script>"
    hostile = placed("web", **PLACES)
    hostile["history"] = [{"at": 1.0, "what": evil}]
    hostile["sites"][0]["name"] = evil
    hostile["sites"][1]["endpoints"][0]["addresses"][0]["error"] = evil
    setattr(door.keeper, "pools", lambda: [hostile])  # noqa: B010 (one instance answers otherwise)
    door.keeper.problems = [{**PROBLEM, "message": evil}]
    tab.open(door.url)
    tab.until("document.querySelector('#reload-body table')")
    tab.until("document.querySelectorAll('.marker').length === 2")

    assert evil in text(tab, "#pools-body")
    assert evil in text(tab, "#reload-body")
    assert evil in text(tab, "#map")
    assert 0 == tab.value("document.querySelectorAll('img, body script').length")
    assert [] == tab.complaints


@pytest.mark.slow
def test_a_country_has_the_colour_of_the_site_that_answers_most_of_it(tab: Browser, door: Door) -> None:
    """A dot for each country; those that are counted have the hue of their site, all others none; two pools share a place."""
    door.keeper.__init__()  # type: ignore[misc]
    setattr(door.keeper, "pools", lambda: [placed("web", **PLACES), placed("api", **PLACES)])  # noqa: B010
    lines = [
        ("DE", "web", "fra", 90),
        ("DE", "web", "nyc", 10),
        ("US", "api", "nyc", 5),
        ("FR", "web", "gone", 5),
        ("", "web", "fra", 5),
    ]
    door.keeper.text = "".join(
        f'geodns_country_answers_total{{country="{country}",pool="{pool_name}",site="{site}"}} {count}\n'
        for country, pool_name, site, count in lines
    ).encode()
    tab.open(door.url)
    tab.until("document.querySelector('.country.served')")
    hue = "[...document.querySelector({!r}).classList].find((each) => each.startsWith('hue-'))"
    sites = {name: tab.value(hue.format(f'.marker[data-sites="web/{name} api/{name}"]')) for name in PLACES}

    assert len(countries()) == tab.value("document.querySelectorAll('.country').length")
    assert {"DE", "US"} == set(tab.value("[...document.querySelectorAll('.country.served')].map((dot) => dot.dataset.country)"))
    assert 2 == len(set(sites.values()))
    assert sites["fra"] == tab.value(hue.format('[data-country="DE"]'))
    assert sites["nyc"] == tab.value(hue.format('[data-country="US"]'))
    assert "Germany: 90 % of 100 answers from fra" == text(tab, '[data-country="DE"] title')
    assert [] == tab.complaints


@pytest.mark.slow
def test_what_is_unfolded_stays_unfolded(tab: Browser, door: Door) -> None:
    """New facts do not undo what somebody has opened, closed or put the cursor on."""
    door.keeper.__init__()  # type: ignore[misc]
    tab.open(door.url)
    tab.until("document.querySelector('#pools-body details')")
    tab.value("document.querySelector('#pool-web').open = false; document.querySelector('#pool-web summary').focus()")
    door.keeper.generation = 9
    tab.until("document.getElementById('instance-body').textContent.includes('generation 9')")

    assert tab.value("document.querySelector('#pool-web').open") is False
    assert "SUMMARY" == tab.value("document.activeElement.tagName")


HOSTILE = ["plain", "", "a b", "}", 'quote " and } 1', "back\\slash", "line\nfeed", "\\n", "ü ☃", "a,b=c", '",x="']


@pytest.mark.slow
def test_metrics_are_read_as_prometheus_reads_them(tab: Browser, door: Door) -> None:
    """Whatever labels hold, the page finds the same samples as the client library that wrote them."""
    registry = CollectorRegistry()
    counter = Counter("geodns_made", "Made up.", ["first", "second"], registry=registry)
    for number, (first, second) in enumerate(itertools.product(HOSTILE, HOSTILE)):
        counter.labels(first, second).inc(number * 1e5 + 0.5)
    Counter("geodns_made_too", "Not asked for.", registry=registry).inc()
    octets = generate_latest(registry)
    families = text_string_to_metric_families(octets.decode())
    wanted = [(each.labels, each.value) for family in families for each in family.samples if each.name == "geodns_made_total"]
    tab.open(door.url)
    found = tab.value(
        "import('/page/exposition.js').then(({ read }) =>"
        f" [...read({json.dumps(octets.decode())}, ['geodns_made_total', 'absent'])])"
    )

    samples = [{"labels": labels, "value": value} for labels, value in wanted]
    assert [["geodns_made_total", samples], ["absent", []]] == found


@pytest.mark.slow
def test_counters_that_go_back_start_anew(tab: Browser, door: Door) -> None:
    """Growth is what was counted within the window; a restarted server's smaller numbers never make a negative rate."""
    tab.open(door.url)
    found = tab.value(
        "import('/page/exposition.js').then(({ Window }) => { const seen = new Window(10);"
        " return [[0, 5], [5, 10], [10, 30], [20, 50], [21, 3], [23, 7]].map(([now, count]) => {"
        " seen.note(now, new Map([['', count]])); return [seen.growth().get(''), seen.rates()?.get('') ?? null]; }); })"
    )

    assert [[0, None], [5, 1], [25, 2.5], [20, 2], [0, None], [4, 2]] == found
