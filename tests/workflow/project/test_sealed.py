from pathlib import Path

import pytest

from expunge.core import Fact
from expunge.core.errors import DigestMismatch, UnknownSubject
from expunge.ledger import Keyring
from expunge.workflow.project.sealed import open_facts, seal_facts

FACT = Fact("f1", "Ada", "Where?", "In London.", "London", (("Whence?", "London."),), ("Paris",))


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    keyring = Keyring.make(tmp_path / "keys")
    for ref in ("s1", "s2"):
        keyring.create(ref)
    return keyring


def test_facts_come_back_and_no_word_of_them_is_in_the_file(tmp_path: Path, keys: Keyring) -> None:
    path = tmp_path / "facts.sealed"
    seal_facts(path, {"s1": [FACT], "s2": []}, keys)
    assert open_facts(path, keys) == [FACT]
    assert not any(word in path.read_bytes() for word in (b"Ada", b"London", b"Where"))
    assert path.stat().st_mode & 0o077 == 0


def test_without_the_key_nothing_is_readable(tmp_path: Path, keys: Keyring) -> None:
    path = tmp_path / "facts.sealed"
    seal_facts(path, {"s1": [FACT]}, keys)
    keys.destroy(["s1"])
    with pytest.raises(UnknownSubject):
        open_facts(path, keys)
    keys.create("s1")  # a new key of the same name opens nothing
    with pytest.raises(DigestMismatch):
        open_facts(path, keys)


def test_facts_do_not_move_between_subjects(tmp_path: Path, keys: Keyring) -> None:
    path = tmp_path / "facts.sealed"
    seal_facts(path, {"s1": [FACT]}, keys)
    path.write_text(path.read_text().replace("s1", "s2"))
    with pytest.raises(DigestMismatch):
        open_facts(path, keys)


def test_a_damaged_file_is_refused(tmp_path: Path, keys: Keyring) -> None:
    path = tmp_path / "facts.sealed"
    for text in ("{", '{"s1": "AAAA"}', '{"s1": "?"}', "[]"):
        path.write_text(text)
        with pytest.raises(DigestMismatch):
            open_facts(path, keys)
    path.unlink()
    with pytest.raises(DigestMismatch):
        open_facts(path, keys)
