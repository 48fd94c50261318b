"""SISA: any estimator, trained in shards and slices, so that to forget is to train a few of them again.

Source: Bourtoule et al. (2021), "Machine Unlearning", arXiv:1912.03817. Placement is a keyed hash of the subject's
opaque name; each shard is a unit, trained slice after slice from the checkpoint before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from expunge.core import Deletion, Equality, Plan, Promise, Route, TouchedUnit, Unit
from expunge.core.digests import digest_bytes, digest_json
from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.core.executor import Executor
from expunge.exact._learner import parts as _parts
from expunge.exact._learner.executors import executor_of
from expunge.exact._learner.learner import RETRAIN_ABOVE, Learner, plain
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._registry import learners
from expunge.exact._sisa.classes import Classes
from expunge.exact._sisa.digest import digest_value
from expunge.exact._sisa.input import (
    checked,
    column_kinds,
    count,
    for_now,
    input_settings,
    is_text,
    refusals,
    settled,
    tags_like,
)
from expunge.exact._sisa.parts import read_units, stage_parts
from expunge.exact._sisa.place import Cut, bands_of, cut_rows
from expunge.exact._sisa.settings import check_settings, passes_of
from expunge.exact._sisa.sklearn import SklearnTraining, dumped_template, loads
from expunge.exact._sisa.torch_training import TorchTraining
from expunge.exact._sisa.unit import (
    Stage,
    Trained,
    Training,
    UnitTask,
    check_environment,
    discard,
    environment,
    stage_id,
    stage_names,
    train_unit,
    unit_id,
    unit_secret,
    visits,
)
from expunge.exact._sisa.votes import answers, combined


@learners.add
class Sisa(Learner):
    """A scikit-learn classifier, regressor or Pipeline, or a `TorchTraining`, in `shards` units of `slices` stages.

    Guaranteed: after `forget`, every stage of every unit, the records and the classes have the same bits as a fit
    without the records under the same salt, on the same libraries and processor mode. Assumed: the estimator draws
    from its `random_state` alone and keeps no clock in its state. Not guaranteed: safety against requests chosen after
    seeing outputs; never publish what single units say.

    With `slices` > 1 or `epochs`, a unit learns by passes through `partial_fit`, as many in all stages together as
    `epochs` passes over everything; otherwise by one `fit`. `vote`: "mean" of probabilities, "vote" of labels, or
    "auto": the mean where the estimator has probabilities. `classes`: declare them, or the last record of a class takes
    every unit that learns by passes with it. `cutoffs`: with a prior of leaving given to `fit`, records that reach the
    last cut-off are in the last slice, those that reach the one before in the slice before it. `declared`: steps
    fitted elsewhere, on data that never has to leave.

    >>> from sklearn.linear_model import SGDClassifier
    >>> X, y = np.arange(40.0)[:, None] % 7, np.arange(40) % 7 > 3
    >>> clf = Sisa(SGDClassifier(), shards=4, slices=2, workers=1, salt=b"secret").fit(X, y)
    >>> deletion = clf.forget(records=[3])
    >>> len(deletion.plan.units), clf.n_records
    (1, 39)
    """

    equality = Equality.BITWISE
    route = Route.REBUILD
    _units: dict[int, Trained]
    _models: dict[int, Any]  # what serves, loaded when first asked
    _cut: Cut
    _classes: Classes | None
    _bands: NDArray[np.int64]
    _columns: Any
    _environment: dict[str, Any]
    _dumped: bytes | None  # the estimator as it was given
    _now: ClassVar[dict[str, Any]] = {}  # what was given to the fit or removal under way

    def __init__(
        self,
        estimator: Any,
        *,
        shards: int = 5,
        slices: int = 1,
        epochs: int | None = None,
        vote: Literal["auto", "mean", "vote"] = "auto",
        classes: Sequence[Any] | None = None,
        cutoffs: Sequence[float] = (),
        declared: Sequence[str] = (),
        executor: str | Executor = "local",
        workers: int | None = None,
        random_state: int | None = None,
        salt: bytes | None = None,
    ) -> None:
        self.estimator, self.shards, self.slices, self.epochs = estimator, shards, slices, epochs
        self.vote, self.classes, self.cutoffs, self.declared = vote, classes, cutoffs, declared
        self.executor, self.workers, self.random_state, self.salt = executor, workers, random_state, salt

    # -- fit and forget ------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        subjects: Any = None,
        records: Any = None,
        prior: Any = None,
        work: str | Path | None = None,
    ) -> Self:
        """Train every unit. `prior`: how likely each record is to leave, a number from declared data, not from others'.

        `work`: a folder for finished stages, from which an interrupted fit goes on; give it to `forget` too.

        Raises: as `Learner.fit`.
        """
        with for_now(self, prior=prior, work=work):
            return super().fit(X, y, subjects=subjects, records=records)

    def forget(
        self, subjects: Any = None, records: Any = None, *, digests: bool = False, work: str | Path | None = None
    ) -> Deletion:
        """Forget, for good; `cost` in the result is what was visited, counted. On any error nothing has changed.

        Files in `work` of stages that saw the records are removed, and listed in `destroyed`.

        Raises: as `plan`; RecipeMismatch, where libraries or processor mode are not those of the fit.
        """
        gone = self._find(subjects, records)
        check_environment(self._environment, environment(self._with_torch))
        full = sum(visits(sizes, self._passes()) for sizes in self._sizes_without(gone).values())
        before = self._files() if work else set()
        with for_now(self, work=work) as now:
            deletion = super().forget(subjects, records, digests=digests)
        removed = discard(Path(work), sorted(before - self._files())) if work else []
        return replace(deletion, cost=now["visited"] / full, destroyed=(*deletion.destroyed, *removed))

    def promise(self) -> Promise:
        declared = tuple(
            f"step '{name}' never saw data that has to leave (declared, not verified)" for name in self.declared
        )
        more = ("number of units and settings were not chosen on the removed data", *declared)
        return replace(super().promise(), assumptions=(*self.assumptions, *more))

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        self._check_parameters()
        if y is None:
            raise InvalidData("requires y to be passed, but the target y is None")
        self._columns = column_kinds(X, self.estimator)
        return checked(self, X, y, self.estimator)

    def _learn(self, rows: Rows) -> None:
        if "prior" in self._now:  # a fit; a retraining keeps the slices that its records are in
            self._bands = bands_of(self._now["prior"], self.cutoffs, rows.size)
        self._environment, self._models = environment(self._with_torch), {}
        self._dumped = dumped_template(self.estimator)
        self._place(rows)
        units = self._cut.units(rows.positions())
        self._units = self._trained(rows, {unit: (positions, ()) for unit, positions in units.items()})

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        leaving = np.zeros(rows.size, dtype=bool)
        leaving[gone] = True
        units, again = dict(self._units), {}
        for unit, _, first in self._cut.touched(gone):
            old = units.pop(unit)
            if len(left := old.positions[~leaving[old.positions]]):
                again[unit] = left, old.stages[: first - 1]
        self._cut, self._bands = self._cut.without(gone), np.where(leaving, 0, self._bands)
        if self._classes is not None:
            self._classes = self._classes.without(gone)
            self.classes_ = self._classes.names
        self._models = {unit: model for unit, model in self._models.items() if unit in units}
        self._units = dict(sorted({**units, **self._trained(rows, again)}.items()))

    def _planned(self, gone: Positions) -> Plan:
        sizes, passes = self._sizes_without(gone), self._passes()
        hit = self._cut.touched(gone)
        full = sum(visits(part, passes) for part in sizes.values())
        work = sum(visits(sizes[unit], passes, first) for unit, _, first in hit if unit in sizes)
        # Units that learn by passes are told all classes beforehand.
        loses = passes is not None and self._classes is not None and self._classes.loses(gone)
        if retrain := loses or work / full > RETRAIN_ABOVE:
            removed = {unit: n for unit, n, _ in hit}
            hit = [(unit, removed.get(unit, 0), 1) for unit in self._units]
        return Plan(
            route=Route.RETRAIN if retrain else self.route,
            promise=self.promise(),
            units=tuple(TouchedUnit(unit_id(unit), n, first) for unit, n, first in hit),
            n_removed=len(gone),
            cost=1.0 if retrain else work / full,
            purge=tuple(stage_id(unit, r) for unit, _, first in hit for r in range(first, self.slices + 1)),
            notes=("a class leaves that was not declared, so every unit trains again; declare classes=",) * loses,
        )

    # -- answers -------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Any:
        """The class with the largest share, or the mean of what the units predict."""
        X = self._input(X)
        if is_classifier(self):
            return self.classes_[self._shares(X).argmax(axis=1)]
        said = [self._training().values(model, X, None) for _, model in self._serving()]
        return np.sum(said, axis=0) / len(said)

    @available_if(is_classifier)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Mean probability, or share of votes, of every class, in the order of `classes_`."""
        return self._shares(self._input(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, or R² of a regressor."""
        kind = ClassifierMixin if is_classifier(self) else RegressorMixin
        return float(kind.score(self, X, y, sample_weight))

    def _shares(self, X: Any) -> NDArray[np.float64]:
        assert self._classes is not None
        training, classes = self._training(), self._classes
        votes = self.vote == "vote" or (self.vote == "auto" and not training.has_probabilities)
        serving = ((classes.seen(self._units[unit].positions), model) for unit, model in self._serving())
        prior = classes.counts / classes.counts.sum()
        return combined(answers(training, serving, classes.names, X, votes), prior, count(X))

    def _input(self, X: Any) -> Any:
        self._fitted()
        if is_text(X):
            return list(X)
        return settled(validate_data(self, X, reset=False, **input_settings(self.estimator)))

    def _serving(self) -> Iterator[tuple[int, Any]]:
        """Units with a model after their last slice."""
        for unit, trained in self._units.items():
            if trained.stages[-1].data:
                if unit not in self._models:
                    self._models[unit] = self._training().load(trained.stages[-1].data)
                yield unit, self._models[unit]

    def __sklearn_tags__(self) -> Any:
        return tags_like(super().__sklearn_tags__(), self.estimator)

    # -- state ---------------------------------------------------------------------------------------------------

    def units(self) -> tuple[Unit, ...]:
        """The shards that hold records, and how many each of their slices holds."""
        self._fitted()
        return tuple(
            Unit(unit_id(unit), trained.sizes, digest_json("sisa-unit", [stage.digest for stage in trained.stages]))
            for unit, trained in self._units.items()
        )

    def members(self, records: Sequence[Any]) -> list[tuple[str, int]]:
        """The unit and slice (from 1) of each of these records.

        Raises: UnknownRecord; AlreadyForgotten.
        """
        places = [int(self._fitted().find(None, [record])[0]) for record in records]
        return [(unit_id(int(self._cut.shard[i])), int(self._cut.slice[i]) + 1) for i in places]

    def parameters(self) -> dict[str, Any]:
        """What was asked for, without secrets and without who carries it out; the estimator by class and digest."""
        asked = {k: v for k, v in super().parameters().items() if k not in ("executor", "workers")}
        kind = type(self.estimator)
        return {**asked, "estimator": {"class": f"{kind.__module__}.{kind.__qualname__}", "digest": self._template()}}

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage, as JSON and digests."""
        bands = digest_bytes("bands", self._live_bands().tobytes())
        return {**super().state(), "environment": self._environment, "bands": bands}

    def _learned(self) -> dict[str, Any]:
        return {
            "template": self._template(),
            "environment": self._environment,
            "bands": self._live_bands(),
            "columns": plain(self._columns),
            "units": {unit_id(unit): [list(u.sizes), [s.digest for s in u.stages]] for unit, u in self._units.items()},
        }

    def _learned_parts(self) -> dict[str, bytes]:
        parts = {"learned": self._learned_part()}
        if self._dumped is not None:
            parts["template"] = self._dumped
        return parts | stage_parts(self._units)

    def _restore_parts(self, parts: dict[str, bytes], rows: Rows) -> None:
        learned = _parts.unpack(parts["learned"])
        if isinstance(self.estimator, dict):  # what `parameters` says of it
            if "template" not in parts:
                raise InvalidParameter(f"give estimator=: the {self.estimator['class']} that was trained is in no file")
            self.estimator = loads(parts["template"])
        if self._template() != learned["template"]:
            raise DigestMismatch(
                "the estimator given is not the one that was trained; give it with the same parameters"
            )
        self._environment, self._bands, self._columns = learned["environment"], learned["bands"], learned["columns"]
        self._dumped, self._models = parts.get("template"), {}
        self._place(rows)
        sizes = {name: n for name, (n, _) in learned["units"].items()}
        self._units = read_units(parts, sizes, self._cut, rows.positions(), self.slices, self._training())

    # -- internals -----------------------------------------------------------------------------------------------

    def _place(self, rows: Rows) -> None:
        """Places of all records, and the classes among them."""
        self._bands = np.where(rows.alive, self._bands, 0)
        self._cut = cut_rows(rows, self.shards, self.slices, self._bands, len(self.cutoffs))
        self._classes = Classes.of(rows.y, rows.alive, self.classes) if is_classifier(self) else None
        if self._classes is not None:
            self.classes_ = self._classes.names

    def _sizes_without(self, gone: Positions) -> dict[int, tuple[int, ...]]:
        """Records in each slice of each unit that keeps any."""
        return self._cut.left({unit: trained.sizes for unit, trained in self._units.items()}, gone)

    def _trained(self, rows: Rows, again: dict[int, tuple[Positions, tuple[Stage, ...]]]) -> dict[int, Trained]:
        """Units trained on these positions, from these clean stages on."""
        work = self._now.get("work")
        tasks = [
            UnitTask(
                training=self._training(),
                X=take(rows.X, positions),
                y=rows.y[positions],
                keys=self._cut.keys[positions, 0],
                sizes=(sizes := self._cut.sizes(positions, self.slices)),
                passes=self._passes(),
                classes=self._classes and self._classes.names,
                secret=unit_secret(rows.salt, unit),
                clean=clean,
                names=self._names(unit, positions, sizes, rows.salt) if work else (),
                work=Path(work) if work else None,
                environment=self._environment,
            )
            for unit, (positions, clean) in again.items()
        ]
        with refusals():
            done = executor_of(self.executor, self.workers).run(train_unit, tasks)
        self._now["visited"] = sum(seen for _, seen in done)
        trained = zip(again.items(), tasks, done, strict=True)
        return {unit: Trained(of[0], task.sizes, tuple(stages)) for (unit, of), task, (stages, _) in trained}

    def _names(self, unit: int, positions: Positions, sizes: tuple[int, ...], salt: bytes) -> tuple[str, ...]:
        """Files of a unit's stages: other content, settings, classes or libraries give other names."""
        passes = self._passes()
        known = self._classes.names.tolist() if passes is not None and self._classes is not None else None
        recipe = digest_json("sisa-recipe", [self._template(), plain(passes), known, self._environment])
        return stage_names(recipe, unit_secret(salt, unit), self._cut.keys[positions], sizes)

    def _files(self) -> set[str]:
        """Stage files of all units, as they would stand in a work folder."""
        of = self._units.items()
        return {name for unit, u in of for name in self._names(unit, u.positions, u.sizes, self.salt_)}

    def _passes(self) -> tuple[int, ...] | None:
        return passes_of(self.slices, self.epochs, always=self._with_torch)

    @property
    def _with_torch(self) -> bool:
        return isinstance(self.estimator, TorchTraining)

    def _training(self) -> Training:
        if isinstance(self.estimator, TorchTraining):
            return self.estimator
        return SklearnTraining(self.estimator, tuple(self.declared), self._columns)

    def _template(self) -> str:
        return digest_value(self.estimator if self._with_torch else clone(self.estimator))

    def _live_bands(self) -> NDArray[np.int64]:
        bands: NDArray[np.int64] = self._bands[self._fitted().positions()]
        return bands

    def _check_parameters(self) -> None:
        check_settings(self.shards, self.slices, self.epochs, self.vote, self.cutoffs, self.declared)
        executor_of(self.executor, self.workers)
        if not self._with_torch:
            SklearnTraining(self.estimator, tuple(self.declared)).check(self._passes() is not None)
            if self.vote == "mean" and is_classifier(self) and not hasattr(self.estimator, "predict_proba"):
                raise InvalidParameter(
                    f"vote='mean' needs predict_proba, which {self.estimator!r} lacks; use vote='vote'"
                )
