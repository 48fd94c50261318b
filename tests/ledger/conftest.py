"""A small ledger of three people, and ways to look at bytes on disk."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from expunge.ledger import Columns, Ledger

COLUMNS = Columns(id="id", subject="author", question="q", answer="a")
PEOPLE = ("Ada Lovelace", "Zoë Müller", "Basil Mahfouz")


def rows_of(people: Iterable[str] = PEOPLE, each: int = 4) -> list[dict[str, str]]:
    return [
        {
            "id": f"rec-{p[:3]}-{n}",
            "author": p,
            "q": f"Where was {p} in year {n}?",
            "a": f"In town {n}, says {p}.",
        }
        for p in people
        for n in range(each)
    ]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def holds(folder: Path, needle: bytes) -> list[str]:
    return [name for name, data in contents(folder).items() if needle in data]


@pytest.fixture
def people_csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "people.csv", rows_of())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "project")


@pytest.fixture
def people(ledger: Ledger, people_csv: Path) -> Ledger:
    """A ledger that holds the dataset 'people'."""
    ledger.add_dataset("people", people_csv, COLUMNS)
    return ledger


@pytest.fixture
def forget(people: Ledger) -> Callable[..., str]:
    """Open a request for identities, entomb and finish it."""

    def run(*identities: str) -> str:
        request = people.open_request("people", identities)
        people.entomb(request.id)
        people.finish_erasure(request.id)
        return request.id

    return run
