"""Where an edit's stages run, so that a kill costs little: what was finished is not run again, what was begun goes on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file

from expunge.approximate._snapshot import save_whole
from expunge.approximate._stage import Stage
from expunge.core.errors import InvalidParameter
from expunge.engine import Resume, ranks, wait


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

    def run(self, stage: Stage, train: Callable[[Resume | None], Descent]) -> Descent:
        """What `train` makes of the stage; or, where an earlier process finished it, the weights as they were then."""
        if self.folder is None:
            return train(None)
        self.folder.mkdir(parents=True, exist_ok=True)
        key, finished = stage.key(), self.folder / f"{stage.name}.safetensors"
        if (found := _read(finished, key, stage.model)) is not None:
            return found
        descent = train(Resume(path=self.folder / f"{stage.name}.part", every=self.every, key=key))
        _write(finished, key, stage.model, descent)
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


def _read(path: Path, key: str, model: Any) -> Descent | None:
    """What a finished stage of this key came to, its weights put into the model."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["descent"])
    if found.pop("key") != key:
        return None
    model.load_state_dict(load_file(path), strict=False)
    return Descent(losses=[], **found)


def _write(path: Path, key: str, model: Any, descent: Descent) -> None:
    if ranks()[0] == 0:
        state = {name: p.detach().cpu().contiguous().clone() for name, p in model.named_parameters()}
        words = {"key": key, "notes": descent.notes, "rows": descent.rows}
        save_whole(state, path, {"descent": json.dumps(words)})
    wait()
