"""Columns of polars: which types are known, their values as plain ones, and a frame of such values again.

A column of polars may miss values whatever its type, so all are held as objects, with None for none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from expunge.exact._sisa.plain import plain_objects

_PLAIN = {"Boolean", "String", "Float32", "Float64", *(f"{sign}Int{n}" for sign in ("", "U") for n in (8, 16, 32, 64))}


def kind(dtype: Any) -> dict[str, Any] | None:
    """A type as JSON; None for one that is not known. The list of a Categorical follows rows, that of an Enum is declared."""
    name = dtype.base_type().__name__
    if name == "Enum":
        return {"type": name, "categories": dtype.categories.to_list()}
    if name == "Datetime":
        return {"type": name, "unit": dtype.time_unit, "zone": dtype.time_zone}
    if name == "Duration":
        return {"type": name, "unit": dtype.time_unit}
    return {"type": name} if name in _PLAIN or name in ("Date", "Time") else None


def plain(column: Any, kind: dict[str, Any]) -> NDArray[Any]:
    """Values as objects; dates and times as the numbers that polars keeps of them."""
    listed = column.to_list() if kind["type"] in _PLAIN or "categories" in kind else column.to_physical().to_list()
    values = np.empty(len(listed), dtype=object)
    values[:] = listed
    return plain_objects(values)


def frame(fields: Sequence[NDArray[Any]], kinds: Sequence[dict[str, Any]]) -> Any:
    """A frame of plain values."""
    return pl.DataFrame([_made(values.tolist(), kind) for values, kind in zip(fields, kinds, strict=True)])


def _made(values: list[Any], kind: dict[str, Any]) -> Any:
    name, of = kind["name"], kind["type"]
    if "categories" in kind:
        return pl.Series(name, values, dtype=pl.Enum(kind["categories"]))
    if of == "Datetime":
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.Datetime(kind["unit"], kind["zone"]))
    if of == "Duration":
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.Duration(kind["unit"]))
    if of in ("Date", "Time"):
        return pl.Series(name, values, dtype=pl.Int32 if of == "Date" else pl.Int64).cast(getattr(pl, of))
    return pl.Series(name, values, dtype=getattr(pl, of))
