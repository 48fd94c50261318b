"""Carry a request from where it stands to where a person must decide."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from expunge.core.errors import ExpungeError, NotReady, ProjectLocked, StorageFull
from expunge.ledger import Request, Verb
from expunge.workflow.project.events import attempt, verified
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.made import Progress
from expunge.workflow.steps.approval import missing_approval
from expunge.workflow.steps.batch import batched, begun
from expunge.workflow.steps.certify import certify_request
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.forget import forget_request
from expunge.workflow.steps.targets import MODEL, find_targets
from expunge.workflow.steps.verify import verify_request


@dataclass(frozen=True)
class Ran:
    """What was done, and what a person must do next; empty where nothing is left."""

    steps: tuple[str, ...]
    next: str


def run_request(project: Project, request: str, progress: Progress, released: Collection[str] | None = None) -> Ran:
    """Forget, verify, deliver and certify, as far as nobody has to decide anything; may be repeated at any point.

    Without `released` it stops before delivery, which needs to know what left the house.

    Raises: what a step raises that a person must decide about, such as DeliveryBlocked, with everything before it done; the
    request needs attention then, until it is carried further.
    """
    found = project.ledger.get_request(request)
    if not found.state.open:
        return Ran((), "")
    if waits := _waits(project, found):
        return Ran((), waits)
    project.ledger.go_on(request)
    try:
        return _carried(project, request, progress, released)
    except (ProjectLocked, StorageFull):
        raise  # nobody has to decide anything: the same command goes on
    except ExpungeError as e:
        project.ledger.need_attention(request, type(e).__name__)
        raise


def _waits(project: Project, found: Request) -> str:
    """What has to come before; empty where nothing has."""
    try:
        project.ledger.require(found.id, Verb.WORK)
    except NotReady as e:
        return str(e)
    return batched(project, found) or missing_approval(project, found.id)


def _carried(project: Project, request: str, progress: Progress, released: Collection[str] | None) -> Ran:
    steps = []
    forgotten, unverified = _standing(project, request)
    if not forgotten:
        forget_request(project, request, progress)
        steps.append("forget")
        _, unverified = _standing(project, request)
    if unverified:
        verify_request(project, request, progress, targets=unverified)
        steps.append("verify")
    if released is None:
        return Ran(tuple(steps), f"say which old versions left the house: expunge run {request} --released none")
    left = deliver_request(project, request, released=released)["left"]
    steps.append("deliver")
    certify_request(project, request)
    steps.append("certify")
    undecided = ", ".join(f"{one['target']} ({one['stands']})" for one in left)
    return Ran(tuple(steps), f"not ended: {undecided}; decide with `expunge decide {request} …`" if left else "")


def _standing(project: Project, request: str) -> tuple[bool, list[str]]:
    """Whether every model to be dealt with was forgotten from, and those whose new version nobody verified."""
    held = [one.target.of for one in find_targets(project, request) if one.target.kind == MODEL and one.to_do]
    attempts: list[dict[str, Any] | None] = [attempt(project, request, model) for model in held]
    unverified = [done["model"] for done in attempts if done and verified(project, request, done) is None]
    return begun(project, request) and all(attempts), unverified
