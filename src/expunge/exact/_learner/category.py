"""What is one category: a value in a form that equal ones share, whichever record holds them."""

from typing import Any

import numpy as np

from expunge.core.errors import InvalidData


class NoCategory(InvalidData, TypeError):
    """A value is of a type that cannot be a category."""


def category(value: Any) -> Any:
    """A category as Python's value: 1, 1.0 and True are one.

    Raises: NoCategory.

    >>> category(np.float64(2.0)), category("2"), category(None)
    (2, '2', None)
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise NoCategory(f"a category: argument must be a string or a number, None or NaN; got {type(value).__name__}")
