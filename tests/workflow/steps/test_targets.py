"""One request reaches everything that learned from a person; what is left undone shows wherever it must, and is repaired."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.steps.conftest import COLUMNS, PEOPLE, quiet, rows_of, write

from expunge.certify import check
from expunge.core.errors import InvalidData, InvalidParameter, NotReady, UnknownName
from expunge.ledger import Decision, RequestState
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project
from expunge.workflow.steps.certify import certify_request, proof_path
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.destroy import destroy_model
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.evidence import evidence_of
from expunge.workflow.steps.forget import abandon_request, forget_request, plan_request
from expunge.workflow.steps.reopen import reopen_request
from expunge.workflow.steps.run import run_request
from expunge.workflow.steps.targets import find_targets
from expunge.workflow.steps.verify import verify_request

Ask = Callable[..., str]


def statement_in(certificate: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(certificate.read_text())["payload"]))


def said(certificate: Path) -> Any:
    return statement_in(certificate)["predicate"]


def stands(project: Project, request: str) -> dict[str, str]:
    return {one.name: one.target.sentence for one in find_targets(project, request)}


def test_every_model_that_learned_is_dealt_with(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    assert set(stands(project, request)) == {"dataset:people", "model:churn", "model:upsell"}
    ran = run_request(project, request, quiet, released=())
    assert (ran.steps, ran.next) == (("forget", "verify", "deliver", "certify"), "")
    assert set(stands(project, request).values()) == {"done"}
    predicate = said(project.evidence(request) / "certificate.intoto.json")
    assert (predicate["assurance"], predicate["flags"]) == ("EXACT", [])
    assert {action["target"] for action in predicate["actions"]} == {"model:churn", "model:upsell"}
    assert {one["target"]: one["result"] for one in predicate["targets"]} == {
        "dataset:people": "done",
        "model:churn": "done",
        "model:upsell": "done",
    }
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
    assert run_request(project, request, quiet, released=()).steps == ()


def test_keys_stay_until_all_has_ended(project: Project, ask: Ask) -> None:
    """Once delivering one model destroyed the keys, and nobody could find the other any more."""
    request = ask(PEOPLE[3])
    (ref,) = project.ledger.get_request(request).subjects
    forget_request(project, request, quiet, targets=["churn"])
    verify_request(project, request, quiet, replay=False)
    left = deliver_request(project, request)["left"]
    assert [one["target"] for one in left] == ["model:upsell"]
    assert project.ledger.keys.get(ref)
    with pytest.raises(NotReady, match=r"model:upsell .*to be done and not delivered"):
        certify_request(project, request)
    with pytest.raises(NotReady, match="models in use still hold records"):
        project.ledger.finish_erasure(request)
    run_request(project, request, quiet, released=())
    assert set(stands(project, request).values()) == {"done"}
    assert ref not in project.ledger.keys.subjects.all()


@pytest.mark.parametrize(
    ("decision", "detail", "ends"),
    [
        (Decision.REFUSED, {"reason": "no ground"}, True),
        (Decision.EXEMPT, {"article": "17(3)(e)", "reason": "a claim"}, True),
        (Decision.EXEMPT, {"article": "17(3)(e)", "reason": "a claim", "until": "2027-01-31"}, False),
        (Decision.DEFER, {"until": "2027-01-31"}, False),
        (Decision.UNREACHABLE, {"reason": "on a phone"}, False),
        (Decision.UNREACHABLE, {"reason": "on a phone", "owner": "ops", "until": "2027-01-31"}, True),
    ],
)
def test_what_is_left_shows_everywhere(
    project: Project, ask: Ask, decision: Decision, detail: dict[str, str], ends: bool
) -> None:
    request = ask(PEOPLE[3])
    (ref,) = project.ledger.get_request(request).subjects
    project.ledger.decide(request, "model:upsell", decision, detail)
    run_request(project, request, quiet, released=())
    predicate = said(project.evidence(request) / "certificate.intoto.json")
    assert predicate["flags"] == ["EXCEPTIONS"]
    assert "With exceptions: " in predicate["mayBeSaid"]
    assert "model:upsell" in predicate["mayBeSaid"]
    evidence = evidence_of(project, request)
    assert any("model:upsell" in one for one in evidence["exceptions"])
    state = RequestState.COMPLETED_WITH_EXCEPTIONS if ends else RequestState.IN_PROGRESS
    assert project.ledger.get_request(request).state is state
    assert (ref in project.ledger.keys.subjects.all()) is not ends
    assert project.ledger.entombed("people")  # whatever else, nothing trains on them again


def test_what_was_deferred_is_done_later_under_a_second_certificate(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    project.ledger.decide(request, "model:upsell", Decision.DEFER, {"until": "2027-01-31"})
    run_request(project, request, quiet, released=())
    first = certify_request(project, request)
    assert certify_request(project, request) == first
    project.ledger.decide(request, "model:upsell", Decision.DO)
    run_request(project, request, quiet, released=())
    second = certify_request(project, request)
    assert (first.name, second.name) == ("certificate.intoto.json", "certificate-2.intoto.json")
    assert said(second)["flags"] == []
    for certificate in (first, second):
        known = {"trust": [project.root / PUBLIC_KEY], "log_key": (project.root / LOG_KEY).read_text()}
        assert check(certificate, **known, log=project.log_folder, proof=proof_path(certificate)).exit_code == 0


def test_a_request_that_ended_without_a_model_is_repaired_without_a_name(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    project.ledger.decide(request, "model:upsell", Decision.REFUSED, {"reason": "nobody knew better"})
    run_request(project, request, quiet, released=())
    assert [one.name for one in reopen_request(project, request)] == ["model:upsell"]
    with pytest.raises(NotReady, match="in_progress still"):
        reopen_request(project, request)
    (plan,) = [one for one in plan_request(project, request) if one.held.name == "model:upsell"]
    assert plan.plans[0].route == "subtract"  # the learner holds its rows; who they are of nobody can tell any more
    run_request(project, request, quiet, released=())
    predicate = said(project.evidence(request) / "certificate-2.intoto.json")
    assert (predicate["assurance"], predicate["flags"]) == ("EXACT", [])
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
    assert not project.ledger.models_that_hold(request).versions
    with pytest.raises(NotReady, match="known to hold anything"):
        reopen_request(project, request)


def test_who_leaves_later_takes_along_whoever_is_entombed(project: Project, ask: Ask) -> None:
    """Nothing that is entombed is trained on again, so a model that one request left is repaired by the next."""
    first = ask(PEOPLE[3])
    project.ledger.decide(first, "model:upsell", Decision.REFUSED, {"reason": "nobody knew better"})
    run_one(project, first)
    run_one(project, ask(PEOPLE[5]))
    assert not project.ledger.models_that_hold(first).versions


def run_one(project: Project, request: str) -> str:
    run_request(project, request, quiet, released=())
    return request


def test_the_second_of_two_requests_waits_and_says_for_what(project: Project, ask: Ask) -> None:
    """Once the plan said that no model learned from these people."""
    first, second = ask(PEOPLE[3]), ask(PEOPLE[4])
    forget_request(project, first, quiet)
    waits = {one.held.name: one.waits for one in plan_request(project, second) if one.waits}
    assert set(waits) == {"model:churn", "model:upsell"}
    assert all(first in text for text in waits.values())
    with pytest.raises(NotReady, match=f"{first} is in progress"):
        forget_request(project, second, quiet)
    run_request(project, first, quiet, released=())
    run_request(project, second, quiet, released=())
    assert set(stands(project, second).values()) == {"done"}


def test_one_erased_person_does_not_keep_others_in(project: Project, ask: Ask) -> None:
    both = ask(PEOPLE[3], PEOPLE[5])
    with project.ledger.database.write() as session:  # as earlier releases let it be opened beside it
        from sqlalchemy import text

        session.execute(text("UPDATE request SET state = 'cancelled'"))
    run_one(project, ask(PEOPLE[3]))
    with project.ledger.database.write() as session:
        session.execute(text("UPDATE request SET state = 'received' WHERE public_id = :id"), {"id": both})
    run_one(project, both)
    assert project.ledger.get_request(both).state is RequestState.COMPLETED
    assert len({record.subject for record in project.ledger.live_records("people")}) == len(PEOPLE) - 2


def test_a_model_that_is_trained_while_a_request_is_under_way_is_not_missed(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    recipe = project.current("churn").recipe["script"]
    train(project, f"{recipe}:late", quiet)
    assert "model:late" in stands(project, request)


def test_another_attempt_starts_from_the_original(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    original = project.current("churn").digest
    (done, _) = forget_request(project, request, quiet)
    assert forget_request(project, request, quiet)[0] == done  # a repeated command does nothing twice
    with pytest.raises(InvalidParameter, match="route 'edit' is not possible for 'churn'"):
        forget_request(project, request, quiet, targets=["churn"], route="edit")
    (again,) = forget_request(project, request, quiet, targets=["churn"], route="subtract")
    assert (again["before"], again["attempt"], done["attempt"]) == (original, 2, 1)
    assert [e.kind for e in project.ledger.events(request) if e.kind == "abandoned"] == ["abandoned"]


def test_abandoning_lets_the_original_serve_again(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    originals = {model: project.current(model).digest for model in ("churn", "upsell")}
    with pytest.raises(NotReady, match="nothing to abandon"):
        abandon_request(project, request)
    forget_request(project, request, quiet)
    assert project.ledger.current_version("churn") is None
    assert abandon_request(project, request) == ["churn", "upsell"]
    assert {model: project.current(model).digest for model in originals} == originals
    assert {(project.root / "models" / model / "current").read_text().strip() for model in originals} == {
        project.folder(project.current(model)).name for model in originals
    }
    run_one(project, request)
    assert project.ledger.get_request(request).state is RequestState.COMPLETED


def test_an_audit_is_not_undone_by_another(project: Project, ask: Ask) -> None:
    """Once the newest audit alone counted, and a clean one after HIDDEN was certified without a word."""
    request = ask(PEOPLE[3])
    for done in forget_request(project, request, quiet):
        found = {"model": done["model"], "version": done["after"], "flags": ["HIDDEN"], "replay": None, "audit": "none"}
        project.ledger.append_event(request, "verified", found)
    verify_request(project, request, quiet)
    with pytest.raises(Exception, match="--override HIDDEN"):
        deliver_request(project, request)
    deliver_request(project, request, overrides=["HIDDEN"])
    predicate = said(certify_request(project, request))
    assert predicate["flags"] == ["HIDDEN"]
    assert predicate["delivery"]["override"] == ["HIDDEN"]
    assert all(len(one["audits"]) == 2 for one in predicate["verification"])


def test_an_override_of_what_blocks_nothing_is_refused(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    forget_request(project, request, quiet)
    verify_request(project, request, quiet, replay=False)
    with pytest.raises(InvalidParameter, match="'HIDDEN' blocks nothing here"):
        deliver_request(project, request, overrides=["HIDDEN"])


def test_what_left_the_house_is_on_the_certificate(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    old = project.current("churn").digest
    forget_request(project, request, quiet)
    verify_request(project, request, quiet)
    with pytest.raises(UnknownName, match="--released abcdef"):
        deliver_request(project, request, released=["abcdef"])
    deliver_request(project, request, released=[old.removeprefix("sha256:")[:12]])
    assert said(certify_request(project, request))["delivery"]["released"] == [old]


def test_a_copy_goes_only_if_it_is_what_it_was_registered_as(project: Project, ask: Ask, tmp_path: Path) -> None:
    version = project.current("churn")
    same = shutil.copytree(project.folder(version), tmp_path / "same")
    other = Path(shutil.copytree(project.folder(version), tmp_path / "thesis"))
    (other / "thesis.txt").write_text("years of work")
    linked = tmp_path / "linked"
    linked.symlink_to(shutil.copytree(project.folder(version), tmp_path / "elsewhere"))
    for place in (same, other, linked):
        project.ledger.register_copy("churn", version.digest, str(place), kind="folder")
    request = ask(PEOPLE[3])
    assert sum(name.startswith("copy:") for name in stands(project, request)) == 3
    ran = run_request(project, request, quiet, released=())
    assert not Path(same).exists()
    assert (other / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "elsewhere").is_dir()
    assert "copy:" in ran.next
    assert said(project.evidence(request) / "certificate.intoto.json")["flags"] == ["EXCEPTIONS"]


def test_a_version_that_is_a_link_is_refused_before_anything_is_switched(
    project: Project, ask: Ask, tmp_path: Path
) -> None:
    request = ask(PEOPLE[3])
    before = project.folder(project.current("churn"))
    forget_request(project, request, quiet)
    verify_request(project, request, quiet, replay=False)
    before.rename(tmp_path / "moved")
    before.symlink_to(tmp_path / "moved")
    with pytest.raises(InvalidData, match="is a link"):
        deliver_request(project, request)
    assert project.ledger.current_version("churn") is None
    assert project.ledger.current_version("upsell") is None


def test_several_datasets_are_one_request(project: Project, ask: Ask) -> None:
    orders = write(project.root / "orders.jsonl", rows_of([PEOPLE[3], "Somebody else"]))
    project.ledger.add_dataset("orders", orders, COLUMNS)
    request = ask(PEOPLE[3])
    assert {"dataset:orders", "dataset:people"} <= set(stands(project, request))
    run_one(project, request)
    assert project.ledger.count_subjects("orders") == {"live": 1, "erased": 1}
    subjects = statement_in(project.evidence(request) / "certificate.intoto.json")["subject"]
    assert {"manifest:orders", "manifest:people"} <= {one["name"] for one in subjects}


def test_a_dataset_that_must_be_kept_keeps_its_people_and_trains_nobody(project: Project, ask: Ask) -> None:
    request = ask(PEOPLE[3])
    project.ledger.decide(request, "dataset:people", Decision.EXEMPT, {"article": "17(3)(b)", "reason": "accounts"})
    run_one(project, request)
    assert project.ledger.get_request(request).state is RequestState.COMPLETED_WITH_EXCEPTIONS
    assert project.ledger.count_subjects("people") == {"live": 8, "erased": 0}
    assert PEOPLE[3] not in {record.subject for record in project.ledger.live_records("people")}


@pytest.mark.parametrize(
    ("decision", "detail", "words"),
    [
        (Decision.DEFER, {}, "--until"),
        (Decision.DEFER, {"until": "soon"}, "is no date"),
        (Decision.EXEMPT, {"article": "17(3)(b)"}, "--reason"),
        (Decision.REFUSED, {"reason": "none", "owner": "ops"}, "--owner says nothing"),
    ],
)
def test_a_decision_says_what_it_needs(
    project: Project, ask: Ask, decision: Decision, detail: dict[str, str], words: str
) -> None:
    request = ask(PEOPLE[3])
    with pytest.raises(InvalidParameter, match=words):
        project.ledger.decide(request, "model:churn", decision, detail)
    assert project.ledger.targets(request) == ()


def test_requests_wait_for_each_other_as_the_project_says(project: Project, ask: Ask) -> None:
    config = project.root / "expunge.toml"
    config.write_text(config.read_text() + "\n[batching]\nrequests = 2\n")
    project = Project.open(project.root)
    first = ask(PEOPLE[3])
    assert "waits in a batch: 1 of 2" in run_request(project, first, quiet, released=()).next
    ask(PEOPLE[4])
    assert run_request(project, first, quiet, released=()).steps == ("forget", "verify", "deliver", "certify")


def test_a_model_is_destroyed_with_what_was_made_from_it(project: Project, ask: Ask) -> None:
    parent = project.current("churn")
    child = Path(shutil.copytree(project.folder(parent), project.root / "models" / "child" / "v1"))
    origin = {**parent.recipe, "derived_from": {"model": "churn", "version": parent.digest}}
    project.ledger.record_model_version(
        "child", kind="adopted", digest="sha256:" + "c" * 64, path="models/child/v1", recipe=origin
    )
    project.ledger.set_current("child", "sha256:" + "c" * 64)
    copied = Path(shutil.copytree(project.folder(parent), project.root / "copied"))
    project.ledger.register_copy("churn", parent.digest, str(copied), kind="folder")
    request = ask(PEOPLE[3])
    held = {one.name: one.words for one in find_targets(project, request)}
    assert "made from 'churn'" in held["model:child"]
    assert [one["model"] for one in destroy_model(project, request, "churn")] == ["churn", "child"]
    assert not project.folder(parent).exists()
    assert not child.exists()
    assert not copied.exists()
    assert project.ledger.current_version("churn") is None
    with pytest.raises(NotReady, match="is done"):
        destroy_model(project, request, "churn")
    run_one(project, request)
    predicate = said(project.evidence(request) / "certificate.intoto.json")
    assert {one["target"]: one["route"] for one in predicate["actions"]} == {
        "model:upsell": "subtract",
        "model:churn": "destroy",
        "model:child": "destroy",
    }
    assert project.ledger.get_request(request).state is RequestState.COMPLETED
