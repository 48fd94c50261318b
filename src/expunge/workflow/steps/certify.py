"""Issue a certificate of what a delivery fixed: sign it, write its digest down, log it, and check it as an auditor would."""

import hashlib
from pathlib import Path
from typing import Any

from expunge.certify import certificate_entry, check, open_envelope, public_pem, sign
from expunge.certify.keys import SigningKey
from expunge.core.digests import canonical_json, sha256_file
from expunge.core.durable import write_durably
from expunge.core.errors import InvalidCertificate
from expunge.ledger import CertificateInfo, RequestState
from expunge.workflow.project.events import last_event
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project
from expunge.workflow.project.speaking import log_of, signing_key
from expunge.workflow.project.story import check_story
from expunge.workflow.steps.statement import Certified, certified, statement_of

CERTIFICATE, PROOF = "certificate.intoto.json", "certificate.tlog-proof"
_OF_THE_MOMENT = ("certificateId", "issuedAt", "events", "superseded", "signer", "tool")


def certify_request(project: Project, request: str) -> Path:
    """Issue the certificate of a delivered request; a second call returns the same one. May be repeated after a kill.

    1. The ledger still tells the story that it told, and keys, model and audit are those that were recorded.
    2. The certificate is signed once; a file that is there already must be this request's.
    3. Its digest is in the ledger before its hash is in the log.
    4. It is checked offline, as an auditor would, against the log, the model and the manifest.

    Raises: NotReady; InvalidData, if events were changed; DigestMismatch, if the model or the audit was; InvalidCertificate, if
    a key, the certificate or the log was, or the check fails.
    """
    # 1.
    head = check_story(project)
    key = signing_key(project)
    what = certified(project, request)
    log, log_key = log_of(project)
    log.repair(log_key)
    written_to = project.ledger.log_head()
    assert written_to is not None

    # 2.
    path = project.evidence(request) / CERTIFICATE
    if not path.exists():
        log.check_whole()
    statement = statement_of(project, what, head)
    data = _issued(project, request, path, statement, key)
    if any(issued.log_id != written_to.id for issued in _recorded(project, request, path)):
        return path  # logged before another log was begun

    # 3.
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    relative = path.relative_to(project.root).as_posix()
    project.ledger.record_certificate(request, digest=digest, path=relative, log_id=written_to.id)
    index = log.find(certificate_entry(data))
    if index is None:
        index = log.append(certificate_entry(data), log_key)
    write_durably(path.with_name(PROOF), log.proof(index).encode())
    project.ledger.record_certificate(request, digest=digest, path=relative, log_index=index, log_id=written_to.id)

    # 4.
    _check(project, path, what)
    if last_event(project, request, "certified") is None:
        detail = {"certificate": digest, "log_index": index}
        project.ledger.append_event(request, "certified", detail, RequestState.COMPLETED)
    return path


def _issued(project: Project, request: str, path: Path, statement: dict[str, Any], key: SigningKey) -> bytes:
    """The certificate's bytes: the file's, if it is the one that was issued or left by a kill, else newly signed.

    Raises: InvalidCertificate.
    """
    recorded = {issued.digest for issued in _recorded(project, request, path)}
    if not path.exists():
        if recorded:
            raise InvalidCertificate(
                f"the certificate of {request} was issued and {path} is gone; restore it from a backup or from whoever was given "
                "it: what was signed is not signed again"
            )
        data = sign(statement, key)
        write_durably(path, data)
        return data
    data = path.read_bytes()
    opened = open_envelope(data, [public_pem(key)])
    if recorded:
        ours = f"sha256:{hashlib.sha256(data).hexdigest()}" in recorded
    else:  # left by a kill before it was recorded
        ours = _said(opened.statement) == _said(statement)
    if not ours or not opened.trusted or opened.statement["predicate"]["request"].get("ref") != request:
        raise InvalidCertificate(
            f"{path} is not the certificate that this project issued of this delivery ({', '.join(recorded) or 'none so far'}); "
            "restore it, or move it away if none was issued. Nothing was logged"
        )
    if not recorded:
        events = opened.statement["predicate"]["events"]
        project.ledger.check_events({int(events["count"]): str(events["head"])})
    return data


def _recorded(project: Project, request: str, path: Path) -> list[CertificateInfo]:
    relative = path.relative_to(project.root).as_posix()
    return [issued for issued in project.ledger.certificates(request) if issued.path == relative]


def _said(statement: dict[str, Any]) -> bytes:
    """All that a certificate says but of the moment at which it was issued."""
    predicate = {k: v for k, v in statement["predicate"].items() if k not in _OF_THE_MOMENT}
    return canonical_json({"subject": statement["subject"], "predicate": predicate})


def _check(project: Project, path: Path, what: Certified) -> None:
    """Raises: InvalidCertificate."""
    info = project.ledger.dataset(what.dataset)
    manifest = project.root / info.path
    fixed = what.fixed["manifests"][what.dataset].get("sha256")
    found = check(
        path,
        trust=[project.root / PUBLIC_KEY],
        log=project.log_folder,
        log_key=(project.root / LOG_KEY).read_text(),
        proof=path.with_name(PROOF),
        model=None if what.superseded else project.folder(what.after),
        manifest=manifest if fixed and manifest.exists() and sha256_file(manifest) == fixed else None,
    )
    if found.exit_code:
        why = found.first_failure or "; ".join(
            s.message for s in found.steps if s.name in found.needed and s.status != "ok"
        )
        raise InvalidCertificate(f"the certificate in {path} does not hold: {why}. The request stays uncertified")
