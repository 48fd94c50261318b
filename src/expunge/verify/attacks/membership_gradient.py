"""Were these facts in the training data? By how far each would still pull the weights.

White box: where training has converged on an answer its gradient is small, even if the output was changed on top of it.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.engine import encode, pad_id
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._strangers import strangers
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.membership.answers import spans_of
from expunge.verify.metrics.gradient_norm import gradient_norms
from expunge.verify.pairs import VALUE, WHOLE, pair_of
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class MembershipGradient:
    """Minus the global gradient norm, in evaluation mode, one answer at a time: one forward and two backward passes each.

    Pairs of rows "gradient norm" by span. Higher: more likely a member.
    """

    family: ClassVar[str] = "membership"

    def run(self, target: Target, probes: Probes) -> Scores:
        facts, n = [*probes.forget, *strangers(probes)], len(probes.forget)
        victim, pad = target.copy(), pad_id(target.tokenizer)
        victim.model.eval()
        for p in victim.model.parameters():
            p.requires_grad_(p.is_floating_point())
        norms = []
        for row, fact in zip(encode(target.tokenizer, facts), facts, strict=True):
            spans = spans_of(target, fact)
            norms.append(gradient_norms(victim.model, row, [spans[VALUE], spans[WHOLE]], pad))
        scores: Scores = {}
        for k, span in enumerate((VALUE, WHOLE)):
            values = [-norm[k] for norm in norms]
            scores |= pair_of(f"gradient norm, {span}", values[:n], values[n:])
        return scores
