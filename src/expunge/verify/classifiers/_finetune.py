"""Train a copy of a classifier for a few steps and ask again at given moments."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.core.errors import InvalidParameter
from expunge.engine import Schedule, train
from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers.rows import Index, Rows
from expunge.verify.classifiers.target import Classifier, evaluating

Ask = Callable[[Classifier, int], None]  # the model under training, steps done


@dataclass(frozen=True)
class Pace:
    """How a module is trained. An estimator trains at a pace of its own."""

    lr: float
    smoothing: float = 0.0  # of labels: what share of the target is spread over all classes

    def __str__(self) -> str:
        return f"lr {self.lr:g}" + (f", smoothing {self.smoothing:g}" if self.smoothing else "")


def paces_of(target: Classifier, paces: Sequence[Pace]) -> dict[str, Pace]:
    """The sweep by name: all of it for a module, one entry for an estimator.

    Raises: CannotRun, for an estimator that cannot be trained further.
    """
    if target.is_module:
        return {str(pace): pace for pace in paces}
    _further(target.model)
    return {"its own pace": Pace(lr=0.0)}


def finetune(
    target: Classifier, pool: Rows, batches: Sequence[Index], pace: Pace, moments: Sequence[int], ask: Ask
) -> None:
    """Train a copy on these batches of `pool`; `ask` is called with it after each of `moments` steps, 0 included.

    A module is trained whole, by AdamW without decay at a constant rate, dropout off and batch statistics fixed, so that
    arms differ by their weights alone. An estimator takes one `partial_fit` per batch, or as many iterations of a warm
    started `fit` on the rows of all batches up to there.

    Raises: CannotRun, where the model cannot be trained further, or diverges.
    """
    victim = target.copy()
    if 0 in moments:
        ask(victim, 0)
    try:
        if target.is_module:
            _train_module(victim, pool, batches, pace, moments, ask)
        else:
            _train_estimator(victim, pool, batches, moments, ask)
    except InvalidParameter as e:
        raise CannotRun(f"fine-tuning diverged: {e}") from e


def _train_module(
    victim: Classifier, pool: Rows, batches: Sequence[Index], pace: Pace, moments: Sequence[int], ask: Ask
) -> None:
    X, device = victim.tensor(pool.X), next(victim.model.parameters(), torch.empty(0)).device
    with torch.no_grad(), evaluating(victim.model):
        n_classes = victim.model(X[:1]).shape[1]
    labels = torch.from_numpy(victim.columns(pool.y, n_classes)).to(device)
    for p in victim.model.parameters():
        p.requires_grad_(True)

    def loss_at(step: int) -> Tensor:
        at = torch.from_numpy(batches[step]).to(device)
        return F.cross_entropy(victim.model(X[at]), labels[at], label_smoothing=pace.smoothing)

    def after(done: int, _total: int) -> None:
        if done in moments:
            ask(victim, done)

    with evaluating(victim.model):
        schedule = Schedule(lr=pace.lr, warmup=2)
        train(list(victim.model.parameters()), loss_at, max(moments), schedule, weight_decay=0.0, progress=after)


def _train_estimator(
    victim: Classifier, pool: Rows, batches: Sequence[Index], moments: Sequence[int], ask: Ask
) -> None:
    model, further = victim.model, _further(victim.model)
    known = np.asarray(model.classes_).tolist()
    done = 0
    for moment in sorted(set(moments) - {0}):
        try:
            further(model, pool, batches[done:moment], batches[:moment])
        except (ValueError, TypeError) as e:
            raise CannotRun(f"{type(model).__name__} cannot be trained on these rows: {e}") from e
        if np.asarray(model.classes_).tolist() != known:
            raise CannotRun(f"{type(model).__name__} starts anew for other classes; declare all classes when training")
        done = moment
        ask(victim, done)


def _further(model: Any) -> Callable[[Any, Rows, Sequence[Index], Sequence[Index]], None]:
    """How an estimator is trained further. Raises: CannotRun."""
    if hasattr(model, "partial_fit"):
        return _by_batches
    settings = model.get_params(deep=False) if hasattr(model, "get_params") else {}
    if {"warm_start", "max_iter"} <= set(settings):
        return _by_warm_start
    raise CannotRun("the estimator cannot be trained further: no partial_fit, and no warm_start with max_iter")


def _by_batches(model: Any, pool: Rows, new: Sequence[Index], _so_far: Sequence[Index]) -> None:
    for at in new:
        rows = pool.at(at)
        model.partial_fit(rows.X, rows.y)


def _by_warm_start(model: Any, pool: Rows, new: Sequence[Index], so_far: Sequence[Index]) -> None:
    rows = pool.at(np.unique(np.concatenate(so_far)))
    model.set_params(warm_start=True, max_iter=len(new))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is told to stop before it converges
        model.fit(rows.X, rows.y)
