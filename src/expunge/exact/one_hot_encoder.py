"""An encoder of categories that can forget: every category is counted, and vanishes with its last record."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder as Encoder
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact._learner.category import category
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.transformer import Transformer
from expunge.exact._registry import learners

UNKNOWN = ("error", "ignore")


@dataclass(frozen=True)
class Categories(Learned):
    """The categories of every feature, how many records have each, and scikit-learn's encoder of them."""

    categories_: list[Any]
    counts: list[NDArray[np.int64]]
    encoder: Encoder

    def packed(self) -> dict[str, Any]:
        categories = {f"categories{j}": names for j, names in enumerate(self.categories_)}
        return categories | {f"counts{j}": count for j, count in enumerate(self.counts)}

    def counted(self, X: Any) -> list[NDArray[np.int64]]:
        """How many of these rows have each category, by feature."""
        total = np.asarray(self.encoder.transform(X).sum(axis=0)).ravel().astype(np.int64)
        return np.split(total, np.cumsum([len(names) for names in self.encoder.categories_])[:-1])

    def codes(self, X: Any) -> NDArray[np.int64]:
        """The number of the category of every value, within its feature."""
        first = np.cumsum([0, *(len(names) for names in self.encoder.categories_)])[:-1]
        codes: NDArray[np.int64] = self.encoder.transform(X).indices.reshape(X.shape) - first
        return codes


@learners.add
class OneHotEncoder(Transformer):
    """One column of zeros and ones for every category of every feature, as scikit-learn's encoder gives it.

    Guaranteed: after `forget`, categories and counts have the same bits as those of a fit without the records; a
    category that no record holds any more is gone from `categories_` and from the output. None and NaN are categories.
    Not guaranteed: that anything fitted on the output has forgotten; every plan says so.

    A number in a column of objects is held as a whole number where it is one, so that 1, 1.0 and True are one category
    whichever of them stays.
    """

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

    def _learn(self, rows: Rows) -> Categories:
        X, _ = rows.live()
        encoder = self._made(X)
        learned = Categories([names.copy() for names in encoder.categories_], [], encoder)
        return replace(learned, counts=learned.counted(X))

    def _extend(self, learned: Categories, rows: Rows, kept: Positions) -> Categories:
        X, _ = rows.behind(kept)
        held, new = _table(learned.categories_), _table(self._made(X).categories_)
        encoder = self._made(np.concatenate([held, new]))
        grown = Categories([names.copy() for names in encoder.categories_], [], encoder)
        counts, codes = grown.counted(X), grown.codes(held)
        for j, (count, more) in enumerate(zip(counts, learned.counts, strict=True)):
            count[codes[: len(more), j]] += more
        return replace(grown, counts=counts)

    def _unlearn(self, learned: Categories, rows: Rows, gone: Positions) -> Categories:
        leaving = learned.counted(rows.X[gone])
        left = [count - less for count, less in zip(learned.counts, leaving, strict=True)]
        if all(count.all() for count in left):
            return replace(learned, counts=left)
        categories = [names[count > 0] for names, count in zip(learned.categories_, left, strict=True)]
        return Categories(categories, [count[count > 0] for count in left], self._made(_table(categories)))

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Categories:
        d = len(values) // 2
        categories = [values[f"categories{j}"] for j in range(d)]
        return Categories(categories, [values[f"counts{j}"] for j in range(d)], self._made(_table(categories)))

    def _made(self, X: Any) -> Encoder:
        """scikit-learn's encoder of the categories in X."""
        try:
            return Encoder(handle_unknown=self.handle_unknown).fit(X)
        except TypeError as e:
            raise InvalidData(f"a column holds both text and numbers, which have no common order: {e}") from e

    def transform(self, X: Any) -> Any:
        """Zeros and ones, a sparse matrix unless `sparse_output=False`.

        Raises: ValueError, for a category that no record holds, unless `handle_unknown="ignore"`: then it is all zeros.
        """
        X = _canonical(self._query(X, dtype=None, ensure_all_finite="allow-nan"))
        coded = self._fitted().learned.encoder.transform(X)
        return coded if self.sparse_output else coded.toarray()

    def inverse_transform(self, X: Any) -> Any:
        """The categories that `transform` was given; None for one that it did not know."""
        return self._fitted().learned.encoder.inverse_transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """A name for every column of the output: feature, underscore, category."""
        encoder, names = self._fitted().learned.encoder, getattr(self, "feature_names_in_", None)
        if names is not None and input_features is not None and not np.array_equal(input_features, names):
            raise ValueError("input_features is not equal to feature_names_in_")
        return encoder.get_feature_names_out(names if input_features is None else input_features)

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
    values: Any = np.frompyfunc(category, 1, 1)(X.astype(object))
    return values


def _table(categories: list[Any]) -> Any:
    """A table that holds exactly these categories; a column with fewer of them repeats its first."""
    most = max(len(names) for names in categories)
    return np.stack([np.concatenate([names, np.repeat(names[:1], most - len(names))]) for names in categories], axis=1)
