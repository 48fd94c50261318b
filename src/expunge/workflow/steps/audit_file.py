"""The audit of a request as a file beside its evidence, which stays when the people are gone."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from expunge.core.durable import write_durably
from expunge.core.errors import DigestMismatch
from expunge.workflow.project.events import audit_digest
from expunge.workflow.project.project import Project

_EARLIER = "audit.json"  # while a request had one model


def write_audit(project: Project, request: str, model: str, document: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Write an audit with its notes; returns its digest."""
    written = {**document, "notes": list(notes)}
    write_durably(
        project.evidence(request) / f"audit-{model}.json", json.dumps(written, indent=1, sort_keys=True).encode()
    )
    return audit_digest(written)


def read_audit(project: Project, request: str, model: str) -> dict[str, Any]:
    """The newest audit of a request's version of a model, as it was written.

    Raises: DigestMismatch, if it is gone or no JSON.
    """
    path = project.evidence(request) / f"audit-{model}.json"
    if not path.exists() and (earlier := path.with_name(_EARLIER)).exists():
        path = earlier
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise DigestMismatch(f"the audit {path} is missing or damaged ({e}); restore it from a backup") from e
    return document
