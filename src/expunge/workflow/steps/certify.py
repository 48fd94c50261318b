"""Sign what was done and found, append the hash to the log, and write the page."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expunge.certify import Log, certificate_entry, check, open_envelope, public_pem, sign
from expunge.core.durable import write_durably
from expunge.core.errors import DigestMismatch, InvalidCertificate, NotReady
from expunge.ledger import Decision, RequestState
from expunge.workflow.project.log import logged, settle
from expunge.workflow.project.project import PUBLIC_KEY, Project
from expunge.workflow.steps.statement import check_delivered, statement_of
from expunge.workflow.steps.targets import DATASET, Held, exceptions, find_targets, left_undone

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

    Raises: NotReady, naming what is half-done; DigestMismatch, if an audit or a delivered model is not the one that was
    recorded; InvalidCertificate, if what lies in the certificate's place was not issued here, or the log is not the one that
    was signed.
    """
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
        return _as_issued(project, path, issued[-1].detail["certificate"])
    check_delivered(project, request)
    data = _signed(project, request, held, path)
    digest, relative = _digest(data), path.relative_to(project.root).as_posix()
    project.ledger.record_certificate(request, digest=digest, path=relative)
    done = logged(project, certificate_entry(data))
    write_durably(proof_path(path), Log(project.log_folder, done.origin).proof(done.index).encode())
    _check_itself(project, path)
    detail = {"certificate": digest, "log_origin": done.origin, "log_index": done.index}
    with project.ledger.transaction():
        settle(project, done)
        project.ledger.record_certificate(
            request, digest=digest, path=relative, log_index=done.index, log_origin=done.origin
        )
        project.ledger.append_event(request, "certified", detail, _state(held))
    return path


def _signed(project: Project, request: str, held: list[Held], path: Path) -> bytes:
    """The certificate's bytes, in its place. One that a stopped run signed, about the same, is taken up.

    Raises: InvalidCertificate.
    """
    statement = statement_of(project, request, held)
    if path.exists():
        data = path.read_bytes()
        found = _own(project, path, data)
        if found["predicate"].get("request", {}).get("ref") != request:
            raise InvalidCertificate(f"{path} is the certificate of another request; move it away, and certify again")
        if _says(found) == _says(statement):
            return data
    data = sign(statement, project.signing_key())  # nothing that was logged is replaced: it would be recorded
    write_durably(path, data)
    return data


def _own(project: Project, path: Path, data: bytes) -> dict[str, Any]:
    """The statement of a certificate that this project signed. Raises: InvalidCertificate."""
    opened = open_envelope(data, [public_pem(project.signing_key())])
    if not opened.trusted:
        raise InvalidCertificate(f"{path} was not signed by this project's key; move it away, and certify again")
    return dict(opened.statement)


def _says(statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement without what differs from one signing to the next."""
    predicate = {
        key: value
        for key, value in statement["predicate"].items()
        if key not in ("certificateId", "issuedAt", "signer")
    }
    return {**statement, "predicate": predicate}


def _as_issued(project: Project, path: Path, digest: str) -> Path:
    """Raises: DigestMismatch, if the file is not the one that was issued."""
    if not path.exists() or _digest(path.read_bytes()) != digest:
        raise DigestMismatch(f"{path} is not the certificate that was issued; restore it from a copy")
    return path


def _check_itself(project: Project, path: Path) -> None:
    """As an auditor would. Raises: InvalidCertificate."""
    pem = project.root / PUBLIC_KEY
    found = check(path, trust=[pem], log=project.log_folder, proof=proof_path(path))
    if found.exit_code:
        raise InvalidCertificate(f"the certificate that was made does not hold: {found.first_failure}")


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
