"""Whether a request waits for others, so that units are rebuilt once for several people, and old and new versions tell less."""

from datetime import UTC, datetime, timedelta

from expunge.core.errors import InvalidParameter
from expunge.ledger import Request, RequestState
from expunge.workflow.project.project import Project

_WAITING = (RequestState.RECEIVED, RequestState.NEEDS_ATTENTION)
HOURS_LEFT = 72  # before the earliest due date a batch waits no longer


def batched(project: Project, request: Request) -> str:
    """Why a request waits for others, by `[batching]` in `expunge.toml`; empty where it does not.

    `requests = k` waits for so many open ones, `days = d` no longer than so many days; never past the earliest due date.
    """
    wanted = project.config.get("batching", {})
    if unknown := sorted(wanted.keys() - {"requests", "days"}):
        raise InvalidParameter(f"[batching] in expunge.toml knows `requests` and `days`, not `{unknown[0]}`")
    waiting = [one for one in project.ledger.requests() if one.state in _WAITING and not begun(project, one.id)]
    if not wanted or request.id not in {one.id for one in waiting}:
        return ""
    n, days = int(wanted.get("requests", 0)), float(wanted.get("days", 0))
    oldest = min(_moment(one.received_at) for one in waiting)
    due = min(_moment(one.due_at) for one in waiting) - timedelta(hours=HOURS_LEFT)
    until = min(oldest + timedelta(days=days), due) if days else due
    if len(waiting) >= n > 0 or datetime.now(UTC) >= until or not (n or days):
        return ""
    return (
        f"waits in a batch: {len(waiting)} of {n or 'any number of'} requests are there; until {until:%Y-%m-%d %H:%M} UTC at the "
        "latest, as [batching] in expunge.toml says"
    )


def begun(project: Project, request: str) -> bool:
    """Whether its records are entombed: what was begun waits for nobody."""
    return any(event.kind == "entombed" for event in project.ledger.events(request))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
