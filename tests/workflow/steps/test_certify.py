"""A certificate renders what was delivered, never believes the disk, and the log that holds it tells one story."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.steps.conftest import PEOPLE, quiet

from expunge.certify import check, create_signing_key, public_pem
from expunge.certify.log import Log
from expunge.core.errors import DigestMismatch, ExpungeError, InvalidCertificate, InvalidData
from expunge.ledger import Keyring
from expunge.workflow.project.project import PUBLIC_KEY, Project
from expunge.workflow.steps.certify import certify_request, proof_path
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.forget import forget_request
from expunge.workflow.steps.verify import verify_request

Ask = Callable[..., str]


def delivered(project: Project, *names: str) -> str:
    request = project.ledger.open_request(None, names).id
    forget_request(project, request, quiet)
    verify_request(project, request, quiet, replay=False)
    deliver_request(project, request)
    return request


def said(certificate: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(certificate.read_text())["payload"]))


def size(project: Project) -> int:
    return Log(project.log_folder, project.log_origin).size


def holds(project: Project, certificate: Path) -> bool:
    found = check(certificate, trust=[project.root / PUBLIC_KEY], log=project.log_folder, proof=proof_path(certificate))
    return found.exit_code == 0


@pytest.mark.parametrize("loss", ["removed", "older", "checkpoint older", "another log"])
def test_a_log_that_was_lost_or_rolled_back_is_not_signed_again(project: Project, tmp_path: Path, loss: str) -> None:
    """Once it began a second story under the same key, and only a checkpoint kept outside found it."""
    certify_request(project, delivered(project, PEOPLE[1]))
    older = shutil.copytree(project.log_folder, tmp_path / "older")
    certify_request(project, delivered(project, PEOPLE[2]))
    third = delivered(project, PEOPLE[3])
    if loss == "checkpoint older":
        shutil.copy2(older / "checkpoint", project.log_folder / "checkpoint")
    else:
        shutil.rmtree(project.log_folder)
        if loss == "older":
            shutil.copytree(older, project.log_folder)
        if loss == "another log":
            other = Log(project.log_folder, project.log_origin)
            for n in range(3):
                other.append({"type": "other/v1", "n": n}, project.log_key())
    before = {p: p.read_bytes() for p in project.log_folder.rglob("*") if p.is_file()}
    with pytest.raises(InvalidCertificate, match="othing was signed"):
        certify_request(project, third)
    assert {p: p.read_bytes() for p in project.log_folder.rglob("*") if p.is_file()} == before
    assert project.ledger.get_request(third).state.open


PARTS = ("log", "ledger.db", "keys")


@pytest.mark.parametrize(
    "parts", [c for n in (1, 2) for c in combinations(PARTS, n)], ids=lambda c: "+".join(c) if c else "none"
)
def test_no_subset_of_a_project_that_was_restored_signs_a_second_story(
    project: Project, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    certify_request(project, delivered(project, PEOPLE[1]))
    project.ledger.database.scrub()
    older = Path(shutil.copytree(project.root, tmp_path / "older"))
    kept = Log(project.log_folder, project.log_origin)
    certify_request(project, delivered(project, PEOPLE[2]))
    newest = kept.state()
    third = delivered(project, PEOPLE[3])
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


def test_a_new_log_has_a_name_of_its_own(tmp_path: Path) -> None:
    origins = {Project.create(tmp_path / str(k) / "project", "project").log_origin for k in range(3)}
    assert len(origins) == 3


KILL = """
import os, sys
from pathlib import Path
import expunge.workflow.project.log as log
import expunge.workflow.steps.certify as certify
from expunge.certify import Log
from expunge.ledger import Ledger
from expunge.workflow.project.project import Project

home, name = {home}, {name!r}
real = getattr(home, name)
def killed(*a, **k):
    if {after}:
        real(*a, **k)
    os._exit(9)
