"""Everything known about a request as one document: what the page and `--json` show."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expunge.certify import LIMITS
from expunge.core.version import __version__
from expunge.ledger import RequestState
from expunge.report import page
from expunge.workflow.project.events import attempt, last_event, verified
from expunge.workflow.project.project import Project
from expunge.workflow.project.story import check_story
from expunge.workflow.steps.audit_file import read_audit
from expunge.workflow.steps.certify import newest_certificate
from expunge.workflow.steps.standing import notices
from expunge.workflow.steps.statement import overridden, unknown_parts
from expunge.workflow.steps.targets import exceptions, find_targets, targets_of

_TAKEN_BACK = (RequestState.DENIED, RequestState.CANCELLED)  # nothing is to be done, and nothing was


def evidence_of(project: Project, request: str) -> dict[str, Any]:
    """The story of a request as far as it has come; what did not happen yet is None.

    Raises: InvalidData or InvalidCertificate, if the ledger or a certificate was changed.
    """
    check_story(project)
    found = project.ledger.get_request(request)
    events = [{"at": e.at, "kind": e.kind} for e in project.ledger.events(request)]
    held = [] if found.state in _TAKEN_BACK else find_targets(project, request)
    models = dict.fromkeys(e.detail["model"] for e in project.ledger.events(request) if e.kind == "forgotten")
    attempts = [done for model in models if (done := attempt(project, request, model))]
    return {
        "title": f"Erasure request {request}",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": {"name": "expunge", "version": __version__},
        "request": {
            "id": request,
            "received_at": found.received_at,
            "due_at": found.due_at,
            "state": found.state.value,
            "n_subjects": len(found.subjects),
            "n_records": _n_records(project, request),
            "events": events,
        },
        "targets": [
            {**shown, "holds": one.words, "stands": one.target.sentence}
            for shown, one in zip(targets_of(held), held, strict=True)
        ],
        "notices": notices(project, request),
        "exceptions": [f"{one.name} is {one.target.sentence}" for one in exceptions(held)],
        "rows": [_row(project, request, done) for done in attempts],
        "delivery": _delivery(project, request),
        "unknown": list(
            dict.fromkeys(
                part
                for done in attempts
                for part in unknown_parts(project.ledger.model_version(done["model"], done["after"]))
            )
        ),
        "certificate": _certificate(project, request),
        "limits": LIMITS,
    }


def _n_records(project: Project, request: str) -> int | None:
    entombed = last_event(project, request, "entombed")
    return entombed["n_records"] if entombed else None


def _delivery(project: Project, request: str) -> dict[str, Any] | None:
    """Of all models together; None before the first was delivered."""
    delivered = [event.detail for event in project.ledger.events(request) if event.kind == "delivered"]
    if not delivered:
        return None
    return {
        "delivered": [f"{one['model']} {one['version']}" for one in delivered],
        "override": ", ".join(dict.fromkeys(flag for one in delivered for flag in overridden(one))) or None,
        **{
            key: list(dict.fromkeys(item for one in delivered for item in one.get(key, ())))
            for key in ("released", "purged", "unreachable", "residuals")
        },
    }


def write_page(project: Project, request: str, path: Path | None = None) -> Path:
    """The request's page, self-contained."""
    return page(evidence_of(project, request), path or project.evidence(request) / "report.html")


def _row(project: Project, request: str, done: dict[str, Any]) -> dict[str, Any]:
    audited = verified(project, request, done)
    return {
        "model": done["model"],
        "method": done["method"] or done["route"],
        "route": done["route"],
        "guarantee": done["guarantee"],
        "equality": done["promise"]["equality"],
        "cost": done["cost"],
        "seconds": done["seconds"],
        "retrain_seconds": None,
        "digest_before": done["before"],
        "digest_after": done["after"],
        "units": done["units"],
        "replay": audited["replay"] if audited else None,
        "promise": done["promise"],
        "audit": read_audit(project, request, done["model"]) if audited else None,
        "notes": [*done["notes"], *(audited.get("notes", []) if audited else [])],
    }


def _certificate(project: Project, request: str) -> dict[str, Any] | None:
    path, issued = newest_certificate(project, request), project.ledger.certificates(request)
    if path is None or not path.exists():
        return None
    signer = hashlib.sha256((project.root / "signer.pub.pem").read_bytes()).hexdigest()
    return {
        "path": path.name,
        "digest": issued[-1].digest,
        "log_index": issued[-1].log_index,
        "origin": project.log_origin,
        "signer": f"sha256:{signer}",
    }
