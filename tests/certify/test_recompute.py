import os
from typing import Any

import pytest

from expunge.certify.checkpoint import Checkpoint
from expunge.certify.note import verifier
from expunge.certify.recompute import recompute
from expunge.core.errors import InvalidCertificate


@pytest.fixture
def by(evidence: Any) -> Any:
    return verifier(evidence.log.origin, evidence.log_key)


@pytest.mark.parametrize(
    "name",
    [
        "tile/0/000.p/4",
        "tile/0/000.p/02",
        "tile/0/000.p/0",
        "tile/entries/001",
        "tile/1/000.p/1",
        "notes.txt",
        ".DS_Store",
    ],
)
def test_a_file_too_many_is_refused(evidence: Any, by: Any, name: str) -> None:
    path = evidence.log.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(InvalidCertificate, match="which is no part of its log of 3 entries"):
        recompute(evidence.log.folder, by)


@pytest.mark.parametrize("name", ["tile/0/000.p/3", "tile/entries/000.p/3", "checkpoint"])
def test_a_missing_file_is_named(evidence: Any, by: Any, name: str) -> None:
    (evidence.log.folder / name).unlink()
    with pytest.raises(InvalidCertificate, match=name):
        recompute(evidence.log.folder, by)


@pytest.mark.parametrize("name", ["checkpoint", "tile"])
def test_links_are_refused(evidence: Any, by: Any, name: str) -> None:
    path = evidence.log.folder / name
    path.rename(evidence.folder / "elsewhere")
    path.symlink_to(evidence.folder / "elsewhere")
    with pytest.raises(InvalidCertificate, match="a link"):
        recompute(evidence.log.folder, by)


def test_a_pipe_does_not_hang_the_reader(evidence: Any, by: Any) -> None:
    os.mkfifo(evidence.log.folder / "pipe")
    with pytest.raises(InvalidCertificate, match="special file"):
        recompute(evidence.log.folder, by)


def test_a_signed_size_beyond_the_files_is_refused_at_once(evidence: Any, by: Any) -> None:
    huge = Checkpoint(by.name, 10**17, bytes(32)).sign(evidence.log_key)
    (evidence.log.folder / "checkpoint").write_text(huge, "utf-8")
    with pytest.raises(InvalidCertificate, match="get a full copy"):
        recompute(evidence.log.folder, by)


def test_no_folder(evidence: Any, by: Any) -> None:
    with pytest.raises(InvalidCertificate, match="no log folder"):
        recompute(evidence.folder / "nowhere", by)


@pytest.mark.parametrize("kind", ["0", "entries"])
def test_what_was_published_for_an_earlier_checkpoint_may_stay_if_it_is_the_same(
    evidence: Any, by: Any, kind: str
) -> None:
    """tlog-tiles: partial tiles are served for every size of which a checkpoint was signed."""
    early = evidence.log.folder / "tile" / kind / "000.p" / "2"
    assert early.exists()
    recompute(evidence.log.folder, by)
    early.write_bytes(early.read_bytes()[:-1] + b"?")
    with pytest.raises(InvalidCertificate, match="it was altered"):
        recompute(evidence.log.folder, by)
    early.unlink()
    recompute(evidence.log.folder, by)
