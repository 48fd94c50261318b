"""Train on retained facts alone and ask again. Nothing that was forgotten is shown, so nothing can be taught.

Source: Siddiqui et al. (2025), "From dormant to deleted", arXiv:2505.22310; Hu et al. (2024), arXiv:2406.13356.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.attacks._finetune import Sweep, finetune_and_ask, held_back
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Ran, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class RetainFinetune:
    """`sweep`: learning rate -> the numbers of steps after which all forgotten facts are asked."""

    sweep: Sweep = ((2e-4, (15, 40)),)
    batch_size: int = 32
    family: ClassVar[str] = "relearning"

    def run(self, target: Target, probes: Probes) -> Ran:
        if not probes.retain:
            raise CannotRun("no retained facts to fine-tune on; add them to the probes")
        _, text = held_back(probes)
        return finetune_and_ask(target, probes, text, self.sweep, self.batch_size)
