"""One pass over question and answer that serves every statistic: what a model says of each token of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.core import Fact
from expunge.engine import answer_logits, collate, encode, pad_id, value_span
from expunge.verify.attacks._target import Target
from expunge.verify.metrics.min_k_plus_plus import token_scores
from expunge.verify.pairs import VALUE, WHOLE

_AT_ONCE = 1 << 24  # logits in work at a time, for large vocabularies


@dataclass(frozen=True)
class Answer:
    """Per token of one answer, without its end mark: log-probability (nats) and Min-K%++'s score; where each span lies."""

    logp_N: Tensor
    z_N: Tensor
    spans: dict[str, tuple[int, int]]

    def logp(self, span: str) -> Tensor:
        start, end = self.spans[span]
        return self.logp_N[start:end]

    def z(self, span: str) -> Tensor:
        start, end = self.spans[span]
        return self.z_N[start:end]


def said_text(fact: Fact, span: str) -> str:
    """The words of a span: the value where there is one, or the whole answer."""
    return fact.value if span == VALUE and fact.value in fact.answer and fact.value else fact.answer


def spans_of(target: Target, fact: Fact) -> dict[str, tuple[int, int]]:
    """Tokens of the answer, [start, end): those that carry the value, and all of them."""
    has_question = bool(fact.question)
    return {
        VALUE: value_span(target.tokenizer, fact.answer, fact.value, has_question),
        WHOLE: value_span(target.tokenizer, fact.answer, "", has_question),
    }


@torch.no_grad()
def read_answers(target: Target, facts: Sequence[Fact], batch_size: int = 64) -> list[Answer]:
    """Every fact's answer after its question, one forward per fact, rows of like length together."""
    rows, device = encode(target.tokenizer, facts), next(target.model.parameters()).device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    found: dict[int, Answer] = {}
    for k in range(0, len(order), batch_size):
        part = order[k : k + batch_size]
        batch = collate([rows[i] for i in part], pad_id(target.tokenizer)).to(device)
        logits_NV, labels_N, row_N = answer_logits(target.model, batch)
        logp_N, z_N = _per_token(logits_NV, labels_N)
        row_N = row_N.cpu()
        for j, i in enumerate(part):
            found[i] = Answer(logp_N[row_N == j], z_N[row_N == j], spans_of(target, facts[i]))
    return [found[i] for i in range(len(rows))]


def _per_token(logits_NV: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability and Min-K%++ score of each label, in parts that bound memory, in double precision on the CPU."""
    size = max(1, _AT_ONCE // logits_NV.shape[1])
    logp, z = [], []
    for part_NV, at_N in zip(torch.split(logits_NV, size), torch.split(labels_N, size), strict=True):
        logp.append(-torch.nn.functional.cross_entropy(part_NV, at_N, reduction="none"))
        z.append(token_scores(part_NV, at_N))
    return torch.cat(logp).double().cpu(), torch.cat(z).double().cpu()
