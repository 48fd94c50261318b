"""What an edit is, in words that are the same in another process: what a state left behind by a kill is known by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
from torch import Tensor

from expunge.approximate._settings import Edit
from expunge.core.digests import digest_bytes, digest_json
from expunge.engine import digest_model


def edit_key(model: Any, forget: Sequence[Any], retain: Sequence[Any], method: Any, settings: Edit) -> str:
    """The digest of all that the result depends on."""
    rows = [[described(row) for row in side] for side in (forget, retain)]
    return digest_json("edit", [digest_model(model), rows, described(method), asdict(settings)])


def described(value: Any) -> Any:
    """A JSON value of a method or its parameters: fields by name, functions by theirs, rows by all they say.

    >>> from expunge.approximate import methods
    >>> described(methods.get("undo")())["inner"]["method"]
    'expunge.approximate.rmu.RMU'
    >>> described(len)
    'builtins.len'
    """
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        parameters = {f.name: described(getattr(value, f.name)) for f in fields(value)}
        return {"method": f"{kind.__module__}.{kind.__qualname__}", **parameters}
    if isinstance(value, Mapping):
        return {str(key): described(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [described(one) for one in (value if isinstance(value, Sequence) else sorted(value, key=str))]
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType | type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Tensor | np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        return [list(array.shape), str(array.dtype), digest_bytes("array", array.tobytes())]
    return value if isinstance(value, str | bool | None) else repr(value)
