"""What an attack is given: one arm's model, and the few things that every attack does with it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expunge.core import Fact
from expunge.core.errors import ExpungeError
from expunge.engine import encode, greedy_answers, keyed_order, rows_logp, value_span
from expunge.verify.metrics.recall import recall
from expunge.verify.probes import Probes

Scores = dict[str, list[float]]  # setting -> one score in [0, 1] per fact to forget


class CannotRun(ExpungeError):
    """An attack lacks something it needs. Its finding is INCONCLUSIVE, never a pass."""


@dataclass(frozen=True)
class Target:
    """The model under attack. Attacks that change weights work on `copy()`; the arm itself stays as it is."""

    model: Any
    tokenizer: Any
    max_new_tokens: int = 32

    def copy(self) -> "Target":
        return Target(copy.deepcopy(self.model), self.tokenizer, self.max_new_tokens)

    def recalls(self, facts: Sequence[Fact]) -> list[float]:
        """Greedy answers to the plain questions."""
        said = greedy_answers(self.model, self.tokenizer, [f.question for f in facts], self.max_new_tokens)
        return [recall(text, fact) for text, fact in zip(said, facts, strict=True)]

    def value_logp(self, facts: Sequence[Fact]) -> list[list[float]]:
        """Log-probability of each token of each fact's value, given its question and the answer up to there."""
        rows = rows_logp(self.model, encode(self.tokenizer, facts), self.tokenizer.pad_token_id or 0)
        spans = [value_span(self.tokenizer, f.answer, f.value, bool(f.question)) for f in facts]
        return [row[a:b] for row, (a, b) in zip(rows, spans, strict=True)]


def halves(probes: Probes) -> tuple[list[int], list[int]]:
    """Two halves of the facts to forget, each with facts of every subject, by a hash of their ids."""
    order = keyed_order([f.id for f in probes.forget], b"expunge/halves/v1")
    by_subject: dict[str, list[int]] = {}
    for i in order:
        by_subject.setdefault(probes.forget[i].subject, []).append(i)
    first = [i for part in by_subject.values() for i in part[::2]]
    second = [i for part in by_subject.values() for i in part[1::2]]
    if not first or not second:
        raise CannotRun("needs at least two facts about a subject, to train on one half and score the other")
    return first, second
