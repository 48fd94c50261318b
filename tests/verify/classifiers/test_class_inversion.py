"""Inputs that a model calls the forgotten class."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers import Classifier, ClassInversion, Sets
from expunge.verify.classifiers.class_inversion import cosines


def score(world: Any, name: str) -> float:
    found = ClassInversion().run(Classifier(world.models[name]), world.sets)
    return max(float(np.mean(row)) for row in found.scores.values())


def test_inputs_look_like_the_class_only_where_the_model_knows_it(one_class: Any) -> None:
    assert score(one_class, "original") > 0.9
    assert score(one_class, "hidden") > 0.9  # a bias has no gradient in the input
    assert score(one_class, "control") < 0.7
    assert score(one_class, "retrained 2") < 0.7


def test_the_nearest_class_mean_is_shown(one_class: Any) -> None:
    found = ClassInversion(penalties=(1.0,)).run(Classifier(one_class.models["original"]), one_class.sets)
    own, *others = found.checks["class means"]["penalty 1"]["5"]
    assert len(others) == 9
    assert own > max(others)


def test_needs_gradients_and_real_inputs(one_class: Any) -> None:
    whole = Sets(*(type(r)(r.X.astype(np.int64), r.y) for r in (one_class.sets.forget, one_class.sets.retain)))
    table = nn.Sequential(nn.Embedding(2, 1), nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(CannotRun, match="whole numbers"):
        ClassInversion().run(Classifier(table), whole)


def test_cosine_of_nothing_is_zero() -> None:
    assert cosines(np.zeros((1, 2)), np.ones((1, 2))).tolist() == [[0.0]]


def test_no_global_random_state_is_touched(one_class: Any) -> None:
    before = torch.get_rng_state()
    ClassInversion(starts=2, steps=2).run(Classifier(one_class.models["original"]), one_class.sets)
    assert torch.equal(before, torch.get_rng_state())
