"""What a learner is given of a table: types come from the columns' kinds, never from the records."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expunge.core import Fact, Record
from expunge.core.errors import InvalidData, MissingExtra
from expunge.exact import GaussianNB, Ridge, Sisa
from expunge.ledger import Columns, Feature
from expunge.ledger.features import as_json
from expunge.workflow.inputs.training import Training
from expunge.workflow.shapes.table import feature_rows, record_of, rows_of, takes_columns

FEATURES = (
    Feature("age", "number"),
    Feature("job", "text"),
    Feature("plan", "category", ("full", "basic", "trial")),
    Feature("member", "boolean"),
    Feature("joined", "date"),
)
ANN = {"age": 39, "job": "clerk", "plan": "basic", "member": True, "joined": datetime(2024, 2, 29)}


def columns(*features: Feature | str) -> Columns:
    return Columns(subject="who", answer="y", features=features)


def record(values: dict[str, Any], answer: str = "no") -> Record:
    return Record("1", "ann", as_json(values), answer, features=values)


def test_a_frame_has_the_types_of_its_columns_whoever_is_in_it() -> None:
    whole, y = feature_rows([record(ANN), record(dict.fromkeys(ANN))], columns(*FEATURES))
    assert [str(t) for t in whole.dtypes] == ["float64", "str", "category", "boolean", "datetime64[us]"]
    assert whole["plan"].cat.categories.tolist() == ["full", "basic", "trial"]
    assert whole.iloc[0].tolist() == [39.0, "clerk", "basic", True, pd.Timestamp("2024-02-29")]
    assert whole.iloc[1].isna().all()
    assert y.tolist() == ["no", "no"]
    for alone in (record(ANN), record(dict.fromkeys(ANN))):
        pd.testing.assert_series_equal(feature_rows([alone], columns(*FEATURES))[0].dtypes, whole.dtypes)


def test_numbers_and_booleans_are_a_matrix_as_before() -> None:
    numbers = columns(Feature("age", "number"), Feature("member", "boolean"))
    X, _ = feature_rows([record({"age": 39, "member": True}), record({"age": None, "member": False})], numbers)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X, [[39.0, 1.0], [np.nan, 0.0]])


def test_columns_without_kinds_are_numbers_or_refused() -> None:
    """Datasets that were added before there were kinds, CSV among them, whose cells are text."""
    X, _ = feature_rows([record({"age": "39", "b": 1})], columns("age", "b"))
    np.testing.assert_array_equal(X, [[39.0, 1.0]])
    with pytest.raises(InvalidData, match="had no kinds"):
        feature_rows([record({"age": "secret"})], columns("age"))


def test_a_dataset_of_texts_has_no_features() -> None:
    with pytest.raises(InvalidData, match="has no features"):
        feature_rows([Record("1", "ann", "Where?", "Here")], columns())


def test_rows_of_a_recipe_are_given_named_features() -> None:
    def rows(records: list[Record]) -> Any:
        return [[r.features["age"], r.features["joined"].year] for r in records], [r.answer for r in records]

    training = Training(model="m", dataset="d", learner=GaussianNB(), rows=rows)
    assert rows_of(training, [record(ANN)], columns(*FEATURES)) == ([[39, 2024]], ["no"])
    # a record that left, of which the fact is kept, is the same row
    left = record_of(Fact("1", "ann", as_json(ANN), "no"), columns(*FEATURES))
    assert left.features == ANN
    assert rows_of(training, [left], columns(*FEATURES)) == ([[39, 2024]], ["no"])


def test_a_regressor_is_given_numbers_for_answers() -> None:
    training = Training(model="m", dataset="d", learner=Ridge())
    _, y = rows_of(training, [record({"age": 1}, "2.5"), record({"age": 2}, "3")], columns(Feature("age", "number")))
    assert y.tolist() == [2.5, 3.0]
    with pytest.raises(InvalidData, match="no numbers") as e:
        rows_of(training, [record({"age": 1}, "secret")], columns(Feature("age", "number")))
    assert "secret" not in str(e.value)


@pytest.mark.parametrize("feature", [FEATURES[1], FEATURES[2], FEATURES[4]], ids=lambda f: f.kind)
def test_a_learner_of_numbers_refuses_words_without_quoting_them(feature: Feature) -> None:
    from sklearn.linear_model import SGDClassifier

    used = columns(feature, Feature("age", "number"))
    records = [record({feature.name: ANN[feature.name], "age": i}, "ny"[i % 2]) for i in range(8)]
    X, y = feature_rows(records, used)
    for learner in (GaussianNB(salt=b"s"), Sisa(SGDClassifier(), shards=2, workers=1, salt=b"s")):
        with (
            pytest.raises(InvalidData, match=f"takes numbers, and {feature.name} are") as e,
            takes_columns(learner, used.features),
        ):
            learner.fit(X, y)
        assert "clerk" not in str(e.value)
        assert "basic" not in str(e.value)


def test_other_faults_are_said_as_they_are() -> None:
    with pytest.raises(ValueError, match="too few"), takes_columns(GaussianNB(), FEATURES):
        raise ValueError("too few")


def test_without_pandas_a_mixed_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"expunge\[tables\]"):
        feature_rows([record(ANN)], columns(*FEATURES))
    assert feature_rows([record({"age": 1})], columns(FEATURES[0]))[0].tolist() == [[1.0]]
