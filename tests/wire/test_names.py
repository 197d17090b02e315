"""Names: text ↔ wire and the tree above a name, against dnspython."""

from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geodns.wire import names
from geodns.wire.names import ROOT, BadName, Name

LABELS = st.binary(min_size=1, max_size=63) | st.sampled_from([b"a", b"A", b"*", b"\x01a", b"www", b"Example", b"\0", b"."])
LABEL_LISTS = st.lists(LABELS, max_size=8).filter(lambda labels: sum(len(label) + 1 for label in labels) < names.MAX_NAME)
NAMES = LABEL_LISTS.map(names.from_labels)
TEXTS = st.lists(
    st.sampled_from(["a", "Z", "0", "1", "2", "9", ".", "\\", "*", "@", " ", '"', "_", "-", "a" * 31, "ß", "é"]), max_size=16
)


def oracle(name: bytes) -> dns.name.Name:
    return dns.name.from_wire(name, 0)[0]


@given(NAMES)
def test_text_reads_back(name: Name) -> None:
    """from_text is the inverse of to_text for every name, whatever octets its labels hold."""
    assert name == names.from_text(names.to_text(name))


@given(LABEL_LISTS)
def test_text_is_what_dnspython_writes(labels: list[bytes]) -> None:
    """Presentation form is dnspython's, escapes included, but for the case."""
    assert dns.name.Name([*labels, b""]).to_text().lower() == names.to_text(names.from_labels(labels)).lower()


@given(TEXTS.map("".join).filter(bool))
@example("a." * 127)
@example("a." * 128)
@example("a" * 63 + "." + "b" * 64)
@example("\\255\\256")
@example("..")
@example(".a")
def test_text_is_read_as_dnspython_reads_it(text: str) -> None:
    """from_text accepts the texts that dnspython accepts, and makes the same octets of them in lower case."""
    try:
        expected = dns.name.from_text(text).to_wire()
    except (dns.exception.DNSException, ValueError):
        expected = None
    try:
        actual = names.from_text(text)
    except BadName:
        actual = None

    assert (expected and expected.lower()) == actual


@pytest.mark.parametrize(
    ("text", "origin", "expected"),
    [
        (".", b"\x01o\0", b"\0"),
        ("@", b"\x01o\0", b"\x01o\0"),
        ("@.", b"\x01o\0", b"\x01@\0"),
        ("\\@", b"\x01o\0", b"\x01@\x01o\0"),
        ("WWW", b"\x01o\0", b"\x03www\x01o\0"),
        ("WWW.", b"\x01o\0", b"\x03www\0"),
        ("a\\.b.c", b"\0", b"\x03a.b\x01c\0"),
        ("\\065\\000.", b"\0", b"\x02a\x00\0"),
        ("\\\\.", b"\0", b"\x01\\\0"),
        ("Bücher.example.", b"\0", b"\x0dxn--bcher-kva\x07example\0"),
    ],
)
def test_text_has_one_meaning(text: str, origin: bytes, expected: bytes) -> None:
    """Relative names, @, escapes and letters beyond ASCII become the octets of RFC 1035 §5.1 and RFC 3490."""
    assert expected == names.from_text(text, Name(origin))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty name"),
        ("a..b", "an empty label"),
        ("a" * 64, "a label of 64 octets, more than 63"),
        (".".join(["a" * 62] * 4) + ".abc", "a name of 257 octets, more than 255"),
        ("\\256", "\\256 is no octet"),
        ("\\25", "an escape that ends too early"),
        ("a\\", "an escape that ends too early"),
        ("ü" * 64, "no name of the internet"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(text: str, why: str) -> None:
    """Every text that RFC 1035 §2.3.4 and §5.1 forbid raises BadName with a message that says why."""
    with pytest.raises(BadName) as caught:
        names.from_text(text)

    assert why in str(caught.value)


def test_the_longest_name_and_label_are_allowed() -> None:
    """A label of 63 octets and a name of 255 are inside the limits of RFC 1035 §2.3.4."""
    longest = names.from_text(".".join(["a" * 63] * 3 + ["b" * 61]))

    assert names.MAX_NAME == len(longest)


@given(LABEL_LISTS)
def test_labels_are_what_the_name_was_made_of(labels: list[bytes]) -> None:
    """labels is the inverse of from_labels, but for the case of ASCII letters."""
    assert [label.lower() for label in labels] == names.labels(names.from_labels(labels))


@given(st.lists(LABELS, max_size=3), st.lists(LABELS, max_size=3))
def test_labels_join_above_a_suffix(left: list[bytes], right: list[bytes]) -> None:
    """Joining labels above a suffix is joining all labels at once."""
    assert names.from_labels(left + right) == names.from_labels(left, names.from_labels(right))


@given(LABEL_LISTS)
def test_lower_case_is_ascii_only(labels: list[bytes]) -> None:
    """Names are equal where dnspython's are equal: ASCII letters fold, other octets do not (RFC 4343 §3)."""
    name = dns.name.Name([*labels, b""])

    assert name.canonicalize().to_wire() == names.lower(name.to_wire() or b"")


@given(NAMES, NAMES)
def test_is_subdomain_is_what_dnspython_says_of_any_two_names(name: Name, ancestor: Name) -> None:
    """is_subdomain agrees with dnspython."""
    assert oracle(name).is_subdomain(oracle(ancestor)) == names.is_subdomain(name, ancestor)


@given(NAMES.filter(lambda name: name != ROOT), st.data())
def test_is_subdomain_is_what_dnspython_says_of_tails(name: Name, data: st.DataObject) -> None:
    """A tail of the octets is an ancestor only where it starts at a label."""
    tails = [name[at:] for at in range(len(name)) if _is_name(name[at:])]
    tail = data.draw(st.sampled_from(tails))

    assert oracle(name).is_subdomain(oracle(tail)) == names.is_subdomain(name, tail)


def _is_name(octets: bytes) -> bool:
    try:
        return dns.name.from_wire(octets, 0)[1] == len(octets)
    except dns.exception.DNSException:
        return False


def test_a_suffix_of_octets_is_no_ancestor() -> None:
    """A label that ends with octets that look like a name does not make that name its ancestor."""
    assert names.is_subdomain(b"\x03x\x01a\0", b"\x01a\0") is False


@given(NAMES)
def test_the_parent_is_dnspythons(name: Name) -> None:
    """parent takes off the leftmost label; the root is its own parent."""
    expected = oracle(name).parent().to_wire() if name != ROOT else ROOT

    assert expected == names.parent(name)


@given(NAMES)
def test_suffixes_are_the_name_and_every_ancestor(name: Name) -> None:
    """suffixes lists the name, its parent, and so on to the root."""
    expected = [oracle(name)]
    while expected[-1] != dns.name.root:
        expected.append(expected[-1].parent())

    assert [each.to_wire() for each in expected] == names.suffixes(name)


@given(NAMES)
def test_wildcards_are_what_dnspython_takes_for_one(name: Name) -> None:
    """Only a leftmost label of one asterisk makes a wildcard (RFC 4592 §2.1.1)."""
    assert oracle(name).is_wild() == names.is_wildcard(name)


def test_the_source_of_synthesis_is_an_asterisk_below_the_closest_encloser() -> None:
    """wildcard puts one asterisk label above a name, and is_wildcard knows it again."""
    source = names.wildcard(names.from_text("example.com."))

    assert (names.from_text("*.example.com."), True) == (source, names.is_wildcard(source))
