"""The generators that all code of a process shares, set for a while: for estimators whose draws no parameter reaches.

Splitters with `shuffle=True` and estimators that call `numpy.random` draw from them.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Python's and numpy's shared generators start from this seed; afterwards they go on from where they were.

    >>> with drawing_from(1):
    ...     first = np.random.random()
    >>> with drawing_from(1):
    ...     first == np.random.random()
    True
    """
    python, shared = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(shared)
