"""A certificate is made of what the delivery fixed; whatever lies on the disk later is compared with it, and never believed."""

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from expunge.certify import check, create_signing_key, open_envelope, public_pem
from expunge.certify.log import Log
from expunge.core.digests import canonical_json
from expunge.core.errors import DigestMismatch, ExpungeError, InvalidCertificate, InvalidData
from expunge.ledger import Columns, Keyring
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project
from expunge.workflow.steps import certify
from expunge.workflow.steps.certify import certify_request
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.evidence import evidence_of
from expunge.workflow.steps.forget import forget_request
from expunge.workflow.steps.verify import verify_request

RECIPE = """import expunge
from expunge.exact import MultinomialNB


def recipe():
    return expunge.Training(model="churn", dataset="people", learner=MultinomialNB())
"""
PEOPLE = [f"Person {k}" for k in range(8)]
CERTIFICATE = "certificate.intoto.json"


def quiet(what: str, done: int, total: int) -> None:
    pass


def to_delivery(project: Project, person: str) -> str:
    request = project.ledger.open_request("people", [person]).id
    forget_request(project, request, quiet)
    verify_request(project, request, quiet)
    deliver_request(project, request)
    return request


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A project in which two people left, one after the other, and nothing was certified."""
    folder = tmp_path_factory.mktemp("certify")
    (folder / "recipe.py").write_text(RECIPE)
    rows = [
        {"id": f"{who}/{k}", "who": who, "a": (3 * n + k) % 7, "b": (n + 2 * k) % 5, "leaves": "yes" if k % 3 else "no"}
        for n, who in enumerate(PEOPLE)
        for k in range(5)
    ]
    project = Project.create(folder / "p", "acme")
    (folder / "p" / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = Columns(subject="who", id="id", answer="leaves", features=("a", "b"))
    project.ledger.add_dataset("people", folder / "p" / "people.jsonl", columns)
    train(project, f"{folder / 'recipe.py'}:recipe", quiet)
    return folder / "p", to_delivery(project, PEOPLE[3]), to_delivery(project, PEOPLE[4])


@pytest.fixture(scope="module")
def three(made: tuple[Path, str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same after a third person left."""
    project = Project.open(Path(shutil.copytree(made[0], tmp_path_factory.mktemp("three") / "p")))
    return project.root, to_delivery(project, PEOPLE[5])


@pytest.fixture
def project(made: tuple[Path, str, str], tmp_path: Path) -> Project:
    return Project.open(Path(shutil.copytree(made[0], tmp_path / "p")))


@pytest.fixture
def first(made: tuple[Path, str, str]) -> str:
    return made[1]


@pytest.fixture
def second(made: tuple[Path, str, str]) -> str:
    return made[2]


def said(path: Path) -> dict[str, Any]:
    statement: dict[str, Any] = open_envelope(path.read_bytes(), []).statement
    return statement


def signed_events(project: Project, request: str) -> list[str]:
    return [event.kind for event in project.ledger.events(request) if event.kind in ("logged", "certified")]


def test_a_certificate_holds_for_an_auditor_and_a_second_call_returns_it(project: Project, second: str) -> None:
    path = certify_request(project, second)
    before = path.read_bytes()
    assert certify_request(project, second) == path
    assert path.read_bytes() == before
    checked = check(
        path,
        trust=[project.root / PUBLIC_KEY],
        log=project.log_folder,
        log_key=(project.root / LOG_KEY).read_text(),
        model=project.folder(project.current("churn")),
        manifest=project.root / project.ledger.dataset("people").path,
    )
    assert checked.exit_code == 0
    assert signed_events(project, second) == ["logged", "certified"]


def test_it_says_what_the_model_was_trained_on_without_the_people(project: Project, second: str) -> None:
    predicate = said(certify_request(project, second))["predicate"]
    assert predicate["actions"][0]["trainedOn"] == predicate["manifest"]["after"] != predicate["manifest"]["before"]


def test_a_request_certified_after_the_next_delivery_speaks_of_its_own(
    project: Project, first: str, second: str
) -> None:
    statement, later = said(certify_request(project, first)), said(certify_request(project, second))
    digests = [{s["name"]: s["digest"]["sha256"] for s in one["subject"]} for one in (statement, later)]
    for name in ("model:churn", "manifest:people", "manifest-content:people"):
        assert digests[0][name] != digests[1][name]
    predicate = statement["predicate"]
    assert f"sha256:{digests[0]['manifest-content:people']}" == predicate["manifest"]["after"]
    assert predicate["manifest"]["after"] == later["predicate"]["manifest"]["before"]
    assert (predicate["superseded"], later["predicate"]["superseded"]) == (["model:churn"], [])


@pytest.mark.parametrize("content", ['{"not":"a certificate"}\n', ""])
def test_a_file_planted_in_the_certificate_s_place_is_not_logged(project: Project, second: str, content: str) -> None:
    path = project.evidence(second) / CERTIFICATE
    path.write_text(content)
    with pytest.raises(InvalidCertificate):
        certify_request(project, second)
    assert not project.log_folder.exists()
    path.unlink()
    certify_request(project, second)


