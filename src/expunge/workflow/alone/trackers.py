"""Live losses for the tracker that the user has: TensorBoard, Weights & Biases, or a file of JSON lines."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from expunge.core.errors import InvalidParameter, MissingExtra

Track = Callable[[str, int, int, float], None]  # stage, steps done, steps in all, the loss of the step


@contextmanager
def tracker(name: str, about: str) -> Iterator[Track]:
    """What `run_edit` tells its losses to. Names: "tensorboard", "tensorboard:FOLDER", "wandb", "wandb:PROJECT", "jsonl:PATH".

    `about` describes the run; no row of the data and no path to it is sent anywhere. JSON lines are appended.

    Raises: InvalidParameter, for another name; MissingExtra, naming the package to install.
    """
    kind, _, place = name.partition(":")
    if kind == "jsonl" and place:
        yield from _lines(Path(place))
    elif kind == "tensorboard":
        yield from _tensorboard(place or "runs/expunge", about)
    elif kind == "wandb":
        yield from _wandb(place or "expunge", about)
    else:
        raise InvalidParameter(f"no tracker '{name}'; use tensorboard, wandb or jsonl:PATH")


def _lines(path: Path) -> Iterator[Track]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        began = time.monotonic()

        def track(stage: str, done: int, total: int, loss: float) -> None:
            line = {"stage": stage, "step": done, "steps": total, "loss": loss, "seconds": time.monotonic() - began}
            file.write(json.dumps(line) + "\n")
            file.flush()

        yield track


def _tensorboard(folder: str, about: str) -> Iterator[Track]:
    try:
        writer: Any = import_module("torch.utils.tensorboard").SummaryWriter(folder)
    except ImportError as e:
        raise _missing("tensorboard") from e
    writer.add_text("edit", about)
    try:
        yield lambda stage, done, _, loss: writer.add_scalar(f"loss/{stage}", loss, done)
    finally:
        writer.close()


def _wandb(project: str, about: str) -> Iterator[Track]:
    try:
        wandb: Any = import_module("wandb")
    except ImportError as e:
        raise _missing("wandb") from e
    run = wandb.init(project=project, config={"edit": about})
    try:
        yield lambda stage, done, _, loss: run.log({f"loss/{stage}": loss, f"step/{stage}": done})
    finally:
        run.finish()


def _missing(package: str) -> MissingExtra:
    return MissingExtra(
        f"this tracker needs {package}; run `pip install {package}`, or use jsonl:PATH, which needs nothing"
    )
