"""Train on retained facts alone and ask again. Nothing that was forgotten is shown, so nothing can be taught.

Source: Siddiqui et al. (2025), "From dormant to deleted", arXiv:2505.22310; Hu et al. (2024), arXiv:2406.13356.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.attacks import attacks
from expunge.verify.attacks._finetune import finetune
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class RetainFinetune:
    lr: float = 5e-4
    moments: tuple[int, ...] = (15, 40)
    batch_size: int = 32
    family: ClassVar[str] = "white box"

    def run(self, target: Target, probes: Probes) -> Scores:
        if not probes.retain:
            raise CannotRun("no retained facts to fine-tune on; add them to the probes")
        scores: Scores = {}

        def score(victim: Target, done: int) -> None:
            scores[f"lr {self.lr:g} x {done}"] = victim.recalls(probes.forget)

        finetune(target, probes.retain, self.lr, self.moments, self.batch_size, score)
        return scores
