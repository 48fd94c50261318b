"""One set of questions for modules and estimators."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.svm import LinearSVC
from torch import nn

from expunge.core.errors import InvalidData
from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers import Classifier, Rows
from expunge.verify.classifiers.rows import halves, joined


def test_confidence_is_the_log_odds_of_the_own_label() -> None:
    model = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    rows = Rows(np.array([[2.0, 0.5]]), np.array([1]))
    p = np.exp([2.0, 0.5, 0.0]) / np.exp([2.0, 0.5, 0.0]).sum()
    assert Classifier(model).confidence(rows)[0] == pytest.approx(np.log(p[1] / (1 - p[1])), rel=1e-6)
    assert Classifier(model).probability(rows)[0] == pytest.approx(p[1], rel=1e-6)
    assert Classifier(model).hits(rows) == [0.0]


def test_a_label_nobody_heard_of_has_probability_zero(digits: Rows) -> None:
    few = digits.at(np.flatnonzero(digits.y < 5)[:200])
    forest = Classifier(RandomForestClassifier(5, random_state=0).fit(few.X, few.y))
    strange = Rows(few.X[:2], np.array([9, 9]))
    assert forest.probability(strange).tolist() == [0.0, 0.0]
    assert forest.confidence(strange).tolist() == [-100.0, -100.0]
    assert np.isfinite(forest.confidence(few)).all()


@pytest.mark.parametrize("make", [LinearSVC, RidgeClassifier, SGDClassifier])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_scores_without_probabilities_order_the_classes(digits: Rows, make: Any, n_classes: int) -> None:
    some = digits.at(np.flatnonzero(digits.y < n_classes)[:300])
    target = Classifier(make().fit(some.X, some.y))
    logp = target.logp(some.X)
    assert np.allclose(np.exp(logp).sum(axis=1), 1)
    assert (logp.argmax(axis=1) == target.model.predict(some.X)).all()


def test_labels_of_a_module_are_columns(one_class: Any) -> None:
    model = Classifier(one_class.models["original"])
    with pytest.raises(CannotRun, match="columns 0 to 9"):
        model.hits(Rows(one_class.sets.forget.X, one_class.sets.forget.y + 10))
    with pytest.raises(CannotRun, match="columns 0 to 9"):
        model.hits(Rows(one_class.sets.forget.X, one_class.sets.forget.y.astype(str)))


def test_what_is_no_classifier_says_so() -> None:
    from sklearn.linear_model import LinearRegression

    rows = Rows(np.eye(3), np.arange(3))
    with pytest.raises(CannotRun, match="classes_"):
        Classifier(LinearRegression().fit(rows.X, rows.y)).confidence(rows)
    with pytest.raises(CannotRun, match="one logit per class"):
        Classifier(nn.Unflatten(1, (3, 1))).hits(rows)


def test_dropout_is_off_and_the_mode_comes_back(one_class: Any) -> None:
    model = nn.Sequential(nn.Dropout(0.9), *one_class.models["original"])
    model.train()
    model[1].eval()
    first, again = (Classifier(model).logp(one_class.sets.forget.X) for _ in range(2))
    assert (first == again).all()
    assert model[0].training
    assert not model[1].training


def test_digests_name_the_bits(digits: Rows) -> None:
    few = digits.at(np.arange(100))
    one, same = (RandomForestClassifier(3, random_state=0).fit(few.X, few.y) for _ in range(2))
    other = RandomForestClassifier(3, random_state=1).fit(few.X, few.y)
    assert Classifier(one).digest == Classifier(same).digest != Classifier(other).digest
    broken = RandomForestClassifier(3).fit(few.X, few.y)
    broken.note = lambda: None
    with pytest.raises(InvalidData, match="cannot be hashed"):
        _ = Classifier(broken).digest


def test_rows_of_every_kind_are_cut_joined_and_named(digits: Rows) -> None:
    import pandas as pd
    from scipy.sparse import csr_matrix

    plain = digits.at(np.arange(6))
    kinds = [plain.X, torch.tensor(plain.X), pd.DataFrame(plain.X), csr_matrix(plain.X)]
    for X in kinds:
        rows = Rows(X, plain.y)
        again = joined(rows.at(np.array([0, 1])), rows.at(np.array([2, 3, 4, 5])))
        assert again.names() == rows.names() == plain.names()
    assert len(set(plain.names())) == 6


def test_halves_hold_every_class(digits: Rows) -> None:
    first, second = halves(digits)
    assert sorted([*first, *second]) == list(range(len(digits)))
    for label in range(10):
        counts = [(digits.y[part] == label).sum() for part in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1
