"""Put what was done into words, sign them, append their hash to the log, and write the page."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from expunge.certify import LIMITS, Log, certificate_entry, erasure_statement, sign, verifier
from expunge.core import Assurance
from expunge.core.digests import sha256_file
from expunge.core.durable import write_durably
from expunge.core.errors import DigestMismatch
from expunge.core.version import __version__
from expunge.ledger import ModelVersion, RequestState
from expunge.report.claims import level_of, may_be_claimed
from expunge.workflow.project.events import audit_digest, last_event, needed_event
from expunge.workflow.project.project import Project
from expunge.workflow.steps.audit_file import read_audit

CERTIFICATE, PROOF = "certificate.intoto.json", "certificate.tlog-proof"


def certify_request(project: Project, request: str) -> Path:
    """Issue the certificate of a delivered request; a second call returns the same one.

    Raises: NotReady; DigestMismatch, if the audit on disk is not the one that was recorded.
    """
    delivered = needed_event(project, request, "delivered", "deliver")
    folder = project.evidence(request)
    path = folder / CERTIFICATE
    signing, log_key = project.signing_key(), project.log_key()
    if not path.exists():  # signed once: a second signature would be a second certificate
        write_durably(path, sign(_statement(project, request, delivered), signing))
    log = Log(project.log_folder, project.log_origin)
    data = path.read_bytes()
    entry = certificate_entry(data)
    log.repair(log_key)
    index = log.find(entry)
    if index is None:
        index = log.append(entry, log_key)
    write_durably(folder / PROOF, log.proof(index).encode())
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    relative = path.relative_to(project.root).as_posix()
    project.ledger.record_certificate(request, digest=digest, path=relative, log_index=index)
    if last_event(project, request, "certified") is None:
        detail = {"certificate": digest, "log_index": index}
        project.ledger.append_event(request, "certified", detail, RequestState.COMPLETED)
    return path


def _statement(project: Project, request: str, delivered: dict[str, Any]) -> dict[str, Any]:
    found = project.ledger.get_request(request)
    done, verified = (
        needed_event(project, request, "forgotten", "forget"),
        needed_event(project, request, "verified", "verify"),
    )
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    audit = read_audit(project, request)
    if audit_digest(audit) != verified["audit"]:
        raise DigestMismatch(
            f"the audit in {project.evidence(request)} was changed after it was recorded; restore it from a backup"
        )
    info = project.ledger.dataset(found.dataset)
    subjects = [
        {"name": f"model:{after.model}", "digest": {"sha256": after.digest.removeprefix("sha256:")}},
        {"name": f"manifest:{found.dataset}", "digest": {"sha256": sha256_file(project.root / info.path)}},
    ]
    predicate = {
        "certificateId": str(uuid4()),
        "issuedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": {"name": "expunge", "version": __version__},
        "log": {"origin": project.log_origin, "vkey": verifier(project.log_origin, project.log_key()).vkey},
        "request": {
            "ref": request,
            "received": found.received_at,
            "due": found.due_at,
            "subjects": delivered["n_subjects"],
        },
        "erasedSet": {"records": delivered["n_records"]},
        "manifest": {"before": delivered["manifest_before"], "after": delivered["manifest_after"]},
        "actions": [_action(before, after, done)],
        "verification": _verification(audit, verified),
        **_assurance(audit, done),
        "flags": verified["flags"],
        "replay": verified["replay"],
        "delivery": {k: delivered[k] for k in ("override", "purged", "unreachable", "residuals")},
        "unknown": unknown_parts(after),
        "reimport": "without a suppression key, the same person arriving in a new dataset is not recognised",
        "limits": LIMITS,
    }
    return erasure_statement(subjects, _without_floats(predicate))


def unknown_parts(version: ModelVersion) -> list[str]:
    """What nobody recorded about a model."""
    if version.recipe.get("training") == "UNKNOWN":
        from expunge.workflow.shapes.adopted import UNKNOWN_PARTS

        return list(UNKNOWN_PARTS)
    return []


def _action(before: ModelVersion, after: ModelVersion, done: dict[str, Any]) -> dict[str, Any]:
    """One model: route, method, promise, and the digests that bind it to bits."""
    recipe = {k: after.recipe[k] for k in ("parameters", "environment", "training", "method") if k in after.recipe}
    return {
        "target": f"model:{after.model}",
        "route": done["route"],
        "method": done["method"],
        "guarantee": done["guarantee"],
        "promise": done["promise"],
        "units": done["units"],
        "before": before.digest,
        "after": after.digest,
        "trainedOn": after.trained_on,
        "recipe": recipe or "UNKNOWN",
        "script": after.recipe.get("script_sha256", "UNKNOWN"),
        "cost": done["cost"],
        "notes": done["notes"],
    }


def _assurance(audit: dict[str, Any], done: dict[str, Any]) -> dict[str, str]:
    """The level that the audit's own content carries, whose it is, and in words what may be said."""
    row = {"audit": audit, "guarantee": done["guarantee"], "replay": audit["replay"]}
    level = level_of(row) or Assurance.CLAIMED
    lent = bool(audit.get("procedure")) and level is not Assurance.EXACT
    return {
        "assurance": level.name,
        "assuranceOf": "the procedure, on canary people" if lent else "these people",
        "mayBeSaid": may_be_claimed(row),
    }


def _verification(audit: dict[str, Any], verified: dict[str, Any]) -> dict[str, Any]:
    shown = (
        "attack",
        "family",
        "outcome",
        "recovered",
        "low",
        "high",
        "contrast_low",
        "n_facts",
        "facts_needed",
        "reason",
    )
    procedure = audit.get("procedure")
    summary = ("assurance", "flags", "n_facts", "n_people")
    return {
        "battery": audit["battery"],
        "auditDigest": verified["audit"],
        "commitment": audit.get("commitment"),
        "control": audit.get("control"),
        "power": audit.get("power"),
        "procedure": {k: procedure[k] for k in summary} if procedure else None,
        "skill": audit["skill"],
        "findings": [{k: f[k] for k in shown} for f in [*audit["findings"], audit["membership"]]],
        "notes": audit.get("notes", []),
    }


def _without_floats(value: Any) -> Any:
    """Numbers that every JSON reader writes alike: floats rounded to six places."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {k: _without_floats(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_floats(v) for v in value]
    return value
