"""Watch what a model keeps while it is edited, and go back before it is wrecked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from expunge.approximate._material import Material
from expunge.approximate._probe import probe
from expunge.approximate._snapshot import Snapshot
from expunge.approximate._stage import Stage
from expunge.core.errors import InvalidParameter

PROBE = 64  # rows that are looked at


@dataclass
class Guard:
    """Every `every` steps, and after the last, the share of right tokens on a few retained rows; below `least` of the
    start, back to before.

    `until` ends the run as soon as no larger share of the forget rows' tokens is right. `accuracy` gives the share of
    (forget, retain) rows under the model as it is now; the first is asked only where `until` is.
    """

    model: Any
    steps: int
    accuracy: Callable[[Sequence[Any]], float]
    forget: Sequence[Any]
    retain: Sequence[Any]
    least: float | None
    until: float | None
    every: int
    folder: Path | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self.accuracy(self.retain) if self.least is not None else 0.0
        self.ended = self.steps  # after so many steps the run ends
        self._good = Snapshot(self.folder / "good.safetensors" if self.folder else None)

    def __call__(self, done: int) -> bool:
        """Whether to stop, after `done` steps."""
        if done % self.every and done < self.steps:
            return False
        if self.least is not None:
            right = self.accuracy(self.retain)
            if right < self.least * self._start:
                self._go_back(done, right)
                return True
            self._good.take(self._trained(), str(done))
        if self.until is not None and (left := self.accuracy(self.forget)) <= self.until:
            self.ended = done
            self.notes.append(f"ended after step {done}: {left:.0%} of the forgotten tokens are still right")
            return True
        return False

    def _trained(self) -> dict[str, Tensor]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def _go_back(self, done: int, right: float) -> None:
        fell = f"retained tokens right fell from {self._start:.0%} to {right:.0%} at step {done}"
        if (good := self._good.label()) is None:
            raise InvalidParameter(
                f"the model is wrecked: {fell}, before anything could be kept; lower the learning rate or the steps, or "
                "pass guard=0 (--no-guard) to see it happen"
            )
        self._good.restore(self._trained())
        self.ended = done
        self.notes.append(f"{fell}; gone back to step {good} and ended there")


def guard_of(stage: Stage, material: Material) -> Guard | None:
    """The guard that a stage and the edit's settings ask for."""
    edit = material.settings
    if not stage.guarded or (not edit.guard and edit.until is None):
        return None
    forget, retain = (probe(rows, PROBE, edit.seed) for rows in (material.forget, material.retain))
    phase = stage.objective.phase(stage.steps)
    every = -(-edit.guard_every // phase) * phase
    accuracy = lambda rows: material.accuracy(rows, stage.model)
    folder = material.folder / f"{stage.name}.guard" if material.folder else None
    return Guard(stage.model, stage.steps, accuracy, forget, retain, edit.guard or None, edit.until, every, folder)
