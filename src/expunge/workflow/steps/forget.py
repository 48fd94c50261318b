"""Plan a request and carry it out: of every model a new version beside the old one, which is quarantined."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from expunge.core import Fact, Plan, Record, Route
from expunge.core.durable import remove_durably
from expunge.core.errors import InvalidParameter, NotReady
from expunge.core.identity import near_names
from expunge.core.refusals import explaining
from expunge.ledger import ModelVersion, RequestState, Verb
from expunge.report.words import plural
from expunge.workflow.project.events import attempt, last_event
from expunge.workflow.project.leases import leased
from expunge.workflow.project.leaving import Leaving, facts_of, who_leaves
from expunge.workflow.project.project import SEALED, Project
from expunge.workflow.project.sealed import seal_facts
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress, keep
from expunge.workflow.shapes.shape import shape
from expunge.workflow.steps.approval import by_route, check_approved
from expunge.workflow.steps.duplicates import copies
from expunge.workflow.steps.targets import MODEL, Held, find_targets, named


@dataclass(frozen=True)
class TargetPlan:
    """A target of a request, and what can be done about it, strongest first. `waits` says what has to end before."""

    held: Held
    plans: tuple[Plan, ...] = ()
    version: str | None = None
    waits: str = ""


def plan_request(project: Project, request: str) -> list[TargetPlan]:
    """Everything that holds, or may hold, something of a request. Changes nothing.

    Raises: UnknownName; NotReady, until who asks is identified: it is told to nobody else what is held.
    """
    if project.ledger.get_request(request).state is RequestState.IDENTITY_PENDING:
        project.ledger.require(request, Verb.WORK)
    return [_planned(project, request, held) for held in find_targets(project, request)]


def _planned(project: Project, request: str, held: Held) -> TargetPlan:
    if held.target.kind != MODEL or held.target.done or held.n_records == 0 or held.derived:
        return TargetPlan(held)
    if attempt(project, request, held.target.of):
        return TargetPlan(held, waits=f"forgotten; next `expunge verify {request}`, then `expunge deliver {request}`")
    version = _start(project, request, held.target.of)
    if version is None:
        return TargetPlan(held, waits=_who_is_first(project, request, held.target.of))
    leaving = who_leaves(project, request, version)
    notes = (*_near_names(leaving), *_along(leaving))
    plans = [replace(plan, notes=(*plan.notes, *notes)) for plan in _plans(project, version, leaving)]
    return TargetPlan(held, tuple(plans), version.digest)


def _plans(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    return shape(version).plan(project, version, leaving)


def _start(project: Project, request: str, model: str) -> ModelVersion | None:
    """The version to forget from: the one that serves; where an attempt took it out of service, that one."""
    if serving := project.ledger.current_version(model):
        return serving
    last = last_event(project, request, "forgotten", model)
    return project.ledger.model_version(model, last["before"]) if last else None


def _who_is_first(project: Project, request: str, model: str) -> str:
    """Why a model cannot be forgotten from now: another request is between `forget` and `deliver` on it."""
    for other in project.ledger.requests():
        if other.id != request and other.state.open and attempt(project, other.id, model):
            return (
                f"{other.id} is in progress on '{model}', and what it will let serve holds these records too; deliver or "
                f"abandon it, then repeat"
            )
    return f"no version of '{model}' serves; its last delivery did not end, repeat `expunge deliver`"


def _near_names(leaving: Leaving) -> tuple[str, ...]:
    """A note of the people whose names are almost those of the request, without the names."""
    subjects = {name for row in leaving.rows for name in row.record.subjects}
    near = near_names(sorted(leaving.names_of(leaving.request.subjects)), subjects)
    records = sum(not near.isdisjoint(row.record.subjects) for row in leaving.rows)
    if not near:
        return ()
    return (
        f"{plural(len(near), 'other name')} with {plural(records, 'record')} differ from those asked for by letter case, "
        "spaces or the form of letters alone, and stay; if they are the same people, request their names too",
    )


def _along(leaving: Leaving) -> tuple[str, ...]:
    """A note of the other requests whose people's rows are gone from the file, so that they leave at the same time."""
    if not leaving.along:
        return ()
    return (
        f"the rows of {', '.join(leaving.along)} are gone from the file already, so their records leave this model together with "
        "these",
    )


