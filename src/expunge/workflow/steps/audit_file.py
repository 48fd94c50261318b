"""The audit of a request as a file beside its evidence, which stays when the people are gone."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from expunge.core.durable import write_durably
from expunge.core.errors import DigestMismatch
from expunge.workflow.project.events import audit_digest
from expunge.workflow.project.project import Project

_NAME = "audit.json"


def write_audit(project: Project, request: str, document: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Write an audit with its notes; returns its digest."""
    written = {**document, "notes": list(notes)}
    write_durably(project.evidence(request) / _NAME, json.dumps(written, indent=1, sort_keys=True).encode())
    return audit_digest(written)


def read_audit(project: Project, request: str) -> dict[str, Any]:
    """The audit of a request as it was written.

    Raises: DigestMismatch, if it is gone or no JSON.
    """
    path = project.evidence(request) / _NAME
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise DigestMismatch(f"the audit {path} is missing or damaged ({e}); restore it from a backup") from e
    return document
