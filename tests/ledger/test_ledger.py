import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from expunge.core.errors import InvalidData, UnknownName, UnsafeKeyFile
from expunge.ledger import Ledger


def test_what_a_project_directory_holds(ledger: Ledger) -> None:
    assert {p.name: p.stat().st_mode & 0o777 for p in ledger.root.iterdir()} == {
        "ledger.db": 0o600,
        "manifests": 0o700,
        "members": 0o700,
        "keys": 0o700,
    }


def test_creating_twice_and_opening_nothing_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"there is a ledger in .* already"):
        Ledger.create(ledger.root)
    with pytest.raises(UnknownName, match="run `expunge init`"):
        Ledger.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_creation_that_was_stopped_may_be_repeated(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; import expunge.ledger.database as d\n"
        "from expunge.ledger import Ledger; d.Database.scrub = lambda self: os._exit(9)\n"
        "Ledger.create(Path(sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
    assert not (tmp_path / "ledger.db").exists()
    index = (tmp_path / "keys" / "index.key").read_bytes()
    Ledger.create(tmp_path)
    assert (tmp_path / "keys" / "index.key").read_bytes() == index
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keys", "ledger.db", "manifests", "members"]


def test_unsafe_and_missing_keys_are_refused_at_opening(ledger: Ledger) -> None:
    (ledger.root / "keys" / "index.key").chmod(0o644)
    with pytest.raises(UnsafeKeyFile, match="chmod 600"):
        Ledger.open(ledger.root)
    shutil.rmtree(ledger.root / "keys")
    with pytest.raises(InvalidData, match="restore that folder from the backup"):
        Ledger.open(ledger.root)


def test_the_room_does_not_load_torch_and_opens_without_alembic(ledger: Ledger) -> None:
    code = (
        "import sys; from pathlib import Path; from expunge.ledger import Ledger\n"
        "Ledger.open(Path(sys.argv[1]))\n"
        "print([m for m in ('torch', 'alembic', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ledger.root)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
