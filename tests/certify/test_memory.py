"""A log whose signer remembers tells one story, whatever happens to its folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certify.checkpoint import Checkpoint, open_checkpoint
from expunge.certify.log import Log
from expunge.certify.note import verifier
from expunge.certify.recompute import recompute
from expunge.certify.tree import root
from expunge.core.errors import InvalidCertificate

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "expunge.example/log/test"


class Kept:
    def __init__(self) -> None:
        self.last: Checkpoint | None = None
        self.dies = False

    def newest(self) -> Checkpoint | None:
        return self.last

    def keep(self, checkpoint: Checkpoint, entry: Mapping[str, Any]) -> None:
        self.last = checkpoint
        if self.dies:
            raise KeyboardInterrupt


def entry(n: int) -> dict[str, Any]:
    return {"type": "example/v1", "n": n}


def grown(folder: Path, size: int) -> Log:
    log = Log(folder, ORIGIN, Kept())
    for n in range(size):
        log.append(entry(n), KEY)
    return log


@pytest.mark.parametrize("older", [0, 1, 2])
def test_nothing_is_signed_over_a_folder_that_was_lost_or_restored_from_before(tmp_path: Path, older: int) -> None:
    log = grown(tmp_path / "log", 3)
    shutil.rmtree(log.folder)
    if older:
        shutil.copytree(grown(tmp_path / "backup", older).folder, log.folder)
    before = {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()}
    for _ in range(2):  # a refusal leaves nothing behind that the next attempt would complete
        with pytest.raises(InvalidCertificate, match=r"is not the one that was signed last: 3 entries.*Restore"):
            log.append(entry(9), KEY)
    assert {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()} == before


def test_the_entry_that_was_lost_and_nothing_else_may_follow_the_folder_of_before(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 3)
    seen = log.checkpoint()
    shutil.rmtree(log.folder)
    shutil.copytree(grown(tmp_path / "backup", 2).folder, log.folder)
    assert log.append(entry(2), KEY) == 2
    assert log.checkpoint() == seen


def test_a_kill_between_remembering_and_signing_is_completed_by_whatever_is_appended_next(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 2)
    assert isinstance(log.memory, Kept)
    log.memory.dies = True
    with pytest.raises(KeyboardInterrupt):
        log.append(entry(2), KEY)
    log.memory.dies = False
    promised = log.memory.last
    assert log.append(entry(9), KEY) == 3
    assert promised is not None
    assert root(recompute(log.folder, verifier(ORIGIN, KEY)).range_hash, promised.size) == promised.root
    assert [e["n"] for e in log.entries()] == [0, 1, 2, 9]


def test_a_folder_that_knows_more_than_the_memory_is_continued_only_if_it_begins_with_it(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 3)
    assert isinstance(log.memory, Kept)
    log.memory.last = open_checkpoint(grown(tmp_path / "same", 1).checkpoint().encode(), verifier(ORIGIN, KEY))
    assert log.append(entry(3), KEY) == 3
    other = Log(tmp_path / "other", ORIGIN)
    other.append(entry(7), KEY)
    log.memory.last = open_checkpoint(other.checkpoint().encode(), verifier(ORIGIN, KEY))
    with pytest.raises(InvalidCertificate, match="Nothing was signed"):
        log.append(entry(4), KEY)


def test_another_name_in_the_memory_is_another_log(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 2)
    kept = Kept()
    kept.last = Checkpoint("elsewhere", 1, bytes(32))
    with pytest.raises(InvalidCertificate, match="elsewhere"):
        Log(log.folder, ORIGIN, kept).append(entry(2), KEY)
