"""Owns what the page promises, seen by a headless Chromium that looks at a real daemon; refuses to know how it is drawn."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import page_picture
from tests.support import backends
from tests.support.backends import IN_EUROPE, ZONE, Backends, ask_all
from tests.support.browser import Browser, browser
from tests.support.daemons import Geodns, Site, poll, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address")]

INTERVAL = 0.4  # s from check to check
SOON = 15.0  # s: three checks, a look of the page at what it looks at least often, and a busy machine
LARGEST_PICTURE = 300_000  # octets
PHONES = [(320, 568), (375, 812), (812, 375)]
MARKERS = "[...document.querySelectorAll('.marker')].map((each) => [each.dataset.sites, each.getAttribute('class')])"


@pytest.fixture(scope="module")
def sites() -> Iterator[Backends]:
    """Frankfurt, New York and Tokyo, alive."""
    with backends.backends() as three:
        yield three


@pytest.fixture(scope="module")
def server(sites: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Geodns]:
    """A daemon that leads to them."""
    site = Site(tmp_path_factory.mktemp("server"))
    with serving(site, sites.config(INTERVAL), {"example.com.zone": ZONE}) as server:
        server.until_said("workers answer")
        yield server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Browser, server: Geodns) -> Iterator[Browser]:
    """The page, drawn; in the end it must have complained of nothing and asked nobody else."""
    show(chromium, server)
    yield chromium
    base = address(server)
    assert [] == chromium.complaints
    assert set() == {url for url in chromium.requests if not url.startswith(base)}


def address(server: Geodns) -> str:
    return f"http://127.0.0.1:{server.site.admin}/"


def show(tab: Browser, server: Geodns, fragment: str = "") -> None:
    tab.open(address(server) + fragment)
    tab.until("document.querySelectorAll('.marker.health-up').length === 3")


def text(tab: Browser, selector: str) -> str:
    return str(tab.value(f"document.querySelector({selector!r})?.textContent ?? ''"))


def until_text(tab: Browser, selector: str, wanted: str) -> None:
    tab.until(f"document.querySelector({selector!r})?.textContent.includes({wanted!r})", SOON)


def explain(tab: Browser, client: str, name: str = "app.example.com") -> None:
    """Type a question, and Enter."""
    tab.type("#explain-name", name)
    tab.type("#explain-client", client)
    tab.press("Enter", text="\r")


def explained(server: Geodns) -> dict[str, Any]:
    told: dict[str, Any] = server.told("/api/v1/explain", name="app.example.com", ecs=IN_EUROPE)
    return told


def test_the_page_tells_what_the_instance_is(tab: Browser, server: Geodns) -> None:
    """Ready, its addresses, its zones, its pools, each with what the API says."""
    status = server.told("/api/v1/status")

    assert "ready" == text(tab, "#state")
    for told in (status["version"], status["listening"][0], "2 workers", "1 zone", "generation 1", status["configuration"]):
        assert told in text(tab, "#instance-body")
    assert "example.com." in text(tab, "#zones-body")
    assert "None since the start" in text(tab, "#reload-body")
    assert {"127.0.0.11", "127.0.0.12", "127.0.0.13"} == set(
        tab.value("[...document.querySelectorAll('#pool-app code')].map((each) => each.textContent)")
    )


def test_who_comes_by_tcp_is_told(tab: Browser, server: Geodns) -> None:
    """The network of a client with enough connections is there, with its region, verdict, and the site of the pool."""
    for _ in range(5):
        assert server.endpoint.is_alive()
    until_text(tab, "#catchment-body", "127.0.0.0/24")
    shown = text(tab, "#catchment-body")

    assert [] == [told for told in ("TCP handshakes of 1 network since", "special", "unknown", "app/fra") if told not in shown]


def test_every_site_has_its_place(tab: Browser) -> None:
    """New York is left of Frankfurt and Tokyo right, Frankfurt is the most northern; nobody stands outside the map."""
    boxes = tab.value(
        "Object.fromEntries([['map', document.querySelector('#map svg')], ...[...document.querySelectorAll('.marker')]"
        ".map((each) => [each.dataset.sites, each.querySelector('.ring')])]"
        ".map(([name, each]) => [name, each.getBoundingClientRect().toJSON()]))"
    )
    fra, nyc, tyo, world = (boxes[name] for name in ("app/fra", "app/nyc", "app/tyo", "map"))

    assert world["left"] < nyc["left"] < fra["left"] < tyo["left"] < world["right"]
    assert world["top"] < fra["top"] < nyc["top"] < tyo["top"] < world["bottom"]


def test_a_site_that_dies_turns_red_and_one_that_returns_green(tab: Browser, server: Geodns, sites: Backends) -> None:
    """Within seconds map, table and history say so, both ways; the others stay as they are."""
    sites.frankfurt.kill()
    try:
        tab.until("document.querySelector('[data-sites=\"app/fra\"].health-down')", SOON)
        meanwhile = {name: classes.split()[1] for name, classes in tab.value(MARKERS)}
        until_text(tab, "#pools-body .history li", "app/fra/fra (127.0.0.11) is down, was up: connection refused")
        row = text(tab, "#pool-app tbody tr")
    finally:
        sites.frankfurt.start()
    tab.until("document.querySelectorAll('.marker.health-up').length === 3", SOON)

    assert {"app/fra": "health-down", "app/nyc": "health-up", "app/tyo": "health-up"} == meanwhile
    assert "passed over down" in row
    assert "connection refused" in row


def test_a_question_is_answered_by_a_ladder(tab: Browser, server: Geodns) -> None:
    """Its steps are those of the API, the one that decided is marked, and answer, TTL, scope and place stand beside them."""
    explain(tab, IN_EUROPE)
    tab.until("document.querySelector('.ladder li')", SOON)
    told = explained(server)
    shown = text(tab, "#explain-body dl")

    assert told["steps"] == tab.value("[...document.querySelectorAll('.ladder li')].map((each) => each.textContent)")
    assert text(tab, ".ladder [aria-current=step]").startswith(f"rung {told['rung']} decides")
    assert told["rung"] == text(tab, ".rungs [aria-current]")
    assert f"{told['answer'][0]} {told['reason']}" == text(tab, "#explain-verdict")
    for fact in (f"TTL{told['ttl']} s", f"Scope/{told['scope']}", "country DE", f"app: {told['pool']['verdict']}"):
        assert fact in shown
    assert 1 == tab.value("document.querySelectorAll('.asker .choice').length")
    assert [] == told["pool"]["passed"]


def test_whoever_is_passed_over_is_told_with_the_reason(tab: Browser, server: Geodns) -> None:
    """The operator's word is on the map, in the table, and in the ladder of a client whom it concerns."""
    body = {"pattern": "app/fra", "word": "down", "reason": "new disks"}
    server.ask("PUT", "/api/v1/overrides", body).raise_for_status()
    try:
        tab.until("document.querySelector('[data-sites=\"app/fra\"].health-down')", SOON)
        explain(tab, IN_EUROPE)
        until_text(tab, "#explain-body", "Passed over")
        passed = explained(server)["pool"]["passed"]
        shown = tab.value(
            "[...document.querySelectorAll('#explain-body [aria-label=\"Passed over\"] td')].map((each) => each.textContent)"
        )
        marked = text(tab, ".ladder .passed")
        word = text(tab, "#pool-app tbody tr")
    finally:
        server.ask("PUT", "/api/v1/overrides", {**body, "word": "auto"}).raise_for_status()

    assert [passed[0]["endpoint"], passed[0]["why"]] == shown
    assert "fra/fra is passed over" in marked
    assert "down by 127.0.0.1: new disks" in word


