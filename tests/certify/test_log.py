"""The log tells one story: whatever is interrupted or altered, no two of its checkpoints differ in it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certify.checkpoint import open_checkpoint
from expunge.certify.log import Log
from expunge.certify.note import verifier
from expunge.certify.proof import verify_proof
from expunge.certify.recompute import recompute
from expunge.certify.tiles import layout
from expunge.certify.tree import root
from expunge.core.durable import only_writer
from expunge.core.errors import (
    InvalidCertificate,
    InvalidData,
    InvalidParameter,
    NotReady,
    ProjectLocked,
    StorageFull,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "expunge.example/log/test"
BY = verifier(ORIGIN, KEY)


def entry(n: int) -> dict[str, Any]:
    return {"type": "example/v1", "n": n}


def grown(folder: Path, size: int) -> Log:
    log = Log(folder, ORIGIN)
    for n in range(size):
        assert log.append(entry(n), KEY) == n
    return log


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """254 entries, made once; tests copy it and go on across the border of a full tile."""
    return grown(tmp_path_factory.mktemp("long") / "log", 254).folder


def test_what_is_appended_is_read_proven_and_recomputed(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 5)
    assert (log.size, log.entries()) == (5, [entry(n) for n in range(5)])
    assert [log.find(entry(n)) for n in (0, 4, 5)] == [0, 4, None]
    for n, encoded in enumerate(recompute(log.folder, BY).entries):
        assert verify_proof(log.proof(n).encode(), encoded, BY)[0] == n


def test_across_a_full_tile_every_checkpoint_extends_every_earlier_one(long_log: Path, tmp_path: Path) -> None:
    log = Log(Path(shutil.copytree(long_log, tmp_path / "log")), ORIGIN)
    kept = [open_checkpoint(log.checkpoint().encode(), BY)]
    for n in range(254, 259):
        log.append(entry(n), KEY)
        whole = recompute(log.folder, BY)
        kept.append(whole.checkpoint)
        assert all(root(whole.range_hash, old.size) == old.root for old in kept)
    assert sorted(p.relative_to(log.folder).as_posix() for p in log.folder.rglob("*") if p.is_file()) == [
        "checkpoint",
        "tile/0/000",
        *(f"tile/0/001.p/{width}" for width in (1, 2, 3)),  # a checkpoint of each size was published
        "tile/1/000.p/1",
        "tile/entries/000",
        *(f"tile/entries/001.p/{width}" for width in (1, 2, 3)),
    ]
    assert verify_proof(log.proof(0).encode(), whole.entries[0], BY)[1].size == 259


class Killed(BaseException):
    """The process ends here; nothing catches this."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str, nth: int) -> None:
    calls, real = [0], getattr(os, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, dying)


@pytest.mark.parametrize("size", [0, 1, 2, 254, 255, 256])
@pytest.mark.parametrize("call", ["replace", "fsync", "unlink"])
@pytest.mark.parametrize("retried", [True, False], ids=["same entry again", "another entry next"])
def test_killed_anywhere_the_old_state_stands_and_the_next_append_repairs_it(
    size: int, call: str, retried: bool, long_log: Path, tmp_path: Path
) -> None:
    source = long_log if size >= 254 else grown(tmp_path / "source", size).folder
    if size:
        source = Path(shutil.copytree(source, tmp_path / "start"))
        for n in range(254, size):
            Log(source, ORIGIN).append(entry(n), KEY)
    for nth in (*range(1, 40), 10_000):
        folder = tmp_path / f"log{nth}"
        if size:
            shutil.copytree(source, folder)
        log = Log(folder, ORIGIN)
        before = log.checkpoint() if size else None
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, call, nth)
            try:
                log.append(entry(1000), KEY)
            except Killed:
                killed = True
            else:
                killed = False

        # Readers see the old state, or the new one, and nothing between.
        kept = [before] if before else []
        reopened = Log(folder, ORIGIN)
        assert reopened.size in ((size, size + 1) if killed else (size + 1,))
        assert [e["n"] for e in reopened.entries()] == [*range(size), 1000][: reopened.size]
        if reopened.size:
            kept.append(reopened.checkpoint())
            reopened.proof(reopened.size - 1)

        # The next append completes what was begun; every checkpoint seen by anyone is of the one story.
        reopened.append(entry(1000 if retried else 2000), KEY)
        whole = recompute(folder, BY)
        for note in kept:
            old = open_checkpoint(note.encode(), BY)
            assert root(whole.range_hash, old.size) == old.root
        tail = [e["n"] for e in reopened.entries()][size:]
        assert tail in ([1000], [1000, 1000]) if retried else tail in ([2000], [1000, 2000])
        if not killed:
            break
    else:
        pytest.fail("no run was left uninterrupted")
    assert call == "unlink" or nth > 3, "nothing was interrupted"


