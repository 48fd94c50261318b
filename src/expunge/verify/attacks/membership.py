"""Were these facts in the training data? Two-sided: looking less familiar than never-seen facts gives it away too.

Scored on the tokens that carry the value: over whole answers, names alone tell members apart at any level of forgetting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from expunge.core import Fact
from expunge.engine import answer_logits, collate, encode, pad_id, value_span
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.metrics.min_k_plus_plus import lowest_share, token_scores
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Membership:
    """Min-K%++ of the value's tokens, for the facts to forget and for facts never trained on. An axis of its own."""

    k: float = 0.2
    batch_size: int = 64
    family: ClassVar[str] = "membership"

    def run(self, target: Target, probes: Probes) -> Scores:
        if not probes.unseen:
            raise CannotRun("no facts that were never trained on; add `unseen` probes as non-members")
        return {"members": self._scores(target, probes.forget), "others": self._scores(target, probes.unseen)}

    @torch.no_grad()
    def _scores(self, target: Target, facts: Sequence[Fact]) -> list[float]:
        rows, device = encode(target.tokenizer, facts), next(target.model.parameters()).device
        spans = [value_span(target.tokenizer, f.answer, f.value, bool(f.question)) for f in facts]
        scores: list[float] = []
        for k in range(0, len(rows), self.batch_size):
            batch = collate(rows[k : k + self.batch_size], pad_id(target.tokenizer)).to(device)
            logits_NV, labels_N, row_N = answer_logits(target.model, batch)
            per_token = token_scores(logits_NV, labels_N)
            for j in range(len(batch)):
                start, end = spans[k + j]
                scores.append(lowest_share(per_token[row_N == j][start:end].cpu(), self.k))
        return scores
