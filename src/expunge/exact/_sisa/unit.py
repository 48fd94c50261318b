"""Train one unit, slice after slice, each stage from the checkpoint of the one before it.

A task carries all that it needs, and nothing about other units: its records in an order of their own, a secret derived
for this unit, and the stages that are clean. Done twice, on whatever machine, it gives the same bits.
"""

import hashlib
import hmac
import inspect
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from expunge.core.digests import digest_bytes, digest_json
from expunge.core.errors import ExpungeError
from expunge.core.recipe import Recipe
from expunge.core.seeds import derived_seed
from expunge.engine import Stages, environment, stage_key
from expunge.exact._learner.rows import Positions, take
from expunge.exact._sisa import sklearn as _sisa_sklearn
from expunge.exact._sisa.classes import as_labels
from expunge.exact._sisa.draws import drawing_from
from expunge.exact._sisa.fixed import FixedUnit
from expunge.exact._sisa.place import pass_order


class Training(Protocol):
    """How one stage of one unit is trained, written down and read; see `SklearnTraining` and `TorchTraining`."""

    def stage(
        self,
        model: Any,
        X: Any,
        y: Any,
        orders: Sequence[Positions] | None,
        classes: Any,
        seed: int,
        weights: NDArray[np.float64] | None = None,
    ) -> Any: ...
    def values(self, model: Any, X: Any, classes: Any) -> Any: ...
    def probabilities(self, model: Any, X: Any, classes: Any) -> tuple[Any, Any]: ...
    @property
    def has_probabilities(self) -> bool: ...
    def digest(self, model: Any) -> str: ...
    def dump(self, model: Any) -> bytes: ...
    def load(self, data: bytes) -> Any: ...


@dataclass(frozen=True)
class Stage:
    """A unit after one of its slices: the trained model's bytes, none where there was nothing to train."""

    data: bytes
    digest: str


UNTRAINED = Stage(b"", digest_bytes("stage", b""))


@dataclass(frozen=True, kw_only=True)
class UnitTask:
    """Records of one unit by slice, `sizes` of them, and how to train on them; `passes` per stage, or None for a fit."""

    training: Training
    X: Any
    y: Any
    weights: NDArray[np.float64] | None
    keys: NDArray[np.uint64]
    sizes: tuple[int, ...]
    passes: tuple[int, ...] | None
    classes: Any
    secret: bytes
    clean: tuple[Stage, ...]
    recipe: Recipe
    fixed: FixedUnit
    names: tuple[str, ...]  # keys of the stages
    stages: Stages

    def read(self, path: Path) -> Stage:
        """A finished stage.

        Raises: UnreadableModel.
        """
        data = path.read_bytes()
        return Stage(data, self.training.digest(self.training.load(data))) if data else UNTRAINED


@dataclass(frozen=True)
class Trained:
    """A unit: its positions in training order, how many are in each slice, and the model after each."""

    positions: Positions
    sizes: tuple[int, ...]
    stages: tuple[Stage, ...]

    @property
    def serves(self) -> bool:
        """Whether there is a model after its last slice."""
        return bool(self.stages[-1].data)


@dataclass(frozen=True)
class Done:
    """What came of a task: the unit after every stage, how many records were visited, and how the estimator refused them."""

    stages: tuple[Stage, ...]
    visited: int
    refusal: str = ""


def unit_id(unit: int) -> str:
    return f"shard-{unit:03d}"


def stage_id(unit: int, stage: int) -> str:
    """Name of a checkpoint; stages count from 1."""
    return f"{unit_id(unit)}/slice-{stage}"


def train_unit(task: UnitTask) -> Done:
    """The unit after every stage, on a machine and in a process like those that ask.

    Raises: RecipeMismatch, where they are others; what the training raises.
    """
    recipe, agreed = task.recipe, _agreed.__dict__
    device = "cpu" if "capability" in recipe.environment else None
    measured = environment(tuple(recipe.environment["libraries"]), device=device)
    here = replace(recipe, environment={**recipe.environment, **measured})  # other modes are those of the task
    if recipe.canary is not None and recipe.digest() not in agreed:
        here = here.tried(task.fixed.learned)
    recipe.require(here)
    agreed[recipe.digest()] = True
    return train(task)


