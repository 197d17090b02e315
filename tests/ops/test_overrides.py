"""Owns the tests of the operator's word: patterns, precedence, expiry, and what survives a file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.overrides import (
    Auto,
    BadDuration,
    BadOverrides,
    BadPattern,
    Known,
    Override,
    Overrides,
    Path,
    Word,
    matching,
    parse_duration,
)

KNOWN: Known = {
    "app": {"fra": ["fra-1", "fra-2"], "nyc": ["nyc-1"]},
    "api": {"fra": ["fra-1"], "sin": ["sin-1", "sin-2"]},
}
NOW = 1_700_000_000.0
ENDPOINTS: list[Path] = [(pool, site, name) for pool, sites in KNOWN.items() for site, names in sites.items() for name in names]
PATHS: list[Path] = sorted({path[:length] for path in ENDPOINTS for length in (1, 2, 3)})


def told(*words: tuple[str, Word | Auto], until: float | None = None, before: Overrides | None = None) -> Overrides:
    """Words said one after the other."""
    overrides = before or Overrides()
    for pattern, word in words:
        overrides, _ = overrides.set(pattern, word, now=NOW, until=until, reason="why", who="me", known=KNOWN)
    return overrides


def word(overrides: Overrides, path: str, now: float = NOW) -> str:
    """The word that holds for a path; "" for none."""
    found = overrides.word_for(tuple(path.split("/")), now)
    return found.word if found else ""


# --- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("app", ["app"]),
        ("*", ["app", "api"]),
        ("ap[!p]", ["api"]),
        ("app/fra", ["app/fra"]),
        ("*/fra", ["app/fra", "api/fra"]),
        ("app/*", ["app/fra", "app/nyc"]),
        ("app/fra/fra-?", ["app/fra/fra-1", "app/fra/fra-2"]),
        ("*/*/*-2", ["app/fra/fra-2", "api/sin/sin-2"]),
        ("*/fra/*", ["app/fra/fra-1", "app/fra/fra-2", "api/fra/fra-1"]),
    ],
)
def test_a_pattern_names_what_there_is_at_its_depth(pattern: str, expected: list[str]) -> None:
    """A part of a pattern matches names of its own level only."""
    assert expected == ["/".join(path) for path in matching(pattern, KNOWN)]


@pytest.mark.parametrize(
    ("pattern", "message", "remedy"),
    [
        ("ap", "'ap' names nothing", "did you mean 'app' or 'api'?"),
        ("app/fr", "'app/fr' names nothing", "did you mean 'app/fra' or 'api/fra'?"),
        ("app/nyc/nyc-2", "'app/nyc/nyc-2' names nothing", "did you mean 'app/nyc/nyc-1'?"),
        ("zzz*", "'zzz*' names nothing", "there are app, api"),
        (
            "9/*/9",
            "'9/*/9' names nothing",
            "there are app/fra/fra-1, app/fra/fra-2, app/nyc/nyc-1, api/fra/fra-1, api/sin/sin-1 …",
        ),
        ("", "'' names no pool, site or endpoint", "write POOL, POOL/SITE or POOL/SITE/ENDPOINT"),
        ("app/", "'app/' names no pool, site or endpoint", "write POOL, POOL/SITE or POOL/SITE/ENDPOINT"),
        ("a/b/c/d", "'a/b/c/d' names no pool, site or endpoint", "write POOL, POOL/SITE or POOL/SITE/ENDPOINT"),
        ("a\nb", "'a b' names nothing", "there are app, api"),
    ],
)
def test_a_pattern_that_names_nothing_is_refused_with_a_remedy(pattern: str, message: str, remedy: str) -> None:
    """A slip of the keyboard during an incident changes nothing, and the close names are offered."""
    with pytest.raises(BadPattern) as refused:
        told((pattern, Word.DOWN))

    assert (message, remedy) == (str(refused.value), refused.value.remedy)


def test_without_pools_there_is_nothing_to_name() -> None:
    """The remedy says so."""
    with pytest.raises(BadPattern) as refused:
        matching("*", {})

    assert "the configuration has no pools" == refused.value.remedy


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_most_specific_word_wins() -> None:
    """Endpoint before site before pool, whichever was said last."""
    overrides = told(("app/fra/fra-2", Word.UP), ("app/fra", Word.DRAIN), ("app", Word.DOWN))

    assert ["drain", "up", "down", "drain", "down", ""] == [
        word(overrides, path) for path in ("app/fra/fra-1", "app/fra/fra-2", "app/nyc/nyc-1", "app/fra", "app", "api/fra/fra-1")
    ]


def test_a_word_tells_who_said_it_and_why() -> None:
    """Everything that a report shows is in it, on one line however it came."""
    overrides, touched = Overrides().set(
        "app/fra", Word.DRAIN, now=NOW, until=NOW + 60, reason=" new\nkernel\x1b[31m " + "x" * 300, who="jo", known=KNOWN
    )

    assert [("app", "fra")] == touched
    [override] = overrides
    assert ("app/fra", Word.DRAIN, NOW, NOW + 60, "jo") == (
        str(override), override.word, override.since, override.until, override.who
    )  # fmt: skip
    assert override.reason.startswith("new kernel [31m x")
    assert override.reason.isprintable()
    assert 200 == len(override.reason)


def test_auto_takes_back_what_is_named_and_all_below() -> None:
    """It removes the words of a site's endpoints with that of the site, and leaves that of the pool."""
    before = told(("app", Word.DOWN), ("app/fra", Word.DOWN), ("app/fra/fra-1", Word.UP), ("api/fra", Word.DOWN))
    after, touched = before.set("app/fra", "auto", now=NOW, until=None, reason="", who="", known=KNOWN)

    assert [("app", "fra"), ("app", "fra", "fra-1")] == touched
    assert ["api/fra", "app"] == [str(override) for override in after]
    assert 4 == len(before)


