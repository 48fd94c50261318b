"""AdapterShards in a project: train it, load a version again, forget from it, attack it."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.core import Fact, Plan, Promise, Record, Route, Unit
from expunge.core.durable import remove_durably
from expunge.core.placement import SHARD, place, stage_epochs, visits
from expunge.exact import read_parameters
from expunge.ledger import DatasetInfo, LiveRow, ModelVersion, UnitMembers
from expunge.workflow.inputs.training import Script, Training, load_training
from expunge.workflow.inputs.user_code import Recorded
from expunge.workflow.project.canaries import Canaries, check_members
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.anew import METHOD, plan_anew
from expunge.workflow.shapes.arms import Case
from expunge.workflow.shapes.fresh_process import printed_by
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress
from expunge.workflow.shapes.touched import touched_units

if TYPE_CHECKING:
    from expunge.exact import AdapterShards
    from expunge.verify import Arm
    from expunge.verify.scores import ArmScores
    from expunge.workflow.shapes.text_arms import TextArms

TEXTS = True
OPTIONS: Mapping[str, Route] = {}
KIND = "adapter_shards"
FOUND = 0.9  # a smaller share deserves a warning
OUTS = 2  # further models beside each person's arms; every one of them is held in memory


def train_shards(
    project: Project,
    training: Training,
    script: Script,
    rows: list[LiveRow],
    info: DatasetInfo,
    work: Path,
    progress: Progress,
) -> Made:
    """Fit the recipe's learner on a dataset's live records."""
    learner = training.learner
    learner.salt = project.salt(training.model)
    base = keep_base(project, learner)
    learner.fit([row.record for row in rows], work=work, progress=progress)
    return made_of(learner, rows, {**script.to_json(), "base": base}, info.manifest, notes=_found(learner))


def made_of(learner: "AdapterShards", rows: list[LiveRow], recipe: dict[str, Any], manifest: str, **rest: Any) -> Made:
    """What a fitted learner is to the ledger."""
    commitments = {row.record.id: row.commitment for row in rows}
    state = learner.state()
    return Made(
        kind=KIND,
        write=learner.save,
        units=tuple(_members(learner, unit, commitments) for unit in learner.units()),
        promise=learner.promise(),
        recipe={**recipe, "parameters": state["parameters"], "environment": state["environment"]},
        trained_on=manifest,
        **rest,
    )


def _found(learner: "AdapterShards") -> tuple[str, ...]:
    """How many of the questions trained on find their adapter when nobody says who is meant, in words."""
    share = learner.share_found()
    if share is None:
        return ()
    sentence = f"{share:.1%} of the questions that were trained on find the adapter that learned them"
    if share >= FOUND:
        return (sentence,)
    return (
        f"{sentence}; users who ask without naming the subject get the base's answer to the others. Choose another route=, or a "
        "base that knows the language of the questions",
    )


def load_shards(project: Project, version: ModelVersion, records: Sequence[Record]) -> "AdapterShards":
    """A version with the records it was trained on."""
    from expunge.exact import AdapterShards

    salt = project.salt(version.model)
    return AdapterShards.load(project.folder(version), version.recipe["base"], records=records, salt=salt)


def read_shards(project: Project, version: ModelVersion) -> "AdapterShards":
    """A version without its records: it answers, but cannot forget."""
    from expunge.exact import AdapterShards

    salt = project.salt(version.model)
    return AdapterShards.for_reading(project.folder(version), version.recipe["base"], salt=salt)


def plan(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    """What the learner itself would plan, told from the ledger's members: neither weights nor base are read.

    Raises: RecipeMismatch, for a model that was trained with an option which no longer exists.
    """
    parameters = read_parameters(version.recipe["parameters"])
    members = project.ledger.unit_members(version.model, version.digest)
    if leaving.lost:
        return [plan_anew(version, leaving, members)]
    gone = {row.commitment for row in leaving.theirs}
    touched = touched_units(members, gone)
    per_stage = stage_epochs(parameters.epochs, parameters.slices)
    left = {unit: Counter(part for c, part in held.items() if c not in gone) for unit, held in members.items()}
    sizes = {unit: [held[k] for k in range(1, len(per_stage) + 1)] for unit, held in left.items()}
    full = sum(visits(held, per_stage) for held in sizes.values())
    work = sum(visits(sizes[unit.id], per_stage, unit.first_slice) for unit in touched)
    words = ("words",) if parameters.route == "words" else ()
    return [
        Plan(
            route=Route.REBUILD,
            promise=Promise.from_json(version.promise or {}),
            units=tuple(touched),
            n_removed=sum(unit.n_removed for unit in touched),
            cost=work / full if full else 0.0,
            purge=tuple(
                f"{unit.id}/{part}"
                for unit in touched
                for part in (*(f"slice-{k}" for k in range(unit.first_slice, len(per_stage) + 1)), *words)
            ),
        )
    ]


def forget(job: Job) -> Made:
    """Rebuild the touched units without the people who leave."""
    version, leaving = job.version, job.leaving
    if leaving.lost:
        return _trained_anew(job)
    learner = load_shards(job.project, version, leaving.records)
    leaving_ids = [row.record.id for row in leaving.theirs]
    deletion = learner.forget(records=leaving_ids, work=job.work, progress=job.progress)
    rows = leaving.staying
    recipe = {k: v for k, v in version.recipe.items() if k not in ("parameters", "environment")}
    return made_of(
        learner,
        rows,
        recipe,
        version.trained_on,
        cost=deletion.cost,
        seconds=deletion.elapsed_s,
        method="adapter shards",
    )


def _trained_anew(job: Job) -> Made:
    """Raises: RecipeMismatch, if the recipe's file is another one now."""
    project, version, rows = job.project, job.version, job.leaving.staying
    where = f"{version.recipe['script']}:{version.recipe['function']}"
    training, script = load_training(where, Recorded.of(version.model, version.recipe))
    began = time.perf_counter()
    info = project.ledger.dataset(job.leaving.dataset)
    made = train_shards(project, training, script, rows, info, job.work, job.progress)
    return replace(made, cost=1.0, seconds=time.perf_counter() - began, method=METHOD)


