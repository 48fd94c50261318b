from dataclasses import replace
from typing import Any

from expunge.testing.toys import toy_llama
from expunge.verify import Arm
from expunge.verify.side_effects.retained_privacy import retained_privacy


def test_retained_people_who_became_recognisable_are_told(original: Arm, probes: Any) -> None:
    """A control that never learned anybody; beside it, a model that knows those who stay by heart."""
    blank = Arm.of(toy_llama(len(original.tokenizer), hidden=64, layers=2, seed=5), original.tokenizer)
    found = retained_privacy({"unlearned": original, "control": blank}, probes)
    assert found.change is not None
    assert found.change.low is not None
    assert found.arms["unlearned"].value > 0.9
    assert abs(found.arms["control"].value - 0.5) < 0.2
    assert found.change.low > 0.2


def test_the_other_way_round_it_is_a_gain(original: Arm, probes: Any) -> None:
    blank = Arm.of(toy_llama(len(original.tokenizer), hidden=64, layers=2, seed=5), original.tokenizer)
    found = retained_privacy({"unlearned": blank, "control": original}, probes)
    assert found.change is not None
    assert found.change.high is not None
    assert found.change.high < -0.2


def test_where_nothing_could_rise_nothing_is_concluded(original: Arm, probes: Any) -> None:
    found = retained_privacy({"unlearned": original, "control": original}, probes)
    assert found.arms["control"].value == 1.0
    assert found.change is None
    assert "no rise could be seen" in found.reason


def test_without_strangers_it_is_not_measured(original: Arm, clean: Arm, probes: Any) -> None:
    found = retained_privacy({"unlearned": original, "control": clean}, replace(probes, unseen=()))
    assert found.arms == {}
    assert "unseen" in found.reason
