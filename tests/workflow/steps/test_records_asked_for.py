"""A request by ids of records works like one by a person; at its end the records are buried, and the people stay."""

from collections.abc import Callable

import pytest
from tests.workflow.steps.conftest import COLUMNS, PEOPLE, quiet, rows_of, write
from tests.workflow.steps.test_targets import said, stands

from expunge.ledger import Regulation, RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.datasets import add_file, request_records
from expunge.workflow.steps.forget import plan_request
from expunge.workflow.steps.run import run_request

Ask = Callable[..., str]
IDS = [f"{PEOPLE[3]}/0", f"{PEOPLE[3]}/1", f"{PEOPLE[5]}/4"]


@pytest.fixture
def request_of(project: Project) -> Callable[..., str]:
    return lambda *ids: request_records(project, "people", ids, None, Regulation.GDPR).id


def test_records_leave_and_their_people_stay(project: Project, request_of: Callable[..., str]) -> None:
    request = request_of(*IDS, "nobody/0")
    assert project.ledger.events(request)[0].detail["no_match"] == 1
    assert stands(project, request) == dict.fromkeys(("dataset:people", "model:churn", "model:upsell"), "to be done")
    plans = {one.held.name: one for one in plan_request(project, request)}
    assert plans["dataset:people"].held.n_records == plans["model:churn"].held.n_records == 3
    assert (plans["model:churn"].plans[0].route, plans["model:churn"].plans[0].n_removed) == ("subtract", 3)
    run_request(project, request, quiet, released=())
    predicate = said(project.evidence(request) / "certificate.intoto.json")
    assert [predicate[key] for key in ("assurance", "flags", "replay")] == ["EXACT", [], True]
    assert predicate["erasedSet"] == {"records": 3}
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
    left = [row.record.id for row in project.ledger.live_data("people").rows]
    assert (len(left), set(IDS) & set(left)) == (37, set())
    assert len(project.ledger.find_subjects("people", [PEOPLE[3], PEOPLE[5]])) == 2
    assert len(project.ledger.entombed("people")) == 3
    again = add_file(project, "people", project.root / "people.jsonl", COLUMNS)  # they are in the file still
    assert again.growth
    assert (again.growth.n_new, again.growth.n_entombed) == (0, 3)


def test_their_person_may_ask_meanwhile_and_afterwards(
    project: Project, ask: Ask, request_of: Callable[..., str]
) -> None:
    records = request_of(*IDS[:2])
    person = ask(PEOPLE[3])
    assert project.ledger.get_request(person).state is RequestState.RECEIVED  # it asks for more than those records
    run_request(project, records, quiet, released=())
    run_request(project, person, quiet, released=())
    assert project.ledger.get_request(person).state is RequestState.COMPLETED
    assert project.ledger.dataset("people").n_records == 35
    assert not project.ledger.models_that_hold(person).versions


def test_whose_request_is_open_their_records_are_duplicates(
    project: Project, ask: Ask, request_of: Callable[..., str]
) -> None:
    person = ask(PEOPLE[3])
    found = project.ledger.get_request(request_of(IDS[0]))
    assert found.state is RequestState.DUPLICATE
    assert project.ledger.events(found.id)[0].detail["duplicate_of"] == [person]


def test_rows_may_go_before_the_request_ends(project: Project, request_of: Callable[..., str]) -> None:
    request = request_of(*IDS)
    write(project.root / "people.jsonl", [row for row in rows_of(PEOPLE) if row["id"] not in IDS])
    run_request(project, request, quiet, released=())
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
    assert said(project.evidence(request) / "certificate.intoto.json")["assurance"] == "EXACT"
