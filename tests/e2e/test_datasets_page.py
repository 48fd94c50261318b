"""The commands of docs/datasets.md, typed one after another, while the files change as the page says."""

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import expunge, refused, write_jsonl
from tests.e2e.pages import Typist, blocks
from tests.e2e.test_requests_page import rows_of
from tests.workflow.steps.conftest import RECIPE

PEOPLE = [f"Person {k}" for k in range(9)]


def sums(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over thirds of the people."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"g{int(row['who'].split()[1]) % 3}", []).append(row)
    return [
        {"group": name, "a": sum(r["a"] for r in rs), "b": sum(r["b"] for r in rs), "leaves": "yes"}
        for name, rs in sorted(groups.items())
    ]


def visits(path: Path, *without: str) -> None:
    lines = [f"{name},visit {k} of {name}" for k in range(2) for name in PEOPLE if name not in without]
    path.write_text("\n".join(["who,text", *lines, ""]))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_jsonl(tmp_path / "people.jsonl", rows_of(PEOPLE[:8]))
    write_jsonl(tmp_path / "sums.jsonl", sums(rows_of(PEOPLE[:8])))
    (tmp_path / "leaving.txt").write_text("Person 3\n")
    (tmp_path / "records.txt").write_text("Person 5/0\nPerson 6/1\n")
    (tmp_path / "recipe.py").write_text(RECIPE)
    visits(tmp_path / "visits.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_story_of_the_page(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, grow, ask, anew, withdraw, records, follow = blocks("datasets.md")
    typed = Typist(monkeypatch)
    typed(make)

    rows = rows_of(PEOPLE)
    write_jsonl(here / "people.jsonl", rows)
    said = typed(grow)
    assert "6 rows of" in said["status"].json["notes"][0]
    assert "expunge data add" in said["status"].json["notes"][0]
    grown = said["data"].json
    assert (grown["version"], grown["new"], grown["new_people"], grown["records"]) == (2, 6, 1, 54)

    rows = [row for row in rows if row["who"] != "Person 3"]
    write_jsonl(here / "people.jsonl", rows)
    targets = {one["target"]: one for one in typed(ask)["plan"].json["targets"]}
    first = typed.request
    assert set(targets) == {"dataset:people", "dataset:sums", "model:churn"}
    assert targets["dataset:sums"]["holds"] == "may hold something: made from 'people'"
    (plan,) = targets["model:churn"]["plans"]
    assert (plan["route"], plan["n_removed"]) == ("subtract", 6)
    assert "6 of the records that leave can no longer be had" in plan["notes"][0]
    refused(expunge("decide", first, "dataset:sums", "do", code=None), "cannot be done", "--from")

    write_jsonl(here / "sums.jsonl", sums(rows))
    made = typed([anew[0]])["data"].json
    assert (made["withdrawn"], made["new"]) == (2, 2)  # of Person 3, and of Person 8, who came meanwhile
    assert any(f"nothing of {first} is in it" in note for note in made["notes"])
    of_sums, typed.request = typed.request, first
    assert typed(anew[1:])["run"].json["state"] == "completed"
    assert expunge("run", of_sums, "--released", "none", "--json").json["state"] == "completed"

    rows = [row for row in rows if row["id"] != "Person 7/2"]
    write_jsonl(here / "people.jsonl", rows)
    as_before = ("--subject", "who", "--id", "id", "--features", "a,b", "--answer", "leaves")
    refused(
        expunge("data", "add", here / "people.jsonl", "--name", "people", *as_before, code=None),
        "1 of 48 recorded rows",
        "nobody asked",
        "--withdrawn",
    )
    said = typed(withdraw, {"run": 3})
    assert said["data"].json["withdrawn"] == 1
    assert [one["target"] for one in said["plan"].json["targets"]] == ["dataset:people", "dataset:sums", "model:churn"]
    assert said["run"].json["state"] == "completed_with_exceptions"

    said = typed(records, {"run": 3})
    assert said["request"].json["records"] == 2
    assert [one.partition(" is ")[0] for one in said["run"].json["exceptions"]] == ["dataset:sums"]

    typed(follow[:2])
    visits(here / "visits.csv", "Person 3")
    followed = typed(follow[2:])
    assert (followed["data"].json["matched"], followed["data"].json["unrecorded"]) == (16, 0)
    assert followed["run"].json["state"] == "completed"
