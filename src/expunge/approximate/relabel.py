"""Relabelling: train on the forget set with other answers, as a model gives them that never saw it.

Source: random wrong labels: Graves, Nagisetty, Ganesh (2020), arXiv:2010.10981. For language models the model's own answers
about strangers, sampled, under the forgotten names; the idea of other names for the same text: Eldan and Russinovich
(2023), arXiv:2310.02238, and Liu et al. (2024), arXiv:2407.16997.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from expunge.approximate._alternate import given_answers, wrong_classes
from expunge.approximate._material import Material
from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.engine import Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class Relabel(TwoSided):
    """Learn other answers: `answers` by the rows' ids; or drawn anew for every pass, so that none of them is learned.

    Drawn are wrong classes (classifiers), or the original model's own answers to the same questions about people who do
    not exist (language models). Not guaranteed: an answer drawn can be the true one.
    """

    answers: Mapping[str, Any] | None = None
    retain: Retain = "nll"
    retain_weight: float = 2.0

    @property
    def redrawn(self) -> bool:
        return self.answers is None

    def alternate(self, rows: Sequence[Any], epoch: int, material: Material) -> list[Any]:
        """The forget rows with other answers."""
        if self.answers is not None:
            return given_answers(rows, self.answers)
        if not material.text:
            return wrong_classes(rows, epoch, material)
        from expunge.approximate._name_swap import invented_answers

        return invented_answers(rows, epoch, material)

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield step.alternate.nll
        yield from self.retain_term(step)
