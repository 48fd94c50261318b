"""Labelled rows, and the three sets of them that an audit of classifiers asks about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse, vstack

from expunge.core.digests import digest_bytes, digest_json
from expunge.core.errors import EmptyForgetSet, InvalidData
from expunge.core.seeds import derived_seed

Index = NDArray[np.intp]
_SECRET = b"expunge/classifiers/v1"  # no secret: the same draws for everybody, so that anybody can compute them again


@dataclass(frozen=True)
class Rows:
    """Inputs (array, tensor or data frame; first axis: rows) and their labels, [N]."""

    X: Any
    y: NDArray[Any]

    @classmethod
    def of(cls, given: "tuple[Any, Any] | Rows", what: str) -> "Rows":
        """Raises: InvalidData, where inputs and labels do not fit each other."""
        if isinstance(given, Rows):
            return given
        X, y = given
        X = X if hasattr(X, "shape") else np.asarray(X)
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != X.shape[0]:
            raise InvalidData(f"{what}: one label per row is needed, got {labels.shape} for {X.shape[0]} rows")
        return cls(X, labels)

    def __len__(self) -> int:
        return len(self.y)

    def at(self, index: Index) -> "Rows":
        return Rows(take(self.X, index), self.y[index])

    def names(self) -> list[str]:
        """A digest of each row: equal where input and label are."""
        given = self.X.toarray() if issparse(self.X) else self.X
        given = given.detach().cpu() if isinstance(given, torch.Tensor) else given
        rows = np.asarray(given)
        rows = rows if rows.dtype == object else np.ascontiguousarray(rows, dtype=np.float64)
        as_bytes = [repr(r.tolist()).encode() if rows.dtype == object else r.tobytes() for r in rows]
        return [digest_bytes("row", x + b"\0" + str(label).encode()) for x, label in zip(as_bytes, self.y, strict=True)]


def take(X: Any, index: Index) -> Any:
    """These rows of an array, a tensor or a data frame."""
    return X.iloc[index] if hasattr(X, "iloc") else X[index]


@dataclass(frozen=True)
class Sets:
    """`forget` should be gone, `retain` should have stayed, `holdout` was never trained on (by any arm)."""

    forget: Rows
    retain: Rows
    holdout: Rows | None = None

    def __post_init__(self) -> None:
        """Raises: EmptyForgetSet; InvalidData, where the holdout was trained on."""
        if not len(self.forget):
            raise EmptyForgetSet("no rows to forget were given; an audit needs at least one")
        if not len(self.retain):
            raise InvalidData("no retained rows were given; without them nobody sees whether skill was lost")
        if self.holdout is not None and len(self.holdout):
            trained = {*self.forget.names(), *self.retain.names()}
            known = sum(name in trained for name in self.holdout.names())
            if known > len(self.holdout) / 2:  # tables of few values repeat some rows by chance
                raise InvalidData(
                    f"{known} of {len(self.holdout)} holdout rows are among the trained ones; non-members must be "
                    "rows that no arm was trained on"
                )

    def digest(self) -> str:
        parts = [self.forget, self.retain, self.holdout]
        return digest_json("classifier rows", [rows.names() if rows is not None else None for rows in parts])


def halves(rows: Rows) -> tuple[Index, Index]:
    """Two halves, each with rows of every class, by a keyed draw.

    >>> first, second = halves(Rows(np.zeros((6, 1)), np.array([0, 0, 1, 1, 1, 1])))
    >>> np.sort(np.concatenate([first, second])).tolist(), len(first)
    ([0, 1, 2, 3, 4, 5], 3)
    """
    shuffled = drawn("halves").permutation(len(rows))
    by_class = [shuffled[rows.y[shuffled] == label] for label in np.unique(rows.y)]
    return (
        np.concatenate([part[::2] for part in by_class]),
        np.concatenate([part[1::2] for part in by_class]),
    )


def batches(n_rows: int, size: int, n_batches: int, *context: str | int) -> list[Index]:
    """Positions of `n_batches` batches, in passes over all rows, each pass in a keyed order of its own.

    >>> [len(b) for b in batches(10, 4, 3, "example")], np.sort(np.concatenate(batches(10, 5, 2, "example"))).tolist()
    ([4, 4, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    found: list[Index] = []
    while len(found) < n_batches:
        order = drawn("batches", len(found), *context).permutation(n_rows)
        found += [order[k : k + size] for k in range(0, n_rows, size)]
    return found[:n_batches]


def drawn(*context: str | int) -> np.random.Generator:
    """Random draws that depend on the place where they are used alone."""
    return np.random.default_rng(derived_seed(_SECRET, *context))


def per_class(labels: NDArray[Any]) -> Sequence[Any]:
    """The labels that occur, sorted, as plain values."""
    return list(np.unique(labels).tolist())


def joined(first: Rows, second: Rows) -> Rows:
    """Rows of two sets of one kind, one after the other."""
    labels = np.concatenate([first.y, second.y])
    if isinstance(first.X, torch.Tensor):
        return Rows(torch.cat([first.X, second.X]), labels)
    if issparse(first.X):
        return Rows(vstack([first.X, second.X], format="csr"), labels)
    if hasattr(first.X, "iloc"):
        import pandas as pd  # whoever gives a frame has it

        return Rows(pd.concat([first.X, second.X], ignore_index=True), labels)
    return Rows(np.concatenate([first.X, second.X]), labels)
