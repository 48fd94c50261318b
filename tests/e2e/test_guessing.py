"""After an erasure nobody finds the erased by guessing, not even with everything that is left in keys/."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import expunge
from tests.e2e.test_tables import ROWS, ask, project

from expunge.core.digests import digest_json
from expunge.exact._learner.rows import _opaque
from expunge.verify.classifiers.rows import Rows
from expunge.verify.names import salted
from expunge.workflow.project.project import Project
from expunge.workflow.project.sealed import dying_salt

__all__ = ["project"]
WHO = "Person 3"
THEIRS = [row for row in ROWS if row["who"] == WHO]


def guesses(folder: Path, salts: list[bytes]) -> Iterator[bytes]:
    """What a row, an id or a name would stand as under each of these secrets."""
    X, y = np.array([[row["a"], row["b"]] for row in THEIRS], dtype=float), [row["leaves"] for row in THEIRS]
    rows = Rows.of((X, y), "forget").names()
    ids = [str(row["id"]) for row in THEIRS]
    opened = Project.open(folder)
    yield opened.ledger.keys.handle(WHO)
    for salt in salts:
        for name in [*rows, *ids, WHO]:
            for kind in ("fact", "person", "probes"):
                yield salted(kind, salt, name).encode()
            yield digest_json("asked", [salt.hex(), name])[7:].encode()
        for kind, names in (("record", ids), ("subject", [WHO])):
            for name in names:
                yield from (_opaque(salt, kind, name), _opaque(salt, kind, name).hex().encode())


def found(folder: Path, salts: list[bytes]) -> set[str]:
    held = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name for guess in guesses(folder, salts) for name, data in held.items() if guess in data}


def secrets_of(folder: Path) -> list[bytes]:
    return [b"", *(path.read_bytes() for path in (folder / "keys").glob("*.key"))]


@pytest.mark.parametrize("recipe", ["recipe", "forest", "sisa"])
def test_nothing_is_found_with_all_keys_in_hand(project: Path, recipe: str) -> None:
    request = ask(project, recipe, WHO)
    at: Any = (request, "--project", project)
    opened = Project.open(project)
    assert any(
        name.startswith("models/") for name in found(project, secrets_of(project))
    )  # the control: they are in it
    expunge("forget", *at)
    expunge("verify", *at)
    alive = dying_salt(opened.ledger.get_request(request).subjects, opened.ledger.keys)
    named = found(project, [alive])  # as long as their keys live
    assert any(name.startswith(f"evidence/{request}/audit-") for name in named)
    expunge("deliver", *at, "--released", "none")
    expunge("certify", *at)
    expunge("report", *at)
    assert found(project, secrets_of(project)) == set()
