"""One resumable training loop: for learners, for approximate methods, and for the attacks that train.

The caller says what the loss of step k is; the loop owns the optimizer, the schedule, clipping and checkpoints.
A run that was stopped and resumed gives the same bits as one that was not (tests/engine/test_loop.py).
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from expunge.core.digested import find_digested, remove_digested, written_digested
from expunge.core.errors import InvalidParameter, UnreadableModel
from expunge.engine.distributed import average_gradients, ranks, wait

Progress = Callable[[int, int], None]  # steps done, steps in all
Say = Callable[[int, int, float], None]  # the same, and the loss of the step
# A loss, its terms one after the other, or its value where the gradients have been filled already.
Loss = Tensor | Iterable[Tensor] | float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate over a run: linear warm-up, then constant or a cosine down to zero.

    >>> Schedule(lr=1.0, warmup=2).at(0, 10)
    0.5
    """

    lr: float
    warmup: int = 0
    shape: Literal["constant", "cosine"] = "constant"

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.warmup < 0:
            raise InvalidParameter(f"lr must be > 0 and warmup >= 0, got lr={self.lr}, warmup={self.warmup}")

    def at(self, step: int, total: int) -> float:
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.shape == "constant":
            return self.lr
        done = (step - self.warmup) / max(1, total - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


SECONDS, SHARE = 300.0, 0.05  # between two checkpoints at least: of time, and of the whole run


@dataclass(frozen=True, kw_only=True)
class Resume:
    """Where a run keeps its state, and how often it writes it: in steps; None, by the clock. The file is removed when the
    run ends.

    By the clock not more often than every five minutes, nor than every twentieth of the run: what a kill can cost then is
    small beside the run, and what is written beside what is computed. The file carries its digest (`core.digested`), and a
    damaged one is not continued. `key` names what is trained on what; a file with
    another key is not continued. `beside` writes what else a run needs to go on, before its state is written.
    """

    path: Path
    every: int | None = 50
    key: str = ""
    beside: Callable[[], None] | None = None


def train(
    parameters: Sequence[nn.Parameter],
    loss_at: Callable[[int], Loss],
    n_steps: int,
    schedule: Schedule,
    *,
    clip: float = 1.0,
    betas: tuple[float, float] = (0.9, 0.98),
    weight_decay: float = 0.01,
    resume: Resume | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    watch: Callable[[int], bool] | None = None,
    mask: Mapping[nn.Parameter, Tensor] | None = None,
) -> list[float]:
    """Run AdamW for `n_steps`; returns the loss of every step run in this process.

    `watch` is called with the number of steps done and ends the run by answering True. Where a `mask` of a parameter is
    False, its weights stay as they are: no gradient, no momentum, no decay.

    Raises: InvalidParameter, if nothing is trainable or a loss or gradient is not finite (the model is then as after
    the last good step).
    """
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise InvalidParameter("no trainable parameters; check which parameters the method selects")
    full = [_in_full(p) for p in trained]
    optimizer = torch.optim.AdamW(full, lr=schedule.lr, betas=betas, weight_decay=weight_decay)
    first = _load(resume, n_steps, full, optimizer) if resume else 0
    _write_back(full, trained)
    losses: list[float] = []
    clock = _Clock(resume, n_steps - first) if resume else None
    for step in range(first, n_steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.at(step, n_steps)
        for p in (*trained, *full):
            p.grad = None
        value = backward(loss_at(step))
        if not math.isfinite(value):
            raise InvalidParameter(f"the loss is {value} at step {step}; lower the learning rate ({schedule.lr})")
        average_gradients(trained)
        norm = _advance(optimizer, trained, full, mask or {}, clip)
        if not math.isfinite(norm):
            raise InvalidParameter(f"the gradient is {norm} at step {step}; lower the rate ({schedule.lr})")
        losses.append(value)
        ends = (watch is not None and watch(step + 1)) or step + 1 == n_steps
        if resume and clock and not ends and clock.due(step + 1, len(losses)) and ranks()[0] == 0:
            _save(resume, step + 1, full, optimizer)
        if progress:
            progress(step + 1, n_steps)
        if say:
            say(step + 1, n_steps, value)
        if ends:
            break
    if resume:
        wait()  # the others may still have to read it
        remove_digested(resume.path)
    return losses


def _advance(
    optimizer: torch.optim.Optimizer,
    trained: Sequence[nn.Parameter],
    full: Sequence[nn.Parameter],
    mask: Mapping[nn.Parameter, Tensor],
    clip: float,
) -> float:
    """One step of the optimizer; the norm of the gradient. Where that is not finite nothing moves."""
    for p, own in zip(trained, full, strict=True):
        if own is not p and p.grad is not None:
            own.grad, p.grad = p.grad.float(), None
    held = _held({own: mask[p] for p, own in zip(trained, full, strict=True) if p in mask})
    norm = nn.utils.clip_grad_norm_(full, clip).item()
    if math.isfinite(norm):
        optimizer.step()
        for own, (kept, before) in held.items():
            own.data[kept] = before
        _write_back(full, trained)
    return norm


def _in_full(p: nn.Parameter) -> nn.Parameter:
    """The weight itself, or of one in half precision a float32 copy: there a small step would be rounded away."""
    return p if p.dtype not in (torch.bfloat16, torch.float16) else nn.Parameter(p.detach().float())


@torch.no_grad()
def _write_back(full: Sequence[nn.Parameter], trained: Sequence[nn.Parameter]) -> None:
    for own, p in zip(full, trained, strict=True):
        if own is not p:
            p.copy_(own)


def backward(loss: Loss) -> float:
    """Fill the gradients, term by term, so that no two terms hold their activations at once; the value of the loss."""
    if isinstance(loss, float):
        return loss
    total = 0.0
    for term in [loss] if isinstance(loss, Tensor) else loss:
        value = term.item()
        total += value
        if math.isfinite(value) and term.requires_grad:
            term.backward()
    return total


def _held(mask: Mapping[nn.Parameter, Tensor]) -> dict[nn.Parameter, tuple[Tensor, Tensor]]:
    """Where weights are held and what they are; their gradients are dropped."""
    held = {}
    for p, free in mask.items():
        if p.grad is not None:
            p.grad *= free
        held[p] = (~free, p.detach()[~free].clone())
    return held


_MOMENTS = ("exp_avg", "exp_avg_sq")


class _Clock:
    """When a checkpoint is due."""

    def __init__(self, resume: Resume, n_steps: int) -> None:
        self._every, self._steps = resume.every, n_steps
        self._began = self._last = time.monotonic()

    def due(self, step: int, n_run: int) -> bool:
        """After so many steps, `n_run` of them in this process."""
        if self._every is not None:
            return step % self._every == 0
        now = time.monotonic()
        whole = (now - self._began) * self._steps / n_run
        if now - self._last < max(SECONDS, SHARE * whole):
            return False
        self._last = now
        return True


def _save(resume: Resume, step: int, trained: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    tensors = {"rng": torch.get_rng_state()}
    for i, p in enumerate(trained):
        tensors[f"p{i}"] = p.detach().contiguous()
        for key, value in optimizer.state.get(p, {}).items():  # a weight that no loss reaches has none
            tensors[f"{key}.{i}"] = value.detach().contiguous()
    if resume.beside:
        resume.beside()
    with written_digested(resume.path) as beside:
        save_file(tensors, beside, metadata={"step": json.dumps(step), "key": resume.key})


def _load(resume: Resume, n_steps: int, trained: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer) -> int:
    """Continue from a checkpoint if there is a whole one of this run; returns the first step to run."""
    try:
        if (path := find_digested(resume.path)) is None:
            return 0
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 – not a dict
            metadata = file.metadata() or {}
            step, key = int(json.loads(metadata["step"])), metadata["key"]
        moved = [i for i in range(len(trained)) if f"step.{i}" in tensors]
        fits = all(tensors[f"p{i}"].shape == p.shape for i, p in enumerate(trained))
        fits = fits and all(tensors[f"{kind}.{i}"].shape == trained[i].shape for i in moved for kind in _MOMENTS)
        fits = fits and len(tensors) == 1 + len(trained) + 3 * len(moved) and step < n_steps and key == resume.key
    except (UnreadableModel, SafetensorError, KeyError, ValueError, FileNotFoundError):
        return 0  # a checkpoint that cannot be read is a run that has not begun
    if not fits:
        return 0
    with torch.no_grad():
        for i, p in enumerate(trained):
            p.copy_(tensors[f"p{i}"])
        for i in moved:
            state = {key: tensors[f"{key}.{i}"].to(trained[i].device) for key in _MOMENTS}
            optimizer.state[trained[i]] = {"step": tensors[f"step.{i}"], **state}
    torch.set_rng_state(tensors["rng"])
    return step
