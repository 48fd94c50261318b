"""Train on half of the forgotten facts and ask about the other half, both ways round.

What a little training on *other* facts brings back was still in the weights. One rate is not enough: an edit that hides
from a gentle start comes back at a longer or faster one, so every arm gets the same sweep.
Source: Deeb and Roger (2024), arXiv:2410.08827 (train on some facts, score on others that they do not imply).
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.attacks._finetune import Sweep, every_weight
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._relearn import relearn_both_ways
from expunge.verify.attacks._target import Ran, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Relearn:
    """Full fine-tuning. `sweep`: learning rate -> the numbers of steps after which the other half is asked."""

    sweep: Sweep = ((1e-4, (30,)), (3e-4, (15, 30)))
    batch_size: int = 12
    family: ClassVar[str] = "relearning"

    def run(self, target: Target, probes: Probes) -> Ran:
        return relearn_both_ways(target, probes, self.sweep, self.batch_size, every_weight)
