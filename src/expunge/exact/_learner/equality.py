"""Whether two learned states are equal, and how far they are apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-10  # relative; what numeric equality means here


def difference(a: Mapping[str, Any], b: Mapping[str, Any], least: Mapping[str, float] | None = None) -> float:
    """Largest relative difference of two learned states: of floats against the largest entry, else 0 or infinity.

    `least` is by the name of an array what its differences are measured against where no entry is larger.

    >>> difference({"w": np.array([1.0, 2.0])}, {"w": np.array([1.0, 2.2])})
    0.0909...
    >>> difference({"words": ["a"]}, {"words": ["a", "b"]})
    inf
    >>> difference({"w": np.array([1.0])}, {"w": np.array([1.1])}, {"w": 100.0})
    0.001...
    """
    if a.keys() != b.keys():
        return float("inf")
    worst = 0.0
    for name, value in a.items():
        x, y = np.asarray(value), np.asarray(b[name])
        if x.shape != y.shape or x.dtype.kind != y.dtype.kind or (x.dtype.kind != "f" and not (x == y).all()):
            return float("inf")
        if x.dtype.kind == "f" and x.size:
            finite = np.isfinite(x) & np.isfinite(y)
            if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
                return float("inf")
            scale = max(float(np.abs(y[finite]).max(initial=0.0)), (least or {}).get(name, 0.0), 1e-300)
            worst = max(worst, float(np.abs(x[finite] - y[finite]).max(initial=0.0)) / scale)
    return worst
