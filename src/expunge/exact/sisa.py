"""SISA: any estimator, trained in shards and slices, so that to forget is to train a few of them again.

Source: Bourtoule et al. (2021), "Machine Unlearning", arXiv:1912.03817. Placement is a keyed hash of the subject's
opaque name; each shard is a unit, trained slice after slice from the checkpoint before.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from expunge.core import Deletion, Equality, Plan, Promise, Route, TouchedUnit
from expunge.core.alike import n_alike
from expunge.core.digests import digest_bytes
from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.core.executor import Executor
from expunge.core.placement import visits
from expunge.core.recipe import Recipe
from expunge.engine import Stages, digest_value, environment
from expunge.engine.conditions import MODELS, TABLES
from expunge.exact._learner.canary import canary, fixed_targets
from expunge.exact._learner.executors import executor_of
from expunge.exact._learner.fitted import Parts
from expunge.exact._learner.learner import RETRAIN_ABOVE, Learner, plain
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._registry import learners
from expunge.exact._sisa import boosters
from expunge.exact._sisa.classes import outputs_of
from expunge.exact._sisa.draws import drawing_from
from expunge.exact._sisa.ensemble import Ensemble
from expunge.exact._sisa.fixed import fixed_records
from expunge.exact._sisa.frames import library_of
from expunge.exact._sisa.input import (
    checked,
    count,
    frame_of,
    input_settings,
    is_text,
    refusals,
    settled,
    tags_like,
)
from expunge.exact._sisa.notes import category_words, notes_of, refused_words, settings_words, with_silenced
from expunge.exact._sisa.parts import read_units
from expunge.exact._sisa.place import Cut, bands_of, cut_rows, weights_of
from expunge.exact._sisa.repeats import refuse_other, smallest
from expunge.exact._sisa.search import search_under_way
from expunge.exact._sisa.settings import check_settings, passes_of
from expunge.exact._sisa.sklearn import SklearnTraining, dumped_template, loads, unfitted
from expunge.exact._sisa.torch_training import TorchTraining
from expunge.exact._sisa.unit import (
    Stage,
    Trained,
    Training,
    UnitTask,
    stage_id,
    stage_names,
    train,
    train_unit,
    unit_id,
    unit_secret,
)
from expunge.exact._sisa.votes import answers, combined

_NO_MODEL = "no unit could be trained on what there is: {}; delete the model instead, or fit on more records"
_SETTINGS = {"estimator": "template", "columns": "columns", "routed": "routed"}  # of a recipe, as they are saved
FEW = 32  # records of a class, below which a plan tries whether an estimator takes them


@learners.add
class Sisa(Learner):
    """A scikit-learn classifier, regressor or Pipeline, or a `TorchTraining`, in `shards` units of `slices` stages.

    Guaranteed: after `forget`, every stage of every unit, the records and the classes have the same bits as a fit
    without the records under the same salt, on the same libraries and processor mode. An estimator that does not repeat
    is found when its smallest unit is trained twice, and refused. Data frames of pandas and polars keep names, types and
    declared categories, which belong to the recipe; one unit predicts what the estimator predicts by itself. Not
    guaranteed: safety against requests chosen after seeing outputs; never publish what single units say.

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
    modes_matter = True
    allowed_failures: ClassVar[dict[str, str]] = dict.fromkeys(
        ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
        "weights are for the estimator of a unit: a record of no weight still has its place, its class and its vote",
    )

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

    def fit(  # type: ignore[override]  # it takes more, by name
        self,
        X: Any,
        y: Any = None,
        *,
        subjects: Any = None,
        records: Any = None,
        prior: Any = None,
        sample_weight: Any = None,
        work: str | Path | None = None,
    ) -> Self:
        """Train every unit, and the smallest twice, to see that it repeats.

        `prior`: how likely each record is to leave, a number from declared data, not from others'. `sample_weight`: a
        number a record, which stays with the record and leaves with it. `work`: a folder for finished stages, from
        which an interrupted fit goes on; give it to `forget` too.

        Raises: as `Learner.fit`; InvalidParameter, for an estimator that does not repeat.
        """

        def learn(rows: Rows) -> Ensemble:
            weights = weights_of(sample_weight, rows.size)
            if weights is not None:
                self._check_weights()
            columns, routed = frame_of(X, self.estimator), bool(get_config()["enable_metadata_routing"])
            placed = self._placed(
                rows,
                bands=bands_of(prior, self.cutoffs, rows.size),
                weights=weights,
                columns=columns,
                trained_by=self._recipe_here(columns, routed, rows),
                dumped=dumped_template(self.estimator),
                routed=routed,
                search=search_under_way(),
            )
            learned = self._from_nothing(placed, rows, work)
            self._check_repeats(learned, rows)
            if learned.refused:
                warnings.warn(refused_words(learned.refused, len(learned.shards)), stacklevel=4)
            return learned

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
        plan = with_silenced(deletion.plan, learned.silenced)
        cost = learned.visited / sum(visits(shard.sizes, passes) for shard in learned.shards.values())
        removed = self._discarded(work, before)
        return replace(deletion, plan=plan, cost=cost, destroyed=(*deletion.destroyed, *removed))

    def add(
        self,
        X: Any,
        y: Any = None,
        *,
        subjects: Any = None,
        records: Any = None,
        prior: Any = None,
        sample_weight: Any = None,
        work: str | Path | None = None,
    ) -> Self:
        """Learn from further records: only the units that they are placed in train again, from the first slice that changes.

        Raises: as `Learner.add`.
        """

        def extend(learned: Ensemble, rows: Rows, kept: Positions) -> Ensemble:
            if frame_of(X, self.estimator) != learned.columns:
                raise InvalidData(
                    "these records have columns of other types than those of the fit; give the same types"
                )
            if (sample_weight is None) is not (learned.weights is None):
                raise InvalidData("give sample_weight with all records or with none, as at the fit")
            n_new = rows.size - len(kept)
            new = weights_of(sample_weight, n_new)
            given = {
                **learned.given(),
                "bands": np.concatenate([learned.live_bands, bands_of(prior, self.cutoffs, n_new)]),
                "weights": None if new is None else np.concatenate([learned.live_weights, new]),
            }
            known = learned.cut.of(learned.live)
            return self._grown(self._placed(rows, known=known, **given), learned, rows, work)

        before = self._files() if work else set()
        self._add(X, y, subjects, records, extend)
        self._discarded(work, before)  # a later deletion would not know them
        return self

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, *, subjects: Any = None, records: Any = None, **more: Any
    ) -> Self:
        """As `Learner.partial_fit`; `prior`, `sample_weight` and `work` as `fit` and `add` take them."""
        self._check_among(y, classes)
        learn = self.fit if self._state is None else self.add
        return learn(X, y, subjects=subjects, records=records, **more)

    def plan(self, subjects: Any = None, records: Any = None) -> Plan:
        """What forgetting these subjects or records would do and cost. Changes nothing.

        Where few records of a class would be left to a unit, it is trained to see whether the estimator takes them.

        Raises: as `Learner.plan`.
        """
        plan = super().plan(subjects, records)
        state, gone = self._found(subjects, records)
        return with_silenced(plan, self._silenced_by(state.learned, state.rows, gone))

    def promise(self) -> Promise:
        declared = tuple(
            f"step '{name}' never saw data that has to leave (declared, not verified)" for name in self.declared
        )
        learned = None if self._state is None else self._state.learned
        settings = settings_words(None if learned is None else learned.search)
        categories = category_words(None if learned is None else learned.columns)
        more = (settings, *categories, *declared)
        return replace(super().promise(), assumptions=(*self.assumptions, *more))

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        self._check_parameters()
        if y is None:
            raise InvalidData("requires y to be passed, but the target y is None")
        return checked(self, X, y, self.estimator)

    def _learn(self, rows: Rows, work: str | Path | None = None) -> Ensemble:
        """All shards trained again; the slices that records are in stay those of the fit."""
        before = self._fitted().learned
        return self._from_nothing(self._placed(rows, **before.given()), rows, work).after(before)

    def _from_nothing(self, placed: Ensemble, rows: Rows, work: str | Path | None) -> Ensemble:
        units = placed.cut.units(rows.positions())
        return self._trained(placed, rows, {i: (positions, ()) for i, positions in units.items()}, work)

    def _unlearn(self, learned: Ensemble, rows: Rows, gone: Positions, work: str | Path | None = None) -> Ensemble:
        again = self._left(learned, rows, gone)
        return self._trained(learned.without(gone), rows, again, work).after(learned)

    def _grown(self, placed: Ensemble, before: Ensemble, rows: Rows, work: str | Path | None) -> Ensemble:
        """The units of all records; stages of the same records as before stay."""
        again, stay = {}, {}
        for i, positions in placed.cut.units(rows.positions()).items():
            sizes = placed.cut.sizes(positions, self.slices)
            clean: tuple[Stage, ...] = ()
            if (shard := before.shards.get(i)) is not None:
                old = self._names(before, i, shard.positions, shard.sizes, rows.salt)
                new = self._names(placed, i, positions, sizes, rows.salt)
                clean = shard.stages[: n_alike(old, new)]
            if len(clean) == len(sizes):
                stay[i] = Trained(positions, sizes, clean)
            else:
                again[i] = positions, clean
        return self._trained(replace(placed, shards=stay), rows, again, work)

    def _left(self, learned: Ensemble, rows: Rows, gone: Positions) -> dict[int, tuple[Positions, tuple[Stage, ...]]]:
        """Of each shard that loses some of these and keeps others: its records, and the stages that saw none of them."""
        leaving = np.zeros(rows.size, dtype=bool)
        leaving[gone] = True
        again = {}
        for i, _, first in learned.cut.touched(gone):
            shard = learned.shards[i]
            if len(left := shard.positions[~leaving[shard.positions]]):
                again[i] = left, shard.stages[: first - 1]
        return again

    def _planned(self, learned: Ensemble, rows: Rows, gone: Positions) -> tuple[Plan, None]:
        sizes, passes = learned.sizes_without(gone), self._passes()
        hit = learned.cut.touched(gone)
        full = sum(visits(part, passes) for part in sizes.values())
        work = sum(visits(sizes[i], passes, first) for i, _, first in hit if i in sizes)
        # Units that learn by passes are told all classes beforehand.
        loses = passes is not None and learned.loses_a_class(gone)
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
            notes=notes_of(learned, rows, gone, loses),
        )
        return plan, None

    # -- answers -------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Any:
        """The class with the largest share, or the mean of what the units predict; a single unit's own prediction."""
        X = self._input(X)
        learned = self._fitted().learned
        if (model := self._alone(learned)) is not None:
            predicted = self._training(learned).values(model, X, learned.classes_)
            return predicted.astype(learned.classes_.dtype) if len(learned.outputs) == 1 else predicted
        if is_classifier(self):
            labels = [
                classes.names[share.argmax(axis=1)]
                for classes, share in zip(learned.outputs, self._shares(X), strict=True)
            ]
            return np.column_stack(labels) if learned.several else labels[0]
        training = self._training(learned)
        values = [training.values(model, X, None) for _, model in self._serving()]
        return np.sum(values, axis=0) / len(values)

    @available_if(is_classifier)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Mean probability, or share of votes, of every class, in the order of `classes_`; of several targets a list."""
        shares = self._shares(self._input(X))
        return shares if self._fitted().learned.several else shares[0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, or R² of a regressor."""
        kind = ClassifierMixin if is_classifier(self) else RegressorMixin
        return float(kind.score(self, X, y, sample_weight))

    def _shares(self, X: Any) -> list[NDArray[np.float64]]:
        """Of each target, the probability of every class."""
        learned = self._fitted().learned
        training, outputs = self._training(learned), learned.outputs
        votes = self.vote == "vote" or (self.vote == "auto" and not training.has_probabilities)
        names = [classes.names for classes in outputs]
        found = (
            answers(training, model, learned.seen(i), names, X, votes)
            for i, model in self._serving()
            if learned.tells_apart(i)
        )
        units = list(found) if learned.several else found
        return [
            combined((unit[k] for unit in units), classes.counts / classes.counts.sum(), count(X))
            for k, classes in enumerate(outputs)
        ]

    def _alone(self, learned: Ensemble) -> Any:
        """The model of the only unit there is, if it was trained and tells classes apart."""
        if self._with_torch or len(learned.shards) > 1 or not all(learned.tells_apart(i) for i in learned.shards):
            return None
        return next((model for _, model in self._serving()), None)

    def _serving(self) -> Iterator[tuple[int, Any]]:
        """Shards with a model after their last slice, by number."""
        learned = self._fitted().learned
        for i, shard in learned.shards.items():
            if data := shard.stages[-1].data:
                if i not in learned.models:
                    learned.models[i] = self._training(learned).load(data)
                yield i, learned.models[i]

    def _input(self, X: Any) -> Any:
        learned = self._fitted().learned
        if is_text(X):
            return list(X)
        if learned.columns and library_of(X):  # as it is: what another type means is for the estimator to say
            return validate_data(self, X, reset=False, skip_check_array=True)
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
        """Everything persisted except tombstones and lineage, as JSON and digests; a search is lineage."""
        learned = self._fitted().learned
        bands = digest_bytes("bands", learned.live_bands.tobytes())
        weights = {}
        if learned.weights is not None:
            weights["weights"] = digest_bytes("weights", learned.live_weights.tobytes())
        recipe = learned.trained_by
        how = {"environment": recipe.environment, "canary": recipe.canary, "columns": learned.columns}
        return {**super().state(), **how, "routed": learned.routed, "bands": bands, **weights}

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Ensemble:
        if isinstance(self.estimator, dict):  # what `parameters` says of it
            if "template" not in parts:
                raise InvalidParameter(f"give estimator=: the {self.estimator['class']} that was trained is in no file")
            self.estimator = loads(parts["template"])
        if self._template() != values["template"]:
            raise DigestMismatch(
                "the estimator given is not the one that was trained; give it with the same parameters"
            )
        placed = self._placed(
            rows,
            bands=values["bands"],
            weights=values.get("weights"),
            columns=values["columns"],
            trained_by=Recipe(
                {k: values[v] for k, v in _SETTINGS.items() if v in values},
                values["environment"],
                values.get("canary"),
            ),
            dumped=parts.get("template"),
            routed=values.get("routed", False),
            search=values.get("search"),
        )
        sizes = {name: n for name, (n, _) in values["units"].items()}
        training = self._training(placed)
        return replace(placed, shards=read_units(parts, sizes, placed.cut, rows.positions(), self.slices, training))

    # -- internals -----------------------------------------------------------------------------------------------

    def _placed(
        self,
        rows: Rows,
        *,
        bands: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
        known: Cut | None = None,
        **given: Any,
    ) -> Ensemble:
        """Places of all records and the classes among them, with no shard trained yet."""
        bands = np.where(rows.alive, bands, 0)
        weights = None if weights is None else np.where(rows.alive, weights, 0.0)
        return Ensemble(
            cut=cut_rows(rows, self.shards, self.slices, bands, len(self.cutoffs), weights, known),
            outputs=outputs_of(rows.y, rows.alive, self.classes, self._passes()) if is_classifier(self) else (),
            several=rows.y.ndim == 2,
            bands=bands,
            weights=weights,
            **given,
        )

    def _task(
        self,
        of: Ensemble,
        rows: Rows,
        unit: int,
        positions: Positions,
        clean: tuple[Stage, ...] = (),
        work: str | Path | None = None,
    ) -> UnitTask:
        """How to train a unit on these positions, from these clean stages on."""
        sizes = of.cut.sizes(positions, self.slices)
        return UnitTask(
            training=self._training(of),
            X=take(rows.X, positions),
            y=rows.y[positions],
            weights=None if of.weights is None else of.weights[positions],
            keys=of.cut.keys[positions, 0],
            sizes=sizes,
            passes=self._passes(),
            classes=of.classes_,
            secret=unit_secret(rows.salt, unit),
            clean=clean,
            recipe=of.trained_by,
            names=self._names(of, unit, positions, sizes, rows.salt),
            stages=Stages(Path(work) if work else None),
        )

    def _trained(
        self,
        rest: Ensemble,
        rows: Rows,
        again: dict[int, tuple[Positions, tuple[Stage, ...]]],
        work: str | Path | None,
    ) -> Ensemble:
        """The rest, with shards trained on these positions, from these clean stages on.

        Raises: InvalidData, for a regression of which no unit can be trained.
        """
        tasks = [self._task(rest, rows, i, positions, clean, work) for i, (positions, clean) in again.items()]
        with refusals():
            done = executor_of(self.executor, self.workers).run(train_unit, tasks)
        trained = {
            i: Trained(positions, task.sizes, found.stages)
            for (i, (positions, _)), task, found in zip(again.items(), tasks, done, strict=True)
        }
        shards = dict(sorted({**rest.shards, **trained}.items()))
        refused = {unit_id(i): found.refusal for i, found in zip(again, done, strict=True) if found.refusal}
        if not rest.outputs and not any(shard.serves for shard in shards.values()):
            why = next(iter(refused.values()), "all records have a weight of zero")
            raise InvalidData(_NO_MODEL.format(why))
        return replace(rest, shards=shards, visited=sum(found.visited for found in done), refused=refused)

    def _check_repeats(self, learned: Ensemble, rows: Rows) -> None:
        """Train the first stage of the smallest unit again, and compare values.

        Raises: InvalidParameter.
        """
        if (chosen := smallest(learned.shards)) is None:
            return
        unit, r = chosen
        shard = learned.shards[unit]
        task = self._task(learned, rows, unit, shard.positions)
        run = executor_of(self.executor, self.workers).run
        (found,) = run(train_unit, [replace(task, sizes=task.sizes[: r + 1])])
        refuse_other(unit_id(unit), shard.stages[r], found.stages[r], task.training)

    def _silenced_by(self, learned: Ensemble, rows: Rows, gone: Positions) -> tuple[str, ...]:
        """Units that answer now and would not without these records, as far as few are left to them.

        Raises: InvalidData, for a regression that would have no model left.
        """
        rest, touched = learned.without(gone), self._left(learned, rows, gone)
        tasks = {
            i: self._task(rest, rows, i, left, clean)
            for i, (left, clean) in touched.items()
            if not self._with_torch and learned.shards[i].serves and learned.few_left(i, left, FEW)
        }
        with refusals():
            done = executor_of(self.executor, self.workers).run(train, list(tasks.values()))
        silenced = {i: found.refusal for i, found in zip(tasks, done, strict=True) if not found.stages[-1].data}
        if not learned.outputs and not any(
            learned.shards[i].serves for i in (rest.shards.keys() | touched.keys()) - silenced.keys()
        ):
            raise InvalidData(_NO_MODEL.format(next(iter(silenced.values()), "it has no records")))
        return tuple(unit_id(i) for i in silenced)

    def _names(
        self, learned: Ensemble, unit: int, positions: Positions, sizes: tuple[int, ...], salt: bytes
    ) -> tuple[str, ...]:
        """Keys of a unit's stages: other content, settings, classes or libraries give other names."""
        passes = self._passes()
        classes = learned.classes_.tolist() if passes is not None and learned.outputs else None
        settings = {**learned.trained_by.settings, "passes": plain(passes), "classes": classes}
        recipe = replace(learned.trained_by, settings=settings)
        return stage_names(recipe, unit_secret(salt, unit), learned.cut.keys[positions], sizes)

    def _files(self) -> set[str]:
        """Keys of the stages of all units, under which they would lie in a work folder."""
        state = self._unaltered()
        learned, salt = state.learned, state.rows.salt
        shards = learned.shards.items()
        return {name for i, s in shards for name in self._names(learned, i, s.positions, s.sizes, salt)}

    def _discarded(self, work: str | Path | None, before: set[str]) -> list[str]:
        """Remove from a work folder the stages that were the model's before, and no longer are."""
        return Stages(Path(work)).discard(before - self._files()) if work else []

    def _passes(self) -> tuple[int, ...] | None:
        return passes_of(self.slices, self.epochs, always=self._with_torch)

    @property
    def _with_torch(self) -> bool:
        return isinstance(self.estimator, TorchTraining)

    def _training(self, of: Ensemble) -> Training:
        return self._training_of(of.columns, of.routed)

    def _training_of(self, columns: dict[str, Any] | None, routed: bool) -> Training:
        if isinstance(self.estimator, TorchTraining):
            return self.estimator
        return SklearnTraining(self.estimator, tuple(self.declared), columns, routed)

    def _recipe(self, learned: Ensemble, rows: Rows) -> Recipe:
        return self._recipe_here(learned.columns, learned.routed, rows)

    def _recipe_here(self, columns: dict[str, Any] | None, routed: bool, rows: Rows) -> Recipe:
        """How units are trained, this process, and what a unit of fixed rows learns in it."""
        settings = {"estimator": self._template(), "columns": columns, "routed": routed}
        frames = [columns["library"]] if columns else []
        trees = [] if self._with_torch else boosters.distributions(self.estimator)
        models, device = (MODELS, "cpu") if self._with_torch else ((), None)
        here = environment((*TABLES, *models, *frames, *trees), device=device)
        training = self._training_of(columns, routed)
        return Recipe(settings, here, canary(lambda: self._unit_from_fixed(rows, columns, training)))

    def _unit_from_fixed(self, rows: Rows, columns: dict[str, Any] | None, training: Training) -> str:
        X, y = fixed_records(rows.X, columns), fixed_targets(is_classifier(self), rows.y.ndim == 2)
        orders = None if self._passes() is None else [np.arange(count(X))]
        with drawing_from(0), threadpool_limits(limits=1):  # as units are trained
            model = training.stage(None, X, y, orders, np.arange(2) if is_classifier(self) else None, seed=0)
        return training.digest(training.load(training.dump(model)))

    def _template(self) -> str:
        return digest_value(self.estimator if self._with_torch else unfitted(self.estimator))

    def _check_parameters(self) -> None:
        check_settings(self.shards, self.slices, self.epochs, self.vote, self.cutoffs, self.declared)
        executor_of(self.executor, self.workers)
        if not self._with_torch:
            SklearnTraining(self.estimator, tuple(self.declared)).check(self._passes() is not None)
            if self.vote == "mean" and is_classifier(self) and not hasattr(self.estimator, "predict_proba"):
                raise InvalidParameter(
                    f"vote='mean' needs predict_proba, which {self.estimator!r} lacks; use vote='vote'"
                )

    def _check_weights(self) -> None:
        if isinstance(self.estimator, TorchTraining):
            raise InvalidParameter("TorchTraining takes no sample_weight; weigh records in its train function")
        SklearnTraining(self.estimator).check_weights(self._passes() is not None)
