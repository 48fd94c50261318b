"""What an attack is given: one arm's model, and the few things that every attack does with it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from expunge.core import Fact
from expunge.core.errors import ExpungeError
from expunge.engine import encode, greedy_answers, keyed_order, rows_logp, value_span
from expunge.verify.metrics.recall import recall
from expunge.verify.probes import Probes
from expunge.verify.scores import Scores as Scores


class CannotRun(ExpungeError):
    """An attack lacks something it needs. Its finding is INCONCLUSIVE, never a pass."""


@dataclass(frozen=True)
class Ran:
    """Scores of an attack that also checked itself.

    `learnt`: share of unrelated facts that the arm could be taught with the same budget; an arm that cannot be taught
    anything resists relearning without having forgotten. `retained`: the retained recall after the attack, by setting; an attack
    that wrecks the control shows nothing either.
    """

    scores: Scores
    learnt: float | None = None
    retained: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Company:
    """Other models that some attacks need beside the one under attack. `outs` never saw the facts and are no arm."""

    original: "Target | None" = None
    control: "Target | None" = None
    outs: tuple["Target", ...] = ()


@dataclass(frozen=True)
class Target:
    """The model under attack. Attacks that change weights work on `copy()`; the arm itself stays as it is."""

    model: Any
    tokenizer: Any
    max_new_tokens: int = 32
    company: Company = field(default_factory=Company)

    def copy(self) -> "Target":
        return replace(self, model=copy.deepcopy(self.model))

    def recalls(self, facts: Sequence[Fact]) -> list[float]:
        """Greedy answers to the plain questions."""
        return self.recalls_asked([(f.question, f, None) for f in facts])

    def recalls_asked(self, questions: Sequence[tuple[str, Fact, str | None]]) -> list[float]:
        """Greedy answers to (question, fact, reference answer where it is not the fact's own), each scored 0 to 1."""
        if not questions:
            return []
        answers = greedy_answers(self.model, self.tokenizer, [q for q, _, _ in questions], self.max_new_tokens)
        return [recall(text, fact, reference) for text, (_, fact, reference) in zip(answers, questions, strict=True)]

    def value_logp(self, facts: Sequence[Fact]) -> list[list[float]]:
        """Log-probability of each token of each fact's value, given its question and the answer up to there."""
        rows = rows_logp(self.model, encode(self.tokenizer, facts), self.tokenizer.pad_token_id or 0)
        spans = [value_span(self.tokenizer, f.answer, f.value, bool(f.question)) for f in facts]
        return [row[a:b] for row, (a, b) in zip(rows, spans, strict=True)]


def best_of(n_facts: int, owners: Sequence[int], scores: Sequence[float]) -> list[float]:
    """The best score of each fact's prompts; `owners` says whose prompt each score belongs to."""
    best = [0.0] * n_facts
    for i, score in zip(owners, scores, strict=True):
        best[i] = max(best[i], score)
    return best


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


def needed(company: Company, names: Sequence[str]) -> Mapping[str, Any]:
    """The models an attack needs beside its target.

    Raises: CannotRun, naming what is missing.
    """
    found = {name: getattr(company, name) for name in names}
    if missing := [name for name, model in found.items() if not model]:
        raise CannotRun(f"needs {' and '.join(missing)} at hand; none was given")
    return found
