"""What has happened to a request so far, by the newest event of a kind."""

from collections.abc import Mapping, Sequence
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


def event_times(project: Project, request: str, kinds: Sequence[str]) -> dict[str, str]:
    """When the last of these kinds happened, and each of the others last before it.

    What was begun or looked at again afterwards, and came to no delivery, is left out.
    """
    found: dict[str, str] = {}
    events = list(project.ledger.events(request))
    for kind in reversed(kinds):
        places = [place for place, event in enumerate(events) if event.kind == kind]
        if places:
            found[kind] = events[places[-1]].at
            events = events[: places[-1]]
    return found


def audit_digest(document: Mapping[str, Any]) -> str:
    """What the event `verified` names an audit by, and what a certificate is bound to."""
    return digest_json("audit", dict(document))
