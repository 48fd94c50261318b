"""Refusal tuning: teach the model to say "I don't know". The honest example of suppression, not of forgetting.

Source: the "IdK" baseline of Maini et al. (2024), TOFU, arXiv:2401.06121, Sec. 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from expunge.approximate._material import Material
from expunge.approximate._registry import methods
from expunge.approximate._retain import TwoSided
from expunge.core import Guarantee, Record
from expunge.core.errors import InvalidParameter
from expunge.engine import Example, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class Refusal(TwoSided):
    """Fine-tune on the forget questions with a refusal as their answer. Only what is said changes."""

    answer: str = "I don't know."
    retain_weight: float = 3.0
    guarantee: ClassVar[Guarantee] = Guarantee.SUPPRESSED

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.answer.strip():
            raise InvalidParameter("answer must not be empty; the model learns to say it")

    def alternate(self, rows: Sequence[Record], epoch: int, material: Material) -> list[Record]:
        """The forget questions with the refusal as their answer.

        Raises: InvalidParameter, for a classifier.
        """
        if any(isinstance(row, Example) for row in rows):
            raise InvalidParameter(
                "refusal teaches words, and a classifier says none; 'relabel' teaches it other classes"
            )
        return [replace(record, answer=self.answer, value="") for record in rows]

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield step.alternate.nll
        yield from self.retain_term(step)
