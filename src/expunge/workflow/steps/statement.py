"""What was done, found and delivered, as the words of a certificate."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from expunge.certify import LIMITS, erasure_statement
from expunge.core import Assurance
from expunge.core.errors import DigestMismatch, InvalidCertificate
from expunge.core.version import __version__
from expunge.ledger import ModelVersion, Request
from expunge.ledger.chain import Head
from expunge.report.claims import level_of, may_be_claimed
from expunge.workflow.project.events import audit_digest, event_times, needed_event
from expunge.workflow.project.project import Project
from expunge.workflow.steps.audit_file import read_audit
from expunge.workflow.steps.fixed import fixed_by, superseded

_TIMES = ("forgotten", "verified", "delivered")


@dataclass(frozen=True)
class Certified:
    """All that a certificate is made of, as events fixed it."""

    request: Request
    done: dict[str, Any]
    verified: dict[str, Any]
    delivered: dict[str, Any]
    fixed: dict[str, Any]
    audit: dict[str, Any]
    before: ModelVersion
    after: ModelVersion
    superseded: bool
    times: dict[str, str]

    @property
    def dataset(self) -> str:
        return self.request.dataset


def certified(project: Project, request: str) -> Certified:
    """Raises: NotReady; DigestMismatch, if model or audit are not those that were delivered; InvalidCertificate, if the key that
    signs is not the one of that day.
    """
    delivered = needed_event(project, request, "delivered", "deliver")
    found = project.ledger.get_request(request)
    done = needed_event(project, request, "forgotten", "forget")
    verified = needed_event(project, request, "verified", "verify")
    fixed = fixed_by(project, delivered, verified["audit"], found.dataset)
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    if fixed["model"] != after.digest:
        raise DigestMismatch(f"{request} delivered {fixed['model']}, and its newest attempt made {after.digest}")
    if fixed["signer"] not in (None, signer := project.ledger.signer()):
        raise InvalidCertificate(
            f"{request} was delivered when certificates were signed by {fixed['signer']}, now by {signer}"
        )
    audit = read_audit(project, request)
    _check_audit(project, request, audit, verified, fixed["audit"])
    times = event_times(project, request, _TIMES)
    gone = superseded(project, after)
    return Certified(found, done, verified, delivered, fixed, audit, before, after, gone, times)


def statement_of(project: Project, what: Certified, events: Head) -> dict[str, Any]:
    """The statement that a certificate signs; `events` is the end of the ledger's chain, which it binds."""
    found, delivered = what.request, what.delivered
    head = project.ledger.log_head()
    assert head is not None
    subjects = [{"name": f"model:{what.after.model}", "digest": {"sha256": _hex(what.fixed["model"])}}]
    for name, digests in what.fixed["manifests"].items():
        if "sha256" in digests:
            subjects.append({"name": f"manifest:{name}", "digest": {"sha256": digests["sha256"]}})
        subjects.append({"name": f"manifest-content:{name}", "digest": {"sha256": _hex(digests["content"])}})
    predicate = {
        "certificateId": str(uuid4()),
        "issuedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "times": what.times,
        "tool": {"name": "expunge", "version": __version__},
        "log": {"origin": head.origin, "vkey": head.vkey},
        "events": {"count": events.count, "head": events.digest, "since": events.since},
        "request": {
            "ref": found.id,
            "received": found.received_at,
            "due": found.due_at,
            "subjects": delivered["n_subjects"],
        },
        "erasedSet": {"records": delivered["n_records"]},
        "manifest": {"before": delivered["manifest_before"], "after": delivered["manifest_after"]},
        "superseded": [f"model:{what.after.model}"] if what.superseded else [],
        "actions": [_action(what.before, what.after, what.done)],
        "verification": [_verification(what.audit, what.verified)],
        **_assurance(what.audit, what.done),
        "flags": what.audit["flags"],
        "replay": what.audit["replay"],
        "delivery": {k: delivered[k] for k in ("override", "purged", "unreachable", "residuals")},
        "unknown": unknown_parts(what.after),
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


def _check_audit(
    project: Project, request: str, audit: dict[str, Any], verified: dict[str, Any], delivered: str
) -> None:
    """The audit is the one that was recorded and delivered, and says what its event says of it.

    Raises: DigestMismatch.
    """
    where = f"the audit in {project.evidence(request)}"
    if not audit_digest(audit) == verified["audit"] == delivered:
        raise DigestMismatch(f"{where} was changed after it was recorded; restore it from a backup")
    for part in ("flags", "replay"):
        if audit.get(part) != verified[part]:
            raise DigestMismatch(
                f"{where} says {part} {audit.get(part)}, and the event that recorded it says {verified[part]}; one was changed"
            )


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


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _without_floats(value: Any) -> Any:
    """Numbers that every JSON reader writes alike: floats rounded to six places."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {k: _without_floats(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_floats(v) for v in value]
    return value
