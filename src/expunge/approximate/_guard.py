"""Watch what a model keeps while it is edited, and go back before it is wrecked.

A push that takes retained rows along is followed, in most methods, by a term that brings them back: in the middle of a run
that ends well, half of what was known can be gone and more. So a low point ends nothing by itself; the end of the run is judged,
and where three looks in turn find no more than the one before there is nothing to wait for.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from expunge.approximate._material import PROBE, Material
from expunge.approximate._probe import probe
from expunge.approximate._skill import Skill
from expunge.approximate._snapshot import Snapshot
from expunge.approximate._stage import Stage
from expunge.core.digested import find_digested, written_digested
from expunge.core.errors import InvalidParameter
from expunge.engine import ranks


@dataclass
class Guard:
    """Every `every` steps, and after the last, the skill on a few retained rows. If less than the part `least` of the `start`
    is left at the end, or at three looks in turn none of which finds more than the one before: back to the last look that
    found enough.

    `until` ends the run as soon as no larger share of what the forget rows tell is right, and enough is left. `skill` and
    `known` are those of the model as it is now; neither is asked where it decides nothing.
    """

    model: Any
    steps: int
    skill: Callable[[], Skill]
    known: Callable[[], float]
    start: Skill | None
    least: float | None
    until: float | None
    every: int
    folder: Path | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ended = self.steps  # after so many steps the run ends
        self._good = Snapshot(self.folder / "good.safetensors" if self.folder else None)
        self._log = self.folder / "low.json" if self.folder else None
        self._low: dict[str, float] = {}  # looks that found too little, by their step
        if self._log and (log := find_digested(self._log)):
            self._low = json.loads(log.read_text())

    def __call__(self, done: int) -> bool:
        """Whether to stop, after `done` steps."""
        if done % self.every and done < self.steps:
            return False
        low = False
        if self.least is not None and self.start is not None and self.start.knows:
            now = self.skill()
            if low := self.start.lost(now, self.least):
                self._low[str(done)] = now.tokens
                if done == self.steps or self._sinks(done):
                    self._go_back(done, now)
                    return True
            else:
                self._good.take(self._trained(), str(done))
        if self.until is not None and not low and (left := self.known()) <= self.until:
            self.ended = done
            self.notes.append(f"ended after step {done}: {left:.0%} of what the forget rows tell is still right")
            return True
        return False

    def _sinks(self, done: int) -> bool:
        looks = [self._low.get(str(done - k * self.every)) for k in (2, 1, 0)]
        return None not in looks and looks == sorted(looks, reverse=True)  # type: ignore[type-var]

    def write(self) -> None:
        """Put the state to go back to on disk, beside a checkpoint of the run: a process that goes on finds both."""
        self._good.write()
        if self._log and self._low and ranks()[0] == 0:
            with written_digested(self._log) as beside:
                beside.write_text(json.dumps(self._low))

    def _trained(self) -> dict[str, Tensor]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def _go_back(self, done: int, now: Skill) -> None:
        assert self.start is not None
        fell = f"retained tokens right fell from {self.start.tokens:.0%} to {now.tokens:.0%} at step {done}"
        if self.start.answers is not None and now.answers is not None:
            fell += f", greedy answers from {self.start.answers:.0%} to {now.answers:.0%}"
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
    forget = probe(material.forget, PROBE, edit.seed)
    phase = stage.objective.phase(stage.steps)
    start = (material.start or material.skill(stage.model)) if edit.guard else None
    return Guard(
        model=stage.model,
        steps=stage.steps,
        skill=lambda: material.skill(stage.model),
        known=lambda: material.known(forget, stage.model),
        start=start,
        least=edit.guard or None,
        until=edit.until,
        every=-(-edit.guard_every // phase) * phase,
        folder=material.folder / f"{stage.name}.guard" if material.folder else None,
    )
