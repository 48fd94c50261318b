"""Tabular learners in a project: fit one on records as rows, load a version again, forget from it, fit it afresh, attack it.

The recipe says how records become rows; the learner keeps its rows, so that forgetting needs neither recipe nor data.
A replay needs both: it fits the recipe's learner on the live records in a fresh process, and compares. A learner whose
class is written beside the recipe needs that file for everything.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expunge.core import Plan, Promise, Record, Route
from expunge.core.durable import remove_durably, write_durably
from expunge.core.errors import (
    DigestMismatch,
    InvalidParameter,
    NothingLeft,
    RecipeMismatch,
    UnknownName,
)
from expunge.exact import learners
from expunge.ledger import Columns, DatasetInfo, LiveRow, ModelVersion, UnitMembers
from expunge.workflow.inputs.training import Script, Training, load_training
from expunge.workflow.inputs.user_code import Recorded
from expunge.workflow.project.canaries import Canaries, NoProcedure
from expunge.workflow.project.files import new_folder
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.anew import METHOD, plan_anew, unasked
from expunge.workflow.shapes.arms import Arms, Case, Claim
from expunge.workflow.shapes.fresh_process import printed_by
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress
from expunge.workflow.shapes.table import columns_of, record_of, rows_of, takes_columns
from expunge.workflow.shapes.touched import touched_units

if TYPE_CHECKING:
    from expunge.verify import ClassifierAudit

TEXTS = False
OPTIONS: Mapping[str, Route] = {}
RETAIN_ROWS = 2000
COMMITMENTS, WIDTH = "commitments.bin", 32  # which record is at which place, for the ledger; bytes of each
BESIDE = "beside the recipe"  # where the learner's class is, if no package offers it
# Unlearning costs these by the record, whatever the records hold: their plan needs no more than the ledger's counts.
COUNTED = ("gaussian_nb", "k_neighbors", "multinomial_nb", "ridge")
NO_TABLES = "attacks of this battery ask questions of language models; this model reads tables"


@dataclass(frozen=True, kw_only=True)
class TableArms:
    """Fitted learners, and the rows that they are asked: those that left, and some that stay."""

    original: Any
    unlearned: Any
    control: Any
    forget: tuple[Any, Any]
    retain: tuple[Any, Any]
    subjects: Sequence[str]
    notes: tuple[str, ...] = ()

    def audit(self, claim: Claim) -> "ClassifierAudit":
        from expunge.verify.classifiers import audit_classifier

        return audit_classifier(
            original=self.original,
            unlearned=self.unlearned,
            control=self.control,
            forget=self.forget,
            retain=self.retain,
            subjects=self.subjects,
            guarantee=claim.guarantee,
            replay=claim.replay,
            duplicates=claim.duplicates,
        )

    def document(self, audit: "ClassifierAudit", secret: bytes) -> dict[str, Any]:
        return audit.to_json(secret) | {"control": {"kind": "retrained", "second": False}, "procedure": None}


def train_learner(project: Project, training: Training, script: Script, rows: list[LiveRow], info: DatasetInfo) -> Made:
    """Fit the recipe's learner on a dataset's live records, and see that it can be forgotten from.

    Raises: InvalidParameter, if it cannot.
    """
    from expunge.exact import Learner

    if not isinstance(training.learner, Learner):
        raise InvalidParameter(
            f"a {type(training.learner).__name__} cannot be saved, loaded and forgotten from by a project; give AdapterShards "
            "itself, a learner of expunge.exact, or a subclass of expunge.exact.Learner"
        )
    salt = project.salt(training.model)
    learner = fitted(training, [row.record for row in rows], info.columns, salt)
    where = script.to_json()
    if learners.name_of(type(learner)) is None:
        where["class"] = BESIDE
    made = _made(learner, [row.commitment for row in rows], where, info.manifest)
    _try(made, salt, training, rows, project.root / "work" / f"train-{training.model}")
    return made


def _try(made: Made, salt: bytes, training: Training, rows: list[LiveRow], work: Path) -> None:
    """Save the learner, load it as a request would, and forget somebody from that copy.

    Raises: InvalidParameter, if that fails: a model that can be trained and not forgotten from must not enter service.
    """
    try:
        again = _training(made.recipe, training.model)
        if again.learner.parameters() != training.learner.parameters():
            raise RecipeMismatch(f"{made.recipe['function']}() gave other parameters when it was called again")
        with new_folder(work / "trial") as folder:
            made.write(folder)
        learner = _loaded(work / "trial", made.kind, made.recipe, training.model, salt)
        if learner.digest() != made.recipe["state"]:
            raise DigestMismatch("what was loaded is not what was saved")
        with suppress(NothingLeft):
            learner.forget(subjects=[rows[0].record.subject])
    except Exception as e:
        raise InvalidParameter(
            f"'{training.model}' was trained but cannot be forgotten from ({type(e).__name__}: {e}); nothing was kept. "
            "Correct the learner or the recipe, and train again"
        ) from e
    finally:
        remove_durably(work / "trial")


def fitted(training: Training, records: Sequence[Record], columns: Columns, salt: bytes) -> Any:
    """The recipe's learner, fitted on these records of a dataset with such columns, under the project's secret.

    Raises: InvalidData, if the recipe's rows are not one per record, or hold text that the learner cannot take; and what
    the learner raises.
    """
    X, y = rows_of(training, records, columns)
    learner = training.learner
    learner.salt = salt
    with takes_columns(learner, columns.features if training.rows is None else ()):
        return learner.fit(X, y, subjects=[r.subjects for r in records], records=[r.id for r in records])


def plan(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    held = _held(project, version)
    if held is None and leaving.lost:
        return [plan_anew(version, leaving, project.ledger.unit_members(version.model, version.digest))]
    if (counted := _counted_plan(project, version, leaving)) is None:
        learner = load_learner(project, version)
        counted = learner.plan(records=_places(learner, held, leaving))
    return [replace(counted, notes=(*counted.notes, *unasked(leaving)))]


def forget(job: Job) -> Made:
    """The learner without the records that leave. It holds them itself, so that no row of a file is needed."""
    project, version, leaving = job.project, job.version, job.leaving
    where = {k: v for k, v in version.recipe.items() if k not in ("parameters", "state", "shape")}
    held = _held(project, version)
    if held is None and leaving.lost:
        return _trained_anew(job, where)
    learner = load_learner(project, version)
    if held is None:
        held = _in_places(learner, leaving.rows)
    deletion = learner.forget(records=_places(learner, held, leaving))
    learner.unlink_tombstones()  # the ledger has its own, under keys that die with the people
    return _made(
        learner,
        [commitment for commitment in held if commitment not in leaving.gone],
        where,
        version.trained_on,
        cost=deletion.cost,
        seconds=deletion.elapsed_s,
        method=version.kind.replace("_", " "),
        notes=deletion.plan.notes,
    )


def _held(project: Project, version: ModelVersion) -> list[bytes] | None:
    """The commitments of the records that a version holds, in the order of their places; None: before that was kept."""
    path = project.folder(version) / COMMITMENTS
    if not path.exists():
        return None
    data = path.read_bytes()
    return [data[k : k + WIDTH] for k in range(0, len(data), WIDTH)]


def _in_places(learner: Any, rows: Sequence[LiveRow]) -> list[bytes]:
    """The commitments of a learner's records in the order of their places, by the ids that their rows have."""
    places = learner.places([row.record.id for row in rows])
    return [commitment for _, commitment in sorted(zip(places, (row.commitment for row in rows), strict=True))]


