"""Plan a request and carry it out: a new version beside the old one, which is quarantined."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from expunge.core import Fact, Plan, Route
from expunge.core.durable import remove_durably
from expunge.core.errors import InvalidParameter, NotReady, UnknownName
from expunge.core.identity import near_names
from expunge.core.refusals import explaining
from expunge.ledger import ModelVersion
from expunge.report.words import plural
from expunge.workflow.project.events import last_event
from expunge.workflow.project.leaving import Leaving, facts_of, who_leaves
from expunge.workflow.project.project import Project
from expunge.workflow.project.sealed import seal_facts
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress, keep
from expunge.workflow.shapes.shape import shape
from expunge.workflow.steps.duplicates import copies


@dataclass(frozen=True)
class ModelPlans:
    """What can be done about one model, strongest first; empty where it never learned from these people."""

    model: str
    version: str
    plans: tuple[Plan, ...]


def plan_request(project: Project, request: str) -> list[ModelPlans]:
    """Every model that learned, or may have learned, from the people of a request. Changes nothing."""
    leaving = who_leaves(project, request)
    if not leaving.theirs:
        raise NotReady(f"the records of {request} are entombed; its plan was carried out already")
    notes = _near_names(leaving)
    return [
        ModelPlans(
            version.model,
            version.digest,
            tuple(
                replace(plan, notes=(*plan.notes, *notes)) for plan in shape(version).plan(project, version, leaving)
            ),
        )
        for version in concerned(project, leaving)
    ]


def _near_names(leaving: Leaving) -> tuple[str, ...]:
    """A note of the people whose names are almost those of the request, without the names."""
    subjects = {row.record.subject for row in leaving.rows}
    near = near_names(leaving.names, subjects)
    records = sum(row.record.subject in near for row in leaving.rows)
    if not near:
        return ()
    return (
        f"{plural(len(near), 'other name')} with {plural(records, 'record')} differ from those asked for by letter case, "
        "spaces or the form of letters alone, and stay; if they are the same people, request their names too",
    )


def concerned(project: Project, leaving: Leaving) -> list[ModelVersion]:
    """Serving versions that learned from these people, and those of which nobody knows what they learned from."""
    learned = project.ledger.models_that_learned_from(list(leaving.request.subjects))
    serving = {v.digest for name in project.ledger.models() if (v := project.ledger.current_version(name))}
    known = [found.version for found in learned.versions if found.version.digest in serving]
    unknown = [v for v in learned.unknown if v.digest in serving and v.dataset in (None, leaving.request.dataset)]
    return [*known, *unknown]


def forget_request(
    project: Project,
    request: str,
    progress: Progress,
    *,
    model: str | None = None,
    route: str | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the version without these people, beside the old one. May be repeated after a kill; errors change nothing.

    Returns what happened, as the request's event `forgotten` keeps it.

    Raises: NotReady; UnknownName; StorageFull; and what the route raises.
    """
    leaving = who_leaves(project, request)
    if done := last_event(project, request, "forgotten"):
        _check_same_model(done, model)
        if project.ledger.current_version(done["model"]) is None:  # also where a kill came before
            _point_nowhere(project, done["model"])
        return done
    version = _which(concerned(project, leaving), model)
    plan = _choose(shape(version).plan(project, version, leaving), route)
    _check_options(plan, shape(version).OPTIONS, options or {})
    work = project.work(request)
    begun = work.exists()
    try:
        with explaining("what forget writes"):
            work.mkdir(parents=True, exist_ok=True)
            job = Job(
                project=project,
                version=version,
                leaving=leaving,
                plan=plan,
                options=options or {},
                work=work,
                progress=progress,
            )
            made = shape(version).forget(job)
            seal_facts(work / "facts.sealed", _facts_by_subject(leaving), project.ledger.keys)
            new = keep(project, version.model, version.dataset, made, parent=version.digest)
            return _record(project, leaving, version, new, plan, made)
    except Exception:
        if not begun:
            remove_durably(work)  # a kill leaves its work for the same command; an error leaves nothing
        raise


def _record(
    project: Project, leaving: Leaving, old: ModelVersion, new: ModelVersion, plan: Plan, made: Made
) -> dict[str, Any]:
    """One transaction: the old version out of service, the records entombed, and what happened."""
    untouched = [v.model for v in concerned(project, leaving) if v.model != old.model]
    left = [f"not dealt with, though they learned or may have learned from these people: {', '.join(untouched)}"]
    detail = {
        "model": old.model,
        "before": old.digest,
        "after": new.digest,
        "route": plan.route.value,
        "method": made.method,
        "guarantee": made.promise.guarantee.value,
        "promise": made.promise.to_json(),
        "units": [asdict(unit) for unit in plan.units],
        "n_removed": plan.n_removed,
        "cost": made.cost,
        "seconds": made.seconds,
        "purge": list(plan.purge),
        "duplicates": copies(leaving) if shape(old).TEXTS else None,
        "notes": [*plan.notes, *made.notes, *(left if untouched else [])],
    }
    with project.ledger.transaction():
        project.ledger.quarantine(old.model, old.digest)
        project.ledger.entomb(leaving.request.id)
        project.ledger.append_event(leaving.request.id, "forgotten", detail)
    _point_nowhere(project, old.model)
    return detail


def _point_nowhere(project: Project, model: str) -> None:
    remove_durably(project.root / "models" / model / "current")


def _check_same_model(done: dict[str, Any], model: str | None) -> None:
    if model not in (None, done["model"]):
        raise NotReady(f"this request was carried out on '{done['model']}'; it does not reach '{model}'")


def _check_options(plan: Plan, known: Mapping[str, Route], options: Mapping[str, Any]) -> None:
    """An option that would do nothing is a misunderstanding, not a detail."""
    for name, value in options.items():
        if value is not None and known.get(name) is not plan.route:
            what = "units of your own loop" if name == "rebuild" else "route edit"
            raise InvalidParameter(
                f"--{name.replace('_', '-')} is for {what}; this is route {plan.route.value}, leave it out"
            )


def _which(versions: list[ModelVersion], model: str | None) -> ModelVersion:
    named = [v for v in versions if model in (None, v.model)]
    if not named:
        what = f"'{model}' did not" if model else "no serving model"
        raise UnknownName(f"{what} learned from the people of this request; `expunge plan` lists the ones that did")
    if len(named) > 1:
        names = ", ".join(v.model for v in named)
        raise InvalidParameter(
            f"several models are concerned ({names}); a request is carried out on one: name it with --model; "
            "the certificate will name the others as not dealt with"
        )
    return named[0]


def _choose(found: list[Plan], route: str | None) -> Plan:
    if route is None:
        if found[0].route is Route.DROP:
            offered = ", ".join(plan.route.value for plan in found)
            raise InvalidParameter(f"dropping removes everybody's data; choose with --route: {offered}")
        return found[0]
    for plan in found:
        if plan.route.value == route:
            return plan
    raise InvalidParameter(f"route '{route}' is not possible here; possible: {', '.join(p.route.value for p in found)}")


def _facts_by_subject(leaving: Leaving) -> dict[str, list[Fact]]:
    return {
        ref: facts_of(row.record for row in leaving.theirs if row.subject == ref) for ref in leaving.request.subjects
    }
