"""What `Sisa` learned: its shards, where every record lies in them, and what a replay must find again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core import Unit
from expunge.core.digests import digest_json
from expunge.core.recipe import Recipe
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.rows import Positions
from expunge.exact._sisa.classes import Classes
from expunge.exact._sisa.parts import stage_parts
from expunge.exact._sisa.place import Cut
from expunge.exact._sisa.unit import Trained, unit_id


@dataclass(frozen=True, kw_only=True)
class Ensemble(Learned):
    """Shards by number, with what their placement and training followed from."""

    cut: Cut
    outputs: tuple[Classes, ...]  # classes of each target; none in regression
    several: bool  # targets a record, so that answers are one per target, too
    bands: NDArray[np.int64]  # of the prior, at every position; 0 where no record is left
    weights: NDArray[np.float64] | None  # at every position; 0 where no record is left
    columns: dict[str, Any] | None  # of data frames: library, names, types and declared categories
    routed: bool  # whether scikit-learn's metadata routing was on
    search: dict[str, Any] | None  # how settings were chosen on these records, or on more than these
    trained_by: Recipe
    dumped: bytes | None  # the estimator as it was given, where it can be written without pickle
    shards: Mapping[int, Trained] = field(default_factory=dict)
    visited: int = 0  # records, by the training that led here
    refused: dict[str, str] = field(default_factory=dict)  # units without a model by that training, and why
    silenced: tuple[str, ...] = ()  # units that had a model before it
    models: dict[int, Any] = field(default_factory=dict)  # a cache: what serves, loaded when first used

    @property
    def classes_(self) -> Any:
        names = [classes.names for classes in self.outputs]
        return (names if self.several else names[0]) if names else None

    def seen(self, unit: int) -> list[NDArray[np.int64]]:
        """Of each target, codes of the classes that the unit saw."""
        return [classes.seen(self.shards[unit].positions) for classes in self.outputs]

    def tells_apart(self, unit: int) -> bool:
        """Whether a unit saw more than one class of any target; in regression there is nothing to tell apart."""
        return not self.outputs or any(len(codes) > 1 for codes in self.seen(unit))

    @property
    def live_bands(self) -> Any:
        """Of the records that are held, in the order of their positions."""
        return self.bands[self.live]

    @property
    def live_weights(self) -> Any:
        """Of the records that are held, in the order of their positions; None where none were given."""
        return None if self.weights is None else self.weights[self.live]

    @property
    def live(self) -> Positions:
        """Positions of the records that are held, in order."""
        return np.sort(np.concatenate([shard.positions for shard in self.shards.values()]))

    @property
    def recipe(self) -> Recipe:
        return self.trained_by

    def packed(self) -> dict[str, Any]:
        return {
            "template": self.trained_by.settings["estimator"],
            "environment": self.trained_by.environment,
            "canary": self.trained_by.canary,
            "bands": self.live_bands,
            "columns": self.columns,
            **({} if self.weights is None else {"weights": self.live_weights}),
            "routed": self.routed,
            "search": self.search,
            "units": {
                unit_id(i): [list(s.sizes), [stage.digest for stage in s.stages]] for i, s in self.shards.items()
            },
        }

    def parts(self) -> Parts:
        template = {} if self.dumped is None else {"template": self.dumped}
        return {**super().parts(), **template, **stage_parts(self.shards)}

    def units(self, n_records: int) -> tuple[Unit, ...]:
        """The shards that hold records, and how many each of their slices holds."""
        return tuple(
            Unit(unit_id(i), s.sizes, digest_json("sisa-unit", [stage.digest for stage in s.stages]))
            for i, s in self.shards.items()
        )

    def sizes_without(self, gone: Positions) -> dict[int, tuple[int, ...]]:
        """Records in each slice of each shard that keeps any."""
        return self.cut.left({i: s.sizes for i, s in self.shards.items()}, gone)

    def given(self) -> dict[str, Any]:
        """What was given to the fit, and stays what it was when all units train again."""
        names = ("bands", "weights", "columns", "trained_by", "dumped", "routed", "search")
        return {name: getattr(self, name) for name in names}

    def after(self, before: "Ensemble") -> "Ensemble":
        """The same, knowing which units had a model before and have none now."""
        had = [i for i, shard in before.shards.items() if shard.serves]
        lost = tuple(unit_id(i) for i in had if i in self.shards and not self.shards[i].serves)
        return replace(self, silenced=lost)

    def loses_a_class(self, gone: Positions) -> bool:
        """Whether a class that was not declared leaves with these records."""
        return any(classes.loses(gone) for classes in self.outputs)

    def few_left(self, unit: int, left: Positions, few: int) -> bool:
        """Whether of any class that the unit knew, or of all records in regression, fewer than `few` are left to it."""
        if not self.outputs:
            return len(left) < few
        before = self.shards[unit].positions
        return any(np.bincount(c.codes[left], minlength=len(c.names))[c.seen(before)].min() < few for c in self.outputs)

    def without(self, gone: Positions) -> "Ensemble":
        """The shards that hold none of these records, and nothing about these in the rest."""
        bands, weights = self.bands.copy(), None if self.weights is None else self.weights.copy()
        bands[gone] = 0
        if weights is not None:
            weights[gone] = 0.0
        hit = set(self.cut.shard[gone].tolist())
        return replace(
            self,
            cut=self.cut.without(gone),
            outputs=tuple(classes.without(gone) for classes in self.outputs),
            bands=bands,
            weights=weights,
            shards={i: s for i, s in self.shards.items() if i not in hit},
            models={i: model for i, model in self.models.items() if i not in hit},
        )
