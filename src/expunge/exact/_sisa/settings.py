"""Checks of `Sisa`'s settings, before anything is trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from expunge.core.errors import InvalidParameter
from expunge.core.placement import stage_epochs

EPOCHS = 20  # where passes are made and their number is not given


def check_settings(
    shards: Any, slices: Any, epochs: int | None, vote: str, cutoffs: Sequence[float], declared: Sequence[str]
) -> None:
    """Raises: InvalidParameter."""
    for name, value in (("shards", shards), ("slices", slices)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InvalidParameter(f"{name} must be a whole number of at least 1, got {value!r}")
    if epochs is not None and epochs * 2 < slices + 1:
        raise InvalidParameter(
            f"epochs={epochs} over {slices} slices leaves stages without a pass, and records unseen; "
            f"at least {(slices + 2) // 2} are needed"
        )
    if vote not in ("auto", "mean", "vote"):
        raise InvalidParameter(f"vote must be 'auto', 'mean' or 'vote', got {vote!r}")
    if (cutoffs and len(cutoffs) >= slices) or sorted(set(cutoffs)) != list(cutoffs):
        raise InvalidParameter(
            f"cutoffs must rise and be fewer than the slices, of which there are {slices}; got {list(cutoffs)}"
        )
    if isinstance(declared, str):
        raise InvalidParameter(f"declared must be a list of steps, got a string; write declared=[{declared!r}]")


def passes_of(slices: int, epochs: int | None, always: bool) -> tuple[int, ...] | None:
    """Passes of each stage; None where a unit is trained by one fit.

    >>> passes_of(2, 25, always=False), passes_of(1, None, always=False), passes_of(1, None, always=True)
    ((16, 17), None, (20,))
    """
    if slices == 1 and epochs is None and not always:
        return None
    return tuple(stage_epochs(EPOCHS if epochs is None else epochs, slices))