def _places(learner: Any, held: Sequence[bytes] | None, leaving: Leaving) -> list[Any]:
    """What leaves, as the learner names it."""
    from expunge.exact import Place

    held = _in_places(learner, leaving.rows) if held is None else held
    return [Place(k) for k, commitment in enumerate(held) if commitment in leaving.gone]


def _trained_anew(job: Job, where: dict[str, Any]) -> Made:
    """Raises: RecipeMismatch, if the recipe's file is another one now."""
    version, rows = job.version, job.leaving.staying
    began = time.perf_counter()
    columns, salt = columns_of(job.project, version), job.project.salt(version.model)
    learner = fitted(training_of(version), [row.record for row in rows], columns, salt)
    manifest = job.project.ledger.dataset(job.leaving.dataset).manifest
    commitments = [row.commitment for row in rows]
    return _made(learner, commitments, where, manifest, cost=1.0, seconds=time.perf_counter() - began, method=METHOD)


def replay(project: Project, version: ModelVersion, request: str, units: list[str], progress: Progress) -> bool:
    """Fit the recipe on nothing but the live records, in a fresh process; whether the result is equal as promised.

    Raises: RecipeMismatch; RebuildFailed, if the process fails: a replay that could not run is not a match.
    """
    training_of(version)
    progress("replay", 0, 1)
    return bool(printed_by("refit", str(project.root), version.model, version.digest)["equal"])


def arms(case: Case) -> Arms:
    """The learner as it was, as it is, and its recipe fitted on the remaining records under a fresh salt.

    No attack runs where there are no classes to ask about, or no recipe to fit a control by and to make rows with.
    """
    from expunge.workflow.shapes.text_arms import unattacked

    return _table_arms(case) or unattacked(case, NO_TABLES)


