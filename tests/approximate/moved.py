"""A model that has moved away from the original, as a method sees it, and the same computed apart, row by row."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from expunge.engine import ArrayReferences, Encoded, ReferenceCache, Step, Trunk, array_step_maker, encode, step_maker

PAD = 2


class Moved:
    """Five forget and four retain rows of mixed lengths; `step` is what the method sees, `runs` counts passes."""

    def __init__(self, given: Any, method: Any, alternate: Sequence[Any] = ()) -> None:
        self.original, self.model = given.model, copy.deepcopy(given.model)
        self.forget = encode(given.tokenizer, given.forget[3:48:9])
        self.retain = encode(given.tokenizer, given.retain[1:80:20])
        self.alternate = [Encoded(f"{e.id}/other", e.ids, e.n_prompt) for e in encode(given.tokenizer, alternate)]
        sides = {"forget": self.forget, "retain": self.retain, "alternate": self.alternate}
        cache = ReferenceCache(PAD)
        cache.fill(list(method.needs), self.model, sides, method.block(2))
        move(self.model)
        assert not Trunk.of(self.model).sees_padding  # tried once, before anything is counted
        self.runs: list[int] = []  # rows of each pass
        self.model.register_forward_pre_hook(self._count, with_kwargs=True)
        self.step: Step = step_maker(self.model, cache, PAD)(self.forget, self.retain, self.alternate)
        assert len({len(e.ids) - e.n_prompt for e in self.forget}) > 2

    def _count(self, _module: Any, _args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].shape[1] > 1:  # a single token only carries kept states through the head
            self.runs.append(len(kwargs["input_ids"]))


def move(model: Any, by: float = 0.02) -> None:
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by * torch.randn(p.shape, generator=draw))


@torch.no_grad()
def alone(model: Any, rows: Sequence[Encoded]) -> list[tuple[Tensor, Tensor]]:
    """Logits and labels of each row's answer, one row at a time: without padding there is nothing to get wrong."""
    said = [model(input_ids=torch.tensor([row.ids])).logits[0] for row in rows]
    return [
        (logits_TV[row.n_prompt - 1 : -1], torch.tensor(row.ids[row.n_prompt :]))
        for logits_TV, row in zip(said, rows, strict=True)
    ]


def logp(model: Any, rows: Sequence[Encoded]) -> list[Tensor]:
    """Log-probabilities of each row's answer tokens."""
    return [z.log_softmax(-1)[range(len(y)), y] for z, y in alone(model, rows)]


def total(model: Any, rows: Sequence[Encoded]) -> Tensor:
    return torch.stack([row.sum() for row in logp(model, rows)])


def nll(model: Any, rows: Sequence[Encoded]) -> float:
    return -float(torch.cat(logp(model, rows)).mean())


def moved_blobs(blobs: Any, method: Any, alternate: Sequence[Any] = ()) -> tuple[Step, Any]:
    """The same for a classifier: what a method sees of seven rows that leave and nine that stay, and the moved model."""
    model, references = copy.deepcopy(blobs.model), ArrayReferences()
    references.fill(method.needs, model, {"forget": blobs.forget, "retain": blobs.retain, "alternate": alternate})
    move(model)
    return array_step_maker(model, references)(blobs.forget[:7], blobs.retain[:9], alternate), model
