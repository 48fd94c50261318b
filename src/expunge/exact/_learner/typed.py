"""Errors of others as our own, so that whoever asks has to know one tree of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from expunge.core.errors import ExpungeError, InvalidData, UnreadableModel


class WrongType(InvalidData, TypeError):
    """Data, or a parameter, is of a type that cannot be what it should be."""


@contextmanager
def typed() -> Iterator[None]:
    """scikit-learn's sentence about bad data, as one of our errors."""
    try:
        yield
    except ExpungeError:
        raise
    except TypeError as e:
        raise WrongType(str(e)) from e
    except ValueError as e:
        raise InvalidData(str(e)) from e


@contextmanager
def readable(folder: str | Path) -> Iterator[None]:
    """Whatever a state that was altered, or is of another version, breaks when it is taken over, as one of our errors."""
    try:
        yield
    except (ExpungeError, OSError, MemoryError):
        raise
    except Exception as e:
        raise UnreadableModel(
            f"the state in {folder} is not one that this version can take over ({type(e).__name__}: {e}); "
            "restore it from a backup"
        ) from e


def is_whole(value: Any) -> bool:
    """Whether a parameter is a whole number, Python's or numpy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
