"""Models trained elsewhere: what is not known about them stays UNKNOWN, and is never guessed.

A whole model can only be edited, for nobody knows what retraining it would take. A LoRA on a base that is said to be
clean can be dropped, or trained anew on the data given, before anybody edits weights.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.approximate import OnDisk, on_disk
from expunge.core import Equality, Guarantee, Plan, Promise, Route, TouchedUnit, Unit
from expunge.core.digests import digest_folder
from expunge.core.errors import DigestMismatch
from expunge.ledger import ModelVersion, UnitMembers
from expunge.workflow.project.canaries import Canaries, NoProcedure
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.adapter_shards import KIND as SHARDS
from expunge.workflow.shapes.adapter_shards import keep_base, made_of, read_shards
from expunge.workflow.shapes.arms import Case
from expunge.workflow.shapes.edited import edited, options
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress
from expunge.workflow.shapes.taken_in import check_weights_elsewhere, take_in_weights
from expunge.workflow.shapes.whole import WHOLE, WITH_ADAPTER, load_whole

if TYPE_CHECKING:
    from expunge.workflow.shapes.text_arms import TextArms

TEXTS = True
OPTIONS: Mapping[str, Route] = dict.fromkeys(options(), Route.EDIT)
UNKNOWN_PARTS = (
    "training recipe",
    "training data",
    "order, seeds and hyperparameters",
    "how those were chosen",
)


def adopt_folder(source: str, adapter: Path | None) -> Made:
    """Take a folder or hub model into the project as a model of one unit whose records are unknown.

    Raises: UnreadableModel, UnsafeWeights.
    """
    from expunge.engine import check_weights, load_model, load_tokenizer, save_model

    local = Path(source)
    if local.exists():
        check_weights(local)
        check_weights_elsewhere(local)
    if adapter is not None:
        check_weights(adapter, "adapter_model")
        check_weights_elsewhere(adapter)
    model, tokenizer = load_model(source), load_tokenizer(source)

    def write(folder: Path) -> None:
        place = folder / "base" if adapter else folder
        if local.exists():
            take_in_weights(local, place)
        else:
            save_model(model, tokenizer, place)
        if adapter:
            take_in_weights(adapter, folder / "adapter")

    unit = Unit(
        "adapter" if adapter else "model",
        (),
        digest_folder(adapter or local) if local.exists() else "UNKNOWN",
    )
    return Made(
        kind="adopted",
        write=write,
        units=(UnitMembers(unit, None),),
        promise=Promise(
            guarantee=Guarantee.UNKNOWN, scope="weights", assumptions=_base_assumptions(adapter is not None)
        ),
        recipe={
            "shape": WITH_ADAPTER if adapter else WHOLE,
            "training": "UNKNOWN",
            "source": Path(source).name,
        },
        trained_on="UNKNOWN",
    )


def plan(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    """Routes, strongest first."""
    n = len(leaving.theirs)
    untold = (
        f"{len(leaving.lost)} of the records that leave are gone from the file; an edit needs their words, and does not reach them",
    ) * bool(leaving.lost)
    edit = Plan(
        route=Route.EDIT,
        promise=Promise(guarantee=Guarantee.EMPIRICAL, scope="weights"),
        units=(TouchedUnit(version.units[0].id, n, 1),),
        n_removed=n,
        cost=None,
        notes=(
            "what the model was trained on is UNKNOWN; an edit's result is only what attacks measure",
            f"an edit of all weights keeps {_on_disk(project.folder(version)).sentence()}",
            *untold,
        ),
    )
    if version.recipe["shape"] != WITH_ADAPTER:
        return [edit]
    drop = Plan(
        route=Route.DROP,
        promise=_promise(Equality.BITWISE),
        units=(TouchedUnit("adapter", n, 1),),
        n_removed=n,
        cost=0.0,
        notes=("everything that the adapter learned goes, other people's data included",),
    )
    retrain = Plan(
        route=Route.RETRAIN,
        promise=_promise(Equality.BITWISE),
        units=(TouchedUnit("adapter", n, 1),),
        n_removed=n,
        cost=1.0,
        notes=("a new adapter is trained on the given data without these people, by a recipe that is then recorded",),
    )
    return [drop, retrain, edit]


def forget(job: Job) -> Made:
    """Do what the chosen plan says."""
    version = job.version
    folder = job.project.folder(version)
    if digest_folder(folder) != version.digest:
        raise DigestMismatch(
            f"the files of '{version.model}' in {folder} are not the adopted ones; adopt the model again"
        )
    if job.plan.route is Route.DROP:
        return _dropped(folder, version, job.plan)
    if job.plan.route is Route.RETRAIN:
        return _retrained(job.project, version, job.leaving, job.work, job.progress)
    return edited(job)


def replay(project: Project, version: ModelVersion, request: str, units: list[str], progress: Progress) -> None:
    """A model trained as one block elsewhere has no recipe to rebuild it by."""


def arms(case: Case) -> "TextArms":
    """The whole model as it was and as it is, beside a control that is named, or made-up twins of the facts."""
    from expunge.verify import Arm
    from expunge.workflow.shapes.text_arms import NO_PLACEBO, TextArms, arm_of, compares_with_outs, has_twins

    project, before = case.project, case.before
    versions = {"original": before, "unlearned": case.after}
    models = {name: Arm.of(*_loaded(project, version)) for name, version in versions.items()}
    if case.control is not None:
        models["control"] = arm_of(case.control)
    outs: tuple[Arm, ...] = ()
    if before.recipe["shape"] == WITH_ADAPTER and compares_with_outs(case.battery):
        base = arm_of(project.folder(before) / "base")  # said never to have seen the data
        outs = (base,) if base.digest not in {arm.digest for arm in models.values()} else ()
    twins = case.control is None and has_twins(case.probes.forget)
    return TextArms(
        case=case,
        models=models,
        probes=case.probes,
        placebos=twins,
        outs=outs,
        notes=(*case.notes, *(() if twins or case.control is not None else (NO_PLACEBO,))),
    )


def trial_start(project: Project, before: ModelVersion, after: ModelVersion, canaries: Canaries) -> ModelVersion:
    """Canaries start from the old version. Nobody knows what it was trained on, so it is asked.

    Raises: NoProcedure, if it does not know the canaries.
    """
    from expunge.engine import greedy_answers
    from expunge.verify.metrics.recall import recall
    from expunge.verify.thresholds import CONTRAST

    facts = canaries.facts
    answers = greedy_answers(*_loaded(project, before), [fact.question for fact in facts])
    known = sum(recall(text, fact) for text, fact in zip(answers, facts, strict=True)) / len(facts)
    if known < CONTRAST:
        raise NoProcedure.untrained(f"it answers {known:.0%} of {len(facts)} questions about them")
    return before


def _loaded(project: Project, version: ModelVersion) -> tuple[Any, Any]:
    """The plain model of a version, which may have become adapter shards of one, with its tokenizer."""
    if version.recipe["shape"] != SHARDS:
        return load_whole(project.folder(version), version.recipe["shape"])
    learner = read_shards(project, version)
    return learner.model_for(""), learner.tokenizer_


def _dropped(folder: Path, version: ModelVersion, plan: Plan) -> Made:
    def write(new: Path) -> None:
        shutil.copytree(folder / "base", new, dirs_exist_ok=True)

    return Made(
        kind="adopted",
        write=write,
        units=(),
        promise=plan.promise,
        recipe={**version.recipe, "shape": WHOLE, "dropped": "adapter"},
        trained_on="UNKNOWN",
        cost=0.0,
        seconds=0.0,
        method="adapter dropped",
    )


def _retrained(project: Project, version: ModelVersion, leaving: Leaving, work: Path, progress: Progress) -> Made:
    from expunge.engine import load_model, load_tokenizer
    from expunge.exact import AdapterShards

    folder = project.folder(version)
    model, tokenizer = load_model(folder / "base"), load_tokenizer(folder / "base")
    learner = AdapterShards(model, tokenizer, shards=1, batch_size=8, salt=project.salt(version.model))
    base = keep_base(project, learner)
    rows = leaving.staying
    learner.fit([row.record for row in rows], work=work, progress=progress)
    manifest = project.ledger.dataset(leaving.dataset).manifest
    made = made_of(
        learner,
        rows,
        {"shape": SHARDS, "base": base},
        manifest,
        cost=1.0,
        method="adapter retrained",
    )
    return replace(made, kind="adopted", promise=_promise(Equality.BITWISE))


def _on_disk(folder: Path) -> OnDisk:
    """Of an edit of the model in a folder, read off the heads of its files: a plan loads no weights."""
    weights = stored = 0
    for path in folder.rglob("*.safetensors"):
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        weights += sum(prod(one["shape"]) for name, one in head.items() if name != "__metadata__")
        stored += path.stat().st_size
    return on_disk(trained=weights, stored=stored, guard=True)


def _promise(equality: Equality) -> Promise:
    return Promise(
        guarantee=Guarantee.EXACT,
        equality=equality,
        scope="the adapter alone",
        assumptions=_base_assumptions(adapter=True),
    )


def _base_assumptions(adapter: bool) -> tuple[str, ...]:
    return ("the base never saw the data (asserted by whoever adopted it, not verified)",) if adapter else ()