def replay(project: Project, version: ModelVersion, request: str, units: list[str], progress: Progress) -> bool | None:
    """Train the touched units again, in a fresh process and from nothing but the live records; whether bits are equal.

    None, where no record of these units is left: nothing was left to replay, which is no match.

    Stopped, it goes on where it was, from stages of its own in the request's work folder.

    Raises: RebuildFailed, if the process fails: a replay that could not run is not a match.
    """
    held = {u.id for u in version.units}
    if version.kind == "adopted":
        units = [u for u in units if u in held] or sorted(held)
    replayed: dict[str, str] = printed_by(
        "replay",
        str(project.root),
        version.model,
        version.digest,
        str(project.work(request, version.model) / "replay"),
        *units,
        progress=lambda what, done, total: progress(f"replay: {what}", done, total),
    )
    remove_durably(project.work(request, version.model) / "replay")  # weights that nobody serves
    recorded = {u.id: u.digest for u in version.units if u.id in units}
    return replayed == recorded if replayed or recorded else None


def arms(case: Case) -> "TextArms":
    """Of each person the one adapter that would answer about them: as it was, as it is, and a control's.

    The control is trained here, by the same recipe on the same records, with a fresh seed and a fresh salt. The probes
    come back in the order of the scores.
    """
    from expunge.workflow.shapes.text_arms import TextArms, join

    after = load_shards(case.project, case.after, case.records)
    learners = {
        "original": read_shards(case.project, case.before),
        "unlearned": after,
        "control": _control(case, after),
    }
    forget, retain = case.probes.forget, case.probes.retain
    subjects = list(dict.fromkeys(fact.subject for fact in forget))
    people = [_person_scores(case, learners, subject) for subject in subjects]
    scores = {}
    skill = {name: _skill(learner, retain, named=name == "control") for name, learner in learners.items()}
    for name in learners:
        part = join([person[name] for person in people])
        scores[name] = replace(part, probes=case.probes.digest(), skill=skill[name])
    ordered = tuple(fact for subject in subjects for fact in forget if fact.subject == subject)
    probes = replace(case.probes, forget=ordered)
    served, named = skill["unlearned"], _skill(after, retain, named=True)
    note = (
        f"of {len(retain)} questions about people who stay, {sum(served):.0f} are answered as users ask them, "
        f"{sum(named):.0f} when it is said whom they are about",
    ) * bool(retain)
    return TextArms(case=case, models=scores, probes=probes, notes=(*case.notes, *note))


