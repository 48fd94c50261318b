"""Where a project wants it, several people agree to a plan before anything of it is carried out.

    [approval]
    people = 2

They agree to what is to become of each target, by the strongest route that fits. Where that changes, a model that is trained
meanwhile included, they are asked anew; and another route, or that a model is destroyed, is agreed to by its name.
"""

from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter, NotReady
from expunge.workflow.project.project import Project
from expunge.workflow.steps.targets import find_targets


def people_needed(project: Project) -> int:
    """How many must agree, by `[approval]` in `expunge.toml`; 0 where nobody must. Raises: InvalidParameter."""
    wanted = project.config.get("approval", {})
    if unknown := sorted(wanted.keys() - {"people"}):
        raise InvalidParameter(f"[approval] in expunge.toml knows `people`, not `{unknown[0]}`")
    people = wanted.get("people", 0)
    if not isinstance(people, int) or isinstance(people, bool) or people < 0:
        raise InvalidParameter(f"people of [approval] in expunge.toml is a number of people, not {people!r}")
    return people


def by_route(route: str | None) -> str:
    """What is agreed to besides, where a route is chosen that is not the strongest; empty where none is."""
    return f"--route {route}" if route else ""


def by_destroying(target: str) -> str:
    """What is agreed to besides, where a model is destroyed."""
    return f"--destroy {target}"


def plan_digest(project: Project, request: str, besides: str = "") -> str:
    """Of what is to become of every target, and of what is agreed to besides, which makes it another plan."""
    decided = sorted((one.name, one.target.decision.value, one.target.detail) for one in find_targets(project, request))
    return digest_json("plan", [request, [list(one) for one in decided], besides])


def approve_request(project: Project, request: str, by: str, besides: str = "") -> tuple[str, ...]:
    """Somebody agrees to the present plan. Returns all who did.

    Raises: NotReady; InvalidParameter, without a name, or where it is the one who entered the request.
    """
    plan = plan_digest(project, request, besides)
    project.ledger.approve(request, by, plan)
    return project.ledger.approvals(request, plan)


def missing_approval(project: Project, request: str, besides: str = "") -> str:
    """What is missing before the present plan can be carried out; empty where nothing is."""
    needed = people_needed(project)
    agreed = len(project.ledger.approvals(request, plan_digest(project, request, besides))) if needed else 0
    if agreed >= needed:
        return ""
    return (
        f"{agreed} of {needed} people agreed to this plan of {request}, as [approval] in expunge.toml wants: "
        f"`expunge plan {request}`, then `expunge approve {request} --as NAME{f' {besides}' if besides else ''}`"
    )


def check_approved(project: Project, request: str, besides: str = "") -> None:
    """Raises: NotReady."""
    if sentence := missing_approval(project, request, besides):
        raise NotReady(sentence)
