"""Which weights are trained: those that both the objective and the settings name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from expunge.approximate._descended import Descended
from expunge.core.errors import InvalidParameter
from expunge.engine import Trunk


@contextmanager
def trained_alone(model: Any, objective: Descended, depth: int, modules: str) -> Iterator[None]:
    """Meanwhile every other weight is frozen. `modules`: a regular expression of parameters' names."""
    free = {id(p) for name, p in model.named_parameters() if re.search(modules, name)}
    if (chosen := objective.trained_blocks(depth)) is not None:
        if not depth:
            raise InvalidParameter(
                f"{type(objective).__name__} changes states inside a language model, and a classifier has no known blocks; "
                "choose a method that looks at outputs, also within another (inner=npo)"
            )
        blocks = enumerate(Trunk.of(model).blocks)
        free &= {id(p) for i, block in blocks if i in chosen for p in block.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in free]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)


def first_trained(model: Any) -> int:
    """The lowest block with a weight that is trained; 0, if embeddings are trained too."""
    blocks = Trunk.of(model).blocks
    inside = {id(p) for block in blocks for p in block.parameters()}
    if any(p.requires_grad and id(p) not in inside for p in model.parameters()):
        return 0
    trained = [i for i, block in enumerate(blocks) if any(p.requires_grad for p in block.parameters())]
    return trained[0] if trained else 0
