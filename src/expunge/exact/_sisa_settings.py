"""Checks of what `Sisa` was asked for, before anything is trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from expunge.core.errors import InvalidParameter


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