def test_a_link_asks_its_question_again(chromium: Browser, server: Geodns) -> None:
    """What the address bar holds after a question is a link to it."""
    show(chromium, server)
    explain(chromium, IN_EUROPE)
    chromium.until("document.querySelector('.ladder li')", SOON)
    link = str(chromium.value("location.hash"))
    show(chromium, server, link)
    chromium.until("document.querySelector('.ladder li')", SOON)

    assert IN_EUROPE == chromium.value("document.getElementById('explain-client').value")


def test_a_question_without_sense_is_told_so(chromium: Browser, server: Geodns) -> None:
    """The refusal of the API and its remedy stand where the answer would, and an answer before it is gone."""
    show(chromium, server)
    explain(chromium, IN_EUROPE)
    chromium.until("document.querySelector('.ladder li')", SOON)
    explain(chromium, "300.1.2.3")
    chromium.until("document.querySelector('#explain-verdict .problem')", SOON)
    refused = server.ask("GET", "/api/v1/explain", name="app.example.com", client="300.1.2.3").json()

    assert f"{refused['error']}. What to do: {refused['remedy']}" == text(chromium, "#explain-verdict")
    assert "" == text(chromium, "#explain-body")


def test_traffic_is_seen_as_it_comes(tab: Browser, server: Geodns) -> None:
    """The rate rises above nothing while queries come, and they are told apart by what was answered."""

    def is_seen() -> bool:
        ask_all(server.endpoint, IN_EUROPE)
        return tab.value("!['0/s', '–'].includes(document.getElementById('rate').textContent)") is True

    poll("the rate is shown", is_seen, SOON)
    until_text(tab, "#traffic-body", "NOERROR")


def test_draining_is_in_the_headline(tab: Browser, server: Geodns) -> None:
    """Who drains the instance sees it, with the reason, and when it is over."""
    server.ask("POST", "/api/v1/drain", {"reason": "kernel update"}).raise_for_status()
    try:
        until_text(tab, "#state", "draining")
        said = text(tab, "#state")
    finally:
        server.ask("POST", "/api/v1/undrain", {}).raise_for_status()
    tab.until("document.getElementById('state').textContent === 'ready'", SOON)

    assert "kernel update" in said


