"""Direct Preference Optimization: prefer another answer to the forgotten one, more than the original model did.

Source: Rafailov et al. (2023), arXiv:2305.18290, Eq. 7; for unlearning: Maini et al. (2024), TOFU, arXiv:2401.06121 (a
refusal preferred), and Mekala et al. (2024), AltPO, arXiv:2409.13474 (alternate answers).
Shapes: B sequences.  Units: nats, summed over answer tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._alternate import given_answers, with_answer, wrong_classes
from expunge.approximate._material import Material
from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class DPO(TwoSided):
    """Prefer `refusal` to the forgotten answers, or what `answers` gives for each record's id (for classifiers, a class).

    A classifier without `answers` prefers a random wrong class. Preferring a refusal hides more than it removes.
    """

    beta: float = 0.1
    refusal: str = "I don't know."
    answers: Mapping[str, Any] | None = None
    retain: Retain = "nll"
    retain_weight: float = 1.0

    @property
    def needs(self) -> tuple[Reference, ...]:
        return (Reference.FORGET_LOGP, Reference.ALTERNATE_LOGP, *super().needs)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise InvalidParameter(f"beta must be > 0, got {self.beta}")
        if not self.refusal.strip():
            raise InvalidParameter("refusal must not be empty; it is what the model learns to prefer")

    def alternate(self, rows: Sequence[Any], epoch: int, material: Material) -> list[Any]:
        """The forget rows with what is preferred."""
        if self.answers is not None:
            return given_answers(rows, self.answers)
        return (
            [with_answer(row, self.refusal) for row in rows] if material.text else wrong_classes(rows, epoch, material)
        )

    def loss(self, step: Step) -> Iterator[Tensor]:
        forget, other = step.forget, step.alternate
        yield dpo_loss(other.logp_B, other.reference_logp_B, forget.logp_B, forget.reference_logp_B, self.beta)
        yield from self.retain_term(step)


def dpo_loss(
    preferred_B: Tensor, preferred_reference_B: Tensor, forget_B: Tensor, forget_reference_B: Tensor, beta: float
) -> Tensor:
    """-2/beta * log sigmoid(beta * (gain of the preferred answer - gain of the forgotten one)), over log-probabilities.

    The factor 2/beta is that of NPO, of which this is the form with a preferred answer.

    >>> import torch
    >>> logp_B = torch.tensor([-3.0, -5.0])
    >>> dpo_loss(logp_B, logp_B, logp_B, logp_B, beta=1.0)  # no preference yet: 2 ln 2
    tensor(1.3863)
    """
    margin_B = (preferred_B - preferred_reference_B) - (forget_B - forget_reference_B)
    return 2 / beta * F.softplus(-beta * margin_B).mean()
