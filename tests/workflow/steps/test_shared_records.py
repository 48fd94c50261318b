"""Rows of a table about several people: one of them leaves, and the row leaves every model, for all."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.steps.conftest import PEOPLE, quiet, rows_of, write
from tests.workflow.steps.test_targets import said

from expunge.ledger import Columns, RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.datasets import add_file
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.forget import plan_request
from expunge.workflow.steps.run import run_request

COLUMNS = Columns(subject="who", id="id", answer="leaves", features=("a", "b"))
RECIPE = """import expunge
from expunge.exact import {learner}


def recipe():
    return expunge.Training(model="churn", dataset="people", learner={learner}({options}))
"""


def together() -> list[dict[str, Any]]:
    """Every fourth row is about the next person too."""
    rows = rows_of(PEOPLE)
    for k, row in enumerate(rows):
        if k % 4 == 0:
            row["who"] = [row["who"], PEOPLE[(PEOPLE.index(row["who"]) + 1) % len(PEOPLE)]]
    return rows


@pytest.mark.parametrize(("learner", "options"), [("MultinomialNB", ""), ("Forest", "trees=4, depth=3")])
def test_who_shares_records_leaves_with_them(tmp_path: Path, learner: str, options: str) -> None:
    project = Project.create(tmp_path / "p", "acme")
    rows = together()
    add_file(project, "people", write(project.root / "people.jsonl", rows), COLUMNS)
    recipe = tmp_path / "recipe.py"
    recipe.write_text(RECIPE.format(learner=learner, options=options))
    train(project, f"{recipe}:recipe", quiet)
    theirs = [row for row in rows if PEOPLE[3] in row["who"]]
    shared = [row for row in theirs if isinstance(row["who"], list)]
    assert 0 < len(shared) < len(theirs)
    request = project.ledger.open_request(None, [PEOPLE[3]]).id
    plans = {one.held.name: one for one in plan_request(project, request)}
    assert plans["dataset:people"].held.words == (
        f"{len(theirs)} records, {len(shared)} of them about other people too, which leave for all"
    )
    assert plans["model:churn"].plans[0].n_removed == len(theirs)
    run_request(project, request, quiet, released=())
    predicate = said(project.evidence(request) / "certificate.intoto.json")
    assert [predicate[key] for key in ("assurance", "flags", "replay")] == ["EXACT", [], True]
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
    assert project.ledger.dataset("people").n_records == len(rows) - len(theirs)
    left = {row.record.id for row in project.ledger.live_data("people").rows}
    assert left == {row["id"] for row in rows} - {row["id"] for row in theirs}
    assert not any(PEOPLE[3] in path.read_text() for path in project.evidence(request).glob("*.json*"))
    assert json.loads((project.root / "people.jsonl").read_text().splitlines()[0])["who"] == PEOPLE[:2]
