"""SISA: any estimator, trained in shards and slices, so that to forget is to train a few of them again.

Source: Bourtoule et al. (2021), "Machine Unlearning", arXiv:1912.03817. Placement is a keyed hash of the subject's
opaque name; each shard is a unit, trained slice after slice from the checkpoint before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from expunge.core import Deletion, Equality, Plan, Promise, Route, TouchedUnit
from expunge.core.digests import digest_bytes
from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.core.executor import Executor
from expunge.core.placement import visits
from expunge.core.recipe import Recipe
from expunge.engine import Stages, digest_value
from expunge.exact._learner.canary import canary, fixed_rows, fixed_targets
from expunge.exact._learner.executors import executor_of
from expunge.exact._learner.fitted import Parts
from expunge.exact._learner.learner import RETRAIN_ABOVE, Learner, plain
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._registry import learners
from expunge.exact._sisa.classes import Classes
from expunge.exact._sisa.ensemble import Ensemble
from expunge.exact._sisa.input import (
    checked,
    column_kinds,
    count,
    input_settings,
    is_text,
    refusals,
    settled,
    tags_like,
)
from expunge.exact._sisa.parts import read_units
from expunge.exact._sisa.place import bands_of, cut_rows
from expunge.exact._sisa.settings import check_settings, passes_of
from expunge.exact._sisa.sklearn import SklearnTraining, dumped_template, loads
from expunge.exact._sisa.torch_training import TorchTraining
from expunge.exact._sisa.unit import (
    Stage,
    Trained,
    Training,
    UnitTask,
    here,
    stage_id,
    stage_names,
    train_unit,
    unit_id,
    unit_secret,
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

        def learn(rows: Rows) -> Ensemble:
            bands = bands_of(prior, self.cutoffs, rows.size)
            return self._from_nothing(rows, bands, column_kinds(X, self.estimator), work)

        return self._fit(X, y, subjects, records, learn)

    def forget(
        self, subjects: Any = None, records: Any = None, *, digests: bool = False, work: str | Path | None = None
    ) -> Deletion:
        """Forget, for good; `cost` in the result is what was visited, counted. On any error nothing has changed.

        Files in `work` of stages that saw the records are removed, and listed in `destroyed`.

        Raises: as `plan`; RecipeMismatch, where libraries or processor mode are not those of the fit.
        """
        before = self._files() if work else set()
        learn, unlearn = partial(self._learn, work=work), partial(self._unlearn, work=work)
        deletion = self._forget(subjects, records, digests, learn, unlearn)
        learned, passes = self._fitted().learned, self._passes()
        cost = learned.visited / sum(visits(shard.sizes, passes) for shard in learned.shards.values())
        removed = Stages(Path(work)).discard(before - self._files()) if work else []
        return replace(deletion, cost=cost, destroyed=(*deletion.destroyed, *removed))

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
        return checked(self, X, y, self.estimator)

    def _learn(self, rows: Rows, work: str | Path | None = None) -> Ensemble:
        """All shards trained again; the slices that records are in stay those of the fit."""
        before = self._fitted().learned
        return self._from_nothing(rows, before.bands, before.columns, work)

    def _from_nothing(self, rows: Rows, bands: NDArray[np.int64], columns: Any, work: str | Path | None) -> Ensemble:
        recipe = self._recipe_here(columns, rows)
        placed = self._placed(rows, bands, columns, recipe, dumped_template(self.estimator))
        units = placed.cut.units(rows.positions())
        return self._trained(placed, rows, {i: (positions, ()) for i, positions in units.items()}, work)

    def _unlearn(self, learned: Ensemble, rows: Rows, gone: Positions, work: str | Path | None = None) -> Ensemble:
        leaving = np.zeros(rows.size, dtype=bool)
        leaving[gone] = True
        again = {}
        for i, _, first in learned.cut.touched(gone):
            shard = learned.shards[i]
            if len(left := shard.positions[~leaving[shard.positions]]):
                again[i] = left, shard.stages[: first - 1]
        return self._trained(learned.without(gone), rows, again, work)

    def _planned(self, learned: Ensemble, rows: Rows, gone: Positions) -> tuple[Plan, None]:
        sizes, passes = learned.sizes_without(gone), self._passes()
        hit = learned.cut.touched(gone)
        full = sum(visits(part, passes) for part in sizes.values())
        work = sum(visits(sizes[i], passes, first) for i, _, first in hit if i in sizes)
        # Units that learn by passes are told all classes beforehand.
        loses = passes is not None and learned.classes is not None and learned.classes.loses(gone)
        if retrain := loses or work / full > RETRAIN_ABOVE:
            removed = {i: n for i, n, _ in hit}
            hit = [(i, removed.get(i, 0), 1) for i in learned.shards]
        plan = Plan(
            route=Route.RETRAIN if retrain else self.route,
            promise=self.promise(),
            units=tuple(TouchedUnit(unit_id(i), n, first) for i, n, first in hit),
            n_removed=len(gone),
            cost=1.0 if retrain else work / full,
            purge=tuple(stage_id(i, r) for i, _, first in hit for r in range(first, self.slices + 1)),
            notes=("a class leaves that was not declared, so every unit trains again; declare classes=",) * loses,
        )
        return plan, None

    # -- answers -------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Any:
        """The class with the largest share, or the mean of what the units predict."""
        X = self._input(X)
        if is_classifier(self):
            return self.classes_[self._shares(X).argmax(axis=1)]
        training = self._training(self._fitted().learned.columns)
        values = [training.values(model, X, None) for _, model in self._serving()]
        return np.sum(values, axis=0) / len(values)

    @available_if(is_classifier)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Mean probability, or share of votes, of every class, in the order of `classes_`."""
        return self._shares(self._input(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, or R² of a regressor."""
        kind = ClassifierMixin if is_classifier(self) else RegressorMixin
        return float(kind.score(self, X, y, sample_weight))

    def _shares(self, X: Any) -> NDArray[np.float64]:
        learned = self._fitted().learned
        training, classes = self._training(learned.columns), learned.classes
        votes = self.vote == "vote" or (self.vote == "auto" and not training.has_probabilities)
        serving = ((classes.seen(learned.shards[i].positions), model) for i, model in self._serving())
        prior = classes.counts / classes.counts.sum()
        return combined(answers(training, serving, classes.names, X, votes), prior, count(X))

    def _serving(self) -> Iterator[tuple[int, Any]]:
        """Shards with a model after their last slice, by number."""
        learned = self._fitted().learned
        for i, shard in learned.shards.items():
            if data := shard.stages[-1].data:
                if i not in learned.models:
                    learned.models[i] = self._training(learned.columns).load(data)
                yield i, learned.models[i]

    def _input(self, X: Any) -> Any:
        self._fitted()
        if is_text(X):
            return list(X)
        return settled(validate_data(self, X, reset=False, **input_settings(self.estimator)))

    def __sklearn_tags__(self) -> Any:
        return tags_like(super().__sklearn_tags__(), self.estimator)

    # -- state ---------------------------------------------------------------------------------------------------

    def members(self, records: Sequence[Any]) -> list[tuple[str, int]]:
        """The unit and slice (from 1) of each of these records.

        Raises: UnknownRecord; AlreadyForgotten.
        """
        state = self._fitted()
        places = [int(state.rows.find(None, [record])[0]) for record in records]
        cut = state.learned.cut
        return [(unit_id(int(cut.shard[i])), int(cut.slice[i]) + 1) for i in places]

    def parameters(self) -> dict[str, Any]:
        """The parameters, without secrets and without who carries it out; the estimator by class and digest."""
        parameters = {k: v for k, v in super().parameters().items() if k not in ("executor", "workers")}
        kind = type(self.estimator)
        described = {"class": f"{kind.__module__}.{kind.__qualname__}", "digest": self._template()}
        return {**parameters, "estimator": described}

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage, as JSON and digests."""
        learned = self._fitted().learned
        bands = digest_bytes("bands", learned.live_bands.tobytes())
        recipe = {"environment": learned.recipe.environment, "canary": learned.recipe.canary}
        return {**super().state(), **recipe, "bands": bands}

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Ensemble:
        if isinstance(self.estimator, dict):  # what `parameters` says of it
            if "template" not in parts:
                raise InvalidParameter(f"give estimator=: the {self.estimator['class']} that was trained is in no file")
            self.estimator = loads(parts["template"])
        if self._template() != values["template"]:
            raise DigestMismatch(
                "the estimator given is not the one that was trained; give it with the same parameters"
            )
        columns = values["columns"]
        recipe = Recipe({"estimator": values["template"]}, values["environment"], values.get("canary"))
        placed = self._placed(rows, values["bands"], columns, recipe, parts.get("template"))
        sizes = {name: n for name, (n, _) in values["units"].items()}
        training = self._training(columns)
        return replace(placed, shards=read_units(parts, sizes, placed.cut, rows.positions(), self.slices, training))

    # -- internals -----------------------------------------------------------------------------------------------

    def _placed(
        self, rows: Rows, bands: NDArray[np.int64], columns: Any, recipe: Recipe, dumped: bytes | None
    ) -> Ensemble:
        """Places of all records and the classes among them, with no shard trained yet."""
        bands = np.where(rows.alive, bands, 0)
        return Ensemble(
            cut=cut_rows(rows, self.shards, self.slices, bands, len(self.cutoffs)),
            classes=Classes.of(rows.y, rows.alive, self.classes) if is_classifier(self) else None,
            bands=bands,
            columns=columns,
            trained_by=recipe,
            dumped=dumped,
        )

    def _trained(
        self,
        rest: Ensemble,
        rows: Rows,
        again: dict[int, tuple[Positions, tuple[Stage, ...]]],
        work: str | Path | None,
    ) -> Ensemble:
        """The rest, with shards trained on these positions, from these clean stages on."""
        tasks = [
            UnitTask(
                training=self._training(rest.columns),
                X=take(rows.X, positions),
                y=rows.y[positions],
                keys=rest.cut.keys[positions, 0],
                sizes=(sizes := rest.cut.sizes(positions, self.slices)),
                passes=self._passes(),
                classes=rest.classes_,
                secret=unit_secret(rows.salt, i),
                clean=clean,
                recipe=rest.recipe,
                names=self._names(rest, i, positions, sizes, rows.salt),
                stages=Stages(Path(work) if work else None),
            )
            for i, (positions, clean) in again.items()
        ]
        with refusals():
            done = executor_of(self.executor, self.workers).run(train_unit, tasks)
        trained = {
            i: Trained(positions, task.sizes, tuple(stages))
            for (i, (positions, _)), task, (stages, _) in zip(again.items(), tasks, done, strict=True)
        }
        shards = dict(sorted({**rest.shards, **trained}.items()))
        return replace(rest, shards=shards, visited=sum(visited for _, visited in done))

    def _names(
        self, learned: Ensemble, unit: int, positions: Positions, sizes: tuple[int, ...], salt: bytes
    ) -> tuple[str, ...]:
        """Keys of a unit's stages: other content, settings, classes or libraries give other names."""
        passes = self._passes()
        classes = learned.classes_.tolist() if passes is not None and learned.classes is not None else None
        settings = {**learned.recipe.settings, "passes": plain(passes), "classes": classes}
        recipe = replace(learned.recipe, settings=settings)
        return stage_names(recipe, unit_secret(salt, unit), learned.cut.keys[positions], sizes)

    def _files(self) -> set[str]:
        """Keys of the stages of all units, under which they would lie in a work folder."""
        state = self._unaltered()
        learned, salt = state.learned, state.rows.salt
        shards = learned.shards.items()
        return {name for i, s in shards for name in self._names(learned, i, s.positions, s.sizes, salt)}

    def _recipe(self, learned: Ensemble, rows: Rows) -> Recipe:
        return self._recipe_here(learned.columns, rows)

    def _recipe_here(self, columns: Any, rows: Rows) -> Recipe:
        """The estimator, this process, and what a unit of fixed rows learns in it."""
        training = self._training(columns)
        settings, environment = {"estimator": self._template()}, here(training)
        return Recipe(settings, environment, canary(lambda: self._unit_from_fixed(rows, training)))

    def _unit_from_fixed(self, rows: Rows, training: Training) -> str:
        classifies = is_classifier(self)
        X, y = fixed_rows(rows.X), fixed_targets("classifier" if classifies else "regressor")
        orders = None if self._passes() is None else [np.arange(count(X))]
        model = training.stage(None, X, y, orders, np.arange(2) if classifies else None, seed=0)
        return training.digest(training.load(training.dump(model)))

    def _passes(self) -> tuple[int, ...] | None:
        return passes_of(self.slices, self.epochs, always=self._with_torch)

    @property
    def _with_torch(self) -> bool:
        return isinstance(self.estimator, TorchTraining)

    def _training(self, columns: Any) -> Training:
        if isinstance(self.estimator, TorchTraining):
            return self.estimator
        return SklearnTraining(self.estimator, tuple(self.declared), columns)

    def _template(self) -> str:
        return digest_value(self.estimator if self._with_torch else clone(self.estimator))

    def _check_parameters(self) -> None:
        check_settings(self.shards, self.slices, self.epochs, self.vote, self.cutoffs, self.declared)
        executor_of(self.executor, self.workers)
        if not self._with_torch:
            SklearnTraining(self.estimator, tuple(self.declared)).check(self._passes() is not None)
            if self.vote == "mean" and is_classifier(self) and not hasattr(self.estimator, "predict_proba"):
                raise InvalidParameter(
                    f"vote='mean' needs predict_proba, which {self.estimator!r} lacks; use vote='vote'"
                )
