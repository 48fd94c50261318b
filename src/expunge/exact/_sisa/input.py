"""What `Sisa` takes: numbers, sparse matrices, words in columns, data frames, and texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from expunge.core.errors import ExpungeError, InvalidData
from expunge.exact._learner.typed import WrongType
from expunge.exact._sisa.frames import described, held
from expunge.exact._sisa.torch_training import TorchTraining


def is_text(X: Any) -> bool:
    """Whether the records are texts: a list, series or one-dimensional array of strings."""
    if isinstance(X, str) or not hasattr(X, "__iter__") or getattr(X, "ndim", 1) != 1:
        return False
    return isinstance(next(iter(X), None), str)


def settled(X: Any) -> Any:
    """Values whose form does not depend on other records: words as objects, not padded to the longest among them."""
    return X.astype(object) if getattr(X, "dtype", None) is not None and X.dtype.kind in "US" else X


def checked(learner: Any, X: Any, y: Any, estimator: Any) -> tuple[Any, Any]:
    """Data as the estimator may be given it, or ValueError; notes features on the learner, as scikit-learn does."""
    several = _several_targets(learner)
    target = {"multi_output": several, "y_numeric": not is_classifier(learner)}
    if is_text(X):
        X, y = list(X), column_or_1d(y)
        check_consistent_length(X, y)
        if not all(isinstance(text, str) for text in X):
            raise InvalidData("some records are texts and others are not; give texts only")
    elif (description := frame_of(X, estimator)) is not None:
        y = validate_data(learner, y=y, **target)
        validate_data(learner, X, skip_check_array=True)
        check_consistent_length(X, y)
        if 0 in X.shape:
            raise InvalidData(f"there is nothing to learn from in a frame of shape {X.shape}")
        X = held(X, description)
    else:
        X, y = validate_data(learner, X, y, **input_settings(estimator), **target)
    if is_classifier(learner) and y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if not is_classifier(learner):
        return settled(X), y.astype(np.float64)
    check_classification_targets(y)
    return settled(X), y


def _several_targets(learner: Any) -> bool:
    tags = get_tags(learner)
    labels = tags.classifier_tags is not None and tags.classifier_tags.multi_label
    return bool(tags.target_tags.multi_output or labels)


def frame_of(X: Any, estimator: Any) -> dict[str, Any] | None:
    """The description of a data frame that the units are given as one; None for what they are given as an array.

    Raises: InvalidData, for a type that could not be made again.
    """
    return None if isinstance(estimator, TorchTraining) else described(X)


def input_settings(estimator: Any) -> dict[str, Any]:
    """How to check records for this estimator; a Pipeline may take words, which its first steps turn into numbers."""
    tags = get_tags(estimator).input_tags
    words = tags.string or tags.categorical or isinstance(estimator, Pipeline)
    return {
        "accept_sparse": "csr" if tags.sparse else False,
        "dtype": None if words else "numeric",
        "ensure_all_finite": "allow-nan" if _takes_nan(estimator) else True,
        "allow_nd": tags.three_d_array,
    }


def _takes_nan(estimator: Any) -> bool:
    """Whether NaN may come in; a Pipeline does not say, its first step does."""
    if isinstance(estimator, Pipeline):
        return _takes_nan(estimator.steps[0][1])
    if isinstance(estimator, ColumnTransformer):
        return any(_takes_nan(step) for _, step, _ in estimator.transformers if not isinstance(step, str))
    return not isinstance(estimator, str) and bool(get_tags(estimator).input_tags.allow_nan)


def count(X: Any) -> int:
    """How many records there are."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def type_words(values: Any) -> str:
    """The type in which values are given to an estimator, in words that other records do not change.

    >>> type_words(np.zeros(2, np.float32)), type_words(np.array(["a", "long"])), type_words(["a text"])
    ('float32', 'U', 'list')
    """
    dtype = getattr(values, "dtype", None)
    if dtype is None:
        return type(values).__name__
    return str(
        dtype.kind if dtype.kind in "USOV" else dtype
    )  # of text the longest makes the type, of fields the columns


@contextmanager
def refusals() -> Iterator[None]:
    """What an estimator says against the records of a unit, as one of our errors."""
    try:
        yield
    except (ValueError, TypeError) as e:
        if isinstance(e, ExpungeError):
            raise
        kind = WrongType if isinstance(e, TypeError) else InvalidData
        raise kind(f"the estimator refuses the records of a unit: {e}") from e


def tags_like(tags: Any, estimator: Any) -> Any:
    """Tags of a learner that takes and predicts what this estimator does."""
    inner = get_tags(estimator)
    tags.estimator_type, tags.input_tags, tags.target_tags = inner.estimator_type, inner.input_tags, inner.target_tags
    tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
    return tags
