"""Were these facts in the training data? Calibrated by models that never saw them.

How likely an answer is says little: some answers are easy. Beside a model that never saw it, the surplus is what training
added. Shards that never held a person, the base model and controls of other seeds are such models, for free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from expunge.core import Fact
from expunge.engine import encode, pad_id, rows_logp
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._strangers import strangers
from expunge.verify.attacks._target import CannotRun, Scores, Target, needed
from expunge.verify.membership.answers import spans_of
from expunge.verify.membership.rmia import probability_ratio, rmia, rmia_among
from expunge.verify.pairs import VALUE, WHOLE, pair_of
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class MembershipReference:
    """Two statistics beside the `outs`, in pairs of rows by statistic and span. Higher: more likely a member.

    "reference": mean log-probability less its mean over the outs. "rmia": offline RMIA (Zarifzadeh et al. 2024,
    arXiv:2312.03262) with exp(mean log-probability) and the unseen facts as strangers; an unseen fact is compared with
    all others but itself. At gamma = 1 its order, and so its AUC, is that of the calibrated ratio.
    """

    a: float = 0.3
    gamma: float = 1.0
    batch_size: int = 64
    family: ClassVar[str] = "membership"
    needs: ClassVar[tuple[str, ...]] = ("outs",)

    def run(self, target: Target, probes: Probes) -> Scores:
        outs: Sequence[Target] = needed(target.company, self.needs)["outs"]
        if any(out.model is target.model for out in outs):
            raise CannotRun("one of the outs is the model under attack; a model is no reference for itself")
        facts, n = [*probes.forget, *strangers(probes)], len(probes.forget)
        if len(facts) - n < 2:
            raise CannotRun("needs at least two facts that were never trained on")
        own, references = self._logp(target, facts), [self._logp(out, facts) for out in outs]
        scores: Scores = {}
        for span in (VALUE, WHOLE):
            logp_N, outs_KN = own[span], np.stack([out[span] for out in references])
            surplus_N = logp_N - outs_KN.mean(axis=0)
            ratio_N = probability_ratio(np.exp(logp_N), np.exp(outs_KN), self.a)
            members, unseen = rmia(ratio_N[:n], ratio_N[n:], self.gamma), rmia_among(ratio_N[n:], self.gamma)
            scores |= pair_of(f"reference, {span}", surplus_N[:n].tolist(), surplus_N[n:].tolist())
            scores |= pair_of(f"rmia, {span}", members.tolist(), unseen.tolist())
        return scores

    def _logp(self, target: Target, facts: Sequence[Fact]) -> dict[str, NDArray[np.float64]]:
        """Mean log-probability of each fact's tokens, by span."""
        encoded = encode(target.tokenizer, facts)
        rows = rows_logp(target.model, encoded, pad_id(target.tokenizer), self.batch_size)
        spans = [spans_of(target, fact) for fact in facts]
        found = {
            name: np.array([np.mean(row[slice(*at[name])]) for row, at in zip(rows, spans, strict=True)])
            for name in (VALUE, WHOLE)
        }
        if not all(np.isfinite(values).all() for values in found.values()):
            raise CannotRun("a log-probability is not a number, in the model under attack or in one of the outs")
        return found