def test_another_request_s_certificate_in_its_place_is_not_logged(project: Project, first: str, second: str) -> None:
    other = certify_request(project, first)
    shutil.copy(other, project.evidence(second) / CERTIFICATE)
    with pytest.raises(InvalidCertificate, match="Nothing was logged"):
        certify_request(project, second)
    assert signed_events(project, second) == []


def test_a_certificate_altered_or_lost_after_it_was_issued_is_not_issued_again(project: Project, second: str) -> None:
    path = certify_request(project, second)
    data, size = path.read_bytes(), len((project.log_folder / "checkpoint").read_bytes())
    path.write_bytes(data[:-2] + b" }\n")
    with pytest.raises(InvalidCertificate, match="is not the certificate that was issued"):
        certify_request(project, second)
    path.unlink()
    with pytest.raises(InvalidCertificate, match="is not signed again"):
        certify_request(project, second)
    assert len((project.log_folder / "checkpoint").read_bytes()) == size
    path.write_bytes(data)
    certify_request(project, second)


def test_a_model_altered_after_its_delivery_is_expired(project: Project, second: str) -> None:
    file = next(p for p in project.folder(project.current("churn")).rglob("*") if p.is_file())
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(DigestMismatch, match="EXPIRED"):
        certify_request(project, second)
    assert not project.log_folder.exists()


@pytest.mark.parametrize("part", ["flags", "replay"])
def test_an_audit_altered_after_its_delivery_is_refused(project: Project, second: str, part: str) -> None:
    path = project.evidence(second) / "audit-churn.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), part: None}))
    with pytest.raises(DigestMismatch, match="changed after it was recorded"):
        certify_request(project, second)


@pytest.mark.parametrize("name", ["sign.pem", "log.pem"])
def test_a_key_exchanged_since_is_refused(project: Project, second: str, name: str) -> None:
    path = project.root / "keys" / name
    path.unlink()
    if name == "sign.pem":
        create_signing_key(path)
    else:
        from expunge.certify import create_log_key

        create_log_key(path)
    with pytest.raises(InvalidCertificate, match="restore the key file"):
        certify_request(project, second)
    assert not (project.evidence(second) / CERTIFICATE).exists()


