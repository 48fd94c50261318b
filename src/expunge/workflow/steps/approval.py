"""Where a project wants it, several people agree to a plan before anything of it is carried out.

    [approval]
    people = 2

They agree to what is to become of each target. Where that changes, a model that is trained meanwhile included, they are asked
anew.
"""

from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter, NotReady
from expunge.workflow.project.project import Project
from expunge.workflow.steps.targets import find_targets

DESTROY = "destroy"


def people_needed(project: Project) -> int:
    """How many must agree, by `[approval]` in `expunge.toml`; 0 where nobody must. Raises: InvalidParameter."""
    wanted = project.config.get("approval", {})
    if unknown := sorted(wanted.keys() - {"people"}):
        raise InvalidParameter(f"[approval] in expunge.toml knows `people`, not `{unknown[0]}`")
    people = wanted.get("people", 0)
    if not isinstance(people, int) or isinstance(people, bool) or people < 0:
        raise InvalidParameter(f"people of [approval] in expunge.toml is a number of people, not {people!r}")
    return people


def plan_digest(project: Project, request: str, destroyed: str = "") -> str:
    """Of what is to become of every target; and of a model that is to be destroyed, which is another plan."""
    decided = sorted((one.name, one.target.decision.value, one.target.detail) for one in find_targets(project, request))
    return digest_json("plan", [request, [list(one) for one in decided], destroyed])


def approve_request(project: Project, request: str, by: str, destroyed: str = "") -> tuple[str, ...]:
    """Somebody agrees to the present plan. Returns all who did.

    Raises: NotReady; InvalidParameter, without a name, or where it is the one who entered the request.
    """
    plan = plan_digest(project, request, destroyed)
    project.ledger.approve(request, by, plan)
    return project.ledger.approvals(request, plan)


def missing_approval(project: Project, request: str, destroyed: str = "") -> str:
    """What is missing before the present plan can be carried out; empty where nothing is."""
    needed = people_needed(project)
    agreed = len(project.ledger.approvals(request, plan_digest(project, request, destroyed))) if needed else 0
    if agreed >= needed:
        return ""
    option = f" --{DESTROY} {destroyed}" if destroyed else ""
    return (
        f"{agreed} of {needed} people agreed to this plan of {request}, as [approval] in expunge.toml wants: "
        f"`expunge plan {request}`, then `expunge approve {request} --as NAME{option}`"
    )


def check_approved(project: Project, request: str, destroyed: str = "") -> None:
    """Raises: NotReady."""
    if sentence := missing_approval(project, request, destroyed):
        raise NotReady(sentence)
