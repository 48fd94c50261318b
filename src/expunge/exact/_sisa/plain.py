"""Python's objects that a file can hold as they are: numbers, text, booleans, None."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidData


def plain_objects(values: NDArray[Any]) -> NDArray[Any]:
    """These objects, numpy's numbers as Python's.

    Raises: InvalidData.

    >>> plain_objects(np.array([np.int64(1), "a", None], dtype=object)).tolist()
    [1, 'a', None]
    """
    made = np.empty(len(values), dtype=object)
    for i, value in enumerate(values.tolist()):
        item = value.item() if isinstance(value, np.generic) else value
        if item is not None and type(item) not in (bool, int, float, str):
            raise InvalidData(
                f"a {type(value).__module__}.{type(value).__qualname__}, which is no number, text or boolean; give the "
                "column a type that says what it holds"
            )
        made[i] = item
    return made
