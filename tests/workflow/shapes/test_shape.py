"""Every shape says all that a step asks of it, in the words of the protocol."""

from importlib import import_module
from inspect import signature

import pytest

from expunge.workflow.shapes.shape import Shape

SHAPES = ("adapter_shards", "adopted", "learner", "own_loop")


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_keeps_the_protocol(name: str) -> None:
    module = import_module(f"expunge.workflow.shapes.{name}")
    assert isinstance(module.TEXTS, bool)
    assert isinstance(module.OPTIONS, dict)
    for verb in ("plan", "forget", "replay", "arms", "trial_start"):
        wanted = list(signature(getattr(Shape, verb)).parameters)[1:]  # without `self`
        assert list(signature(getattr(module, verb)).parameters) == wanted
