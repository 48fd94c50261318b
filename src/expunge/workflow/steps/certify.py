"""Sign what was done and found, append the hash to the log, and write the page."""

import hashlib
from pathlib import Path

from expunge.certify import Log, certificate_entry, sign
from expunge.core.durable import write_durably
from expunge.core.errors import NotReady
from expunge.ledger import Decision, RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.statement import statement_of
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
    so has the request.

    Raises: NotReady, naming what is half-done; DigestMismatch, if an audit on disk is not the one that was recorded.
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
    if not path.exists():  # signed once: a second signature would be a second certificate
        write_durably(path, sign(statement_of(project, request, held), project.signing_key()))
    log, log_key = Log(project.log_folder, project.log_origin), project.log_key()
    data = path.read_bytes()
    entry = certificate_entry(data)
    log.repair(log_key)
    index = log.find(entry)
    if index is None:
        index = log.append(entry, log_key)
    write_durably(proof_path(path), log.proof(index).encode())
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    relative = path.relative_to(project.root).as_posix()
    project.ledger.record_certificate(request, digest=digest, path=relative, log_index=index)
    if fresh:
        detail = {"certificate": digest, "log_index": index}
        project.ledger.append_event(request, "certified", detail, _state(held))
    return path


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
