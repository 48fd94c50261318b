"""Where an edit's stages run, so that a kill costs little: what was finished is not run again, what was begun goes on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from expunge.approximate._stage import Stage
from expunge.core.errors import InvalidParameter, UnreadableModel
from expunge.core.recipe import Recipe
from expunge.engine import Resume, Stages, ranks, stage_key, wait


@dataclass(frozen=True)
class Descent:
    """What a stage came to. `losses` are those of the steps run in this process."""

    losses: list[float]
    notes: list[str]
    rows: int


@dataclass(frozen=True)
class Store:
    """A folder that belongs to one edit. Without a folder everything is run and nothing is kept."""

    folder: Path | None
    every: int | None  # steps between checkpoints; None: by the clock
    recipe: Recipe = field(default_factory=Recipe)  # what else decides bits: a stage of other libraries is run again

    def run(self, stage: Stage, train: Callable[[Resume | None], Descent]) -> Descent:
        """What `train` makes of the stage; or, where an earlier process finished it, the weights as they were then."""
        key = stage_key(self.recipe, b"", stage.key())

        def begin(checkpoints: Path | None) -> Descent:
            return train(None if checkpoints is None else Resume(path=checkpoints, every=self.every, key=key))

        stages = Stages(self.folder, writes=ranks()[0] == 0)
        descent: Descent = stages.run(key, begin, partial(_read, stage.model), partial(_write, stage.model))
        if self.folder:
            wait()  # the others may read it at once
        return descent

    def path(self, name: str) -> Path | None:
        """A place in the folder, if there is one."""
        return self.folder / name if self.folder else None

    def claim(self, owner: str) -> None:
        """Make the folder this edit's own: what another one left there, of other weights, rows or settings, goes.

        Raises: InvalidParameter, if it holds what no edit left there.
        """
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        whose = self.folder / "whose.txt"
        if not whose.exists() and any(self.folder.iterdir()):
            raise InvalidParameter(
                f"{self.folder} holds other files, and an edit's state is removed; name a new folder"
            )
        owner = stage_key(self.recipe, b"", owner)
        stale = not whose.exists() or whose.read_text() != owner
        wait()
        if stale and ranks()[0] == 0:
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            whose.write_text(owner)
        wait()

    def clear(self) -> None:
        """Remove the folder; every rank has read what it had to."""
        wait()
        if self.folder and ranks()[0] == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        wait()


def _read(model: Any, path: Path) -> Descent:
    """What a finished stage came to, its weights put into the model.

    Raises: UnreadableModel.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found: dict[str, Any] = json.loads(file.metadata()["descent"])
        model.load_state_dict(load_file(path), strict=False)
    except (SafetensorError, OSError) as e:
        raise UnreadableModel(f"{path} is damaged ({e})") from e
    return Descent(losses=[], **found)


def _write(model: Any, descent: Descent, path: Path) -> None:
    state = {name: p.detach().cpu().contiguous().clone() for name, p in model.named_parameters()}
    save_file(state, path, metadata={"descent": json.dumps({"notes": descent.notes, "rows": descent.rows})})
