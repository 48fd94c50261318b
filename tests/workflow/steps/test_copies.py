"""Copies in a request: what cannot be reached stays with its reason, comes off the list when it can, and is named if it returns."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.steps.conftest import PEOPLE, quiet

from expunge.certify.said import said
from expunge.core.errors import InvalidParameter, NotReady, UnknownName
from expunge.ledger import CopyState, RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.certify import certify_request
from expunge.workflow.steps.copies import add_copy, all_copies, declare_gone, probe_copies
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.run import run_request
from expunge.workflow.steps.targets import find_targets

Ask = Callable[..., str]
NOBODY = "http://127.0.0.1:9/#/models/churn/versions/3"  # the port that discards


def statement(certificate: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(certificate.read_text())["payload"]))


@pytest.fixture
def same(project: Project, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project.folder(project.current("churn")), tmp_path / "same"))


def test_a_silent_peer_stays_with_its_reason_and_delivery_goes_on(project: Project, ask: Ask) -> None:
    add_copy(project, "churn", NOBODY, kind="mlflow")
    request = ask(PEOPLE[3])
    run_request(project, request, quiet, released=())
    (copy,) = all_copies(project)
    assert copy.state is CopyState.UNREACHABLE
    assert "127.0.0.1:9 does not answer" in str(copy.reason)
    asked = [e.detail["copies"] for e in project.ledger.events(request) if e.kind == "copies asked"]
    assert asked == [[{"target": "copy:1", "found": "cannot be asked"}]]
    (held,) = [one for one in find_targets(project, request) if one.name == "copy:1"]
    assert "does not answer" in held.target.sentence
    assert project.ledger.get_request(request).state is RequestState.IN_PROGRESS


def test_what_was_not_reached_is_purged_by_the_next_delivery(project: Project, ask: Ask, same: Path) -> None:
    away = same.rename(same.with_name("away"))
    add_copy(project, "churn", str(same / "below"), kind="folder")  # its disk is not mounted
    request = ask(PEOPLE[3])
    run_request(project, request, quiet, released=())
    assert all_copies(project)[0].state is CopyState.UNREACHABLE
    same.mkdir()
    back = away.rename(same / "below")
    deliver_request(project, request)
    assert (all_copies(project)[0].state, back.exists()) == (CopyState.PURGED, False)
    assert {one.target.sentence for one in find_targets(project, request)} == {"done"}


def test_a_copy_that_comes_back_is_named_and_its_target_opened(project: Project, ask: Ask, same: Path) -> None:
    backup = shutil.copytree(same, same.with_name("backup"))
    add_copy(project, "churn", str(same), kind="folder")
    request = ask(PEOPLE[3])
    run_request(project, request, quiet, released=())
    (gone,) = probe_copies(project)
    assert (gone.found.standing.value, gone.came_back) == ("gone", False)
    shutil.copytree(backup, same)
    (back,) = probe_copies(project, 1)
    assert back.came_back
    assert all_copies(project)[0].state is CopyState.PRESENT
    assert {t.name: t.done for t in project.ledger.targets(request)}["copy:1"] is False
    assert "copy came back" in [event.kind for event in project.ledger.events(request)]


def test_what_is_declared_gone_is_said_to_be_declared(project: Project, ask: Ask) -> None:
    add_copy(project, "churn", "tape 12", kind="backup", owner="ops", until="2027-01-31")
    request = ask(PEOPLE[3])
    declare_gone(project, 1, owner="ops", evidence="tape 12 was shredded")
    run_request(project, request, quiet, released=())
    found = statement(certify_request(project, request))
    assert {t["target"]: t["result"] for t in found["predicate"]["targets"]}["copy:1"] == "declared gone"
    assert "declared gone by its owner, and not seen to be: copy:1" in said(found)
    with pytest.raises(NotReady, match="gone already"):
        declare_gone(project, 1, owner="ops", evidence="tape 12 was shredded")


def test_a_backup_with_an_owner_and_a_date_ends_as_an_exception(project: Project, ask: Ask) -> None:
    add_copy(project, "churn", "tape 12", kind="backup", owner="ops", until="2027-01-31")
    request = ask(PEOPLE[3])
    run_request(project, request, quiet, released=())
    assert project.ledger.get_request(request).state is RequestState.COMPLETED_WITH_EXCEPTIONS
    assert statement(certify_request(project, request))["predicate"]["flags"] == ["EXCEPTIONS"]


def test_what_is_there_cannot_be_declared_gone(project: Project, same: Path) -> None:
    add_copy(project, "churn", str(same), kind="folder")
    with pytest.raises(NotReady, match="copy:1 is there"):
        declare_gone(project, 1, owner="ops", evidence="surely")
    with pytest.raises(UnknownName, match="no copy has the number 2"):
        declare_gone(project, 2, owner="ops", evidence="surely")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"uri": "tape 12", "kind": "backup"}, "name who will"),
        ({"uri": "tape 12", "kind": "tape"}, "'tape' is no kind of copy"),
        ({"uri": "tape 12", "kind": "cache", "owner": "ops", "until": "soon"}, "--until soon is no date"),
    ],
)
def test_what_cannot_be_registered_is_refused(project: Project, given: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        add_copy(project, "churn", **given)
    assert all_copies(project) == []


def test_a_folder_is_registered_under_its_plain_path(project: Project) -> None:
    version = project.current("churn")
    copy = add_copy(project, "churn", str(project.root / "models" / ".." / "elsewhere"), kind="folder")
    assert (copy.uri, copy.version) == (str(project.root / "elsewhere"), version.digest)
