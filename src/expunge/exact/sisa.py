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

from expunge.core import Deletion, Equality, Plan, Promise, Route, TouchedUnit
from expunge.core.digests import digest_bytes
from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.core.executor import Executor
from expunge.core.placement import visits
from expunge.core.recipe import Recipe
from expunge.engine import Stages
from expunge.exact._learner.executors import executor_of
from expunge.exact._learner.fitted import Parts
from expunge.exact._learner.learner import RETRAIN_ABOVE, Learner
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._registry import learners
from expunge.exact._sisa.classes import outputs_of
from expunge.exact._sisa.ensemble import Ensemble
from expunge.exact._sisa.frames import library_of
from expunge.exact._sisa.input import (
    checked,
    count,
    frame_of,
    input_settings,
    is_text,
    settled,
    tags_like,
)
from expunge.exact._sisa.notes import category_words, notes_of, refused_words, settings_words, with_silenced
from expunge.exact._sisa.parts import read_units
from expunge.exact._sisa.place import Cut, bands_of, cut_rows, some_weight, weights_of
from expunge.exact._sisa.search import search_under_way
from expunge.exact._sisa.settings import check_settings
from expunge.exact._sisa.sklearn import SklearnTraining, dumped_template, loads
from expunge.exact._sisa.torch_training import TorchTraining
from expunge.exact._sisa.trainer import Trainer
from expunge.exact._sisa.unit import (
    stage_id,
    unit_id,
)
from expunge.exact._sisa.votes import answers, combined

