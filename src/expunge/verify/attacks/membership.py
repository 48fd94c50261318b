"""Were these facts in the training data? Two-sided: looking less familiar than never-seen facts gives it away too.

Judged on the tokens that carry the value: over whole answers, names alone tell members apart at any level of forgetting,
so those rows are for reading only.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.core import Fact
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._strangers import strangers
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.membership.answers import Answer, read_answers, said_text
from expunge.verify.metrics.min_k_plus_plus import lowest_share
from expunge.verify.metrics.zlib_score import zlib_score
from expunge.verify.pairs import VALUE, WHOLE, pair_of
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Membership:
    """Four statistics of one forward pass, for the facts to forget and for facts never trained on. An axis of its own.

    "members" and "others" are Min-K%++ of the value's tokens, on which a judgement rests; further pairs of rows are named
    by statistic and span: loss (mean log-probability), zlib, min-k, min-k++. Higher: more likely a member.
    """

    k: float = 0.2
    batch_size: int = 64
    family: ClassVar[str] = "membership"

    def run(self, target: Target, probes: Probes) -> Scores:
        facts = [*probes.forget, *strangers(probes)]
        answers = read_answers(target, facts, self.batch_size)
        rows = [self._statistics(answer, fact) for answer, fact in zip(answers, facts, strict=True)]
        n = len(probes.forget)
        scores: Scores = {}
        for name in rows[0]:
            values = [row[name] for row in rows]
            scores |= pair_of(name, values[:n], values[n:])
        return scores

    def _statistics(self, answer: Answer, fact: Fact) -> dict[str, float]:
        found: dict[str, float] = {}
        for span in (VALUE, WHOLE):
            logp_N = answer.logp(span)
            loss = float(logp_N.mean())
            found |= {
                f"min-k++, {span}": lowest_share(answer.z(span), self.k),
                f"min-k, {span}": lowest_share(logp_N, self.k),
                f"loss, {span}": loss,
                f"zlib, {span}": zlib_score(loss, said_text(fact, span)),
            }
        return found