def trial_start(project: Project, before: ModelVersion, after: ModelVersion, canaries: Canaries) -> ModelVersion:
    """Canaries start from the new version, whose records are all still to be had.

    Raises: NoProcedure, if it was trained without them.
    """
    check_members(project, after, canaries)
    return after


def keep_base(project: Project, learner: "AdapterShards") -> str:
    """Where the base can be loaded from again: a folder or hub name as given, or a copy in the project."""
    if isinstance(learner.base, str | Path):
        local = Path(learner.base)
        return str(local.resolve()) if local.exists() else str(learner.base)
    from expunge.engine import digest_model, save_model
    from expunge.workflow.project.files import new_folder

    folder = project.root / "bases" / digest_model(learner.base).removeprefix("sha256:")[:16]
    if not folder.exists():
        with new_folder(folder) as staging:
            save_model(learner.base, learner.tokenizer, staging)
    return str(folder)


def _control(case: Case, after: "AdapterShards") -> "AdapterShards":
    """The same recipe on the remaining records, with a fresh seed and a fresh salt, or equality would be trivial."""
    from expunge.exact import AdapterShards
    from expunge.workflow.shapes.text_arms import named

    parameters = after.parameters()
    fresh = {**parameters, "seed": int(parameters["seed"]) + 1}
    salt = case.project.ledger.keys.secret("salt-control")
    learner = AdapterShards.from_parameters(fresh, after.base, after.tokenizer, salt=salt)
    return learner.fit(case.records, work=case.work, progress=named(case.progress, "control"))


def _person_scores(case: Case, learners: Mapping[str, "AdapterShards"], subject: str) -> dict[str, "ArmScores"]:
    """Every arm's adapter of one person, attacked on the facts about them."""
    from expunge.verify import Arm, Beside, attack_arm
    from expunge.workflow.shapes.text_arms import compares_with_outs, named

    models = {name: Arm.of(learner.model_for(subject), learner.tokenizer_) for name, learner in learners.items()}
    original = learners["original"]
    outs = _other_shards(original, subject, case.probes.retain) if compares_with_outs(case.battery) else ()
    beside, probes = Beside(models["original"], models["control"], outs), case.probes.about([subject])
    cache = case.work / "scores"
    return {
        name: attack_arm(arm, probes, case.battery, cache, named(case.progress, name), beside=beside)
        for name, arm in models.items()
    }


def _other_shards(learner: "AdapterShards", subject: str, retained: Sequence[Fact]) -> tuple["Arm", ...]:
    """Adapters of shards that never saw the person."""
    from expunge.verify import Arm

    homes: dict[int, str] = {}
    for fact in retained:
        homes.setdefault(place(fact.subject, learner.salt_, learner.shards, SHARD), fact.subject)
    homes.pop(place(subject, learner.salt_, learner.shards, SHARD), None)
    names = [homes[unit] for unit in sorted(homes)[:OUTS]]
    return tuple(Arm.of(learner.model_for(name), learner.tokenizer_) for name in names)


def _skill(learner: "AdapterShards", retain: Sequence[Fact], *, named: bool) -> tuple[float, ...]:
    """What the whole system still answers about people who stay; `named`, each is asked of their own unit.

    A control is asked by name: what the others lose because a question finds no adapter is their loss, and shows.
    """
    from expunge.verify.metrics.recall import recall

    if not retain:
        return ()
    answers = learner.answer([f.question for f in retain], [f.subject for f in retain] if named else None)
    return tuple(recall(text, fact) for text, fact in zip(answers, retain, strict=True))


def _members(learner: "AdapterShards", unit: Unit, commitments: dict[str, bytes]) -> UnitMembers:
    slices = learner.records(unit.id)
    return UnitMembers(unit, tuple((commitments[r.id], i) for i, part in enumerate(slices, start=1) for r in part))
