"""What a fitted learner holds, as a value: `fit` and `forget` make a new one, which the learner takes by one assignment.

So an error or an interrupt on the way leaves the old state, and after it there is the new one; there is none between.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from expunge.core import Unit
from expunge.core.recipe import Recipe
from expunge.exact._learner import parts as _parts
from expunge.exact._learner.rows import Positions, Rows

Parts = Mapping[str, bytes]
WHOLE = "whole"


@dataclass(frozen=True)
class Learned:
    """What was learned from rows, as a value that nobody changes: `_learn` and `_unlearn` return one.

    Fields and properties whose names end in `_` are attributes of the fitted learner, too.
    """

    @property
    def recipe(self) -> Recipe | None:
        """By which it was learned, where learning had to know."""
        return None

    def packed(self) -> dict[str, Any]:
        """What was learned, as arrays and JSON values that are equal whenever it is; all fields, unless it says otherwise."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def compared(self) -> dict[str, Any]:
        """What has to agree to 1e-10 where equality is numeric: each array against its largest entry or its `least`."""
        return self.packed()

    def least(self) -> dict[str, float]:
        """By the name of a compared array: what differences are measured against where no entry is larger."""
        return {}

    def parts(self) -> Parts:
        """What is saved beside the rows: what `packed` gives, unless it needs more to be forgotten from."""
        return {"learned": _parts.pack(self.packed())}

    def units(self, n_records: int) -> tuple[Unit, ...]:
        """The parts of the model; one of all records, unless it says otherwise."""
        return (Unit(WHOLE, (n_records,), _parts.digest(_parts.pack(self.packed()))),)


@dataclass(frozen=True)
class FittedState:
    """Records, what was learned from them, and the parameters of that fit."""

    rows: Rows
    learned: Any  # a `Learned` of the learner's own
    parameters: dict[str, Any]  # as `Learner.parameters` gives them
    features: dict[str, Any]  # `n_features_in_` and `feature_names_in_`, where rows have columns
    recipe: Recipe  # what else decides the bits of a fit
    leaving: Positions | None = None  # unlearned, and to be overwritten in the rows before anything else is done
    on_disk: bool = False  # saved or loaded, so that there may be copies
    tried_by: int = field(default_factory=os.getpid)  # the process that last ran the canary; 0 where it was only read

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        return self.learned.units(self.rows.n)  # type: ignore[no-any-return]

    @cached_property
    def rows_digest(self) -> str:
        return _parts.digest(_parts.pack(self.rows.packed()))