def forget_request(
    project: Project,
    request: str,
    progress: Progress,
    *,
    targets: Collection[str] = (),
    route: str | None = None,
    options: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Build versions without these people beside the old ones, of every model that is to be dealt with or of those named.

    May be repeated after a kill; errors change nothing, and every plan is chosen before any work begins. A model that was
    forgotten from already is left as it is, unless another route or other options are asked for: then the next attempt
    starts from the quarantined original, and the one before is abandoned.

    Returns what happened, as the request's events `forgotten` keep it.

    Raises: NotReady; UnknownName; InvalidParameter; StorageFull; and what a route raises.
    """
    asked = {"route": route, "options": {k: v for k, v in (options or {}).items() if v is not None}}
    project.ledger.require(request, Verb.WORK)
    check_approved(project, request, by_route(route))
    held = find_targets(project, request)
    chosen = [one for one in named(held, targets, MODEL) if _wanted(one, targets)]
    if not chosen:
        return _nothing_to_forget(project, request, held)
    jobs = [_begun(project, request, one.target.of, asked) for one in chosen]
    return [job if isinstance(job, dict) else _carried_out(project, request, *job, asked, progress) for job in jobs]


def _wanted(held: Held, targets: Collection[str]) -> bool:
    """Raises: NotReady, for one that is named and not to be done."""
    if held.to_do:
        return True
    if targets:
        raise NotReady(f"'{held.name}' is {held.target.sentence}; decide otherwise before it is forgotten from")
    return False


def _nothing_to_forget(project: Project, request: str, held: list[Held]) -> list[dict[str, Any]]:
    """No model learned from them: their records are entombed, so that none will. What was forgotten stays said."""
    done = [attempt(project, request, one.target.of) for one in held if one.target.kind == MODEL]
    if not any(done):
        if project.ledger.get_request(request).about_nobody:
            raise NotReady(f"{request} is about nobody; see `expunge status {request}`")
        project.ledger.entomb(request)
    return [one for one in done if one is not None]


def _begun(
    project: Project, request: str, model: str, asked: Mapping[str, Any]
) -> dict[str, Any] | tuple[ModelVersion, Leaving, Plan]:
    """What the present attempt made; or what is to be done, chosen and checked.

    Raises: NotReady; InvalidParameter.
    """
    done = attempt(project, request, model)
    if done and asked in (done.get("asked"), {"route": None, "options": {}}):
        if project.ledger.current_version(model) is None:  # also where a kill came before
            _point_nowhere(project, model)
        return done
    if (version := _start(project, request, model)) is None:
        raise NotReady(_who_is_first(project, request, model))
    leaving = who_leaves(project, request, version)
    plan = _choose(model, _plans(project, version, leaving), asked["route"])
    _check_options(model, plan, shape(version).OPTIONS, asked["options"])
    return version, leaving, plan


def _carried_out(
    project: Project,
    request: str,
    version: ModelVersion,
    leaving: Leaving,
    plan: Plan,
    asked: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    if attempt(project, request, version.model):
        abandon_attempt(project, request, version.model)
    target = f"{MODEL}:{version.model}"
    number = 1 + next((one.attempt for one in project.ledger.targets(request) if one.name == target), 0)
    work = project.work(request, version.model)
    begun = work.exists()
    try:
        with leased(project, request, f"{target}#{number}/forget") as lease, explaining("what forget writes"):
            work.mkdir(parents=True, exist_ok=True)
            job = Job(
                project=project,
                version=version,
                leaving=leaving,
                plan=plan,
                options=dict(asked["options"]),
                work=work,
                progress=progress,
            )
            made = shape(version).forget(job)
            own = project.ledger.records_of(request)
            seal_facts(work / SEALED, _facts_by_subject(leaving, own), project.ledger.keys)
            new = keep(
                project,
                version.model,
                version.dataset,
                made,
                parent=version.digest,
                without=leaving.request.subjects,
                without_records=own | leaving.gone,
            )
            detail = {**_detail(leaving, version, new, plan, made), "attempt": number, "asked": dict(asked)}
            lease.check()
            with project.ledger.transaction():
                project.ledger.quarantine(version.model, version.digest)
                for one in (request, *leaving.along):
                    project.ledger.entomb(one)
                project.ledger.begin_attempt(request, target)
                project.ledger.append_event(request, "forgotten", detail, RequestState.IN_PROGRESS)
                lease.finish(after=new.digest)
            _point_nowhere(project, version.model)
            return attempt(project, request, version.model) or detail
    except Exception:
        if not begun:  # a kill leaves its work for the same command; an error leaves nothing
            remove_durably(work)
            project.clear_work(request)
        raise


def _detail(leaving: Leaving, old: ModelVersion, new: ModelVersion, plan: Plan, made: Made) -> dict[str, Any]:
    return {
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
        "along": list(leaving.along),
        "duplicates": copies(leaving) if shape(old).TEXTS else None,
        "notes": [*plan.notes, *made.notes],
    }


def abandon_request(project: Project, request: str, targets: Collection[str] = ()) -> list[str]:
    """Give up what was forgotten and not delivered: the quarantined originals serve again, the new versions go.

    The people stay entombed, and the request open. Returns the models. May be repeated.

    Raises: NotReady, where nothing is under way; UnknownName.
    """
    originals = {
        one.target.of: last["before"]
        for one in named(find_targets(project, request), targets, MODEL)
        if not one.target.done and (last := last_event(project, request, "forgotten", one.target.of))
    }
    out_of_service = {model: digest for model, digest in originals.items() if not project.ledger.current_version(model)}
    if not out_of_service:
        raise NotReady(f"nothing of {request} is between `forget` and `deliver`; there is nothing to abandon")
    for model, digest in out_of_service.items():
        if attempt(project, request, model):
            abandon_attempt(project, request, model)
        project.point_current(project.ledger.restore_current(model, digest))
    return list(out_of_service)


def abandon_attempt(project: Project, request: str, model: str) -> None:
    """The new version of an attempt goes; the original stays in quarantine."""
    done = attempt(project, request, model)
    assert done is not None
    version = project.ledger.model_version(model, done["after"])
    remove_durably(project.folder(version))
    remove_durably(project.work(request, model))
    project.clear_work(request)
    with project.ledger.transaction():
        project.ledger.mark_purged(model, version.digest)
        project.ledger.append_event(request, "abandoned", {"model": model, "version": version.digest})


def _point_nowhere(project: Project, model: str) -> None:
    remove_durably(project.root / "models" / model / "current")


def _check_options(model: str, plan: Plan, known: Mapping[str, Route], options: Mapping[str, Any]) -> None:
    """An option that would do nothing is a misunderstanding, not a detail."""
    for name, value in options.items():
        if value is not None and known.get(name) is not plan.route:
            what = "units of your own loop" if name == "rebuild" else "route edit"
            raise InvalidParameter(
                f"--{name.replace('_', '-')} is for {what}; '{model}' goes by route {plan.route.value}: leave it out, or name "
                "the models it is for with --target"
            )


def _choose(model: str, found: list[Plan], route: str | None) -> Plan:
    if route is None:
        if found[0].route is Route.DROP:
            offered = ", ".join(plan.route.value for plan in found)
            raise InvalidParameter(f"of '{model}' dropping removes everybody's data; choose with --route: {offered}")
        return found[0]
    for plan in found:
        if plan.route.value == route:
            return plan
    raise InvalidParameter(
        f"route '{route}' is not possible for '{model}'; possible: {', '.join(p.route.value for p in found)}"
    )


def _facts_by_subject(leaving: Leaving, own: Collection[bytes]) -> dict[str, list[Fact]]:
    """Of the request's own records: what others buried is sealed by their requests. One about several people is asked about
    whoever asked."""
    found: dict[str, list[Record]] = {}
    for row in leaving.theirs:
        if row.commitment in own:
            who = dict(zip(row.refs, row.record.subjects, strict=True))
            ref = next((ref for ref in row.refs if ref in leaving.request.subjects), row.refs[0])
            found.setdefault(ref, []).append(replace(row.record, subject=who[ref], also=()))
    return {ref: facts_of(records) for ref, records in found.items()}
