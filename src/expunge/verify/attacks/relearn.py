"""Train on half of the forgotten facts and ask about the other half, both ways round.

What a little training on *other* facts brings back was still in the weights. One rate is not enough: an edit that hides
from a gentle start comes back at a longer or faster one, so every arm gets the same sweep.
Source: Deeb and Roger (2024), arXiv:2410.08827 (train on some facts, score on others that they do not imply).
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.attacks import attacks
from expunge.verify.attacks._finetune import finetune
from expunge.verify.attacks._target import Scores, Target, halves
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Relearn:
    """`sweep`: learning rate -> the numbers of steps after which the other half is asked."""

    sweep: tuple[tuple[float, tuple[int, ...]], ...] = ((2e-4, (15, 40)), (5e-4, (15,)))
    batch_size: int = 32
    family: ClassVar[str] = "white box"

    def run(self, target: Target, probes: Probes) -> Scores:
        scores: Scores = {}
        first, second = halves(probes)
        for lr, moments in self.sweep:
            for trained, asked in ((first, second), (second, first)):
                self._one_way(target, probes, lr, moments, trained, asked, scores)
        return scores

    def _one_way(
        self,
        target: Target,
        probes: Probes,
        lr: float,
        moments: tuple[int, ...],
        trained: list[int],
        asked: list[int],
        scores: Scores,
    ) -> None:
        def score(victim: Target, done: int) -> None:
            row = scores.setdefault(f"lr {lr:g} x {done}", [0.0] * len(probes.forget))
            for i, value in zip(asked, victim.recalls([probes.forget[i] for i in asked]), strict=True):
                row[i] = value

        finetune(target, [probes.forget[i] for i in trained], lr, moments, self.batch_size, score)
