"""What an edit is made of: a copy of the model that may be changed in place, the rows of both sides, the settings."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from expunge.approximate._draws import Row
from expunge.approximate._fresh import fresh
from expunge.approximate._settings import Edit
from expunge.engine import (
    ArrayReferences,
    Progress,
    ReferenceCache,
    array_step_maker,
    derived_seed,
    encode,
    pad_id,
    step_maker,
)

Track = Callable[[str, int, int, float], None]  # stage, steps done, steps in all, the loss of the step


@dataclass
class Material:
    """`forget` and `retain` are training rows of the records given; of a classifier, whose `tokenizer` is None, examples.

    State is kept under `folder`, if there is one.
    """

    model: Any
    tokenizer: Any
    forget_records: Sequence[Any]
    retain_records: Sequence[Any]
    settings: Edit
    folder: Path | None = None
    cache: Path | None = None
    progress: Progress | None = None
    track: Track | None = None
    notes: list[str] = field(default_factory=list)
    rows_trained: int = 0

    def __post_init__(self) -> None:
        self.forget, self.retain = self.rows(self.forget_records), self.rows(self.retain_records)

    @property
    def text(self) -> bool:
        return self.tokenizer is not None

    def rows(self, records: Sequence[Any]) -> list[Any]:
        """Records as training rows."""
        return encode(self.tokenizer, records) if self.text else list(records)

    def accuracy(self, rows: Sequence[Row], model: Any = None) -> float:
        """Share of these rows' answer tokens (classes) that the model finds likeliest."""
        hits = n = 0
        with torch.no_grad():
            for k in range(0, len(rows), 64):
                side = self.side(rows[k : k + 64], model)
                hits += int((side.logits_NV.argmax(-1) == side.labels_N).sum())
                n += len(side.labels_N)
        return hits / n if n else 0.0

    def side(self, rows: Sequence[Row], model: Any = None) -> Any:
        """What a method sees of these rows, outside of training."""
        model = self.model if model is None else model
        if self.text:
            return step_maker(model, ReferenceCache(), pad_id(self.tokenizer))((), rows).retain
        return array_step_maker(model, ArrayReferences())((), rows).retain

    def seed(self, *use: str | int) -> int:
        """A seed for one use in this edit, another for another use."""
        return derived_seed(f"edit/{self.settings.seed}".encode(), *use)

    def fresh(self, seed: int) -> Any:
        """The same architecture with new weights, as if training began. See `_fresh`."""
        return fresh(self.model, self.text, seed)

    def twin(self) -> Any:
        """Another copy of the model as it is now."""
        return copy.deepcopy(self.model)
