import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate import Edit
from expunge.approximate._probe import probe
from expunge.approximate._work import Work
from expunge.approximate.fisher import Fisher
from expunge.approximate.influence import Influence
from expunge.approximate.ssd import SSD
from expunge.approximate.task_vector import TaskVector
from expunge.engine import examples


@dataclass
class Watched(Work):
    """A work that remembers whom it looked at."""

    seen: set[int] = field(default_factory=set)

    def accuracy(self, rows: Sequence[Any], model: Any = None) -> float:
        self.seen |= {row.y for row in rows}
        return super().accuracy(rows, model)


def sorted_by_class(backwards: bool = False) -> Watched:
    """1,200 retained rows of one class, then 300 of another, as a file sorted by label has them."""
    torch.manual_seed(0)
    x, y = torch.randn(1520, 4), torch.tensor([0] * 1200 + [1] * 300 + [2] * 20)
    x[range(1520), y] += 4
    model = nn.Linear(4, 3, bias=False)
    model.weight.data = torch.eye(4)[:3]
    rows = examples(x, y)
    retain = rows[:1500][:: -1 if backwards else 1]
    return Watched(copy.deepcopy(model), None, rows[1500:], retain, Edit(steps=2, guard=None))


def test_it_is_drawn_from_all_rows_by_their_ids_alone() -> None:
    forth, back = (sorted_by_class(backwards).retain for backwards in (False, True))
    drawn = probe(forth, 100, seed=0)
    assert [row.id for row in drawn] == [row.id for row in probe(back, 100, seed=0)]
    assert 5 < sum(row.y for row in drawn) < 40  # 20 expected
    assert len({row.id for row in drawn}) == 100
    assert [row.id for row in drawn] != [row.id for row in probe(forth, 100, seed=1)]
    assert len(probe(forth[:7], 100, seed=0)) == 7


@pytest.mark.parametrize(
    "method", [SSD(), Fisher(alpha=1e-12), Influence(alpha=1e-9, samples=20), TaskVector(lambda_=0.1)], ids=repr
)
def test_what_a_method_costs_is_measured_on_every_class(method: Any) -> None:
    work = sorted_by_class()
    method.edit(work)
    assert work.seen == {0, 1}


def test_the_fisher_information_is_that_of_every_class() -> None:
    """Drawn from the head of a sorted list it would hold one class, and the other end of the list another."""
    ends = []
    for backwards in (False, True):
        work = sorted_by_class(backwards)
        Fisher(alpha=1e-6, rows=100, keep=0.01).edit(work)
        ends.append(work.model.weight.detach().clone())
    assert torch.equal(*ends)
