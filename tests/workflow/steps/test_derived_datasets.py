"""What was made from a person's records is a target, though it does not name them: until it is made anew, or somebody decides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.steps.conftest import PEOPLE, quiet, rows_of, write
from tests.workflow.steps.test_targets import said, stands

from expunge.core.errors import InvalidParameter, NotReady, UnknownName
from expunge.ledger import Columns, Decision, RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.datasets import add_file
from expunge.workflow.steps.destroy import destroy_model
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.forget import forget_request
from expunge.workflow.steps.run import run_request
from expunge.workflow.steps.targets import NAMES_NOBODY, decide_target, find_targets

Ask = Callable[..., str]
SUMS = Columns(subject="group", id="group", answer="leaves", features=("a", "b"))


def sums(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums over a third of the people, which name nobody."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(PEOPLE.index(row["who"]) % 3, []).append(row)
    return [
        {"group": f"g{g}", "a": sum(r["a"] for r in rs), "b": sum(r["b"] for r in rs), "leaves": "yes" if g else "no"}
        for g, rs in sorted(groups.items())
    ]


@pytest.fixture
def derived(project: Project) -> Project:
    """Sums made from the people, totals made from the sums, and a model of the sums."""
    for name, origin in (("sums", "people"), ("totals", "sums")):
        file = write(project.root / f"{name}.jsonl", sums(rows_of(PEOPLE)))
        add_file(project, name, file, SUMS, made_from=[origin])
    recipe = project.root / "sums.py"
    recipe.write_text(
        "import expunge\nfrom expunge.exact import MultinomialNB\n\n\ndef sums():\n"
        '    return expunge.Training(model="sums", dataset="sums", learner=MultinomialNB())\n'
    )
    train(project, f"{recipe}:sums", quiet)
    return project


def made_anew(project: Project, name: str, origin: str) -> tuple[str, ...]:
    rows = sums([row for row in rows_of(PEOPLE) if row["who"] != PEOPLE[3]])
    return add_file(
        project, name, write(project.root / f"{name}.jsonl", rows), SUMS, withdrawn=True, made_from=[origin]
    ).notes


def test_what_was_made_from_the_records_is_a_target_at_any_remove(derived: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    held = {one.name: one for one in find_targets(derived, request)}
    assert set(held) == {
        "dataset:people",
        "dataset:sums",
        "dataset:totals",
        "model:churn",
        "model:upsell",
        "model:sums",
    }
    assert held["dataset:sums"].words == "may hold something: made from 'people'"
    assert held["dataset:totals"].words == "may hold something: made from 'sums'"
    assert held["model:sums"].words == "may hold something: learned from 'sums', which was made from 'people'"
    assert held["dataset:totals"].target.sentence == f"not reached: {NAMES_NOBODY}"
    assert not held["dataset:sums"].target.ended


def test_do_is_refused(derived: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    for name in ("dataset:sums", "model:sums"):
        with pytest.raises(InvalidParameter, match=r"cannot be done.*data add FILE --name … --from"):
            decide_target(derived, request, name, Decision.DO, {})
    with pytest.raises(NotReady, match="not reached"):
        forget_request(derived, request, quiet, targets=["model:sums"])


def test_nothing_ends_until_it_is_decided(derived: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    (ref,) = derived.ledger.get_request(request).subjects
    ran = run_request(derived, request, quiet, released=())
    assert "dataset:sums" in ran.next
    assert ref in derived.ledger.keys.subjects.all()
    predicate = said(derived.evidence(request) / "certificate.intoto.json")
    assert predicate["flags"] == ["EXCEPTIONS"]
    assert "dataset:totals is not reached" in predicate["mayBeSaid"]
    for name in ("dataset:sums", "dataset:totals", "model:sums"):
        decide_target(derived, request, name, Decision.EXEMPT, {"article": "17(3)(d)", "reason": "statistics"})
    run_request(derived, request, quiet, released=())
    assert derived.ledger.get_request(request).state is RequestState.COMPLETED_WITH_EXCEPTIONS
    assert ref not in derived.ledger.keys.subjects.all()


def test_what_is_made_anew_from_what_stays_is_done(derived: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    (note,) = [note for note in made_anew(derived, "sums", "people") if request in note]
    assert "not entombed yet" in note  # made too early: the person's rows may have been in it
    assert not {one.name: one for one in find_targets(derived, request)}["dataset:sums"].target.done
    forget_request(derived, request, quiet)
    again = add_file(derived, "sums", derived.root / "sums.jsonl", SUMS, made_from=["people"])
    assert f"'sums' was made anew: nothing of {request} is in it any more" in again.notes
    made_anew(derived, "totals", "sums")
    assert stands(derived, request)["dataset:sums"] == stands(derived, request)["dataset:totals"] == "done"
    assert "model:sums" in stands(derived, request)  # it learned from the sums of before
    (withdrawn,) = [
        r for r in derived.ledger.requests() if r.kind == "withdrawal" and r.dataset == "sums" and r.state.open
    ]
    run_request(derived, withdrawn.id, quiet, released=())
    run_request(derived, request, quiet, released=())
    assert derived.ledger.get_request(request).state is RequestState.COMPLETED
    assert said(derived.evidence(request) / "certificate.intoto.json")["flags"] == []


def test_a_model_of_it_may_be_destroyed(derived: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    assert [one["model"] for one in destroy_model(derived, request, "model:sums")] == ["sums"]
    assert stands(derived, request)["model:sums"] == "done"


def test_a_derived_dataset_that_names_the_person_is_found_by_name(project: Project, ask: Ask) -> None:
    named = Columns(subject="who", id="id", answer="leaves", features=("a", "b"))
    add_file(project, "orders", write(project.root / "orders.jsonl", rows_of(PEOPLE[2:4])), named, made_from=["people"])
    held = {one.name: one for one in find_targets(project, ask(PEOPLE[3]))}
    assert held["dataset:orders"].words == "5 records; made from 'people'"
    assert held["dataset:orders"].target.decision is Decision.DO


def test_lineage_is_checked(derived: Project, tmp_path: Path) -> None:
    file = write(tmp_path / "new.jsonl", sums(rows_of(PEOPLE)))
    with pytest.raises(UnknownName, match="nothing"):
        add_file(derived, "other", file, SUMS, made_from=["nothing"])
    assert "other" not in [info.name for info in derived.ledger.datasets()]
    with pytest.raises(InvalidParameter, match="'people' cannot be made from 'totals'"):
        derived.ledger.note_origins("people", ["totals"])
