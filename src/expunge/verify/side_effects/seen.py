"""What one arm does with the retained questions: one pass of answering, one of reading the true answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from expunge.core import Fact
from expunge.engine import answer_logits, collate, encode, greedy_answers, pad_id, value_span
from expunge.verify.battery import Arm
from expunge.verify.metrics.recall import recall

MAX_NEW_TOKENS = 32


@dataclass(frozen=True)
class Seen:
    """Per retained fact: the answer, whether it holds the fact, and of each value token confidence and correctness."""

    replies: tuple[str, ...]
    recalled: tuple[float, ...]
    confidence: tuple[tuple[float, ...], ...]
    right: tuple[tuple[bool, ...], ...]


def see(arm: Arm, facts: Sequence[Fact]) -> Seen:
    replies = greedy_answers(arm.model, arm.tokenizer, [f.question for f in facts], MAX_NEW_TOKENS)
    confidence, right = _guesses(arm, facts)
    recalled = tuple(recall(text, fact) for text, fact in zip(replies, facts, strict=True))
    return Seen(tuple(replies), recalled, confidence, right)


@torch.no_grad()
def _guesses(
    arm: Arm, facts: Sequence[Fact], batch_size: int = 16
) -> tuple[tuple[tuple[float, ...], ...], tuple[tuple[bool, ...], ...]]:
    """Probability of the most likely token at each token of the value, and whether it is the value's own."""
    rows, device = encode(arm.tokenizer, facts), next(arm.model.parameters()).device
    spans = [value_span(arm.tokenizer, f.answer, f.value, bool(f.question)) for f in facts]
    confidence: list[tuple[float, ...]] = []
    right: list[tuple[bool, ...]] = []
    for k in range(0, len(rows), batch_size):
        batch = collate(rows[k : k + batch_size], pad_id(arm.tokenizer)).to(device)
        logits_NV, labels_N, row_N = answer_logits(arm.model, batch)
        top_N, guess_N = torch.softmax(logits_NV, dim=-1).max(dim=-1)
        for j, (start, end) in enumerate(spans[k : k + batch_size]):
            at_n = (row_N == j).nonzero()[start:end, 0]
            confidence.append(tuple(top_N[at_n].tolist()))
            right.append(tuple((guess_N[at_n] == labels_N[at_n]).tolist()))
    return tuple(confidence), tuple(right)
