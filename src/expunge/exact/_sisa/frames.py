"""Data frames of pandas and polars: held as columns of plain values beside a description, and made again for a unit.

The description holds names, types and declared categories, and nothing that was read off the values: so a unit's frame
has the types of the whole frame, and a value that leaves with its last record changes no other unit. A type that could
not be made again from its description is refused by name.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidData, MissingExtra
from expunge.exact._learner.rows import as_fields

_COLUMNS = {"pandas": "expunge.exact._sisa.pandas_columns", "polars": "expunge.exact._sisa.polars_columns"}


def library_of(X: Any) -> str | None:
    """Which library's data frame this is, if it is one."""
    for library in _COLUMNS:
        if (module := sys.modules.get(library)) is not None and isinstance(X, module.DataFrame):
            return library
    return None


def described(X: Any) -> dict[str, Any] | None:
    """Library, names and types of a frame's columns, as JSON; None for what is no frame.

    Raises: InvalidData, for a type or a name that could not be made again.
    """
    library = library_of(X)
    if library is None:
        return None
    columns = []
    for name, column in zip(list(X.columns), _each(X, library), strict=True):
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise InvalidData(f"column names must be text or whole numbers, got {name!r}; rename it")
        if (kind := _of(library).kind(column.dtype)) is None:
            raise InvalidData(
                f"column {name!r} is of type {column.dtype}, which could not be made again from its name; make it "
                "numbers, text, booleans, dates, or categories of these that are declared with the type"
            )
        columns.append({"name": name, **kind})
    return {"library": library, "columns": columns}


def held(X: Any, description: dict[str, Any]) -> NDArray[Any]:
    """Values of a frame as an array: as an array given would be where columns are numbers of one type, else of fields.

    Raises: InvalidData, for values that are no numbers, text or booleans in a column of Python's objects.
    """
    module, columns = _of(description["library"]), []
    for kind, column in zip(description["columns"], _each(X, description["library"]), strict=True):
        try:
            columns.append(module.plain(column, kind))
        except InvalidData as e:
            raise InvalidData(f"column {kind['name']!r} holds {e}") from e
    one_type = len({column.dtype for column in columns}) == 1 and columns[0].dtype != object
    return np.column_stack(columns) if one_type else as_fields(columns)


def framed(values: NDArray[Any], description: dict[str, Any]) -> Any:
    """The frame of these rows, with the types of the whole.

    Raises: MissingExtra.
    """
    columns = description["columns"]
    return _of(description["library"]).frame([_column(values, k) for k in range(len(columns))], columns)


def categories_without_records(
    description: dict[str, Any] | None, left: NDArray[Any], leaving: NDArray[Any]
) -> list[str]:
    """Columns of which a declared category leaves with its last record, and stays in the list."""
    names = []
    for k, kind in enumerate((description or {"columns": []})["columns"]):
        if "categories" in kind:
            gone = set(_column(leaving, k).tolist()) - {None, -1}
            if gone - set(_column(left, k).tolist()):
                names.append(str(kind["name"]))
    return names


def _column(values: NDArray[Any], k: int) -> NDArray[Any]:
    return values[str(k)] if values.dtype.names else values[:, k]


def _each(X: Any, library: str) -> list[Any]:
    """Columns one by one, also where two have one name."""
    return [X.iloc[:, k] for k in range(X.shape[1])] if library == "pandas" else X.get_columns()


def _of(library: str) -> ModuleType:
    try:
        return import_module(_COLUMNS[library])
    except ImportError as e:
        raise MissingExtra(
            f"the model was fitted on frames of {library}, which is not installed; install it with: pip install {library}"
        ) from e
