"""A constant added to a class that was masked in the outputs."""

from typing import Any

import numpy as np
from sklearn.naive_bayes import GaussianNB

from expunge.verify.classifiers import Classifier, Offset
from expunge.verify.classifiers.offset import lead


class Masked(GaussianNB):
    """Never answers five, whatever it knows."""

    def predict_log_proba(self, X: Any) -> Any:
        logp = super().predict_log_proba(X)
        logp[:, 5] -= 1000
        return logp - np.logaddexp.reduce(logp, axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        return self.classes_[self.predict_log_proba(X).argmax(axis=1)]


def score(model: Any, world: Any) -> float:
    (row,) = Offset().run(Classifier(model), world.sets).scores.values()
    return float(np.mean(row))


def test_a_mask_on_an_estimator_is_lifted(one_class: Any) -> None:
    sets = one_class.sets
    X, y = np.concatenate([sets.forget.X, sets.retain.X]), np.concatenate([sets.forget.y, sets.retain.y])
    masked, control = Masked(var_smoothing=0.01).fit(X, y), GaussianNB().fit(sets.retain.X, sets.retain.y)
    assert np.mean(Classifier(masked).hits(sets.forget)) == 0
    assert score(masked, one_class) > 0.5
    assert score(control, one_class) == 0  # it has no such class


def test_a_bias_on_a_module_is_lifted(one_class: Any) -> None:
    models = one_class.models
    assert score(models["hidden"], one_class) == score(models["original"], one_class) > 0.9
    assert score(models["control"], one_class) < 0.5


def test_never_stricter_than_the_model_itself(one_class: Any) -> None:
    model = one_class.models["original"]
    assert score(model, one_class) >= np.mean(Classifier(model).hits(one_class.sets.forget))


def test_the_lead_of_an_impossible_class_is_lost() -> None:
    with np.errstate(divide="ignore"):
        assert lead(np.log(np.array([[0.0, 1.0], [1.0, 0.0]])), 0).tolist() == [-np.inf, np.inf]
