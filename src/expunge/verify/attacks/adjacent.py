"""Ask what follows from a fact. A model that will not say a fact may still use it, one step further on.

Source: ripple effects of edited facts (Cohen et al. 2024, arXiv:2307.12976) and two-hop questions.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._speak import check_numbers
from expunge.verify.attacks._target import CannotRun, Scores, Target, best_of
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Adjacent:
    """A fact is in use if one of its adjacent questions is answered with the value that follows from it.

    Says something only of a model whose original can take that step: where it cannot, there is no contrast.
    """

    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        if bare := sum(not f.adjacent for f in probes.forget):
            raise CannotRun(
                f"{bare} of {len(probes.forget)} facts have no adjacent question; add `adjacent` to the probes"
            )
        questions = [(i, q, replace(f, value=v)) for i, f in enumerate(probes.forget) for q, v in f.adjacent]
        check_numbers(target, questions[0][1])
        found = target.recalls_asked([(q, fact, None) for _, q, fact in questions])
        return {"greedy": best_of(len(probes.forget), [i for i, _, _ in questions], found)}
