"""The data's owner deletes rows first, as the law wants: finding 12 of the review, each row with the right value."""

from collections.abc import Callable

import pytest
from tests.workflow.steps.conftest import COLUMNS, PEOPLE, quiet, rows_of, write
from tests.workflow.steps.test_targets import said, stands

from expunge.core.errors import DigestMismatch, InvalidParameter, NotReady
from expunge.ledger import RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.datasets import add_file, follow, unrecorded
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.forget import forget_request, plan_request
from expunge.workflow.steps.run import run_request
from expunge.workflow.steps.verify import verify_request

Ask = Callable[..., str]


def leave_in_file(project: Project, *gone: str) -> None:
    """The owner takes these people's rows out of the file."""
    write(project.root / "people.jsonl", [row for row in rows_of(PEOPLE) if row["who"] not in gone])


def ended(project: Project, request: str) -> dict[str, object]:
    run_request(project, request, quiet, released=())
    predicate = said(project.evidence(request) / "certificate.intoto.json")
    return {key: predicate[key] for key in ("assurance", "flags", "replay")}


def test_who_asked_leaves_though_the_rows_are_gone(project: Project, ask: Ask) -> None:
    """`forget` for the person was refused, with the advice to restore their data."""
    request = ask(PEOPLE[4])
    leave_in_file(project, PEOPLE[4])
    plans = {one.held.name: one.plans[0] for one in plan_request(project, request) if one.plans}
    assert {name: plan.route for name, plan in plans.items()} == {"model:churn": "subtract", "model:upsell": "subtract"}
    assert all("5 of the records that leave can no longer be had" in plan.notes[-1] for plan in plans.values())
    assert ended(project, request) == {"assurance": "EXACT", "flags": [], "replay": True}
    assert set(stands(project, request).values()) == {"done"}
    assert not project.ledger.models_that_hold(request).versions
    assert project.ledger.dataset("people").n_records == 35


def test_others_go_on_and_who_asked_leaves_with_them(project: Project, ask: Ask) -> None:
    """`plan` for somebody else was refused. What stays can be fitted again only without those whose rows are gone."""
    fourth, third = ask(PEOPLE[4]), ask(PEOPLE[3])
    leave_in_file(project, PEOPLE[4])
    plan = next(one for one in plan_request(project, third) if one.held.name == "model:churn").plans[0]
    assert plan.n_removed == 10
    assert any(f"the rows of {fourth} are gone" in note for note in plan.notes)
    assert ended(project, third) == {"assurance": "EXACT", "flags": [], "replay": True}
    assert [e.kind for e in project.ledger.events(fourth)] == ["received", "entombed"]
    assert not project.ledger.models_that_hold(fourth).versions
    run_request(project, fourth, quiet, released=())
    assert project.ledger.get_request(fourth).state is RequestState.COMPLETED
    assert project.ledger.dataset("people").n_records == 30


