"""SPUNGE: split the forget set by an attribute, unlearn every part from the same start, merge the changes.

Source: Kadhe et al. (2024), arXiv:2406.11780, Sec. 3; the merge is TIES, arXiv:2306.01708.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from expunge.approximate._inner import needs_whole_weights, run_inner
from expunge.approximate._method import Method
from expunge.approximate._registry import methods
from expunge.approximate._ties import ties
from expunge.approximate._work import Work
from expunge.approximate.npo import NPO
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import Example

Group = Callable[[Any], object] | Mapping[str, object] | None


@methods.add
@dataclass(frozen=True, kw_only=True)
class Spunge(Method):
    """`inner` on each group of forget rows, then start + `scale` x TIES-merge of the differences.

    `group` says whose group a row is: a function of the row, or row id -> group; if not given, the record's subject (a
    classifier's rows: their class). `trim` is the share of each difference that is kept (the TIES default is 0.2).
    Costs one run of `inner` per group, each of as many steps as the settings say, and one copy of the weights per group in
    memory. The guard watches these runs, not the merge.

    Not guaranteed: more than `inner` is. Groups whose changes oppose each other cancel out.

    Raises: InvalidParameter, with adapters, whose factors cannot be merged one by one; InvalidData, for a row that the
    mapping leaves out.
    """

    inner: Method = field(default_factory=NPO)
    group: Group = None
    trim: float = 0.2
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.trim <= 1 or self.scale <= 0:
            raise InvalidParameter(f"need trim in (0, 1] and scale > 0, got trim={self.trim}, scale={self.scale}")

    def edit(self, work: Work) -> list[float]:
        needs_whole_weights(work, "spunge")
        trained = [p for p in work.model.parameters() if p.requires_grad]
        start_P, losses = parameters_to_vector(trained).detach().clone(), list[float]()
        changes: list[Tensor] = []
        for i, rows in enumerate(groups(work.forget_records, self.group)):
            _set(trained, start_P)
            losses += run_inner(work, self.inner, f"group {i}", rows)
            changes.append(parameters_to_vector(trained).detach() - start_P)
        _set(trained, start_P + self.scale * ties(torch.stack(changes), self.trim))
        work.notes.append(f"{len(changes)} groups were unlearned apart and merged")
        return losses


def groups(records: Sequence[Any], group: Group) -> list[list[Any]]:
    """Rows by group, in the order in which groups first appear."""
    if isinstance(group, Mapping) and (missing := [row.id for row in records if row.id not in group]):
        raise InvalidData(f"{len(missing)} of {len(records)} forget rows are in no group; give every row one")
    parts: dict[object, list[Any]] = {}
    for row in records:
        if group is None:
            key = row.y if isinstance(row, Example) else row.subject
        else:
            key = group[row.id] if isinstance(group, Mapping) else group(row)
        parts.setdefault(key, []).append(row)
    return list(parts.values())


def _set(trained: Sequence[Any], weights_P: Tensor) -> None:
    with torch.no_grad():
        for p, new_P in zip(trained, torch.split(weights_P, [p.numel() for p in trained]), strict=True):
            p.copy_(new_P.view_as(p))
