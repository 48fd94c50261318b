"""Invented people among a dataset's records. Their content lies in the project, since the user's file does not have it.

Who they are is a secret of the project: somebody who knew could treat them better than the people of a request.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expunge.core import Fact, Record
from expunge.core.durable import remove_durably, write_durably
from expunge.core.errors import DigestMismatch
from expunge.ledger.secret_files import private_folder
from expunge.ledger.store import Store


@dataclass(frozen=True)
class Planted:
    """What is trained on, what can be asked about these people, and the same about others like them, never trained on."""

    records: tuple[Record, ...]
    facts: tuple[Fact, ...]
    strangers: tuple[Fact, ...] = ()

    @property
    def subjects(self) -> set[str]:
        return {record.subject for record in self.records}


def planting_secret(store: Store, name: str) -> bytes:
    """From which the invented people of a dataset are drawn, so that nobody without it can draw them again."""
    return store.keys.secret(_secret(name))


def write_planted(store: Store, name: str, planted: Planted | None) -> None:
    """Keep the invented people of a dataset, readable by the project's owner alone; None: there are none, nor leftovers."""
    path = _path(store, name)
    if planted is None:
        remove_durably(path)
        remove_durably(_secret_file(store, name))
        return
    private_folder(path.parent)
    write_durably(path, json.dumps(asdict(planted)).encode(), mode=0o600)


def read_planted(store: Store, name: str) -> Planted | None:
    """The invented people of a dataset, if it was added with any.

    Raises: DigestMismatch, if the file is damaged.
    """
    path = _path(store, name)
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
        records = tuple(Record(**{**row, "also": tuple(row["also"])}) for row in found["records"])
        return Planted(records, _facts(found["facts"]), _facts(found["strangers"]))
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise DigestMismatch(f"{path} is damaged ({type(e).__name__}); restore it from a backup") from e


def lost_planted(store: Store, name: str) -> str:
    """Where the invented people of a dataset should be and are not; empty where nothing is lost."""
    path = _path(store, name)
    return path.relative_to(store.root).as_posix() if _secret_file(store, name).exists() and not path.exists() else ""


def _path(store: Store, name: str) -> Path:
    return store.root / "canaries" / f"{_named(name)}.json"


def _secret_file(store: Store, name: str) -> Path:
    return store.keys.folder / f"{_secret(name)}.key"


def _secret(name: str) -> str:
    return f"canaries-{_named(name)}"


def _named(name: str) -> str:
    """Names of datasets may hold what names of files may not."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _facts(rows: Iterable[dict[str, Any]]) -> tuple[Fact, ...]:
    pairs = ("paraphrases", "adjacent")
    return tuple(
        Fact(
            **{**row, "perturbed": tuple(row["perturbed"])}
            | {key: tuple((q, a) for q, a in row.get(key, ())) for key in pairs}
        )
        for row in rows
    )
