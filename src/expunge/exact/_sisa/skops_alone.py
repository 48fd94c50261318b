"""skops, without what it brings along: listing scikit-learn's estimators, it imports every package there, and torch by one.

That takes most of a second, which every command and every worker would pay that reads or writes an estimator.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OVER_TORCH = "sklearn.externals.array_api_compat.torch"  # holds no estimators


@contextmanager
def _left_out(name: str) -> Iterator[None]:
    """Within, a module that was not imported yet cannot be; what walks over packages passes by."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _left_out(_OVER_TORCH):
    import skops.io as io

__all__ = ["io"]
