"""Open a finished request again where something in use still holds what it was about, without anybody's name.

Its tombstones name the records, and the member lists of other models name them too.
"""

from expunge.core.errors import NotReady
from expunge.ledger import RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.targets import MODEL, Held, find_targets


def reopen_request(project: Project, request: str) -> list[Held]:
    """What holds something, and is to be dealt with from now on. May be repeated.

    Raises: NotReady, if the request is open, or nothing in use is known to hold anything of it; UnknownName.
    """
    state = project.ledger.get_request(request).state
    holding = [one for one in find_targets(project, request) if one.target.kind == MODEL and one.n_records]
    if state.open:
        raise NotReady(f"{request} is {state.value} still; go on with `expunge run {request}`")
    if not holding:
        raise NotReady(f"no model in use is known to hold anything of {request}; nothing is to be reopened")
    with project.ledger.transaction():
        for one in holding:
            project.ledger.reopen_target(request, one.name)
        project.ledger.append_event(
            request, "reopened", {"targets": [one.name for one in holding]}, RequestState.IN_PROGRESS
        )
    return holding
