"""Ask in words that no training example used. Methods often forget the wording, not the fact."""

from dataclasses import dataclass
from typing import ClassVar

from expunge.engine import greedy_answers
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.metrics.recall import recall
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Paraphrase:
    """A fact is recovered as well as its best paraphrase recovers it."""

    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        questions = [(i, q, a) for i, f in enumerate(probes.forget) for q, a in f.paraphrases]
        if len({i for i, _, _ in questions}) < len(probes.forget):
            raise CannotRun("some facts have no paraphrased question; add `paraphrases` to the probes")
        answers = greedy_answers(target.model, target.tokenizer, [q for _, q, _ in questions], target.max_new_tokens)
        best = [0.0] * len(probes.forget)
        for (i, _, reference), text in zip(questions, answers, strict=True):
            best[i] = max(best[i], recall(text, probes.forget[i], reference))
        return {"greedy": best}