def trial_start(project: Project, before: ModelVersion, after: ModelVersion, canaries: Canaries) -> ModelVersion:
    """Raises: NoProcedure."""
    raise NoProcedure("canaries are texts, and this model reads tables; its replay carries the claim")


def training_of(version: ModelVersion) -> Training:
    """The recipe that a version was trained by, run again.

    Raises: RecipeMismatch, if its file is another one now.
    """
    return _training(version.recipe, version.model)


def load_learner(project: Project, version: ModelVersion) -> Any:
    """A version as it was saved."""
    salt = project.salt(version.model)
    return _loaded(project.folder(version), version.kind, version.recipe, version.model, salt)


def _training(recorded: dict[str, Any], model: str) -> Training:
    where = f"{recorded['script']}:{recorded['function']}"
    return load_training(where, Recorded.of(model, recorded))[0]


def _loaded(folder: Path, kind: str, recorded: dict[str, Any], model: str, salt: bytes) -> Any:
    beside = recorded.get("class") == BESIDE
    cls = type(_training(recorded, model).learner) if beside else learners.get(kind)
    given = {}
    if "estimator" in recorded["parameters"]:  # an object, which no file holds
        given["estimator"] = _training(recorded, model).learner.estimator
    return cls.load(folder, salt=salt, **given)


def _counted_plan(project: Project, version: ModelVersion, leaving: Leaving) -> Plan | None:
    """What the learner itself would plan, without loading it, which takes most of a second; None where it has to be asked.

    That is where the cost depends on more than counts, or comes near to that of a fit.
    """
    if version.kind not in COUNTED:
        return None
    members = project.ledger.unit_members(version.model, version.digest)
    touched = touched_units(members, set(leaving.gone))
    n_removed = sum(unit.n_removed for unit in touched)
    cost = n_removed / max(1, sum(map(len, members.values())) - n_removed)
    if cost > 1 / 2:
        return None
    promise = Promise.from_json(version.promise or {})
    return Plan(route=Route.SUBTRACT, promise=promise, units=tuple(touched), n_removed=n_removed, cost=cost)


def _table_arms(case: Case) -> TableArms | None:
    from expunge.verify.classifiers.rows import take  # which brings torch, as the attacks do

    project, after = case.project, load_learner(case.project, case.after)
    training = _training_as_it_was(case.after)
    if not hasattr(after, "classes_") or training is None:
        return None
    columns = columns_of(project, case.after)
    gone = [record_of(fact, columns) for fact in case.forgotten]
    # Together, so that a recipe which looks at its records makes the same columns of both.
    features, labels = rows_of(training, [*gone, *case.records[:RETAIN_ROWS]], columns)
    X, y, n = features if hasattr(features, "iloc") else np.asarray(features), np.asarray(labels), len(gone)
    if X.ndim != 2 or X.shape[1] != after.n_features_in_:
        return None
    forget, retain = np.arange(n), np.arange(n, len(y))
    return TableArms(
        original=load_learner(project, case.before),
        unlearned=after,
        control=fitted(training, case.records, columns, project.ledger.keys.secret("salt-control")),
        forget=(take(X, forget), y[forget]),
        retain=(take(X, retain), y[retain]),
        subjects=[record.subject for record in gone],
    )


def _training_as_it_was(version: ModelVersion) -> Training | None:
    """None where its file is gone or another one."""
    try:
        return training_of(version)
    except (RecipeMismatch, UnknownName, InvalidParameter):
        return None


def _made(learner: Any, commitments: Sequence[bytes], where: dict[str, Any], manifest: str, **rest: Any) -> Made:
    """`commitments` are those of the records that the learner holds, in the order of their places."""
    state = learner.state()

    def write(folder: Path) -> None:
        learner.save(folder)
        write_durably(folder / COMMITMENTS, b"".join(commitments), mode=0o600)

    return Made(
        kind=state["kind"],
        write=write,
        units=tuple(_members(learner, commitments)),
        promise=learner.promise(),
        recipe={**where, "shape": "learner", "parameters": state["parameters"], "state": learner.digest()},
        trained_on=manifest,
        **rest,
    )


def _members(learner: Any, commitments: Sequence[bytes]) -> list[UnitMembers]:
    """Who is in which unit, by commitment. A learner of one unit holds everybody in it."""
    from expunge.exact import Place

    units = learner.units()
    if len(units) == 1 and units[0].n_records == len(commitments):
        return [UnitMembers(units[0], tuple((commitment, 1) for commitment in commitments))]
    places = learner.members([Place(k) for k in range(len(commitments))])
    found: dict[str, list[tuple[bytes, int]]] = {unit.id: [] for unit in units}
    for commitment, (unit, part) in zip(commitments, places, strict=True):
        found[unit].append((commitment, part))
    return [UnitMembers(unit, tuple(found[unit.id])) for unit in units]