def test_auto_where_nothing_was_said_touches_nothing() -> None:
    """It is no fault to take back what nobody said, where the pattern names something."""
    assert (Overrides(), []) == Overrides().set("*", "auto", now=NOW, until=None, reason="", who="", known=KNOWN)


def test_a_later_word_replaces_the_one_before() -> None:
    """There is one word for each path."""
    assert ["up"] == [override.word for override in told(("app", Word.DOWN), ("app", Word.UP))]


def test_an_end_that_has_passed_is_refused() -> None:
    """Such a word would never hold."""
    with pytest.raises(ValueError, match="the end has passed already"):
        told(("app", Word.DOWN), until=NOW)


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from([*Word, "auto"])), max_size=8), st.sampled_from(ENDPOINTS))
def test_a_word_is_that_of_the_nearest_level_that_has_one(said: list[tuple[Path, Word | Auto]], path: Path) -> None:
    """Whatever was said in whatever order: what holds is what a plain reading of the rules gives."""
    plain: dict[Path, str] = {}
    for at, each in said:
        plain = {known: kept for known, kept in plain.items() if each != "auto" or known[: len(at)] != at}
        if each != "auto":
            plain[at] = each
    overrides = told(*(("/".join(at), each) for at, each in said))

    assert next((plain[path[:length]] for length in (3, 2, 1) if path[:length] in plain), "") == word(overrides, "/".join(path))
    assert sorted(plain) == [override.path for override in overrides]


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_word_that_has_run_out_lets_the_one_above_hold() -> None:
    """From its end on a word is as if it had never been, also before it is removed."""
    overrides = told(("app/fra/fra-1", Word.UP), until=NOW + 60, before=told(("app", Word.DOWN)))

    assert ["up", "up", "down"] == [word(overrides, "app/fra/fra-1", NOW + later) for later in (0, 59.9, 60)]


def test_what_has_run_out_is_taken_out_and_told() -> None:
    """At its last second a word is over, and only it."""
    overrides = told(("app/nyc", Word.DOWN), until=NOW + 90, before=told(("app/fra", Word.UP), until=NOW + 60))
    overrides = told(("api", Word.DRAIN), before=overrides)

    assert (overrides, []) == overrides.expired(NOW + 59)
    left, gone = overrides.expired(NOW + 60)
    assert (["api", "app/nyc"], ["app/fra"]) == (list(map(str, left)), list(map(str, gone)))
    assert (left, []) == left.expired(NOW + 60)


