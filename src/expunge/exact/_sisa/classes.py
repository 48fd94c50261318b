"""The classes of a fit: declared, or those of the records that are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact._learner.rows import Positions


@dataclass(frozen=True)
class Classes:
    """Names [C], the code of every position (-1 where no record is left), and how many records each class has [C]."""

    names: Any
    codes: NDArray[np.int64]
    counts: NDArray[np.int64]
    declared: bool

    @classmethod
    def of(cls, y: Any, alive: NDArray[np.bool_], declared: Sequence[Any] | None) -> Self:
        """Raises: InvalidData, for labels beside the declared ones."""
        here = y[alive]
        if declared is not None and not np.isin(here, np.asarray(declared)).all():
            raise InvalidData("y holds labels that classes= does not declare; declare all of them")
        names = as_labels(np.unique(here if declared is None else np.asarray(declared)))
        codes = np.full(len(y), -1)
        codes[alive] = np.searchsorted(names, here)
        return cls(names, codes, np.bincount(codes[alive], minlength=len(names)), declared is not None)

    def seen(self, positions: Positions) -> NDArray[np.int64]:
        """Codes of the classes among these records."""
        return np.unique(self.codes[positions])

    def loses(self, gone: Positions) -> bool:
        """Whether an undeclared class leaves with these records."""
        leaving = np.bincount(self.codes[gone], minlength=len(self.names))
        return not self.declared and bool((leaving == self.counts).any())

    def without(self, gone: Positions) -> "Classes":
        """The same without these records; an undeclared class that has no other is gone."""
        left = self.counts - np.bincount(self.codes[gone], minlength=len(self.names))
        stay = (left > 0) | self.declared
        codes = self.codes.copy()
        codes[gone] = -1
        codes = np.where(codes < 0, -1, (np.cumsum(stay) - 1)[codes])
        return Classes(as_labels(self.names[stay]), codes, left[stay], self.declared)


def as_labels(y: Any) -> Any:
    """Values as an array whose type they alone decide: a longer label elsewhere would widen a slice of an array.

    >>> as_labels(np.array(["a", "b", "a long one"])[:2]).dtype
    dtype('<U1')
    """
    return np.array(y.tolist()) if y.dtype.kind in "USO" else np.ascontiguousarray(y)


def outputs_of(
    y: Any, alive: NDArray[np.bool_], declared: Sequence[Any] | None, passes: tuple[int, ...] | None
) -> tuple[Classes, ...]:
    """Classes of each target: of y [N], or of every column of y [N, K], for which `declared` holds a list each.

    Raises: InvalidParameter, for several targets by passes, or declared for another number of them; InvalidData.
    """
    if y.ndim == 1:
        return (Classes.of(y, alive, declared),)
    if passes is not None:
        raise InvalidParameter("classes of several targets are learned by one fit: slices=1, without epochs")
    lists = [None] * y.shape[1] if declared is None else list(declared)
    if len(lists) != y.shape[1]:
        raise InvalidParameter(f"there are {y.shape[1]} targets and classes= declares {len(lists)}; a list for each")
    return tuple(Classes.of(y[:, k], alive, names) for k, names in enumerate(lists))