def test_repair_leaves_a_log_that_recomputes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = grown(tmp_path / "log", 3)
    with monkeypatch.context() as patch:
        kill_at(patch, "replace", 3)
        with pytest.raises(Killed):
            log.append(entry(3), KEY)
    with pytest.raises(InvalidCertificate, match="the operator's next append or repair removes it"):
        recompute(log.folder, BY)
    log.repair(KEY)
    assert len(recompute(log.folder, BY).entries) == 4
    before = log.checkpoint()
    log.repair(KEY)
    assert log.checkpoint() == before


def test_a_checkpoint_that_was_seen_and_lost_comes_back_the_same(tmp_path: Path) -> None:
    """A rename can be lost with the power after others saw the new checkpoint."""
    log = grown(tmp_path / "log", 3)
    old = {p: p.read_bytes() for p in log.folder.rglob("*") if p.is_file()}
    log.append(entry(3), KEY)
    seen = log.checkpoint()
    for path, data in old.items():  # the old checkpoint and its tiles beside the new tiles
        path.write_bytes(data)
    log.append(entry(9), KEY)
    whole, old_seen = recompute(log.folder, BY), open_checkpoint(seen.encode(), BY)
    assert root(whole.range_hash, old_seen.size) == old_seen.root
    assert [e["n"] for e in log.entries()] == [0, 1, 2, 3, 9]


@pytest.mark.parametrize("rolled_back", [0, 1, 2, 3])
def test_a_rolled_back_checkpoint_is_not_signed_over(rolled_back: int, tmp_path: Path) -> None:
    early = grown(tmp_path / "early", rolled_back)
    log = grown(tmp_path / "log", 5)
    if rolled_back:
        (log.folder / "checkpoint").write_text(early.checkpoint(), "utf-8")
    else:
        (log.folder / "checkpoint").unlink()
    before = (log.folder / "checkpoint").read_bytes() if rolled_back else None
    with pytest.raises(InvalidCertificate):
        log.append(entry(99), KEY)
    assert ((log.folder / "checkpoint").read_bytes() if rolled_back else None) == before


def test_nothing_is_signed_over_an_altered_log(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 3)
    for path in [log.folder / name for name in (*layout(3), "checkpoint")]:
        data = path.read_bytes()
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            note = (log.folder / "checkpoint").read_bytes()
            with pytest.raises(InvalidCertificate):
                log.append(entry(99), KEY)
            assert (log.folder / "checkpoint").read_bytes() == note
        path.write_bytes(data)
    log.append(entry(3), KEY)


def test_an_unfinished_entry_that_is_no_entry_is_not_signed(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 1)
    bundle = (log.folder / "tile/entries/000.p/1").read_bytes()
    (log.folder / "tile/entries/000.p/2").write_bytes(bundle + b"\x00\x04 {} ")
    with pytest.raises(InvalidCertificate):
        log.append(entry(1), KEY)
    (log.folder / "tile/entries/000.p/2").write_bytes(bundle + b"\x00\x13" + b' {"type":"planted"}')
    with pytest.raises(InvalidCertificate, match="no entry of a log"):
        log.append(entry(1), KEY)


def test_another_key_or_another_name_does_not_continue_the_log(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 2)
    with pytest.raises(InvalidCertificate, match="is signed by"):
        log.append(entry(2), Ed25519PrivateKey.generate())
    with pytest.raises(InvalidCertificate, match="asked for 'elsewhere'"):
        assert Log(log.folder, "elsewhere").size
    assert log.size == 2


def test_there_is_one_writer_at_a_time(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 1)
    with only_writer(log.folder), pytest.raises(ProjectLocked, match="another process"):
        log.append(entry(1), KEY)
    log.append(entry(1), KEY)


def test_a_full_disk_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = grown(tmp_path / "log", 2)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="free some space"):
            log.append(entry(2), KEY)
    assert log.size == 2
    assert log.append(entry(2), KEY) == 2
    recompute(log.folder, BY)


def test_an_empty_log_and_an_entry_that_is_not_there(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", ORIGIN)
    assert (log.size, log.entries()) == (0, [])
    with pytest.raises(NotReady, match="append an entry first"):
        log.checkpoint()
    with pytest.raises(InvalidData, match="may take 65535 bytes"):
        log.append({"type": "t", "x": "a" * 70_000}, KEY)
    log.append(entry(0), KEY)
    with pytest.raises(InvalidParameter, match="no entry 1"):
        log.proof(1)


def test_reading_refuses_what_the_checkpoint_does_not_cover(tmp_path: Path) -> None:
    log = grown(tmp_path / "log", 3)
    bundle = log.folder / "tile/entries/000.p/3"
    bundle.write_bytes(bundle.read_bytes().replace(b'"n":1', b'"n":7'))
    with pytest.raises(InvalidCertificate, match="not those its checkpoint covers"):
        log.entries()
    bundle.unlink()
    with pytest.raises(InvalidCertificate, match="restore it from a copy"):
        log.entries()
    (log.folder / "checkpoint").write_bytes(b"")
    with pytest.raises(InvalidCertificate):
        assert log.size
