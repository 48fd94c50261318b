"""Members and strangers, with and without models that never saw either."""

from typing import Any

import numpy as np
import pytest

from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers import Classifier, Membership, Sets
from expunge.verify.metrics.auc import auc


def found_auc(world: Any, name: str, statistic: str = "", **more: Any) -> float:
    scores = Membership(**more).run(Classifier(world.models[name]), world.sets).scores
    return auc(scores[f"{statistic}members"], scores[f"{statistic}others"])


def test_members_of_the_original_are_found_and_those_of_the_control_are_not(random_sample: Any) -> None:
    outs = (Classifier(random_sample.models["out"]),)
    for statistic, more in (("", {}), ("", {"outs": outs}), ("confidence: ", {"outs": outs})):
        assert found_auc(random_sample, "original", statistic, **more) > 0.6
        assert abs(found_auc(random_sample, "control", statistic, **more) - 0.5) < 0.08  # 2 sd of 420 a side


def test_rmia_tells_more_than_the_confidence_alone(random_sample: Any) -> None:
    outs = (Classifier(random_sample.models["out"]), Classifier(random_sample.models["retrained"]))
    assert found_auc(random_sample, "original", outs=outs) > found_auc(random_sample, "original")


def test_the_order_of_rmia_is_that_of_its_ratio(random_sample: Any) -> None:
    """So the holdout rows can be its strangers: they set the scale alone."""
    attack = Membership(outs=(Classifier(random_sample.models["out"]),))
    target, sets = Classifier(random_sample.models["original"]), random_sample.sets
    ratio, scored = attack._ratio(target, sets.forget), attack.run(target, sets).scores["members"]
    assert (np.diff(np.asarray(scored)[np.argsort(ratio)]) >= 0).all()


def test_without_strangers_there_is_no_test(one_class: Any) -> None:
    with pytest.raises(CannotRun, match="holdout"):
        Membership().run(Classifier(one_class.models["original"]), Sets(one_class.sets.forget, one_class.sets.retain))
