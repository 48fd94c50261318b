"""A plan counts those who may be the person asked for under another spelling, names nobody, and lets them stay."""

from pathlib import Path

from tests.workflow.steps.conftest import COLUMNS, PEOPLE, RECIPE, quiet, rows_of, write

from expunge.workflow.project.project import Project
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.forget import forget_request, plan_request


def made_of(folder: Path, people: list[str]) -> Project:
    (folder / "recipe.py").write_text(RECIPE)
    project = Project.create(folder / "p", "acme")
    project.ledger.add_dataset("people", write(folder / "p" / "people.jsonl", rows_of(people)), COLUMNS)
    train(project, f"{folder / 'recipe.py'}:churn", quiet)
    return project


def notes(project: Project, request: str) -> list[str]:
    return [note for one in plan_request(project, request) for plan in one.plans for note in plan.notes]


def test_a_plan_counts_near_names_and_their_records_without_naming_anybody(tmp_path: Path) -> None:
    """Letter case, spaces and the form of letters; a name that is longer by a letter is another name."""
    project = made_of(
        tmp_path, ["Jos\u00e9 Lind", "jos\u00e9  lind", "\uff2aos\u00e9 Lind", "Jos\u00e9 Linda", *PEOPLE]
    )
    request = project.ledger.open_request("people", ["Jose\u0301 Lind"]).id  # typed in two signs: the same name
    (note,) = {note for note in notes(project, request) if "other name" in note}
    assert note.startswith("2 other names with 10 records differ from those asked for by letter case, spaces")
    assert "lind" not in note.lower()
    (done,) = forget_request(project, request, quiet)
    assert done["n_removed"] == 5


def test_without_near_names_a_plan_says_nothing_of_them(tmp_path: Path) -> None:
    project = made_of(tmp_path, PEOPLE)
    request = project.ledger.open_request("people", [PEOPLE[0]]).id
    assert not [note for note in notes(project, request) if "other name" in note]
