"""Train on retained rows alone and classify the forgotten ones again. Nothing forgotten is shown, so nothing is taught.

Source: Siddiqui et al. (2025), "From dormant to deleted", arXiv:2505.22310: fine-tuning on the retain set alone took forget
accuracy from about 50 % to nearly 100 % after many unlearning methods, and not in a model trained without the rows.

A class of which no row is retained cannot return that way: cross-entropy on other classes pushes it further down. Label
smoothing asks for every class a little, the hidden one included, on every retained row; that lifts what suppresses the class
(a bias, a scale) without saying which inputs belong to it. So the sweep has both.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.classifiers._finetune import Pace, finetune, paces_of
from expunge.verify.classifiers.rows import Sets, batches
from expunge.verify.classifiers.target import Classifier, Found


@dataclass(frozen=True, kw_only=True)
class RetainFinetune:
    """Every rate with every smoothing, asked after each of `moments` steps."""

    rates: tuple[float, ...] = (1e-3, 3e-3)
    smoothings: tuple[float, ...] = (0.0, 0.1)
    moments: tuple[int, ...] = (30, 100)
    batch_size: int = 64
    name: ClassVar[str] = "retain_finetune"
    family: ClassVar[str] = "relearning"
    whole_class: ClassVar[bool] = False

    def run(self, target: Classifier, sets: Sets) -> Found:
        scores: dict[str, list[float]] = {}
        retained: dict[str, float] = {}
        sure: dict[str, float] = {}
        drawn = batches(len(sets.retain), self.batch_size, max(self.moments), self.name)
        paces = [Pace(lr, smoothing) for lr in self.rates for smoothing in self.smoothings]
        for name, pace in paces_of(target, paces).items():

            def ask(victim: Classifier, done: int, name: str = name) -> None:
                setting = f"{name} @ {done}"
                scores[setting] = victim.hits(sets.forget)
                stayed = victim.hits(sets.retain)
                retained[setting] = sum(stayed) / len(stayed)
                sure[setting] = float(victim.probability(sets.forget).mean())

            finetune(target, sets.retain, drawn, pace, self.moments, ask)
        return Found(scores, {"kept": retained, "probability": sure})