def test_a_refused_reload_is_told_with_its_problems(chromium: Browser, server: Geodns, sites: Backends) -> None:
    """File, line, what is wrong and what to do; and that what was served before still is."""
    show(chromium, server)
    server.reload({"example.com.zone": ZONE + "app A 192.0.2.300\n"}, "refused")
    until_text(chromium, "#reload-body", "refused")
    problem = server.told("/api/v1/status")["last_reload"]["problems"][0]
    shown = text(chromium, "#reload-body")
    server.reload({"example.com.zone": ZONE.replace("hostmaster 1", "hostmaster 2")})
    until_text(chromium, "#reload-body", "accepted")
    until_text(chromium, "#instance-body", "generation 2")
    until_text(chromium, "#zones-body", "2")

    assert "What was served before is still served." in shown
    for told in (f"{problem['file']}:{problem['line']}", problem["message"], problem["remedy"]):
        assert told in shown


def test_a_phone_shows_it_without_scrolling_sideways(tab: Browser) -> None:
    """At the width of small phones, upright or not, nothing stands out to the right, also with a question answered."""
    explain(tab, IN_EUROPE)
    tab.until("document.querySelector('.ladder li')", SOON)
    outside = "[...document.querySelectorAll('section')].filter((each) => each.getBoundingClientRect().right > innerWidth).length"
    found = {}
    for width, height in PHONES:
        for scheme in ("light", "dark"):
            tab.look(width=width, height=height, scheme=scheme)
            found[width, scheme] = tab.value(f"[document.documentElement.scrollWidth, {outside}]")

    assert {(width, scheme): [width, 0] for width, _ in PHONES for scheme in ("light", "dark")} == found


def test_day_and_night_are_two_looks(tab: Browser) -> None:
    """With prefers-color-scheme the paper is light or dark, and the letters the other way round."""
    sums = r"(key) => getComputedStyle(document.body)[key].match(/\d+/g).reduce((sum, each) => sum + +each, 0)"
    brightness = f"['backgroundColor', 'color'].map({sums})"
    looks = []
    for scheme in ("light", "dark"):
        tab.look(scheme=scheme)
        looks.append(tab.value(brightness))
    (paper, ink), (night_paper, night_ink) = looks

    assert paper > 600 > 200 > ink
    assert night_paper < 200 < 600 < night_ink


ACTIVE = """((each) => [
    each.id || each.dataset.sites || each.tagName,
    each.getAttribute('aria-label') ?? each.labels?.[0]?.textContent ?? each.textContent,
])(document.activeElement)"""
ORDER = [
    "app/fra",
    "app/nyc",
    "app/tyo",
    "explain-name",
    "explain-type",
    "explain-client",
    "explain-resolver",
    "BUTTON",
    "SUMMARY",
]


def test_the_keyboard_reaches_everything(tab: Browser) -> None:
    """Tab goes first to the way past the links, then through signs, fields, folds and tables as they stand; each has a name."""
    reached: list[tuple[str, str]] = []
    while not reached or (reached[-1][0] != "BODY" and len(reached) < 60):
        tab.press("Tab")
        name, words = tab.value(ACTIVE)
        reached.append((name, words))
    names = [name for name, _ in reached]

    assert "BODY" == names[-1]
    assert reached[0][1].startswith("Skip to")
    assert ORDER == [name for name in dict.fromkeys(names) if name in ORDER]
    assert [] == [name for name, words in reached if not words.strip()]


def test_the_way_past_the_links_leads_to_the_explain_box(tab: Browser) -> None:
    """One Tab and Enter, and the next thing typed is a name to explain."""
    tab.press("Tab")
    tab.press("Enter", text="\r")

    tab.until("document.activeElement.id === 'explain-name'", SOON)


def test_the_picture_in_the_docs_is_one_of_this_page(chromium: Browser, tmp_path: Path) -> None:
    """It can be made anew at any time, has the size that the script gives it, and is no burden for readers."""
    with page_picture.world(tmp_path) as server:
        made = page_picture.take(chromium, server, 3.0)
    kept = (Path(__file__).parents[2] / "docs" / "page.png").read_bytes()
    sizes = {struct.unpack("!II", re.match(rb"\x89PNG\r\n\x1a\n....IHDR(.{8})", octets, re.DOTALL)[1]) for octets in (made, kept)}  # type: ignore[index]

    wide, high, scale = page_picture.WIDTH, page_picture.HEIGHT, page_picture.SCALE
    assert {(round(wide * scale), round(high * scale))} == sizes
    assert len(kept) < LARGEST_PICTURE
    assert [] == chromium.complaints
