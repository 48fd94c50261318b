"""Training on retained rows alone."""

from typing import Any

import numpy as np
import pytest

from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers import Classifier, RetainFinetune
from expunge.verify.classifiers._finetune import Pace, finetune


def best(attack: RetainFinetune, world: Any, name: str) -> float:
    found = attack.run(Classifier(world.models[name]), world.sets)
    return max(float(np.mean(row)) for row in found.scores.values())


def test_memorised_rows_return_without_being_shown(mislabelled: Any) -> None:
    relabelled = Classifier(mislabelled.models["relabelled"])
    assert np.mean(relabelled.hits(mislabelled.sets.forget)) < 0.05  # forgotten, by every plain question
    assert best(RetainFinetune(), mislabelled, "relabelled") > 0.4
    assert best(RetainFinetune(), mislabelled, "original") > 0.6
    assert best(RetainFinetune(), mislabelled, "control") < 0.05


def test_a_hidden_class_needs_label_smoothing_to_return(one_class: Any) -> None:
    """Plain cross-entropy on other classes only pushes it further down."""
    assert best(RetainFinetune(smoothings=(0.0,)), one_class, "hidden") < 0.1
    assert best(RetainFinetune(smoothings=(0.1,)), one_class, "hidden") > 0.8
    assert best(RetainFinetune(smoothings=(0.1,)), one_class, "control") < 0.05


def test_says_what_was_kept_and_how_sure_it_is(one_class: Any) -> None:
    attack = RetainFinetune(rates=(1e-3,), smoothings=(0.0,), moments=(5, 10))
    found = attack.run(Classifier(one_class.models["control"]), one_class.sets)
    assert list(found.scores) == list(found.checks["kept"]) == list(found.checks["probability"])
    assert list(found.scores) == ["lr 0.001 @ 5", "lr 0.001 @ 10"]
    assert min(found.checks["kept"].values()) > 0.95


def test_divergence_is_no_result(one_class: Any) -> None:
    batches = [np.arange(64)] * 50
    with pytest.raises(CannotRun, match=r"diverged|not numbers"):
        finetune(
            Classifier(one_class.models["original"]),
            one_class.sets.retain,
            batches,
            Pace(lr=1e30),
            (50,),
            lambda victim, done: None,
        )
