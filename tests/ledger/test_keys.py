import os
import random
from pathlib import Path

import pytest
from tests.ledger.conftest import holds

from expunge.core.errors import InvalidData, InvalidParameter, UnknownSubject, UnsafeKeyFile
from expunge.ledger import Keyring


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.make(tmp_path / "keys")


def test_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        keyring = Keyring.make(tmp_path / "keys")
        keyring.secret("salt")
        keyring.create("ref")
    finally:
        os.umask(old)
    assert keyring.folder.stat().st_mode & 0o777 == 0o700
    assert {p.name: p.stat().st_mode & 0o777 for p in keyring.folder.iterdir()} == {
        "index.key": 0o600,
        "salt.key": 0o600,
        "subjects.db": 0o600,
    }


@pytest.mark.parametrize("name", ["index.key", "salt.key", "subjects.db"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_that_others_reach_is_refused(keyring: Keyring, name: str, mode: int) -> None:
    keyring.secret("salt")
    keyring.create("ref")
    path = keyring.folder / name
    path.chmod(mode)
    with pytest.raises(UnsafeKeyFile, match=f"run: chmod 600 {path}"):
        Keyring(keyring.folder)
    path.chmod(0o600)
    Keyring(keyring.folder)


def test_a_folder_that_others_reach_is_refused(keyring: Keyring) -> None:
    keyring.folder.chmod(0o750)
    with pytest.raises(UnsafeKeyFile, match="chmod 700"):
        Keyring(keyring.folder)


def test_a_file_opened_to_others_later_is_refused_when_it_is_used(keyring: Keyring) -> None:
    keyring.create("ref")
    (keyring.folder / "subjects.db").chmod(0o644)
    with pytest.raises(UnsafeKeyFile):
        keyring.get("ref")


def test_handles_follow_the_canonical_identity(keyring: Keyring, tmp_path: Path) -> None:
    assert keyring.handle(" Zoe\u0308 ") == keyring.handle("Zo\u00eb")
    assert keyring.handle("u-17") != keyring.handle("U-17")
    assert Keyring(keyring.folder).handle("Ada") == keyring.handle("Ada")
    assert Keyring.make(tmp_path / "other").handle("Ada") != keyring.handle("Ada")


def test_a_lost_index_key_is_never_replaced_silently(keyring: Keyring) -> None:
    (keyring.folder / "index.key").unlink()
    with pytest.raises(InvalidData, match="restore it from the backup"):
        Keyring(keyring.folder).handle("Ada")


def test_a_truncated_key_is_refused(keyring: Keyring) -> None:
    (keyring.folder / "index.key").write_bytes(b"short")
    with pytest.raises(InvalidData, match="holds 5 bytes"):
        Keyring(keyring.folder).handle("Ada")


def test_secrets_are_made_once(keyring: Keyring) -> None:
    salt = keyring.secret("salt")
    assert len(salt) == 32
    assert Keyring(keyring.folder).secret("salt") == salt != keyring.secret("salt-control")
    assert keyring.folder.joinpath("index.key").read_bytes() == Keyring.make(keyring.folder)._index_key


@pytest.mark.parametrize("name", ["../salt", "", "index", "A", "a/b", "-x"])
def test_a_secret_needs_a_plain_name(keyring: Keyring, name: str) -> None:
    with pytest.raises(InvalidParameter, match="cannot name a secret"):
        keyring.secret(name)


def test_destroyed_keys_are_nowhere_in_the_folder(keyring: Keyring) -> None:
    """Among thousands of keys written at random, so that pages split and cells move."""
    rng = random.Random(5)
    keys: dict[str, bytes] = {}
    for _ in range(20):
        keys |= keyring.subjects.create(f"{rng.getrandbits(128):032x}" for _ in range(150))
    gone = rng.sample(sorted(keys), 400)
    assert all(holds(keyring.folder, keys[ref]) for ref in gone)  # the control
    keyring.subjects.destroy(gone)
    data = b"".join(p.read_bytes() for p in keyring.folder.iterdir())
    assert [ref for ref in gone if keys[ref] in data or ref.encode() in data] == []
    assert keyring.subjects.all() == {ref: key for ref, key in keys.items() if ref not in set(gone)}


def test_a_destroyed_key_cannot_be_had_and_destroying_twice_is_no_error(keyring: Keyring) -> None:
    key = keyring.create("ref")
    assert keyring.get("ref") == key
    keyring.destroy(["ref"])
    keyring.destroy(["ref"])
    with pytest.raises(UnknownSubject, match="destroyed"):
        keyring.get("ref")
    assert holds(keyring.folder, key) == []
