"""Words of texts with their tf-idf weights, in a form that can forget: a word vanishes with its last text.

Source: Salton and Buckley (1988), "Term-weighting approaches in automatic text retrieval", in scikit-learn's variant.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter, NothingLeft
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._learner.transformer import Transformer
from expunge.exact._learner.typed import is_whole
from expunge.exact._registry import learners


@dataclass(frozen=True)
class Words(Learned):
    """All words, sorted, and in how many of the texts each is; of those in use their columns and weights."""

    words: NDArray[np.object_]
    df: NDArray[np.int64]
    n_texts: int
    vocabulary_: dict[str, int]
    idf_: NDArray[np.float64]

    def packed(self) -> dict[str, Any]:
        return {"words": self.words.tolist(), "df": self.df, "n_texts": self.n_texts}


@learners.add
class TfidfVectorizer(Transformer):
    """Texts as rows of tf-idf weights, one column for every word; the words and the weights are scikit-learn's.

    Guaranteed: after `forget`, words, the number of texts that hold each of them, and weights have the same bits as
    those of a fit without the texts; a word that no text holds any more is gone. `min_df` and `max_df` follow the
    texts that stay, so a word may also leave or come back because others left.
    Not guaranteed: that anything fitted on the output has forgotten; every plan says so.
    """

    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the texts that stay, and on nothing else

    def __init__(
        self,
        *,
        lowercase: bool = True,
        stop_words: Any = None,
        token_pattern: str = r"(?u)\b\w\w+\b",
        ngram_range: tuple[int, int] = (1, 1),
        analyzer: Literal["word", "char", "char_wb"] = "word",
        max_df: float = 1.0,
        min_df: float = 1,
        norm: Literal["l1", "l2"] | None = "l2",
        smooth_idf: bool = True,
        sublinear_tf: bool = False,
        salt: bytes | None = None,
    ) -> None:
        self.lowercase, self.stop_words, self.token_pattern = lowercase, stop_words, token_pattern
        self.ngram_range, self.analyzer, self.max_df, self.min_df = ngram_range, analyzer, max_df, min_df
        self.norm, self.smooth_idf, self.sublinear_tf, self.salt = norm, smooth_idf, sublinear_tf, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        if self.analyzer not in ("word", "char", "char_wb"):
            raise InvalidParameter(f"analyzer must be 'word', 'char' or 'char_wb', got {self.analyzer!r}")
        if self.norm not in ("l1", "l2", None):
            raise InvalidParameter(f"norm must be 'l1', 'l2' or None, got {self.norm!r}")
        low, high = self.ngram_range
        if not 1 <= low <= high:
            raise InvalidParameter(f"ngram_range must rise from at least 1, got {self.ngram_range}")
        for name in ("min_df", "max_df"):
            value = getattr(self, name)
            if not (value >= 1 if is_whole(value) else 0 <= value <= 1):
                raise InvalidParameter(
                    f"{name} is a number of texts, at least 1, or a share of them, a float in [0, 1]; got {value!r}"
                )
        texts = _texts(X)
        if not texts:
            raise InvalidData("no texts were given; fit needs at least one")
        return texts, None

    def _learn(self, rows: Rows) -> Words:
        texts, _ = rows.live()
        try:
            counter = self._counter(binary=True)
            counts = counter.fit_transform(texts)
        except (ValueError, re.error) as e:
            raise InvalidData(str(e)) from e
        df = np.bincount(counts.indices, minlength=counts.shape[1])
        return self._used(counter.get_feature_names_out(), df, len(texts))

    def _used(self, words: NDArray[np.object_], df: NDArray[np.int64], n_texts: int) -> Words:
        if not self._in_use(df, n_texts).any():
            raise InvalidData("min_df and max_df leave no word; widen them")
        return self._weighted(words, df, n_texts)

    def _extend(self, learned: Words, rows: Rows, kept: Positions) -> Words:
        analyze, more = self._counter().build_analyzer(), Counter[str]()
        for text in rows.behind(kept)[0]:
            more.update(set(analyze(text)))
        found = np.array(sorted(more), dtype=object)
        words = np.union1d(learned.words, found)
        df = np.zeros(len(words), np.int64)
        df[np.searchsorted(words, learned.words)] = learned.df
        df[np.searchsorted(words, found)] += np.array([more[word] for word in found], np.int64)
        return self._used(words, df, rows.n)

    def _unlearn(self, learned: Words, rows: Rows, gone: Positions) -> Words:
        df = self._df_without(learned, rows, gone)
        return self._weighted(learned.words[df > 0], df[df > 0], rows.n - len(gone))

    def _cost(self, learned: Words, rows: Rows, gone: Positions) -> float:
        if not self._in_use(self._df_without(learned, rows, gone), rows.n - len(gone)).any():
            raise NothingLeft("the texts that would stay hold no word to be used; there is no model of no words")
        return super()._cost(learned, rows, gone)

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Words:
        return self._weighted(np.array(values["words"], dtype=object), values["df"], values["n_texts"])

    def _weighted(self, words: NDArray[np.object_], df: NDArray[np.int64], n_texts: int) -> Words:
        """These words, in sorted order, with what `transform` needs."""
        used = self._in_use(df, n_texts)
        smooth = int(self.smooth_idf)
        weights = np.log((n_texts + smooth) / (df[used] + smooth)) + 1.0
        return Words(words, df, n_texts, {word: i for i, word in enumerate(words[used].tolist())}, weights)

    def _in_use(self, df: NDArray[np.int64], n_texts: int) -> NDArray[np.bool_]:
        """Which words are held by enough texts and not by too many."""
        low, high = (v if is_whole(v) else v * n_texts for v in (self.min_df, self.max_df))
        used: NDArray[np.bool_] = (df > 0) & (df >= low) & (df <= high)
        return used

    def _df_without(self, learned: Words, rows: Rows, gone: Positions) -> NDArray[np.int64]:
        """How many texts hold each word, without these."""
        analyze, df = self._counter().build_analyzer(), learned.df.copy()
        for text in take(rows.X, gone):
            words = np.array(list(set(analyze(text))), dtype=object)
            df[np.searchsorted(learned.words, words)] -= 1
        return df

    def _counter(self, **settings: Any) -> CountVectorizer:
        return CountVectorizer(
            lowercase=self.lowercase,
            stop_words=self.stop_words,
            token_pattern=self.token_pattern,
            ngram_range=tuple(self.ngram_range),
            analyzer=self.analyzer,
            **settings,
        )

    def transform(self, X: Any) -> sparse.csr_matrix:
        """The weights of the words of every text, [n, words]; words that no text of the fit holds are left out."""
        self._fitted()
        weights = self._counter(vocabulary=self.vocabulary_).transform(_texts(X)).astype(np.float64)
        if self.sublinear_tf:
            weights.data = np.log(weights.data) + 1.0
        weights.data *= self.idf_[weights.indices]
        return normalize(weights, norm=self.norm, copy=False) if self.norm else weights

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The words, in the order of the columns."""
        self._fitted()
        return np.array(list(self.vocabulary_), dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags


def _texts(X: Any) -> list[str]:
    if isinstance(X, str) or not isinstance(X, Iterable):
        raise InvalidData(f"texts come as a list, got {type(X).__name__}; write [text]")
    texts = list(X)
    if wrong := [i for i, text in enumerate(texts) if not isinstance(text, str)]:
        raise InvalidData(f"{len(wrong)} of {len(texts)} texts are no text, the first in row {wrong[0]}")
    return [str(text) for text in texts]