# --- reloads and files ------------------------------------------------------------------------------------------------


def test_words_about_what_has_gone_go_with_it() -> None:
    """After a reload words remain about what still is, and the others are told."""
    overrides = told(("app/fra/*", Word.DOWN), ("api", Word.UP), ("app/nyc", Word.UP))
    left, gone = overrides.restricted_to({"app": {"fra": ["fra-2"]}})

    assert ["app/fra/fra-2"] == [str(override) for override in left]
    assert ["api", "app/fra/fra-1", "app/nyc"] == [str(override) for override in gone]
    assert (overrides, []) == overrides.restricted_to(KNOWN)


@given(
    st.dictionaries(
        st.sampled_from(PATHS),
        st.tuples(st.sampled_from(Word), st.floats(0, 2e9), st.none() | st.floats(0, 2e9), st.text(), st.text()),
    )
)
def test_words_survive_a_file(said: dict[Path, tuple[Word, float, float | None, str, str]]) -> None:
    """What is written as JSON is read as it was."""
    overrides = Overrides()
    for path, (each, now, length, reason, who) in said.items():
        until = None if length is None else now + length + 1
        overrides, _ = overrides.set("/".join(path), each, now=now, until=until, reason=reason, who=who, known=KNOWN)

    assert overrides == Overrides.from_json(json.loads(json.dumps(overrides.to_json())))


GOOD = {"path": ["app"], "word": "up", "since": 1, "until": None, "reason": "", "who": ""}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        ["app"],
        [{}],
        [{**GOOD, "path": []}],
        [{**GOOD, "path": ["a", "b", "c", "d"]}],
        [{**GOOD, "path": [1]}],
        [{**GOOD, "path": "app"}],
        [{**GOOD, "word": "auto"}],
        [{**GOOD, "since": "now"}],
        [{**GOOD, "since": float("nan")}],
        [{**GOOD, "until": 10**400}],
        [{**GOOD, "reason": None}],
        [GOOD, {**GOOD, "who": 1}],
    ],
)
def test_what_is_no_list_of_words_is_refused(value: object) -> None:
    """A file that holds something else is said to, and nothing is made of it."""
    assert Overrides({("app",): Override(("app",), Word.UP, 1.0, None, "", "")}) == Overrides.from_json([GOOD])
    with pytest.raises(BadOverrides):
        Overrides.from_json(value)


# --- durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("45s", 45), ("1d2h3m4s", 93_784), (" 90m ", 5400), ("366d", 31_622_400)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """Days, hours, minutes and seconds, alone or together."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "'' is no duration", "write 30m, 1h30m or 2d"),
        ("30", "'30' is no duration", "write 30s or 30m"),
        ("30M", "'30M' is no duration", "write 30m, 1h30m or 2d"),
        ("30m1h", "'30m1h' is no duration", "write 30m, 1h30m or 2d"),
        ("1.5h", "'1.5h' is no duration", "write 30m, 1h30m or 2d"),
        ("-5m", "'-5m' is no duration", "write 30m, 1h30m or 2d"),
        ("٣m", "'٣m' is no duration", "write 30m, 1h30m or 2d"),
        ("soon", "'soon' is no duration", "write 30m, 1h30m or 2d"),
        ("0s", "'0s' is no time at all", "write 30m, 1h30m or 2d; without a duration a word has no end"),
        ("367d", "'367d' is longer than a year", "write 30m, 1h30m or 2d; without a duration a word has no end"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_remedy(text: str, message: str, remedy: str) -> None:
    """A mistyped duration must not become another one."""
    with pytest.raises(BadDuration) as refused:
        parse_duration(text)

    assert (message, remedy) == (str(refused.value), refused.value.remedy)


@given(st.integers(1, 366 * 86_400))
def test_every_number_of_seconds_can_be_written(seconds: int) -> None:
    """Counted out in days, hours, minutes and seconds it reads as itself."""
    minutes, rest = divmod(seconds, 60)
    text = f"{minutes // 1440}d{minutes // 60 % 24}h{minutes % 60}m{rest}s"

    assert seconds == parse_duration(text) == parse_duration(f"{seconds}s")
