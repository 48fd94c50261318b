"""Everything known about a request as one document: what the page and `--json` show."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expunge.certify import LIMITS
from expunge.core.version import __version__
from expunge.report import page
from expunge.workflow.project.events import last_event
from expunge.workflow.project.project import Project
from expunge.workflow.project.story import check_story
from expunge.workflow.steps.audit_file import read_audit
from expunge.workflow.steps.certify import CERTIFICATE
from expunge.workflow.steps.statement import unknown_parts


def evidence_of(project: Project, request: str) -> dict[str, Any]:
    """The story of a request as far as it has come; what did not happen yet is None.

    Raises: InvalidData or InvalidCertificate, if the ledger or a certificate was changed.
    """
    check_story(project)
    found = project.ledger.get_request(request)
    events = [{"at": e.at, "kind": e.kind} for e in project.ledger.events(request)]
    done, delivered = last_event(project, request, "forgotten"), last_event(project, request, "delivered")
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
            "n_records": done["n_removed"] if done else None,
            "events": events,
        },
        "rows": [_row(project, request, done)] if done else [],
        "delivery": {**delivered, "delivered": [f"{delivered['model']} {delivered['version']}"]} if delivered else None,
        "unknown": unknown_parts(project.ledger.model_version(done["model"], done["after"])) if done else [],
        "certificate": _certificate(project, request),
        "limits": LIMITS,
    }


def write_page(project: Project, request: str, path: Path | None = None) -> Path:
    """The request's page, self-contained."""
    return page(evidence_of(project, request), path or project.evidence(request) / "report.html")


def _row(project: Project, request: str, done: dict[str, Any]) -> dict[str, Any]:
    verified = last_event(project, request, "verified")
    return {
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
        "replay": verified["replay"] if verified else None,
        "promise": done["promise"],
        "audit": read_audit(project, request) if verified else None,
        "notes": [*done["notes"], *(verified.get("notes", []) if verified else [])],
    }


def _certificate(project: Project, request: str) -> dict[str, Any] | None:
    path = project.evidence(request) / CERTIFICATE
    issued = project.ledger.certificates(request)
    if not path.exists() or not issued:
        return None
    signer = hashlib.sha256((project.root / "signer.pub.pem").read_bytes()).hexdigest()
    return {
        "path": path.name,
        "digest": issued[-1].digest,
        "log_index": issued[-1].log_index,
        "origin": project.log_origin,
        "signer": f"sha256:{signer}",
    }
