"""Ordinary training: what one side's rows say becomes likelier. A stage of several methods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from expunge.approximate._method import Objective
from expunge.engine import Step


@dataclass(frozen=True)
class Likelihood(Objective):
    """The negative log-likelihood of the forget rows or of the retained ones, mean over answer tokens."""

    side: Literal["forget", "retain"]

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield (step.forget if self.side == "forget" else step.retain).nll
