"""Train units and train them again: everything besides the records that decides their bits, and who carries it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier

from expunge.core.alike import n_alike
from expunge.core.errors import InvalidData, RecipeMismatch
from expunge.core.executor import Executor
from expunge.core.recipe import Recipe
from expunge.engine import Stages, digest_value, environment
from expunge.engine.conditions import MODELS, TABLES, table_modes
from expunge.exact._learner.learner import plain
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._sisa import boosters
from expunge.exact._sisa.ensemble import Ensemble
from expunge.exact._sisa.fixed import FixedUnit
from expunge.exact._sisa.input import refusals, type_words
from expunge.exact._sisa.repeats import refuse_other, smallest
from expunge.exact._sisa.settings import passes_of
from expunge.exact._sisa.sklearn import SklearnTraining, unfitted
from expunge.exact._sisa.torch_training import TorchTraining
from expunge.exact._sisa.unit import (
    Stage,
    Trained,
    Training,
    UnitTask,
    stage_names,
    train,
    train_unit,
    unit_id,
    unit_secret,
)

FEW = 32  # records of a class, below which a plan tries whether an estimator takes them
_NO_MODEL = "no unit could be trained on what there is: {}; delete the model instead, or fit on more records"

Again = Mapping[int, tuple[Positions, tuple[Stage, ...]]]  # by shard: records to train on, and the stages that stay


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """An estimator, by how many slices and epochs its units are trained, and an executor."""

    estimator: Any
    slices: int
    epochs: int | None
    declared: tuple[str, ...]
    executor: Executor

    # -- what decides bits ---------------------------------------------------------------------------------------

    @property
    def with_torch(self) -> bool:
        return isinstance(self.estimator, TorchTraining)

    @property
    def passes(self) -> tuple[int, ...] | None:
        """Passes of each stage; None where a unit is trained by one fit."""
        return passes_of(self.slices, self.epochs, always=self.with_torch)

    @cached_property
    def template(self) -> str:
        """Digest of the estimator as it was given."""
        return digest_value(self.estimator if self.with_torch else unfitted(self.estimator))

    def training(self, columns: dict[str, Any] | None, routed: bool) -> Training:
        """How a unit is trained, in the modes of scikit-learn that are set here and now."""
        if isinstance(self.estimator, TorchTraining):
            return self.estimator
        return SklearnTraining(self.estimator, self.declared, columns, routed, get_config())

    def training_of(self, of: Ensemble) -> Training:
        return self.training(of.columns, of.routed)

    def recipe(self, columns: dict[str, Any] | None, routed: bool, rows: Rows) -> Recipe:
        """How units are trained, this process, and what a unit of fixed rows learns in it."""
        settings = {"estimator": self.template, "columns": columns, "routed": routed}
        frames = [columns["library"]] if columns else []
        trees = [] if self.with_torch else boosters.distributions(self.estimator)
        models, device = (MODELS, "cpu") if self.with_torch else ((), None)
        here = environment((*TABLES, *models, *frames, *trees), device=device)
        modes = {} if self.with_torch else table_modes()
        return Recipe(settings, {**here, **modes}).tried(self._fixed(columns, routed, rows).learned)

    def names(
        self, of: Ensemble, unit: int, positions: Positions, sizes: tuple[int, ...], rows: Rows
    ) -> tuple[str, ...]:
        """Keys of a unit's stages: other content, types, settings, classes or libraries give other names."""
        classes = of.classes_.tolist() if self.passes is not None and of.outputs else None
        settings = {**of.trained_by.settings, "passes": plain(self.passes), "classes": classes}
        # Values that are written alike: 0 and 0.0 as bytes, 1 and 1.0 as JSON, a weight of one and none.
        types = {"X": type_words(rows.X), "y": type_words(rows.y), "weighed": of.weights is not None}
        recipe = replace(of.trained_by, settings={**settings, "types": types})
        return stage_names(recipe, unit_secret(rows.salt, unit), of.cut.keys[positions], sizes)

    def files(self, of: Ensemble, rows: Rows) -> set[str]:
        """Keys of the stages of all units, under which they would lie in a work folder."""
        return {name for i, s in of.shards.items() for name in self.names(of, i, s.positions, s.sizes, rows)}

    # -- training ------------------------------------------------------------------------------------------------

    def everything(self, placed: Ensemble, rows: Rows, work: str | Path | None) -> Ensemble:
        """Every shard trained from nothing.

        Raises: InvalidParameter, for an estimator that does not repeat, where its canary shows that already.
        """
        units = placed.cut.units(rows.positions())
        try:
            return self.trained(placed, rows, {i: (positions, ()) for i, positions in units.items()}, work)
        except RecipeMismatch:  # other bits, of another process or of any
            fixed = self._fixed(placed.columns, placed.routed, rows)
            once, again = (Stage(*fixed.trained()) for _ in range(2))
            refuse_other("a unit", once, again, fixed.training)
            raise

    def grown(self, placed: Ensemble, before: Ensemble, rows: Rows, work: str | Path | None) -> Ensemble:
        """The units of all records; stages of the same records as before stay."""
        again, stay = {}, {}
        for i, positions in placed.cut.units(rows.positions()).items():
            sizes = placed.cut.sizes(positions, self.slices)
            clean: tuple[Stage, ...] = ()
            if (shard := before.shards.get(i)) is not None:
                old = self.names(before, i, shard.positions, shard.sizes, rows)
                new = self.names(placed, i, positions, sizes, rows)
                clean = shard.stages[: n_alike(old, new)]
            if len(clean) == len(sizes):
                stay[i] = Trained(positions, sizes, clean)
            else:
                again[i] = positions, clean
        return self.trained(replace(placed, shards=stay), rows, again, work)

    def without(self, learned: Ensemble, rows: Rows, gone: Positions, work: str | Path | None) -> Ensemble:
        """The units that these records touch trained again without them."""
        return self.trained(learned.without(gone), rows, _left(learned, rows, gone), work)

    def trained(self, rest: Ensemble, rows: Rows, again: Again, work: str | Path | None) -> Ensemble:
        """The rest, with shards trained on these positions, from these clean stages on.

        Raises: InvalidData, for a regression of which no unit can be trained.
        """
        tasks = [self._task(rest, rows, i, positions, clean, work) for i, (positions, clean) in again.items()]
        with refusals():
            done = self.executor.run(train_unit, tasks)
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

    # -- trials --------------------------------------------------------------------------------------------------

    def check_repeats(self, learned: Ensemble, rows: Rows) -> None:
        """Train the first stage of the smallest unit again, and compare values.

        Raises: InvalidParameter.
        """
        if (chosen := smallest(learned.shards)) is None:
            return
        unit, r = chosen
        shard = learned.shards[unit]
        task = self._task(learned, rows, unit, shard.positions)
        (found,) = self.executor.run(train_unit, [replace(task, sizes=task.sizes[: r + 1])])
        refuse_other(unit_id(unit), shard.stages[r], found.stages[r], task.training)

    def silenced_by(self, learned: Ensemble, rows: Rows, gone: Positions) -> tuple[str, ...]:
        """Units that answer now and would not without these records, as far as few are left to them.

        Raises: InvalidData, for a regression that would have no model left.
        """
        rest, touched = learned.without(gone), _left(learned, rows, gone)
        tasks = {
            i: self._task(rest, rows, i, left, clean)
            for i, (left, clean) in touched.items()
            if not self.with_torch and learned.shards[i].serves and learned.few_left(i, left, FEW)
        }
        with refusals():
            done = self.executor.run(train, list(tasks.values()))
        silenced = {i: found.refusal for i, found in zip(tasks, done, strict=True) if not found.stages[-1].data}
        if not learned.outputs and not any(
            learned.shards[i].serves for i in (rest.shards.keys() | touched.keys()) - silenced.keys()
        ):
            raise InvalidData(_NO_MODEL.format(next(iter(silenced.values()), "it has no records")))
        return tuple(unit_id(i) for i in silenced)

    # -- internals -----------------------------------------------------------------------------------------------

    def _task(
        self,
        of: Ensemble,
        rows: Rows,
        unit: int,
        positions: Positions,
        clean: Sequence[Stage] = (),
        work: str | Path | None = None,
    ) -> UnitTask:
        """How to train a unit on these positions, from these clean stages on."""
        sizes = of.cut.sizes(positions, self.slices)
        return UnitTask(
            training=self.training_of(of),
            X=take(rows.X, positions),
            y=rows.y[positions],
            weights=None if of.weights is None else of.weights[positions],
            keys=of.cut.keys[positions, 0],
            sizes=sizes,
            passes=self.passes,
            classes=of.classes_,
            secret=unit_secret(rows.salt, unit),
            clean=tuple(clean),
            recipe=of.trained_by,
            fixed=self._fixed(of.columns, of.routed, rows),
            names=self.names(of, unit, positions, sizes, rows),
            stages=Stages(Path(work) if work else None),
        )

    def _fixed(self, columns: dict[str, Any] | None, routed: bool, rows: Rows) -> FixedUnit:
        return FixedUnit(
            training=self.training(columns, routed),
            form=take(rows.X, np.arange(0)),
            columns=columns,
            classifier=is_classifier(self.estimator),
            several=rows.y.ndim == 2,
            passes=self.passes is not None,
        )


def _left(learned: Ensemble, rows: Rows, gone: Positions) -> dict[int, tuple[Positions, tuple[Stage, ...]]]:
    """Of each shard that loses some of these and keeps others: its records, and the stages that saw none of them."""
    leaving = np.zeros(rows.size, dtype=bool)
    leaving[gone] = True
    again = {}
    for i, _, first in learned.cut.touched(gone):
        shard = learned.shards[i]
        if len(left := shard.positions[~leaving[shard.positions]]):
            again[i] = left, shard.stages[: first - 1]
    return again
