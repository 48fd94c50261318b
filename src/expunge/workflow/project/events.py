"""What has happened to a request so far, by the newest event of a kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from expunge.core.digests import digest_json
from expunge.core.errors import NotReady
from expunge.workflow.project.project import Project


def last_event(project: Project, request: str, kind: str, model: str | None = None) -> dict[str, Any] | None:
    """The detail of the newest event of a kind, about a model where one is named."""
    found = [e.detail for e in project.ledger.events(request) if e.kind == kind and _about(e.detail, model)]
    return found[-1] if found else None


def attempt(project: Project, request: str, model: str) -> dict[str, Any] | None:
    """What the present attempt to forget from a model made; None before the first, and after it was abandoned."""
    done: dict[str, Any] | None = None
    for event in project.ledger.events(request):
        if event.kind == "forgotten" and _about(event.detail, model):
            done = event.detail
        elif event.kind == "abandoned" and event.detail["model"] == model:
            done = None
    return done


def verified(project: Project, request: str, done: Mapping[str, Any]) -> dict[str, Any] | None:
    """The newest audit of what an attempt made, with the flags of every audit of the same version.

    An audit whose flags are no longer liked is not undone by another one.
    """
    audits = [
        event.detail
        for event in project.ledger.events(request)
        if event.kind == "verified" and event.detail["version"] == done["after"]
    ]
    if not audits:
        return None
    flags = dict.fromkeys(flag for audit in audits for flag in audit["flags"])
    return {**audits[-1], "flags": list(flags), "n_audits": len(audits), "audits": [audit["audit"] for audit in audits]}


def needed(found: dict[str, Any] | None, request: str, command: str, of: str) -> dict[str, Any]:
    """Raises: NotReady, naming the command that comes first."""
    if found is None:
        raise NotReady(f"{of}: `expunge {command} {request}` comes first")
    return found


def _about(detail: Mapping[str, Any], model: str | None) -> bool:
    return model is None or detail.get("model", model) == model


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
