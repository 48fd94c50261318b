"""What a method is run on: a copy of the model, the rows of both sides, and stages of training."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from expunge.approximate._draws import Row, draws
from expunge.approximate._fresh import fresh
from expunge.approximate._method import Objective
from expunge.approximate._settings import Edit, Shape
from expunge.approximate._stage import Stage
from expunge.approximate._store import Store
from expunge.approximate._training import train_stage
from expunge.engine import (
    ArrayReferences,
    Progress,
    ReferenceCache,
    Schedule,
    array_step_maker,
    derived_seed,
    encode,
    pad_id,
    step_maker,
)

Track = Callable[[str, int, int, float], None]  # stage, steps done, steps in all, the loss of the step


@dataclass
class Work:
    """A copy of the model that may be changed in place, and what it is changed with.

    `forget_records` and `retain_records` are records (of a classifier, examples), `forget` and `retain` the same as training
    rows. `tokenizer` is None for a classifier. Stages keep their state under `folder`, if there is one.
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
        self.store = Store(self.folder, self.settings.every)

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

    def descend(
        self,
        objective: Objective,
        *,
        name: str = "edit",
        model: Any = None,
        forget: Sequence[Row] | None = None,
        retain: Sequence[Row] | None = None,
        steps: int | None = None,
        lr: float | None = None,
        shape: Shape | None = None,
        guarded: bool = False,
        mask: Mapping[nn.Parameter, Tensor] | None = None,
    ) -> list[float]:
        """Run a stage, with the edit's own model, rows, steps and rate where no others are named.

        Returns the losses of the steps run here. A stage that was finished before a kill is not run again.
        """
        edit = self.settings
        forget, retain = self.forget if forget is None else forget, self.retain if retain is None else retain
        stage = Stage(
            name=name,
            objective=objective,
            model=self.model if model is None else model,
            draws=draws(forget, retain, edit.steps if steps is None else steps, name, edit),
            schedule=Schedule(lr=edit.lr if lr is None else lr, warmup=edit.warmup, shape=shape or edit.shape),
            guarded=guarded,
            mask=mask,
        )
        noted = len(self.notes)
        descent = self.store.run(stage, partial(train_stage, stage, self))
        self.notes[noted:] = descent.notes
        self.rows_trained += descent.rows
        return descent.losses
