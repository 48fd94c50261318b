"""Numbers for JSON, which has no word for what is not a number."""

import math
from typing import Any


def finite(value: Any) -> Any:
    """The same value with every number that is not finite as None, and tuples as lists.

    >>> finite({"a": (1.0, float("nan")), "b": "x"})
    {'a': [1.0, None], 'b': 'x'}
    """
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
