"""Extract verbatim: give the beginning of an answer or a text and see how much of the rest the model holds, token by token.

Scored on the tokens that carry the value where it is known, since much of a whole answer follows from its question in any
model. Without a value, of plain text as of answers, all tokens count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from expunge.core import Fact
from expunge.engine import Encoded, answer_logits, collate, encode, pad_id, value_span
from expunge.engine.prefix import evaluating
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._speak import check_room, speak
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.metrics.exact_memorization import exact_memorization
from expunge.verify.metrics.extraction_strength import extraction_strength
from expunge.verify.metrics.recall import recall
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Extraction:
    """Extraction strength and exact memorisation under teacher forcing; "continuation" is said freely after the first half.

    Of an answer with a value no more is given than what stands before it.
    """

    batch_size: int = 64
    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        rows = encode(target.tokenizer, probes.forget)
        spans = [_span(target, fact, row) for fact, row in zip(probes.forget, rows, strict=True)]
        check_room(target, max(len(row.ids) for row in rows))
        pairs = [
            (predicted[a:b], list(row.ids[row.n_prompt + a : row.n_prompt + b]))
            for predicted, row, (a, b) in zip(self._predicted(target, rows), rows, spans, strict=True)
        ]
        return {
            "strength": [extraction_strength(*pair) for pair in pairs],
            "memorisation": [exact_memorization(*pair) for pair in pairs],
            "continuation": _continued(target, probes.forget, rows, spans),
        }

    def _predicted(self, target: Target, rows: Sequence[Encoded]) -> list[list[int]]:
        """The likeliest token at every place of each answer, given the true ones before it."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        found: list[list[int]] = [[] for _ in rows]
        with evaluating(target.model):
            for k in range(0, len(order), self.batch_size):
                part = order[k : k + self.batch_size]
                batch = collate([rows[i] for i in part], pad_id(target.tokenizer))
                logits_NV, _, row_N = answer_logits(target.model, batch.to(next(target.model.parameters()).device))
                if not logits_NV.isfinite().all():
                    raise CannotRun("the model's logits are not finite")
                for row, token in torch.stack([row_N, logits_NV.argmax(-1)], dim=1).tolist():
                    found[part[row]].append(token)
        return found


def _span(target: Target, fact: Fact, row: Encoded) -> tuple[int, int]:
    """The tokens of an answer that count: the value's, or all but the end of text."""
    start, end = value_span(target.tokenizer, fact.answer, fact.value, bool(fact.question))
    return start, min(end, len(row.ids) - row.n_prompt)


def _continued(
    target: Target, facts: Sequence[Fact], rows: Sequence[Encoded], spans: Sequence[tuple[int, int]]
) -> list[float]:
    """What is said after the first half of each answer's tokens – never more than stand before the value – against the rest."""
    cuts, expected = [], []
    for fact, row, (start, _) in zip(facts, rows, spans, strict=True):
        valued = bool(fact.value) and fact.value in fact.answer
        half = (len(row.ids) - row.n_prompt) // 2
        cut = row.n_prompt + (min(half, start) if valued else half)
        rest = target.tokenizer.decode(row.ids[cut : cut + target.max_new_tokens], skip_special_tokens=True)
        cuts.append(row.ids[:cut])
        expected.append(replace(fact, answer=rest, value=fact.value if valued else ""))
    texts = target.tokenizer.batch_decode(speak(target, cuts, target.max_new_tokens), skip_special_tokens=True)
    return [recall(text, fact) for text, fact in zip(texts, expected, strict=True)]