def test_of_an_erasure_under_an_older_expunge_only_the_records_digest_is_known(
    project: Project, first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expunge.workflow.steps import statement

    fixed = {request: statement.manifests_at_the_end(project, request)["people"] for request in (first, second)}
    monkeypatch.setattr(statement, "last_event", lambda *_: None)  # it recorded no event `ended`
    assert statement.manifests_at_the_end(project, first)["people"] == {"content": fixed[first]["content"]}
    assert statement.manifests_at_the_end(project, second)["people"] == fixed[second]


def test_a_clock_that_went_back_signs_nothing(project: Project, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime

    from expunge.workflow.steps import statement

    class Past(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Past":
            return cls(2016, 12, 2, tzinfo=tz)

    monkeypatch.setattr(statement, "datetime", Past)
    with pytest.raises(InvalidCertificate, match=r"is before times\.delivered"):
        certify_request(project, second)
    assert not (project.evidence(second) / CERTIFICATE).exists()


TAMPERING = {
    "an event changed": "UPDATE request_event SET detail = json_set(detail, '$.flags', json('[\"X\"]')) WHERE kind = 'verified'",
    "an event removed": "DELETE FROM request_event WHERE kind = 'verified'",
    "the last event removed": "DELETE FROM request_event WHERE position = (SELECT max(position) FROM request_event)",
    "only a trigger dropped": "SELECT 1",
}


@pytest.mark.parametrize("change", TAMPERING)
def test_a_ledger_that_was_tampered_with_certifies_and_reports_nothing(
    project: Project, second: str, change: str
) -> None:
    evidence_of(project, second)
    with project.ledger.database.write() as session:
        for verb in ("update", "delete"):
            session.execute(text(f"DROP TRIGGER request_event_no_{verb}"))
        session.connection().exec_driver_sql(TAMPERING[change])
    for step in (certify_request, evidence_of):
        with pytest.raises(InvalidData, match=r"restore ledger\.db"):
            step(project, second)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("nth", range(1, 19))
def test_killed_between_any_two_writes_the_next_run_tells_the_same_story(
    project: Project, first: str, second: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rename and every commit is a place to die; another request may be certified in between."""
    import os

    calls = [0]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == nth:
                raise Killed
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        for name in ("record_certificate", "keep_checkpoint", "append_event"):
            patch.setattr(type(project.ledger), name, dying(getattr(type(project.ledger), name)))
        try:
            certify_request(project, first)
        except Killed:
            pass
        else:
            pytest.skip("it was not killed")
    seen = [(project.log_folder / "checkpoint").read_text()] if (project.log_folder / "checkpoint").exists() else []
    again = Project.open(project.root)
    for request in (second, first) if nth % 2 else (first, second):
        certify_request(again, request)
        seen.append((project.log_folder / "checkpoint").read_text())
    consistent(project, seen)
    for request in (first, second):
        assert signed_events(again, request) == ["logged", "certified"]
        assert len(again.ledger.certificates(request)) == 1


def consistent(project: Project, notes: list[str]) -> None:
    """Every checkpoint is of the log as it is now."""
    from expunge.certify.checkpoint import open_checkpoint
    from expunge.certify.note import read_vkey
    from expunge.certify.recompute import recompute
    from expunge.certify.tree import root

    by = read_vkey((project.root / LOG_KEY).read_text().strip())
    whole = recompute(project.log_folder, by)
    for note in notes:
        old = open_checkpoint(note.encode(), by)
        assert root(whole.range_hash, old.size) == old.root


@pytest.mark.parametrize("lost", [False, True], ids=["restored", "lost"])
def test_a_log_that_was_lost_or_rolled_back_is_not_signed_again(
    three: tuple[Path, str], tmp_path: Path, first: str, second: str, lost: bool
) -> None:
    """Once it began a second story under the same key, and only a checkpoint kept outside found it."""
    project, third = Project.open(Path(shutil.copytree(three[0], tmp_path / "p"))), three[1]
    certify_request(project, first)
    older = Path(shutil.copytree(project.log_folder, tmp_path / "older"))
    certify_request(project, second)
    seen = [(project.log_folder / "checkpoint").read_text()]
    shutil.rmtree(project.log_folder)
    if not lost:
        shutil.copytree(older, project.log_folder)
    with pytest.raises(InvalidCertificate):
        certify_request(project, third)
    if lost:
        assert not (project.log_folder / "checkpoint").exists()
    else:
        consistent(project, [*seen[:0], (project.log_folder / "checkpoint").read_text()])


PARTS = ("log", "ledger.db", "keys")


@pytest.mark.parametrize(
    "parts", [c for n in (1, 2) for c in combinations(PARTS, n)], ids=lambda c: "+".join(c) if c else "none"
)
def test_no_subset_of_a_project_that_was_restored_signs_a_second_story(
    project: Project, tmp_path: Path, first: str, second: str, parts: tuple[str, ...]
) -> None:
    certify_request(project, first)
    project.ledger.database.scrub()
    older = Path(shutil.copytree(project.root, tmp_path / "older"))
    kept = Log(project.log_folder, project.log_origin)
    certify_request(project, second)
    newest = kept.state()
    third = to_delivery(project, PEOPLE[6])
    keys = project.ledger.keys.subjects.all()
    project.ledger.database.scrub()
    for part in parts:
        for path in project.root.glob(f"{part}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        source = older / part
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, project.root / part)
    with pytest.raises(ExpungeError):
        certify_request(Project.open(project.root), third)
    found = Log(project.log_folder, project.log_origin).state()
    assert (found.size, found.root) in ((newest.size, newest.root), (1, kept_root(older)))
    restored = Keyring((older if "keys" in parts else project.root) / "keys").subjects.all()
    assert Keyring(project.root / "keys").subjects.all() == restored  # no key was destroyed
    assert "keys" in parts or restored == keys


def kept_root(root: Path) -> bytes:
    project = Project.open(root)
    return Log(project.log_folder, project.log_origin).state().root


def test_a_lost_log_is_followed_by_another_under_a_name_of_its_own(project: Project, first: str, second: str) -> None:
    from expunge.workflow.project.speaking import begin_new_log

    old = said(certify_request(project, first))["predicate"]["log"]
    shutil.rmtree(project.log_folder)
    with pytest.raises(InvalidCertificate, match="expunge log new"):
        certify_request(project, second)
    assert not (project.evidence(second) / CERTIFICATE).exists(), "it would name the log that is lost"
    assert begin_new_log(project) != old["origin"]
    new = said(certify_request(project, second))["predicate"]["log"]
    assert new["origin"] != old["origin"]
    assert new["vkey"] == (project.root / LOG_KEY).read_text().strip()
    size = (project.log_folder / "checkpoint").read_text()
    certify_request(project, first)  # logged where it was
    assert (project.log_folder / "checkpoint").read_text() == size


def test_two_projects_of_one_name_have_logs_of_different_names(tmp_path: Path) -> None:
    origins = {Project.create(tmp_path / name, "project").log_origin for name in "ab"}
    assert len(origins) == 2


def test_a_certificate_that_its_own_check_refuses_completes_nothing(
    project: Project, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certify, "sign", lambda statement, key: _stranger(project, statement))
    with pytest.raises(InvalidCertificate, match="signer unknown"):
        certify_request(project, second)
    assert "certified" not in signed_events(project, second)


def _stranger(project: Project, statement: dict[str, Any]) -> bytes:
    from expunge.certify import sign

    key = create_signing_key(project.root.parent / "stranger.pem")
    assert public_pem(key) != (project.root / PUBLIC_KEY).read_text()
    assert canonical_json(statement)
    return sign(statement, key)
