"""Sign what was done and found, append the hash to the log, and write the page."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expunge.certify import Log, certificate_entry, check, open_envelope, public_pem, sign
from expunge.certify.keys import SigningKey
from expunge.core.digests import canonical_json
from expunge.core.durable import write_durably
from expunge.core.errors import InvalidCertificate, NotReady
from expunge.ledger import Decision, RequestState, Verb
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project
from expunge.workflow.project.speaking import log_of, signing_key
from expunge.workflow.project.story import check_story
from expunge.workflow.steps.statement import check_delivered, statement_of
from expunge.workflow.steps.targets import DATASET, Held, exceptions, find_targets, left_undone

_OF_THE_MOMENT = ("certificateId", "issuedAt", "events", "superseded", "signer", "tool")
PROOF_SUFFIX = ".tlog-proof"
_CHANGES = (
    "forgotten",
    "abandoned",
    "verified",
    "delivered",
    "destroyed",
    "erased",
    "decided",
    "reopened",
)  # since which there is more to say


def certify_request(project: Project, request: str) -> Path:
    """Issue the certificate of a request, of which nothing is half-done; until something changes a second call returns it.

    What was refused, exempted, deferred or not reached is named in it, under the flag EXCEPTIONS. When everything has ended,
    so has the request. It renders what `deliver` fixed, believes no file on the disk that it cannot verify, and checks itself
    as an auditor would before it says that it is done.

    Raises: NotReady, naming what is half-done; InvalidData, if events were changed; DigestMismatch, if an audit or a delivered
    model is not the one that was recorded; InvalidCertificate, if a key, what lies in the certificate's place, or the log is not
    what was signed with, issued or signed.
    """
    found = project.ledger.require(request, Verb.WORK)
    head = check_story(project)
    key = signing_key(project)
    held = find_targets(project, request)
    if half_done := [
        one for one in left_undone(held) if one.target.decision is Decision.DO and one.target.kind != DATASET
    ]:
        names = ", ".join(one.name for one in half_done)
        raise NotReady(
            f"{names} of {request}: to be done and not delivered; run `expunge run {request}`, or decide about each with "
            "`expunge decide`"
        )
    issued = [event for event in project.ledger.events(request) if event.kind == "certified"]
    changed = [event for event in project.ledger.events(request) if event.kind in _CHANGES]
    fresh = not issued or bool(changed and changed[-1].seq > issued[-1].seq)
    path = certificate_path(project, request, len(issued) + fresh)
    if not fresh:
        return _as_issued(path, issued[-1].detail["certificate"])
    check_delivered(project, request)
    log, log_key = log_of(project)
    log.repair(log_key)
    written_to = project.ledger.log_head()
    assert written_to is not None
    data = _signed(project, request, path, statement_of(project, request, held, head), key, log)
    digest, relative = _digest(data), path.relative_to(project.root).as_posix()
    project.ledger.record_certificate(request, digest=digest, path=relative, log_id=written_to.id)
    index = log.find(certificate_entry(data))
    if index is None:
        index = log.append(certificate_entry(data), log_key)
    write_durably(proof_path(path), log.proof(index).encode())
    project.ledger.record_certificate(request, digest=digest, path=relative, log_index=index, log_id=written_to.id)
    _check_itself(project, path)
    detail = {"certificate": digest, "log_index": index}
    project.ledger.append_event(request, "certified", detail, _state(held) if found.state.open else None)
    return path


def _signed(project: Project, request: str, path: Path, statement: dict[str, Any], key: SigningKey, log: Log) -> bytes:
    """The certificate's bytes, in its place: newly signed, or as a stopped run left them, if they say the same.

    Raises: InvalidCertificate.
    """
    relative = path.relative_to(project.root).as_posix()
    recorded = {issued.digest for issued in project.ledger.certificates(request) if issued.path == relative}
    if not path.exists():
        if recorded:
            raise InvalidCertificate(
                f"a certificate of {request} was issued and {path} is gone; restore it from a copy: what was signed is not signed "
                "again"
            )
        log.check_whole()
        return _newly_signed(path, statement, key)
    data = path.read_bytes()
    opened = open_envelope(data, [public_pem(key)])
    ours = opened.trusted and opened.statement["predicate"]["request"].get("ref") == request
    if not ours or (recorded and _digest(data) not in recorded):
        raise InvalidCertificate(
            f"{path} is not what this project issued of this request; restore the certificate, or move the file away if none was "
            "issued. Nothing was logged"
        )
    if not recorded and _said(opened.statement) != _said(statement):
        return _newly_signed(path, statement, key)  # of a stopped run, before something changed: nobody was given it
    if not recorded:
        events = opened.statement["predicate"]["events"]
        project.ledger.check_events({int(events["count"]): str(events["head"])})
    return data


def _newly_signed(path: Path, statement: dict[str, Any], key: SigningKey) -> bytes:
    data = sign(statement, key)
    write_durably(path, data)
    return data


def _said(statement: Mapping[str, Any]) -> bytes:
    """All that a certificate says but of the moment at which it was issued."""
    predicate = {k: v for k, v in statement["predicate"].items() if k not in _OF_THE_MOMENT}
    return canonical_json({"subject": statement["subject"], "predicate": predicate})


def _as_issued(path: Path, digest: str) -> Path:
    """Raises: InvalidCertificate, if the file is not the one that was issued."""
    if not path.exists() or _digest(path.read_bytes()) != digest:
        raise InvalidCertificate(
            f"{path} is not the certificate that was issued, or is gone; restore it from a copy: what was signed is not signed "
            "again"
        )
    return path


def _check_itself(project: Project, path: Path) -> None:
    """As an auditor would. Raises: InvalidCertificate."""
    found = check(
        path,
        trust=[project.root / PUBLIC_KEY],
        log=project.log_folder,
        log_key=(project.root / LOG_KEY).read_text(),
        proof=proof_path(path),
    )
    if found.exit_code:
        left = "; ".join(step.message for step in found.steps if step.name in found.needed and step.status != "ok")
        raise InvalidCertificate(f"the certificate in {path} does not hold: {found.first_failure or left}")


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def certificate_path(project: Project, request: str, number: int) -> Path:
    """Where the first, second, … certificate of a request is."""
    suffix = "" if number == 1 else f"-{number}"
    return project.evidence(request) / f"certificate{suffix}.intoto.json"


def proof_path(certificate: Path) -> Path:
    return certificate.with_name(certificate.name.removesuffix(".intoto.json") + PROOF_SUFFIX)


def newest_certificate(project: Project, request: str) -> Path | None:
    """The certificate that was issued last, if one was."""
    issued = project.ledger.certificates(request)
    return project.root / issued[-1].path if issued else None


def _state(held: list[Held]) -> RequestState | None:
    """Where a request stands when it is certified; it goes on while anything has not ended."""
    if left_undone(held):
        return None
    return RequestState.COMPLETED_WITH_EXCEPTIONS if exceptions(held) else RequestState.COMPLETED
