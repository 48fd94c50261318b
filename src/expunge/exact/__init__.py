"""Learners made of units: fit / predict / forget. The result of `forget` equals training without the data."""

import re
from importlib import import_module
from typing import Any

from expunge.core import Registry

learners = Registry(__name__)
_HOMES = {
    "load": "_learner",
    "Planner": "_planner",
    "expected_cost": "_planner",
    "expected_cost_with_prior": "_planner",
    "TorchTraining": "_torch_training",
}


def __getattr__(name: str) -> Any:
    """Learners by class name, and what goes with them; imported when first used, so that listing needs no torch."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    file = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    if file in learners.names():
        return learners.get(file)
    raise AttributeError(f"expunge.exact has no '{name}'; learners: {', '.join(learners.names())}")