setattr(home, name, killed)
certify.certify_request(Project.open(Path(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("home", "name"),
    [
        ("certify", "sign"),
        ("certify", "write_durably"),
        ("Ledger", "record_certificate"),
        ("Ledger", "intend_entry"),
        ("Log", "append"),
        ("certify", "settle"),
        ("Ledger", "append_event"),
    ],
)
def test_a_kill_at_any_point_leaves_one_certificate_and_one_entry(
    project: Project, home: str, name: str, after: bool
) -> None:
    request = delivered(project, PEOPLE[1])
    code = KILL.format(home=home, name=name, after=after)
    done = subprocess.run([sys.executable, "-c", code, str(project.root), request], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    certificate = certify_request(Project.open(project.root), request)
    assert holds(project, certificate)
    assert size(project) == 1
    assert [e.kind for e in project.ledger.events(request)].count("certified") == 1
    assert len(project.ledger.certificates(request)) == 1


def test_what_was_planted_in_a_certificates_place_is_not_logged(project: Project) -> None:
    request = delivered(project, PEOPLE[1])
    planted = project.evidence(request) / "certificate.intoto.json"
    planted.write_text('{"not": "a certificate"}')
    with pytest.raises(InvalidCertificate):
        certify_request(project, request)
    other = certify_request(project, delivered(project, PEOPLE[2]))
    shutil.copy2(other, planted)
    with pytest.raises(InvalidCertificate, match="of another request"):
        certify_request(project, request)
    assert size(project) == 1
    planted.unlink()
    assert holds(project, certify_request(project, request))


def test_a_certificate_that_was_altered_after_issue_is_not_issued_again(project: Project) -> None:
    request = delivered(project, PEOPLE[1])
    certificate = certify_request(project, request)
    whole = certificate.read_bytes()
    certificate.write_bytes(whole.replace(b"payload", b"Payload", 1))
    with pytest.raises(DigestMismatch, match="restore it"):
        certify_request(project, request)
    assert size(project) == 1
    certificate.write_bytes(whole)
    assert certify_request(project, request) == certificate


def test_a_model_that_was_altered_after_delivery_is_not_certified(project: Project) -> None:
    request = delivered(project, PEOPLE[1])
    (project.folder(project.current("churn")) / "added").write_text("x")
    with pytest.raises(DigestMismatch, match="EXPIRED"):
        certify_request(project, request)
    assert not (project.evidence(request) / "certificate.intoto.json").exists()


def test_another_signing_key_is_refused(project: Project) -> None:
    request = delivered(project, PEOPLE[1])
    path = project.root / "keys" / "sign.pem"
    path.unlink()
    assert public_pem(create_signing_key(path)) != (project.root / PUBLIC_KEY).read_text()
    with pytest.raises(InvalidData, match=r"sign\.pem is not the key of"):
        certify_request(project, request)


def test_a_request_that_is_certified_late_speaks_of_what_it_delivered(project: Project) -> None:
    """Once it named a model that was purged, and the manifest of the request that came after it."""
    first = delivered(project, PEOPLE[1])
    model = project.current("churn").digest
    manifest = project.ledger.dataset("people")
    sha256 = project.ledger.events(first)[-1].detail["files"]["people"]
    certify_request(project, delivered(project, PEOPLE[2]))
    statement = said(certify_request(project, first))
    named = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert named["model:churn"] == model.removeprefix("sha256:")
    assert named["manifest:people"] == sha256
    assert statement["predicate"]["manifest"]["after"] == manifest.manifest
    assert manifest.manifest != project.ledger.dataset("people").manifest


def test_a_log_of_an_earlier_release_goes_on_under_its_name(project: Project) -> None:
    config = project.root / "expunge.toml"
    config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith("log")))
    old = Project.open(project.root)
    assert old.log_origin == "expunge/acme"
    assert holds(old, certify_request(old, delivered(old, PEOPLE[1])))
