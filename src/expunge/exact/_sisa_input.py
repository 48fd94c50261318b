"""What `Sisa` takes: numbers, sparse matrices, words in columns, data frames for Pipelines, and texts."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_consistent_length

from expunge.core.errors import InvalidData


def is_text(X: Any) -> bool:
    """Whether the records are texts: a list, series or one-dimensional array of strings."""
    if isinstance(X, str) or not hasattr(X, "__iter__") or getattr(X, "ndim", 1) != 1:
        return False
    return isinstance(next(iter(X), None), str)


def settled(X: Any, y: Any) -> tuple[Any, Any]:
    """Values whose form does not depend on other records: words as objects, not padded to the longest among them."""
    if isinstance(X, list):
        check_consistent_length(X, *(() if y is None else (y,)))
        if not all(isinstance(text, str) for text in X):
            raise InvalidData("some records are texts and others are not; give texts only")
        return [str(text) for text in X], y
    return X.astype(object) if getattr(X, "dtype", None) is not None and X.dtype.kind in "US" else X, y


def input_settings(estimator: Any, X: Any) -> dict[str, Any]:
    """How to check X for this estimator; a Pipeline may take words, which its first steps turn into numbers."""
    tags = get_tags(estimator).input_tags
    words = tags.string or tags.categorical or isinstance(estimator, Pipeline)
    return {
        "accept_sparse": "csr" if tags.sparse else False,
        "dtype": None if words else "numeric",
        "ensure_all_finite": "allow-nan" if _takes_nan(estimator) else True,
        "allow_nd": tags.three_d_array,
    }


def column_kinds(X: Any, estimator: Any) -> tuple[tuple[str, bool], ...] | None:
    """Names of a data frame's columns, and whether each is of numbers; None where the estimator is given arrays."""
    if not hasattr(X, "iloc") or not hasattr(X, "columns") or not isinstance(estimator, Pipeline | ColumnTransformer):
        return None
    return tuple((str(name), bool(np.issubdtype(t, np.number))) if isinstance(t, np.dtype) else (str(name), False)
                 for name, t in zip(X.columns, X.dtypes, strict=True))  # fmt: skip


def _takes_nan(estimator: Any) -> bool:
    """Whether NaN may come in; a Pipeline does not say, its first step does."""
    if isinstance(estimator, Pipeline):
        return _takes_nan(estimator.steps[0][1])
    if isinstance(estimator, ColumnTransformer):
        return any(_takes_nan(step) for _, step, _ in estimator.transformers if not isinstance(step, str))
    return not isinstance(estimator, str) and bool(get_tags(estimator).input_tags.allow_nan)
