"""Steps do what the life of a request allows, and say what it waits for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from tests.workflow.steps.conftest import PEOPLE, quiet

from expunge.core.errors import DeliveryBlocked, InvalidParameter, NotReady
from expunge.ledger import Decision, DenialReason, RequestState
from expunge.report.headline import headline
from expunge.workflow.project.project import Project
from expunge.workflow.steps import run as run_module
from expunge.workflow.steps.approval import approve_request, by_destroying, by_route, missing_approval
from expunge.workflow.steps.certify import certify_request
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.destroy import destroy_model
from expunge.workflow.steps.evidence import evidence_of
from expunge.workflow.steps.forget import forget_request, plan_request
from expunge.workflow.steps.run import run_request
from expunge.workflow.steps.standing import notices
from expunge.workflow.steps.verify import verify_request

Ask = Callable[..., str]

STEPS: dict[str, Callable[[Project, str], Any]] = {
    "forget": lambda project, request: forget_request(project, request, quiet),
    "verify": lambda project, request: verify_request(project, request, quiet),
    "deliver": lambda project, request: deliver_request(project, request),
    "destroy": lambda project, request: destroy_model(project, request, "model:churn"),
    "certify": lambda project, request: certify_request(project, request),
}


def wanting(project: Project, **tables: dict[str, Any]) -> Project:
    """The project with more in its configuration."""
    with (project.root / "expunge.toml").open("a") as file:
        for name, values in tables.items():
            file.write(f"\n[{name}]\n" + "".join(f"{key} = {str(value).lower()}\n" for key, value in values.items()))
    return Project.open(project.root)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", [RequestState.IDENTITY_PENDING, RequestState.ON_HOLD, RequestState.DENIED])
def test_no_step_is_taken_and_nothing_changes(project: Project, step: str, state: RequestState) -> None:
    identified = None if state is RequestState.IDENTITY_PENDING else "operator"
    request = project.ledger.open_request(None, [PEOPLE[3]], identified=identified).id
    if state is RequestState.ON_HOLD:
        project.ledger.hold_request(request, "a case")
    if state is RequestState.DENIED:
        project.ledger.deny_request(request, DenialReason.CLAIM_NOT_COVERED)
    before = project.ledger.stamp()
    with pytest.raises(NotReady, match=request):
        STEPS[step](project, request)
    assert project.ledger.stamp() == before
    assert project.ledger.current_version("churn") is not None


def test_a_plan_is_told_only_when_who_asks_is_identified(project: Project) -> None:
    request = project.ledger.open_request(None, [PEOPLE[3]], identified=None).id
    with pytest.raises(NotReady, match="expunge identity"):
        plan_request(project, request)
    project.ledger.identify_request(request, "signed in")
    assert plan_request(project, request)


def test_a_hold_between_forgetting_and_delivery_keeps_the_old_version(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    forget_request(project, request, quiet)
    verify_request(project, request, quiet)
    project.ledger.hold_request(request, "evidence in a case")
    with pytest.raises(NotReady, match="legal hold"):
        deliver_request(project, request)
    assert all(version.state != "purged" for version in project.ledger.model_versions("churn"))
    assert run_request(project, request, quiet, ()).next.startswith(f"{request} is under a legal hold")
    project.ledger.release_request(request)
    assert run_request(project, request, quiet, ()).next == ""
    assert project.ledger.get_request(request).state is RequestState.COMPLETED


def test_run_names_what_it_waits_for_and_raises_nothing(project: Project) -> None:
    request = project.ledger.open_request(None, [PEOPLE[3]], identified=None).id
    ran = run_request(project, request, quiet, ())
    assert ran.steps == ()
    assert "expunge identity" in ran.next
    assert project.ledger.get_request(request).state is RequestState.IDENTITY_PENDING


def test_what_stops_a_run_needs_attention_until_it_goes_on(
    project: Project, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, real = ask(PEOPLE[3]), run_module.deliver_request

    def blocked(*_: Any, **__: Any) -> Any:
        raise DeliveryBlocked("the audit of 'churn' says HIDDEN")

    monkeypatch.setattr(run_module, "deliver_request", blocked)
    with pytest.raises(DeliveryBlocked):
        run_request(project, request, quiet, ())
    assert project.ledger.get_request(request).state is RequestState.NEEDS_ATTENTION
    assert project.ledger.events(request)[-1].detail == {"fault": "DeliveryBlocked"}
    monkeypatch.setattr(run_module, "deliver_request", real)
    assert run_request(project, request, quiet, ()).steps == ("deliver", "certify")
    assert project.ledger.get_request(request).state is RequestState.COMPLETED


# -- approval ------------------------------------------------------------------------------------------------------------


def test_nothing_is_carried_out_before_two_people_agreed_to_the_plan(project: Project, ask: Ask) -> None:
    project, request = wanting(project, approval={"people": 2}), ask(PEOPLE[3])
    with pytest.raises(NotReady, match="0 of 2 people"):
        forget_request(project, request, quiet)
    approve_request(project, request, "K. Lund")
    assert "1 of 2 people" in run_request(project, request, quiet, ()).next
    approve_request(project, request, "O. Tal")
    assert run_request(project, request, quiet, ()).next == ""
    assert project.ledger.get_request(request).state is RequestState.COMPLETED


def test_another_decision_is_another_plan(project: Project, ask: Ask) -> None:
    """Also after forgetting: what was agreed to is what is delivered."""
    project, request = wanting(project, approval={"people": 1}), ask(PEOPLE[3])
    approve_request(project, request, "K. Lund")
    forget_request(project, request, quiet)
    verify_request(project, request, quiet)
    assert missing_approval(project, request) == ""  # forgetting and verifying change no plan
    project.ledger.decide(request, "model:upsell", Decision.DEFER, {"until": "2027-01-31"})
    with pytest.raises(NotReady, match="0 of 1 people"):
        deliver_request(project, request)
    approve_request(project, request, "K. Lund")
    deliver_request(project, request)


def test_a_destruction_is_agreed_to_by_itself(project: Project, ask: Ask) -> None:
    project, request = wanting(project, approval={"people": 1}), ask(PEOPLE[3])
    approve_request(project, request, "K. Lund")
    with pytest.raises(NotReady, match="--destroy model:churn"):
        destroy_model(project, request, "model:churn")
    approve_request(project, request, "K. Lund", by_destroying("model:churn"))
    assert [one["model"] for one in destroy_model(project, request, "model:churn")] == ["churn"]


def test_another_route_is_agreed_to_by_its_name(project: Project, ask: Ask) -> None:
    """Who agreed to the plan did not agree to a route that somebody chooses, neither at forgetting nor at delivery."""
    project, request = wanting(project, approval={"people": 1}), ask(PEOPLE[3])
    approve_request(project, request, "K. Lund")
    with pytest.raises(NotReady, match="--route subtract"):
        forget_request(project, request, quiet, route="subtract")
    approve_request(project, request, "K. Lund", by_route("subtract"))
    forget_request(project, request, quiet, route="subtract")
    verify_request(project, request, quiet)
    deliver_request(project, request)


def test_a_certificate_of_a_search_that_found_nobody_leaves_it_so(project: Project) -> None:
    request = project.ledger.open_request(None, ["Nobody"]).id
    certify_request(project, request)
    assert project.ledger.get_request(request).state is RequestState.NO_MATCH


@pytest.mark.parametrize("wrong", [{"persons": 2}, {"people": -1}, {"people": True}])
def test_a_wish_that_nobody_understands_stops_everything(project: Project, ask: Ask, wrong: dict[str, Any]) -> None:
    project, request = wanting(project, approval=wrong), ask(PEOPLE[3])
    with pytest.raises(InvalidParameter, match="approval"):
        forget_request(project, request, quiet)


# -- what is told --------------------------------------------------------------------------------------------------------


def test_certificate_and_page_say_who_agreed_in_number_and_nobody_by_name(project: Project) -> None:
    project = wanting(project, approval={"people": 1})
    request = project.ledger.open_request(None, [PEOPLE[3]], identified=None, by="M. Berg").id
    project.ledger.identify_request(request, "signed in")
    project.ledger.hold_request(request, "a case")
    project.ledger.release_request(request)
    approve_request(project, request, "K. Lund")
    run_request(project, request, quiet, ())
    from expunge.certify import open_envelope

    path = project.root / project.ledger.certificates(request)[-1].path
    stated = open_envelope(path.read_bytes(), []).statement["predicate"]["request"]
    assert (stated["identifiedBy"], stated["approvals"]) == ("signed in", 1)
    assert [one["what"] for one in stated["holds"]] == ["held", "released"]
    page = "".join(str(one) for one in evidence_of(project, request)["notices"])
    for text in (page, str(stated)):
        assert "Lund" not in text
        assert "Berg" not in text
    assert "The legal hold ended" in page


def test_a_denial_is_told_with_its_article_and_the_remedies(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    project.ledger.deny_request(request, DenialReason.TOO_MANY_REQUESTS, "the third one this month")
    (sentence,) = notices(project, request)
    assert (
        "manifestly unfounded or excessive, as by its repetition (Art. 12(5)(b)). the third one this month. The person must"
        in sentence
    )
    assert "complain to a supervisory authority" in sentence
    shown = evidence_of(project, request)
    assert (shown["request"]["state"], shown["targets"], shown["exceptions"]) == ("denied", [], [])
    assert headline(shown) == "The request was denied. Nothing was removed."


def test_the_point_of_no_return_is_shown(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    assert not [one for one in notices(project, request) if "no return" in one]
    forget_request(project, request, quiet)
    (sentence,) = [one for one in notices(project, request) if "no return" in one]
    since = project.ledger.no_return(request)
    assert since is not None
    assert datetime.fromisoformat(since).tzinfo is not None
    assert since.replace("T", " ").replace("Z", " UTC") in sentence
