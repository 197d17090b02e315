"""The file of cookie secrets: what it may look like, what is said of one that is wrong, and how it is rolled over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops import cookie_file
from geodns.ops.cookie_file import MOST, SETTLED, NotNow, Secrets
from geodns.problem import ProblemsFound

ONE, TWO, THREE = (bytes(range(start, start + 16)) for start in (0, 100, 200))
SECRETS = st.lists(st.binary(min_size=16, max_size=16).filter(lambda secret: len(set(secret.hex())) > 3), unique=True)


def made(directory: Path, text: str, mode: int = 0o640) -> Path:
    file = directory / "cookies.secret"
    file.write_text(text)
    file.chmod(mode)
    return file


@given(SECRETS.filter(lambda secrets: 0 < len(secrets) <= MOST), st.booleans())
def test_secrets_are_read_in_their_order(tmp_path_factory: pytest.TempPathFactory, secrets: list[bytes], upper: bool) -> None:
    """One a line, upper or lower case, with comments and blank lines between them."""
    lines = [secret.hex().upper() if upper else secret.hex() for secret in secrets]
    file = made(tmp_path_factory.mktemp("secrets"), "# shared by all siblings\n\n" + "\n  # then\n".join(lines))

    assert tuple(secrets) == cookie_file.read(file)


WRONG = {
    "": [(0, "holds no secret")],
    "# nothing\n": [(0, "holds no secret")],
    "abc\n": [(1, "is no secret of 128 bits: it has 3 characters, not 32")],
    f"{ONE.hex()}\n{TWO.hex()[:-1]}z\n": [(2, "is no secret of 128 bits: it has 1 that is no hex")],
    f"{ONE.hex()}\n\n{ONE.hex().upper()}\n": [(3, "is the secret of line 1 again")],
    "0" * 32: [(1, "is a secret that anybody guesses")],
    "x\ny\n": [
        (1, "is no secret of 128 bits: it has 1 characters, not 32"),
        (2, "is no secret of 128 bits: it has 1 characters, not 32"),
    ],
    "".join(f"{bytes(range(n, n + 16)).hex()}\n" for n in range(5)): [(0, "holds 5 secrets, more than 4")],
}


@pytest.mark.parametrize("text", WRONG, ids=[str(why) for why in WRONG.values()])
def test_every_bad_line_is_told_with_its_remedy(tmp_path: Path, text: str) -> None:
    """All of them at once, by number and never by what they hold."""
    with pytest.raises(ProblemsFound) as found:
        cookie_file.read(made(tmp_path, text))

    told = [(problem.line, problem.message.removeprefix("server.cookie_secrets: ")) for problem in found.value.problems]
    assert WRONG[text] == told
    assert all(problem.remedy for problem in found.value.problems)
    assert not any(word in str(found.value) for word in text.split() if len(word) > 16 and len(set(word)) > 1)


@pytest.mark.parametrize(("mode", "is_fine"), [(0o600, True), (0o640, True), (0o400, True), (0o644, False), (0o660, False)])
def test_what_others_may_read_is_no_secret(tmp_path: Path, mode: int, is_fine: bool) -> None:
    """A file that others than its group may read, or that others than its owner may write, is refused with a remedy."""
    file = made(tmp_path, ONE.hex(), mode)
    if is_fine:
        assert (ONE,) == cookie_file.read(file)
        return
    with pytest.raises(ProblemsFound, match=f"its mode {mode:04o} .*chmod 640"):
        cookie_file.read(file)


def test_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """A missing file and a directory are told with a remedy."""
    with pytest.raises(ProblemsFound, match="there is no such file"):
        cookie_file.read(tmp_path / "none")
    with pytest.raises(ProblemsFound, match="cannot be read"):
        cookie_file.read(tmp_path)


def test_a_roll_over_takes_three_steps() -> None:
    """Add, promote, retire; at each of them what was in use before is still accepted, or has been out of use for an hour."""
    added = cookie_file.add((ONE,), TWO)
    promoted = cookie_file.promote(added)

    assert ((ONE, TWO), (TWO, ONE), (TWO,)) == (added, promoted, cookie_file.retire(promoted, SETTLED))
    assert (ONE,) == cookie_file.add((), ONE)


@pytest.mark.parametrize(
    "step",
    [
        lambda: cookie_file.add((ONE, TWO), THREE),
        lambda: cookie_file.promote((ONE,)),
        lambda: cookie_file.promote(()),
        lambda: cookie_file.retire((ONE,), SETTLED),
        lambda: cookie_file.retire((ONE, TWO), SETTLED - 1),
    ],
)
def test_a_step_out_of_order_is_refused(step: object) -> None:
    """Adding twice, promoting nothing, retiring the only one, or while clients have its cookies."""
    assert callable(step)
    with pytest.raises(NotNow) as why:
        step()

    assert why.value.remedy


def test_a_step_keeps_owner_and_mode(tmp_path: Path) -> None:
    """What the daemon could read before it can read afterwards; a link stays one; nothing is left beside the file."""
    (tmp_path / "store").mkdir()
    file = made(tmp_path / "store", f"{ONE.hex()}\n{TWO.hex()}\n", 0o640)
    if not os.getuid():
        os.chown(file, 12, 34)
    before = file.stat()
    link = tmp_path / "cookies.secret"
    link.symlink_to(file)
    after: Secrets = cookie_file.change(link, lambda known, _rested: cookie_file.promote(known))

    assert (TWO, ONE) == after == cookie_file.read(file)
    assert (before.st_uid, before.st_gid, before.st_mode) == (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode)
    assert link.is_symlink()
    assert [file] == list((tmp_path / "store").iterdir())
    assert [link, tmp_path / "store"] == sorted(tmp_path.iterdir())


def test_a_step_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    """Neither a bad file nor a step out of order touches what is there."""
    file = made(tmp_path, f"{ONE.hex()}\n")
    with pytest.raises(NotNow):
        cookie_file.change(file, lambda known, _rested: cookie_file.promote(known))
    file.write_text("bad\n")
    with pytest.raises(ProblemsFound):
        cookie_file.change(file, lambda known, _rested: cookie_file.add(known, TWO))

    assert "bad\n" == file.read_text()


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The first secret makes the file, with mode 0600."""
    file = tmp_path / "cookies.secret"
    cookie_file.change(file, lambda known, _rested: cookie_file.add(known, ONE))

    assert 0o600 == file.stat().st_mode & 0o777
    assert (ONE,) == cookie_file.read(file)


def test_what_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    """A directory that is not there has no room for the file."""
    with pytest.raises(ProblemsFound, match="cannot be changed"):
        cookie_file.change(tmp_path / "none" / "file", lambda known, _rested: cookie_file.add(known, ONE))
