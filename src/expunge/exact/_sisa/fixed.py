"""The canary of a unit: what it learns from a fixed table of the form of its records, and of none of their values.

Where records are rows of a data frame, the table has the types and categories that are declared.
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from expunge.exact._learner.canary import ROWS, fixed_column, fixed_rows, fixed_targets
from expunge.exact._learner.rows import as_fields
from expunge.exact._sisa.draws import drawing_from

if TYPE_CHECKING:
    from expunge.exact._sisa.unit import Training


@dataclass(frozen=True, kw_only=True)
class FixedUnit:
    """A unit of fixed records. It goes with every task, so that whoever trains can see that its bits are those of the fit."""

    training: "Training"
    form: Any  # records of which there are none: an array, a sparse matrix or a list
    columns: dict[str, Any] | None
    classifier: bool
    several: bool
    passes: bool

    def learned(self) -> str:
        """The digest of the model of this unit."""
        return self.trained()[1]

    def trained(self) -> tuple[bytes, str]:
        """The model of this unit, trained as units are, on one thread, as bytes; and the digest of its values."""
        X, y = fixed_records(self.form, self.columns), fixed_targets(self.classifier, self.several)
        orders = [np.arange(ROWS)] if self.passes else None
        classes = np.arange(2) if self.classifier else None
        with warnings.catch_warnings(), drawing_from(0), threadpool_limits(limits=1):
            warnings.simplefilter("ignore")
            model = self.training.stage(None, X, y, orders, classes, seed=0)
        data = self.training.dump(model)
        return data, self.training.digest(self.training.load(data))


def fixed_records(like: Any, columns: dict[str, Any] | None) -> Any:
    """64 rows of the form of these records, whose columns are described so."""
    if columns is None or not like.dtype.names:
        return fixed_rows(like)
    kinds = columns["columns"]
    return as_fields([_field(like.dtype[str(k)], kind, k) for k, kind in enumerate(kinds)])


def _field(dtype: np.dtype[Any], kind: dict[str, Any], k: int) -> NDArray[Any]:
    i = np.arange(ROWS)
    if "categories" in kind:
        place = (i + k) % max(1, len(kind["categories"]))
        return place.astype(dtype) if dtype.kind != "O" else np.array(kind["categories"], dtype=object)[place]
    if dtype.kind != "O":
        return fixed_column(dtype, k)
    name = str(kind["type"]).lower()
    if name in ("string", "object"):
        return fixed_column(dtype, k)
    values: list[Any] = [float(v) for v in fixed_column(np.dtype(float), k)]
    if name == "boolean":
        values = [bool(v % 2) for v in i]
    elif not name.startswith("float"):  # whole numbers, dates and times, which are held as whole numbers
        values = [int(v) for v in (i + k) % 5]
    made = np.empty(ROWS, dtype=object)
    made[:] = values
    return made
