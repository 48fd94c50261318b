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
from expunge.exact._learner.learner import plain
from expunge.exact._learner.rows import Positions
from expunge.exact._sisa.classes import Classes
from expunge.exact._sisa.parts import stage_parts
from expunge.exact._sisa.place import Cut
from expunge.exact._sisa.unit import Trained, unit_id


@dataclass(frozen=True, kw_only=True)
class Ensemble(Learned):
    """Shards by number, with what their placement and training followed from."""

    cut: Cut
    classes: Classes | None  # None in regression
    bands: NDArray[np.int64]  # of the prior, at every position; 0 where no record is left
    columns: Any  # of data frames, names and whether numeric
    trained_by: Recipe
    dumped: bytes | None  # the estimator as it was given, where it can be written without pickle
    shards: Mapping[int, Trained] = field(default_factory=dict)
    visited: int = 0  # records, by the training that led here
    models: dict[int, Any] = field(default_factory=dict)  # a cache: what serves, loaded when first used

    @property
    def recipe(self) -> Recipe:
        return self.trained_by

    @property
    def classes_(self) -> Any:
        return None if self.classes is None else self.classes.names

    @property
    def live_bands(self) -> Any:
        """Of the records that are held, in the order of their positions."""
        return self.bands[np.sort(np.concatenate([s.positions for s in self.shards.values()]))]

    def packed(self) -> dict[str, Any]:
        return {
            "template": self.trained_by.settings["estimator"],
            "environment": self.trained_by.environment,
            "canary": self.trained_by.canary,
            "bands": self.live_bands,
            "columns": plain(self.columns),
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

    def without(self, gone: Positions) -> "Ensemble":
        """The shards that hold none of these records, and nothing about these in the rest."""
        bands = self.bands.copy()
        bands[gone] = 0
        hit = set(self.cut.shard[gone].tolist())
        return replace(
            self,
            cut=self.cut.without(gone),
            classes=self.classes and self.classes.without(gone),
            bands=bands,
            shards={i: s for i, s in self.shards.items() if i not in hit},
            models={i: model for i, model in self.models.items() if i not in hit},
        )
