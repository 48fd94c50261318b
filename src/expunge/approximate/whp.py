"""Who's Harry Potter: learn what the model would say had it not been the expert, found by making it more of an expert.

Source: Eldan and Russinovich (2023), arXiv:2310.02238, Eq. 1 and Sec. 2.3.  Shapes: N answer tokens, V words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._likelihood import Likelihood
from expunge.approximate._method import Method
from expunge.approximate._name_swap import replaced
from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided, check_retain
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter
from expunge.engine import IGNORE, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class WHP(Method):
    """Train a copy further on the forget set, then teach the model to say what rises least in that copy.

    The labels are fixed before anything is unlearned: argmax of `generic_logits`. `anchors` maps what only the forgotten
    text calls things to what anybody would ("Hogwarts": "the Mystic Academy"): predictions then come from the text so
    renamed, and a term that stood there before is not unlearned again. `reinforce` is the length of the first training in
    parts of the edit's steps. The copy is held in memory until the labels are found.

    Not guaranteed: that the model knew better words. One that has the forget set by heart knows none, and the labels then
    are the next likeliest words.
    """

    alpha: float = 5.0
    reinforce: float = 2.0
    anchors: Mapping[str, str] | None = None
    retain: Retain = "nll"
    retain_weight: float = 1.0

    def __post_init__(self) -> None:
        check_retain(self.retain, self.retain_weight)
        if self.alpha <= 0 or self.reinforce <= 0:
            raise InvalidParameter(f"alpha and reinforce must be > 0, got {self.alpha} and {self.reinforce}")

    def edit(self, work: Work) -> list[float]:
        expert = work.twin()
        steps = max(1, round(self.reinforce * work.settings.steps))
        work.descend(Likelihood("forget"), name="reinforce", model=expert, retain=[], steps=steps)
        labels = generic_labels(work, expert, self.alpha, self.anchors or {})
        del expert
        generic = _Generic(labels=labels, retain=self.retain, retain_weight=self.retain_weight)
        return work.descend(generic, name="generic", guarded=True)


@dataclass(frozen=True, kw_only=True)
class _Generic(TwoSided):
    """The forget set's own text with generic words as labels."""

    labels: Mapping[str, Tensor] = field(repr=False)
    retain: Retain
    retain_weight: float

    def loss(self, step: Step) -> Iterator[Tensor]:
        labels_N = torch.cat([self.labels[row] for row in step.forget.rows])
        yield generic_loss(step.forget.logits_NV, labels_N)
        yield from self.retain_term(step)


def generic_logits(base_NV: Tensor, reinforced_NV: Tensor, alpha: float) -> Tensor:
    """v_base - alpha * ReLU(v_reinforced - v_base): what rose by learning more is what only the expert would say.

    >>> generic_logits(torch.tensor([[4.0, 3.0, 0.0]]), torch.tensor([[5.0, 2.0, 0.0]]), alpha=5.0)
    tensor([[-1.,  3.,  0.]])
    """
    return base_NV - alpha * F.relu(reinforced_NV - base_NV)


def generic_loss(logits_NV: Tensor, labels_N: Tensor) -> Tensor:
    """Cross-entropy to the generic words, averaged over the tokens that have one (others are -100); 0 where none has."""
    counted = (labels_N != IGNORE).sum().clamp(min=1)
    return F.cross_entropy(logits_NV, labels_N.to(logits_NV.device), ignore_index=IGNORE, reduction="sum") / counted


@torch.no_grad()
def generic_labels(work: Work, expert: Any, alpha: float, anchors: Mapping[str, str]) -> dict[str, Tensor]:
    """The generic word for each answer token of every forget row; -100 where none is to be learned."""
    found: dict[str, Tensor] = {}
    renamed = _renamed(work, anchors) if anchors and work.text else {}
    for k in range(0, len(work.forget), 32):
        rows = work.forget[k : k + 32]
        base, reinforced = work.side(rows), work.side(rows, expert)
        counts = base.length_B.long().tolist()
        logits = zip(base.logits_NV.split(counts), reinforced.logits_NV.split(counts), strict=True)
        for row, (base_NV, reinforced_NV) in zip(rows, logits, strict=True):
            if row.id in renamed:
                base_NV, left_out = _through(work, row, renamed[row.id], base_NV)
            label_N = generic_logits(base_NV, reinforced_NV, alpha).argmax(-1).cpu()
            if row.id in renamed:
                label_N[left_out] = IGNORE
            found[row.id] = label_N
    return found


def _renamed(work: Work, anchors: Mapping[str, str]) -> dict[str, Any]:
    """The forget rows in generic terms, of those that hold such a term."""
    renamed = {
        r.id: replace(r, question=_plain(r.question, anchors), answer=_plain(r.answer, anchors))
        for r in work.forget_records
    }
    changed = [renamed[r.id] for r in work.forget_records if renamed[r.id] != r]
    return {row.id: row for row in work.rows(changed)}


def _plain(text: str, anchors: Mapping[str, str]) -> str:
    """Every term by what stands for it, whole words only, the longest where several begin.

    >>> _plain("Ronald met Ron and Ron Weasley.", {"Ron": "Tom", "Ron Weasley": "Ron Who"})
    'Ronald met Tom and Ron Who.'
    """
    longest_first = sorted(anchors, key=len, reverse=True)
    return replaced(text, "|".join(map(re.escape, longest_first)), lambda found: anchors[found[0]])


def _through(work: Work, row: Any, other: Any, base_NV: Tensor) -> tuple[Tensor, list[int]]:
    """Base predictions taken from the renamed row where both have read the same; and the answer tokens to leave out.

    That is so for words they share and for the first token of a term: it is predicted from what stands before it. Left out
    are terms that stood in the row before: what is read there tells any reader how they go on.
    """
    renamed_NV, result_NV = work.side([other]).logits_NV, base_NV.clone()
    left_out: list[int] = []
    for tag, i, j, u, _ in SequenceMatcher(None, row.ids, other.ids, autojunk=False).get_opcodes():
        answered = range(max(i, row.n_prompt), j)
        for t in answered if tag == "equal" else answered[:1] if i >= row.n_prompt else ():
            at = t - i + u - other.n_prompt
            if 0 <= at < len(renamed_NV):
                result_NV[t - row.n_prompt] = renamed_NV[at]
        if tag != "equal" and (term := _text(work, row.ids[i:j])) and term in _text(work, row.ids[:i]):
            left_out += [t - row.n_prompt for t in answered]
    return result_NV, left_out


def _text(work: Work, ids: Sequence[int]) -> str:
    return str(work.tokenizer.decode(ids)).strip()
