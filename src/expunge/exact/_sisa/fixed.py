"""The fixed table of a canary where records are rows of a data frame: of the types that are declared, and of no values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.exact._learner.canary import ROWS, fixed_column, fixed_rows
from expunge.exact._learner.rows import as_fields


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
