"""One stage of an edit, as a value: what is descended, by which model, on which rows, how fast, and which weights may move."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from expunge.approximate._descended import Descended
from expunge.approximate._draws import Draw, content
from expunge.core.digests import digest_json
from expunge.engine import Schedule


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A run of training with one draw of rows for each step.

    A `guarded` stage goes back before the model is wrecked, as the settings ask. Where the `mask` of a weight is False, its
    values stay. One that trains `anew` normalises every batch by its own statistics.
    """

    name: str
    objective: Descended
    model: Any
    draws: list[Draw]
    schedule: Schedule
    guarded: bool
    mask: Mapping[nn.Parameter, Tensor] | None
    anew: bool = False

    @property
    def steps(self) -> int:
        return len(self.draws)

    def key(self) -> str:
        """Names a stage by its content, alike in every process: the state of another one is never used."""
        rows = {row.id: content(row) for draw in self.draws for row in (*draw.forget, *draw.retain)}
        order = [[[row.id for row in side] for side in (draw.forget, draw.retain)] for draw in self.draws]
        return digest_json("stage", [self.name, repr(self.objective), repr(self.schedule), rows, order])
