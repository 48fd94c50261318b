"""What has happened to a request so far, by the newest event of a kind."""

from collections.abc import Collection, Mapping
from typing import Any

from expunge.core.digests import digest_json
from expunge.core.errors import NotReady
from expunge.workflow.project.project import Project


def last_event(project: Project, request: str, kind: str) -> dict[str, Any] | None:
    """The detail of the newest event of a kind."""
    found = [e.detail for e in project.ledger.events(request) if e.kind == kind]
    return found[-1] if found else None


def needed_event(project: Project, request: str, kind: str, command: str) -> dict[str, Any]:
    """Raises: NotReady, naming the command that comes first."""
    if found := last_event(project, request, kind):
        return found
    raise NotReady(f"{request} is not {kind} yet; run `expunge {command} {request}` first")


def event_times(project: Project, request: str, kinds: Collection[str]) -> dict[str, str]:
    """When each of these kinds happened last."""
    return {e.kind: e.at for e in project.ledger.events(request) if e.kind in kinds}


def audit_digest(document: Mapping[str, Any]) -> str:
    """What the event `verified` names an audit by, and what a certificate is bound to."""
    return digest_json("audit", dict(document))