def test_rows_of_nobody_who_asked_are_counted_and_the_command_is_named(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    leave_in_file(project, PEOPLE[4])
    with pytest.raises(
        DigestMismatch, match=r"5 of 40 .*nobody asked .*expunge data add .*--name people --withdrawn"
    ) as e:
        plan_request(project, request)
    assert "Person" not in str(e.value)


def test_withdrawn_rows_show_in_what_learned_from_them(project: Project) -> None:
    leave_in_file(project, PEOPLE[4])
    entered = add_file(project, "people", project.root / "people.jsonl", COLUMNS, withdrawn=True)
    assert entered.withdrawal
    request = entered.withdrawal.id
    assert entered.withdrawal.kind == "withdrawal"
    assert stands(project, request) == dict.fromkeys(("dataset:people", "model:churn", "model:upsell"), "to be done")
    assert ended(project, request) == {"assurance": "EXACT", "flags": [], "replay": True}
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
    assert project.ledger.dataset("people").n_records == 35
    assert project.ledger.find_subjects("people", [PEOPLE[4]])  # the person did not ask


def test_rows_that_go_between_forget_and_verify_are_said(project: Project, ask: Ask) -> None:
    third, _fourth = ask(PEOPLE[3]), ask(PEOPLE[4])
    forget_request(project, third, quiet)
    leave_in_file(project, PEOPLE[4])
    with pytest.raises(NotReady, match=rf"5 rows .*`expunge abandon {third}`, then forget again"):
        verify_request(project, third, quiet)


def test_a_model_of_before_needs_a_fit_and_says_so(project: Project, ask: Ask) -> None:
    """An earlier release kept no list of which record is at which place."""
    request = ask(PEOPLE[4])
    (project.folder(project.current("churn")) / "commitments.bin").unlink()
    plans = {one.held.name: one.plans[0].route for one in plan_request(project, request) if one.plans}
    assert plans == {"model:churn": "subtract", "model:upsell": "subtract"}
    leave_in_file(project, PEOPLE[4])
    plans = {one.held.name: one.plans[0].route for one in plan_request(project, request) if one.plans}
    assert plans == {"model:churn": "retrain", "model:upsell": "subtract"}


def test_a_dataset_grows_and_what_is_not_recorded_is_said(project: Project, ask: Ask) -> None:
    """A new person's row was ignored, their request found nobody, and there was no way to take it in."""
    dora = [{**row, "id": f"dora/{k}", "who": "Dora"} for k, row in enumerate(rows_of(PEOPLE[:1]))]
    file = write(project.root / "people.jsonl", [*rows_of(PEOPLE), *dora])
    (said_of_it,) = unrecorded(project)
    assert "5 rows of people.jsonl are not recorded in 'people'" in said_of_it
    assert "expunge data add people.jsonl --name people" in said_of_it
    _, notes = train(project, f"{_recipe(project)}:late", quiet)
    assert said_of_it in notes
    assert project.ledger.get_request(ask("Dora")).state is RequestState.NO_MATCH
    entered = add_file(project, "people", file, COLUMNS)
    assert entered.growth
    assert (entered.growth.n_new, entered.growth.n_people, entered.dataset.version) == (5, 1, 2)
    assert unrecorded(project) == []
    request = ask(PEOPLE[3])  # models of the version before
    assert ended(project, request) == {"assurance": "EXACT", "flags": [], "replay": True}
    churn = project.current("churn")
    assert churn.trained_on not in {v.manifest for v in project.ledger.dataset_history("people")}
    assert sum(unit.n_records for unit in churn.units) == 35
    assert ended(project, ask("Dora"))["flags"] == []


def _recipe(project: Project) -> str:
    return str(project.current("churn").recipe["script"])


def test_who_was_erased_and_is_in_the_file_again_is_doubted_aloud(project: Project, ask: Ask) -> None:
    ended(project, ask(PEOPLE[3]))
    entered = add_file(project, "people", project.root / "people.jsonl", COLUMNS)
    assert entered.notes == (
        "taken in were 1 person of whom nothing was recorded; 1 were erased from this dataset, and without a suppression list "
        "nobody can tell whether they came back among them",
    )


def test_options_that_would_do_nothing_are_refused(project: Project) -> None:
    file = project.root / "people.jsonl"
    with pytest.raises(InvalidParameter, match="'other' is not"):
        add_file(project, "other", file, COLUMNS, withdrawn=True)
    with pytest.raises(InvalidParameter, match="first added"):
        add_file(project, "people", file, COLUMNS, n_facts=200)


def test_a_table_without_ids_is_followed_and_the_next_request_ends(project: Project, ask: Ask) -> None:
    """Case M, to the end of the request after it."""
    from dataclasses import replace

    rows = [{k: v for k, v in row.items() if k != "id"} for row in rows_of(PEOPLE)]
    file = write(project.root / "plain.jsonl", rows)
    project.ledger.add_dataset("plain", file, replace(COLUMNS, id=None))
    recipe = project.root / "plain.py"
    recipe.write_text(
        "import expunge\nfrom expunge.exact import MultinomialNB\n\n\ndef plain():\n"
        '    return expunge.Training(model="plain", dataset="plain", learner=MultinomialNB())\n'
    )
    train(project, f"{recipe}:plain", quiet)
    ended(project, project.ledger.open_request("plain", [PEOPLE[3]]).id)
    write(file, [row for row in rows if row["who"] != PEOPLE[3]])
    second = project.ledger.open_request("plain", [PEOPLE[5]]).id
    with pytest.raises(DigestMismatch, match=r"expunge data follow plain\.jsonl --name plain"):
        plan_request(project, second)
    followed, request, notes = follow(project, "plain", file)
    assert (followed.n_matched, followed.n_unrecorded, request, notes) == (35, 0, None, [])
    assert ended(project, second) == {"assurance": "EXACT", "flags": [], "replay": True}