_agreed = threading.local()  # recipes whose canary was the same in this thread; some modes are a thread's own


def train(task: UnitTask) -> Done:
    """The unit after every stage."""
    stages, visited, refusal = list(task.clean), 0, ""
    for r in range(len(stages), len(task.sizes)):
        before = stages[-1] if stages else UNTRAINED

        def trained(_: Path | None, r: int = r, before: Stage = before) -> Stage:
            nonlocal visited, refusal
            stage, seen, refusal = _train_stage(task, r, before)
            visited += seen
            return stage

        stages.append(task.stages.run(task.names[r], trained, task.read, _write))
    return Done(tuple(stages), visited, refusal)


def _train_stage(task: UnitTask, r: int, before: Stage) -> tuple[Stage, int, str]:
    n = sum(task.sizes[: r + 1])
    y = as_labels(task.y[:n])
    known = _known(task, y)
    weights = None if task.weights is None else task.weights[:n]
    # One class can be predicted without a model, and most estimators refuse to be fitted on it.
    if n == 0 or (weights is not None and not weights.any()) or (known and all(len(names) < 2 for names in known)):
        return UNTRAINED, 0, ""
    classes = known[0] if known else None
    orders = None
    if task.passes is not None:
        orders = [pass_order(task.keys[:n], derived_seed(task.secret, "pass", r, k)) for k in range(task.passes[r])]
    model = task.training.load(before.data) if before.data else None
    seed = derived_seed(task.secret, "stage", r)
    X = take(task.X, np.arange(n))
    visited = n * (1 if orders is None else len(orders))
    try:
        with drawing_from(seed):
            model = task.training.stage(model, X, y, orders, classes, seed, weights)
    except ValueError as refusal:
        one_class = any(len(names) < 2 for names in known)
        if isinstance(refusal, ExpungeError) or not (
            one_class or _too_few(task.training, X, y, orders, classes, weights)
        ):
            raise
        return UNTRAINED, visited, str(refusal)
    data = task.training.dump(model)
    # The digest, and all that follows, is of what was written down: a stage continues from a file or memory alike.
    return Stage(data, task.training.digest(task.training.load(data))), visited, ""


def _known(task: UnitTask, y: Any) -> list[Any]:
    """Classes of each target that the unit is told of: those of all units where it learns by passes, else its own."""
    if task.classes is None:
        return []
    if task.passes is not None:
        return [as_labels(task.classes)]
    return [np.unique(column) for column in (y.T if y.ndim == 2 else [y])]


def _too_few(
    training: Training, X: Any, y: Any, orders: Sequence[Positions] | None, classes: Any, weights: Any
) -> bool:
    """Whether an estimator that refuses these records does so for their number: it takes them several times over."""
    for times in (2, 4, 8, 16):
        again = np.tile(np.arange(len(y)), times)
        repeated = None if weights is None else weights[again]
        try:
            with drawing_from(0):
                once = None if orders is None else [np.arange(len(again))]
                training.stage(None, take(X, again), y[again], once, classes, 0, repeated)
        except ValueError:
            continue
        return True
    return False


def unit_secret(salt: bytes, unit: int) -> bytes:
    return hmac.digest(salt, f"expunge/unit/v1\0{unit}".encode(), hashlib.sha256)


def stage_names(recipe: Recipe, secret: bytes, keys: NDArray[np.uint64], sizes: Sequence[int]) -> tuple[str, ...]:
    """Keys of all stages: of the recipe, the code, and keyed hashes of the records each was trained on."""
    parts = [digest_bytes("members", k.tobytes()) for k in np.split(keys, np.cumsum(sizes)[:-1])]
    return tuple(stage_key(recipe, secret, [_code(), r, parts[: r + 1]]) for r in range(len(sizes)))


@cache
def _code() -> str:
    """Digest of the code that trains."""
    sources = [inspect.getsource(sys.modules[__name__]), inspect.getsource(_sisa_sklearn)]
    return digest_json("code", sources)


def _write(stage: Stage, path: Path) -> None:
    path.write_bytes(stage.data)
