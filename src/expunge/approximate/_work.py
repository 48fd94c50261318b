"""What a method is run on: the material of its edit, and stages of training that survive a kill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from expunge.approximate._descended import Descended
from expunge.approximate._draws import Row, draws
from expunge.approximate._material import Material
from expunge.approximate._settings import Shape
from expunge.approximate._stage import Stage
from expunge.approximate._statistics import layers
from expunge.approximate._store import Store
from expunge.approximate._training import train_stage
from expunge.core.recipe import Recipe
from expunge.engine import Schedule, environment
from expunge.engine.conditions import MODELS


@dataclass
class Work(Material):
    """Stages keep their state under `folder`, if there is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        device = next(self.model.parameters()).device
        recipe = Recipe(environment=environment(MODELS, self.settings.threads, device))
        self.store = Store(self.folder, self.settings.every, recipe)

    def descend(
        self,
        objective: Descended,
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
        anew: bool = False,
    ) -> list[float]:
        """Run a stage, with the edit's own model, rows, steps and rate where no others are named; `anew` from new weights.

        Returns the losses of the steps run here. A stage that was finished before a kill is not run again.
        """
        edit = self.settings
        forget, retain = self.forget if forget is None else forget, self.retain if retain is None else retain
        model = self.model if model is None else model
        lone = not (anew and layers(model))
        stage = Stage(
            name=name,
            objective=objective,
            model=model,
            draws=draws(forget, retain, edit.steps if steps is None else steps, name, edit, lone),
            schedule=Schedule(lr=edit.lr if lr is None else lr, warmup=edit.warmup, shape=shape or edit.shape),
            guarded=guarded,
            mask=mask,
            anew=anew,
        )
        noted = len(self.notes)
        descent = self.store.run(stage, partial(train_stage, stage, self))
        self.notes[noted:] = descent.notes
        self.rows_trained += descent.rows
        return descent.losses
