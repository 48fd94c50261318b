"""An encoder of categories that can forget: every category is counted, and vanishes with its last record."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder as Encoder
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.transformer import Transformer
from expunge.exact._registry import learners

UNKNOWN = ("error", "ignore")


class NoCategory(InvalidData, TypeError):
    """A value is of a type that cannot be a category."""


@learners.add
class OneHotEncoder(Transformer):
    """One column of zeros and ones for every category of every feature, as scikit-learn's encoder gives it.

    Guaranteed: after `forget`, categories and counts have the same bits as those of a fit without the records; a
    category that no record holds any more is gone from `categories_` and from the output. None and NaN are categories.
    Not guaranteed: that anything fitted on the output has forgotten; every plan says so.

    A number in a column of objects is held as a whole number where it is one, so that 1, 1.0 and True are one category
    whichever of them stays.
    """

    _counts: list[NDArray[np.int64]]
    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(
        self,
        *,
        handle_unknown: Literal["error", "ignore"] = "error",
        sparse_output: bool = True,
        salt: bytes | None = None,
    ) -> None:
        self.handle_unknown, self.sparse_output, self.salt = handle_unknown, sparse_output, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        if self.handle_unknown not in UNKNOWN:
            raise InvalidParameter(f"handle_unknown must be 'error' or 'ignore', got {self.handle_unknown!r}")
        return _canonical(validate_data(self, X, dtype=None, ensure_all_finite="allow-nan")), None

    def _learn(self, rows: Rows) -> None:
        X, _ = rows.live()
        self._encoder = self._made(X)
        self._take(self._encoder.categories_, self._counted(X))

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        gone_counts = self._counted(rows.X[gone])
        left = [held - leaving for held, leaving in zip(self._counts, gone_counts, strict=True)]
        if all(count.all() for count in left):
            self._counts = left
            return
        categories = [held[count > 0] for held, count in zip(self.categories_, left, strict=True)]
        self._encoder = self._made(_table(categories))
        self._take(categories, [count[count > 0] for count in left])

    def _learned(self) -> dict[str, Any]:
        parts = {f"categories{j}": held for j, held in enumerate(self.categories_)}
        return parts | {f"counts{j}": count for j, count in enumerate(self._counts)}

    def _restore(self, learned: dict[str, Any], rows: Rows) -> None:
        d = len(learned) // 2
        categories = [learned[f"categories{j}"] for j in range(d)]
        self._encoder = self._made(_table(categories))
        self._take(categories, [learned[f"counts{j}"] for j in range(d)])

    def _take(self, categories: list[Any], counts: list[NDArray[np.int64]]) -> None:
        self.categories_, self._counts = [held.copy() for held in categories], counts

    def _made(self, X: Any) -> Encoder:
        """scikit-learn's encoder of the categories in X."""
        try:
            return Encoder(handle_unknown=self.handle_unknown).fit(X)
        except TypeError as e:
            raise InvalidData(f"a column holds both text and numbers, which have no common order: {e}") from e

    def _counted(self, X: Any) -> list[NDArray[np.int64]]:
        """Records of every category, by feature."""
        total = np.asarray(self._encoder.transform(X).sum(axis=0)).ravel().astype(np.int64)
        return np.split(total, np.cumsum([len(held) for held in self._encoder.categories_])[:-1])

    def transform(self, X: Any) -> Any:
        """Zeros and ones, a sparse matrix unless `sparse_output=False`.

        Raises: ValueError, for a category that no record holds, unless `handle_unknown="ignore"`: then it is all zeros.
        """
        coded = self._encoder.transform(_canonical(self._asked(X, dtype=None, ensure_all_finite="allow-nan")))
        return coded if self.sparse_output else coded.toarray()

    def inverse_transform(self, X: Any) -> Any:
        """The categories that `transform` was given; None for one that it did not know."""
        self._fitted()
        return self._encoder.inverse_transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """A name for every column of the output: feature, underscore, category."""
        self._fitted()
        names = getattr(self, "feature_names_in_", None)
        if names is not None and input_features is not None and not np.array_equal(input_features, names):
            raise ValueError("input_features is not equal to feature_names_in_")
        return self._encoder.get_feature_names_out(names if input_features is None else input_features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _canonical(X: Any) -> Any:
    """Values such that equal ones are the same, whichever record holds them: text and objects as Python's values."""
    if X.dtype.kind in "fc":
        return X + 0.0  # -0.0 is 0.0
    if X.dtype.kind in "biu":
        return X
    values: Any = np.frompyfunc(_plain, 1, 1)(X.astype(object))
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise NoCategory(f"a category: argument must be a string or a number, None or NaN; got {type(value).__name__}")


def _table(categories: list[Any]) -> Any:
    """A table that holds exactly these categories; a column with fewer of them repeats its first."""
    most = max(len(held) for held in categories)
    return np.stack([np.concatenate([held, np.repeat(held[:1], most - len(held))]) for held in categories], axis=1)