_SETTINGS = {"estimator": "template", "columns": "columns", "routed": "routed"}  # of a recipe, as they are saved


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
            weights = some_weight(weights_of(sample_weight, rows.size))
            if weights is not None:
                self._check_weights()
            columns, routed = frame_of(X, self.estimator), bool(get_config()["enable_metadata_routing"])
            trainer = self._trainer()
            placed = self._placed(
                rows,
                bands=bands_of(prior, self.cutoffs, rows.size),
                weights=weights,
                columns=columns,
                trained_by=trainer.recipe(columns, routed, rows),
                dumped=dumped_template(self.estimator),
                routed=routed,
                search=search_under_way(),
            )
            learned = trainer.everything(placed, rows, work)
            trainer.check_repeats(learned, rows)
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
        learned, passes = self._fitted().learned, self._trainer().passes
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
                "weights": None if new is None else some_weight(np.concatenate([learned.live_weights, new])),
            }
            known = learned.cut.of(learned.live)
            return self._trainer().grown(self._placed(rows, known=known, **given), learned, rows, work)

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
        return with_silenced(plan, self._trainer().silenced_by(state.learned, state.rows, gone))

    def promise(self) -> Promise:
        declared = tuple(
            f"step '{name}' never saw data that has to leave (declared, not verified)" for name in self.declared
        )
        learned = None if self._state is None else self._state.learned
        settings = settings_words(None if learned is None else learned.search)
        categories = category_words(None if learned is None else learned.columns)
        more = (settings, *categories, *declared)
        promise = super().promise()
        return replace(promise, assumptions=(*promise.assumptions, *more))

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        self._check_parameters()
        if y is None:
            raise InvalidData("requires y to be passed, but the target y is None")
        return checked(self, X, y, self.estimator)

    def _learn(self, rows: Rows, work: str | Path | None = None) -> Ensemble:
        """All shards trained again; the slices that records are in stay those of the fit."""
        before = self._fitted().learned
        return self._trainer().everything(self._placed(rows, **before.given()), rows, work).after(before)

    def _unlearn(self, learned: Ensemble, rows: Rows, gone: Positions, work: str | Path | None = None) -> Ensemble:
        return self._trainer().without(learned, rows, gone, work).after(learned)

    def _recipe(self, learned: Ensemble, rows: Rows) -> Recipe:
        return self._trainer().recipe(learned.columns, learned.routed, rows)

    def _planned(self, learned: Ensemble, rows: Rows, gone: Positions) -> tuple[Plan, None]:
        sizes, passes = learned.sizes_without(gone), self._trainer().passes
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
            predicted = self._trainer().training_of(learned).values(model, X, learned.classes_)
            return predicted.astype(learned.classes_.dtype) if len(learned.outputs) == 1 else predicted
        if is_classifier(self):
            labels = [
                classes.names[share.argmax(axis=1)]
                for classes, share in zip(learned.outputs, self._shares(X), strict=True)
            ]
            return np.column_stack(labels) if learned.several else labels[0]
        training = self._trainer().training_of(learned)
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
        training, outputs = self._trainer().training_of(learned), learned.outputs
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
        if (
            self._trainer().with_torch
            or len(learned.shards) > 1
            or not all(learned.tells_apart(i) for i in learned.shards)
        ):
            return None
        return next((model for _, model in self._serving()), None)

    def _serving(self) -> Iterator[tuple[int, Any]]:
        """Shards with a model after their last slice, by number."""
        learned = self._fitted().learned
        for i, shard in learned.shards.items():
            if data := shard.stages[-1].data:
                if i not in learned.models:
                    learned.models[i] = self._trainer().training_of(learned).load(data)
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
        described = {"class": f"{kind.__module__}.{kind.__qualname__}", "digest": self._trainer().template}
        return {**parameters, "estimator": described}

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage, as JSON and digests; a search is lineage."""
        learned = self._fitted().learned
        bands = digest_bytes("bands", learned.live_bands.tobytes())
        weights = {}
        if learned.weights is not None:
            weights["weights"] = digest_bytes("weights", learned.live_weights.tobytes())
        recipe = learned.trained_by
        how = {"environment": recipe.environment, "columns": learned.columns}
        return {**super().state(), **how, "routed": learned.routed, "bands": bands, **weights}

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Ensemble:
        if isinstance(self.estimator, dict):  # what `parameters` says of it
            if "template" not in parts:
                raise InvalidParameter(f"give estimator=: the {self.estimator['class']} that was trained is in no file")
            self.estimator = loads(parts["template"])
        if self._trainer().template != values["template"]:
            raise DigestMismatch(
                "the estimator given is not the one that was trained; give it with the same parameters. One that holds a "
                "function of your own, saved by an earlier version of Expunge, cannot be told from others: fit it again"
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
        training = self._trainer().training_of(placed)
        return replace(placed, shards=read_units(parts, sizes, placed.cut, rows.positions(), self.slices, training))

    # -- internals -----------------------------------------------------------------------------------------------

    def _trainer(self) -> Trainer:
        """How units are trained, as the parameters say now."""
        return Trainer(
            estimator=self.estimator,
            slices=self.slices,
            epochs=self.epochs,
            declared=tuple(self.declared),
            executor=executor_of(self.executor, self.workers),
        )

    def _files(self) -> set[str]:
        """Keys of the stages of all units, under which they would lie in a work folder."""
        state = self._unaltered()
        return self._trainer().files(state.learned, state.rows)

    def _discarded(self, work: str | Path | None, before: set[str]) -> list[str]:
        """Remove from a work folder the stages that were the model's before, and no longer are."""
        return Stages(Path(work)).discard(before - self._files()) if work else []

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
            outputs=outputs_of(rows.y, rows.alive, self.classes, self._trainer().passes) if is_classifier(self) else (),
            several=rows.y.ndim == 2,
            bands=bands,
            weights=weights,
            **given,
        )

    def _check_parameters(self) -> None:
        check_settings(self.shards, self.slices, self.epochs, self.vote, self.cutoffs, self.declared)
        trainer = self._trainer()
        if not trainer.with_torch:
            SklearnTraining(self.estimator, trainer.declared).check(trainer.passes is not None)
            if self.vote == "mean" and is_classifier(self) and not hasattr(self.estimator, "predict_proba"):
                raise InvalidParameter(
                    f"vote='mean' needs predict_proba, which {self.estimator!r} lacks; use vote='vote'"
                )

    def _check_weights(self) -> None:
        if isinstance(self.estimator, TorchTraining):
            raise InvalidParameter("TorchTraining takes no sample_weight; weigh records in its train function")
        SklearnTraining(self.estimator).check_weights(self._trainer().passes is not None)
