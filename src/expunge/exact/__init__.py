"""Learners made of units: fit / predict / forget. The result of `forget` equals training without the data."""

import re
from typing import Any

from expunge.core import Registry

learners = Registry(__name__)


def __getattr__(name: str) -> Any:
    """Learners by class name, imported when first used, so that listing them needs neither torch nor numba."""
    file = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    if file in learners.names():
        return learners.get(file)
    raise AttributeError(f"expunge.exact has no '{name}'; learners: {', '.join(learners.names())}")
