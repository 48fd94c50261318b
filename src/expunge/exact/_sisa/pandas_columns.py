"""Columns of pandas: which types are known, their values as plain ones, and a frame of such values again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expunge.exact._sisa.plain import plain_objects

_NULLABLE = {"boolean", "Float32", "Float64", *(f"{sign}Int{n}" for sign in ("", "U") for n in (8, 16, 32, 64))}
_NUMPY = "biufmMO"  # kinds; of floats those that a file can hold


def kind(dtype: Any) -> dict[str, Any] | None:
    """A type as JSON; None for one that is not known, or whose categories are of one that is not."""
    if isinstance(dtype, pd.CategoricalDtype):
        of = kind(dtype.categories.dtype)
        if of is None or "categories" in of:
            return None
        names = plain(pd.Series(dtype.categories), of).tolist()
        return {"type": "category", "of": of, "categories": names, "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        return {"type": "string", "storage": dtype.storage, "missing": "NA" if dtype.na_value is pd.NA else "NaN"}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {"type": "datetime", "unit": dtype.unit, "zone": str(dtype.tz)}
    if str(dtype) in _NULLABLE:
        return {"type": str(dtype)}
    if isinstance(dtype, np.dtype) and dtype.kind in _NUMPY and (dtype.kind != "f" or dtype.itemsize <= 8):
        return {"type": dtype.name}
    return None


def plain(column: Any, kind: dict[str, Any]) -> NDArray[Any]:
    """Values as an array of numbers, or of objects with None for none; categories by their place in the list.

    Raises: InvalidData, for objects that are neither numbers, text nor booleans.
    """
    if "categories" in kind:
        return np.asarray(column.cat.codes)
    if kind["type"] == "datetime":
        return np.asarray(column.dt.tz_convert("UTC").dt.tz_localize(None)).astype(np.int64)
    if kind["type"] == "string" or kind["type"] in _NULLABLE:
        values = column.astype(object).to_numpy(copy=True)
        values[column.isna().to_numpy()] = None
        return plain_objects(values)
    values = column.to_numpy()
    if values.dtype.kind in "mM":
        values = values.astype(np.int64)
    return plain_objects(values) if values.dtype == object else np.asarray(values)


def frame(fields: Sequence[NDArray[Any]], kinds: Sequence[dict[str, Any]]) -> Any:
    """A frame of plain values, with a new index."""
    made = pd.DataFrame({k: _made(values, kind) for k, (values, kind) in enumerate(zip(fields, kinds, strict=True))})
    made.columns = pd.Index([kind["name"] for kind in kinds])
    return made


def _made(values: NDArray[Any], kind: dict[str, Any]) -> Any:
    """A column of plain values, of this type."""
    name = kind["type"]
    if "categories" in kind:
        of = kind["of"]
        listed = pd.Index(_made(np.array(kind["categories"], dtype=_held_as(of)), of))
        return pd.Categorical.from_codes(values, dtype=pd.CategoricalDtype(listed, ordered=kind["ordered"]))
    if name == "string":
        missing = pd.NA if kind["missing"] == "NA" else np.nan
        return pd.array(values, dtype=pd.StringDtype(kind["storage"], na_value=missing))
    if name == "datetime":
        universal = pd.Series(values.astype(f"datetime64[{kind['unit']}]"))
        return universal.dt.tz_localize("UTC").dt.tz_convert(kind["zone"])
    if name in _NULLABLE:
        return pd.array(values.tolist(), dtype=name)
    return pd.Series(
        values.astype(name), dtype=name
    )  # its type said, or text among objects would be made a string type


def _held_as(kind: dict[str, Any]) -> Any:
    """The type of an array of plain values."""
    name = kind["type"]
    if name in ("string", "object") or name in _NULLABLE:
        return object
    return np.int64 if name == "datetime" or np.dtype(name).kind in "mM" else name
