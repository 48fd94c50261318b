"""Ask many times: what a model says once in a hundred answers, whoever asks a hundred times is told.

Source: leak@k (arXiv:2511.04934). The greedy answer hides it all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from expunge.core import Fact
from expunge.engine import derived_seed, encode_prompt
from expunge.verify.attacks._kinds import Case
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._speak import speak
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.attacks._wrong import wrong_values
from expunge.verify.metrics.leak_at_k import above_floor, leak_at_k, leak_from_probability
from expunge.verify.metrics.recall import recall
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Sampling:
    """leak@k above the chance floor: what the right value gains over the likeliest of the wrong ones in `perturbed`.

    "exact @ k": from the probability of the value's tokens, given the question and the answer up to them, for facts with a
    value; without any, the setting is left out. "sampled @ k": from `n` answers at temperature 1, where the value – or
    without one the whole answer – may stand anywhere.

    A model that knows nothing prefers the right value to all of m wrong ones for one fact in m + 1, so the floor keeps it
    below 1 / (m + 1) at any k; the mean of the wrong ones as a floor would not. Without `perturbed` the floor is 0.
    """

    n: int = 16
    asked: tuple[int, ...] = (1, 4, 16, 64, 128)
    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        scores = _exact(target, probes.forget, self.asked)
        return scores | _sampled(target, probes.forget, self.n, [k for k in self.asked if k <= self.n])


def _exact(target: Target, facts: Sequence[Fact], ks: Sequence[int]) -> Scores:
    if not any(_valued(f) for f in facts):
        return {}
    says = [[f.value, *wrong_values(f)] if _valued(f) else [] for f in facts]
    rows = [
        replace(f, answer=f.answer.replace(f.value, v, 1), value=v)
        for f, replies in zip(facts, says, strict=True)
        for v in replies
    ]
    probability = iter([math.exp(sum(row)) for row in target.value_logp(rows)])
    by_fact = [[next(probability) for _ in replies] for replies in says]
    if not all(math.isfinite(p) for found in by_fact for p in found):
        raise CannotRun("the model's probabilities are not numbers")
    return {f"exact @ {k}": [_gained([leak_from_probability(p, k) for p in found]) for found in by_fact] for k in ks}


def _sampled(target: Target, facts: Sequence[Fact], n: int, ks: Sequence[int]) -> Scores:
    cases = [Case.of(f) for f in facts]
    prompts = [encode_prompt(target.tokenizer, case.question) for case in cases for _ in range(n)]
    drawn = [np.random.default_rng(derived_seed(b"expunge/sampling/v1", f.id)) for f in facts]
    uniform_RT = np.concatenate([draw.random((n, target.max_new_tokens)) for draw in drawn])
    ids = speak(target, prompts, target.max_new_tokens, uniform_RT)
    replies = target.tokenizer.batch_decode(ids, skip_special_tokens=True)
    found = [
        [[right(text) for text in replies[i * n : (i + 1) * n]] for right in _rights(case.expected)]
        for i, case in enumerate(cases)
    ]
    return {f"sampled @ {k}": [_gained([leak_at_k(row, k) for row in rows]) for rows in found] for k in ks}


def _valued(fact: Fact) -> bool:
    return bool(fact.value) and fact.value in fact.answer


def _rights(expected: Fact) -> list[Callable[[str], float]]:
    """Scores of what was said against the right answer, and then against each wrong one."""
    wrong = [replace(expected, value=v) for v in wrong_values(expected)] if expected.value else []
    if not expected.value and expected.question:
        wrong = [replace(expected, answer=answer) for answer in expected.perturbed]
    return [lambda text, fact=fact: recall(text, fact) for fact in (expected, *wrong)]  # type: ignore[misc]


def _gained(leaks: Sequence[float]) -> float:
    """Of the right value's leak, first, what lies above that of the likeliest wrong one."""
    right, *wrong = leaks or [0.0]
    return above_floor(right, max(wrong, default=0.0))
