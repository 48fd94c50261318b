"""Records of a table as a learner is given them: a matrix of numbers, or a data frame where there is anything else.

Types come from the columns' kinds alone, never from values, so that no record changes the type of another's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from expunge.core import Fact, Record
from expunge.core.errors import InvalidData, MissingExtra
from expunge.ledger import Columns, Feature, ModelVersion
from expunge.ledger.features import from_json
from expunge.workflow.inputs.training import Training
from expunge.workflow.project.project import Project

_AS_NUMBERS = ("number", "boolean")
_NO_NUMBER = ("could not convert", "Timestamp", "DateTime", "datetime")  # how libraries say that they wanted numbers


def columns_of(project: Project, version: ModelVersion) -> Columns:
    """The columns of the dataset that a version learned from."""
    assert version.dataset is not None
    return project.ledger.dataset(version.dataset).columns


def record_of(fact: Fact, columns: Columns) -> Record:
    """A record again, from what it said."""
    features = from_json(fact.question, columns.features) if columns.features else {}
    return Record(fact.id, fact.subject, fact.question, fact.answer, fact.value, features=features)


def rows_of(training: Training, records: Sequence[Record], columns: Columns) -> tuple[Any, Any]:
    """X and y as the recipe makes them of records, or as `feature_rows` does; a regressor's y as numbers.

    Raises: InvalidData, as `feature_rows`, and for an answer that a regressor cannot learn.
    """
    from sklearn.base import is_regressor

    if training.rows:
        return training.rows(list(records))
    X, y = feature_rows(records, columns)
    return X, _as_numbers(y) if is_regressor(training.learner) else y


def feature_rows(records: Sequence[Record], columns: Columns) -> tuple[Any, Any]:
    """Features and answers of a dataset added with `--features`; the answers as text.

    Where all columns are numbers and booleans: a matrix of float64, with NaN for nothing. Else a data frame of pandas:
    number float64, text str, category with the dataset's list, boolean nullable, date datetime64[us] without a zone.

    Raises: InvalidData, for a dataset without features; MissingExtra, for a table that needs pandas, without it.

    >>> ann = Record("1", "ann", "", "no", features={"age": 39, "hours": None})
    >>> feature_rows([ann], Columns(subject="", answer="", features=(Feature("age", "number"), Feature("hours", "number"))))
    (array([[39., nan]]), array(['no'], dtype='<U2'))
    """
    answers = np.array([r.answer for r in records])
    features = [f if isinstance(f, Feature) else Feature(f, "number") for f in columns.features]
    if not features:
        raise InvalidData(
            "the dataset has no features: its records are texts; add the data with --features, "
            "or say how records become rows with Training(rows=...)"
        )
    if all(f.kind in _AS_NUMBERS for f in features):
        try:
            values = [list(r.features.values()) for r in records]
            return np.array(values, dtype=np.float64), answers
        except (ValueError, TypeError) as e:
            raise InvalidData(
                "this dataset was added when features had no kinds, and some of them are no numbers; add it under another "
                "name, or say how records become rows with Training(rows=...)"
            ) from e
    return _frame(records, features), answers


@contextmanager
def takes_columns(learner: Any, features: Sequence[Feature | str]) -> Iterator[None]:
    """What a learner says against words where it wants numbers, as a sentence that quotes none of them."""
    words = [f.name for f in features if isinstance(f, Feature) and f.kind not in _AS_NUMBERS]
    try:
        yield
    except (ValueError, TypeError) as e:
        if not words or not any(sign in str(e) for sign in _NO_NUMBER):
            raise
        raise InvalidData(
            f"{type(learner).__name__} takes numbers, and {', '.join(words)} are texts, categories or dates; encode them "
            "inside the learner, as in Sisa(make_pipeline(make_column_transformer(...), estimator)), or, for an estimator "
            "that takes categories, add the data with --features NAME:category"
        ) from None


def _as_numbers(answers: Any) -> Any:
    try:
        return answers.astype(np.float64)
    except ValueError:
        raise InvalidData(
            "some answers are no numbers, which a regressor learns; correct them, or name another --answer"
        ) from None


def _frame(records: Sequence[Record], features: Sequence[Feature]) -> Any:
    try:
        import pandas as pd
    except ImportError as e:
        raise MissingExtra(
            "a table with texts, categories or dates is given to learners as a data frame; "
            "install pandas: pip install 'expunge[tables]'"
        ) from e
    text = pd.StringDtype("python", na_value=np.nan)
    types = {"number": "float64", "text": text, "boolean": "boolean", "date": "datetime64[us]"}
    return pd.DataFrame(
        {
            f.name: pd.Series(
                [r.features[f.name] for r in records],
                dtype=pd.CategoricalDtype(pd.Index(f.categories, dtype=text))
                if f.kind == "category"
                else types[f.kind or ""],
            )
            for f in features
        }
    )
