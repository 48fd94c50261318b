"""A table of invented people that two models learn from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expunge.ledger import Columns
from expunge.workflow.project.project import Project
from expunge.workflow.steps.enter import train

PEOPLE = [f"Person {k}" for k in range(8)]
MODELS = ("churn", "upsell")
RECIPE = """import expunge
from expunge.exact import GaussianNB, MultinomialNB


def churn():
    return expunge.Training(model="churn", dataset="people", learner=MultinomialNB())


def upsell():
    return expunge.Training(model="upsell", dataset="people", learner=GaussianNB())


def late():
    return expunge.Training(model="late", dataset="people", learner=MultinomialNB())
"""
COLUMNS = Columns(subject="who", id="id", answer="leaves", features=("a", "b"))


def rows_of(people: list[str], each: int = 5) -> list[dict[str, Any]]:
    """Values that differ from row to row."""
    return [
        {"id": f"{who}/{k}", "who": who, "a": (3 * n + k) % 7, "b": (n + 2 * k) % 5, "leaves": "yes" if k % 3 else "no"}
        for n, who in enumerate(people)
        for k in range(each)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def _replays_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process takes longer than all that these tests look at; that one is started is a matter of `tests/e2e`."""
    from expunge.workflow.shapes import learner, refit

    monkeypatch.setattr(learner, "printed_by", lambda module, *arguments, **_: refit.main(*arguments))


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a dataset and two models; copy it before changing it."""
    folder = tmp_path_factory.mktemp("targets")
    (folder / "recipe.py").write_text(RECIPE)
    project = Project.create(folder / "p", "acme")
    project.ledger.add_dataset("people", write(folder / "p" / "people.jsonl", rows_of(PEOPLE)), COLUMNS)
    for model in MODELS:
        train(project, f"{folder / 'recipe.py'}:{model}", quiet)
    return folder / "p"


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return Project.open(Path(shutil.copytree(made, tmp_path / "p")))


@pytest.fixture
def ask(project: Project) -> Callable[..., str]:
    return lambda *names: project.ledger.open_request(None, names).id
