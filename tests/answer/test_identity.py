"""What an instance tells of itself: one key for all of it, and each word otherwise if wanted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import OWN_WORDS, Identity, identity_of
from geodns.answer.identity import NSID
from geodns.wire import from_text

WORDS = st.sampled_from(["", "fra1", "geodns"])
CHAOS = {key: key.replace("_", ".") for key in OWN_WORDS if key != NSID}


@given(WORDS, WORDS, st.dictionaries(st.sampled_from(OWN_WORDS), WORDS))
def test_each_word_is_its_own_or_else_the_common_one(name: str, version: str, own: dict[str, str]) -> None:
    """A word of its own wins, an empty one too; what is empty is not there."""
    common = {key: version if key.startswith("version") else name for key in OWN_WORDS}
    words = {**common, **own}

    expected = {from_text(text): words[key] for key, text in CHAOS.items() if words[key]}
    assert Identity(name, words[NSID], expected) == identity_of(name, version, own)


def test_every_word_has_a_name_to_ask_for() -> None:
    """What can be told is NSID and the names of class CH, and nothing else."""
    assert {NSID, *CHAOS} == set(OWN_WORDS)
