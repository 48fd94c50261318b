"""Train a copy of an arm for a few steps and ask again at given moments."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from expunge.core import Fact
from expunge.core.errors import InvalidParameter
from expunge.engine import (
    Encoded,
    Schedule,
    collate,
    encode,
    epoch_batches,
    keyed_order,
    pack,
    packing,
    pad_id,
    pinned,
    train,
    trunk_nll,
)
from expunge.verify.attacks._target import CannotRun, Ran, Scores, Target
from expunge.verify.probes import Probes

Sweep = tuple[tuple[float, tuple[int, ...]], ...]
"""Learning rates, each with the numbers of steps after which the arm is asked."""

Trainable = Callable[[Any], list[nn.Parameter]]
"""Prepares a copy of the model for training and names the parameters that are trained."""

N_KEPT = 100  # retained facts that show whether an attack wrecks what it attacks, with a standard error of at most 0.05


def every_weight(model: Any) -> list[nn.Parameter]:
    """Full fine-tuning."""
    for p in model.parameters():
        p.requires_grad_(True)
    return list(model.parameters())


def finetune(
    target: Target,
    facts: Sequence[Fact],
    lr: float,
    moments: Sequence[int],
    batch_size: int,
    score: Callable[[Target, int], None],
    trainable: Trainable = every_weight,
    rehearsed: Sequence[Fact] = (),
) -> None:
    """Train a copy on question -> answer at a constant rate; `score` is called with it after each of `moments` steps.

    Each batch holds `batch_size` of `facts` and as many of `rehearsed`.

    Raises: CannotRun, if the loss or a gradient is no longer a number.
    """
    victim, pad = target.copy(), pad_id(target.tokenizer)
    device = next(victim.model.parameters()).device
    streams = [
        _batches(encode(target.tokenizer, part), batch_size, max(moments)) for part in (facts, rehearsed) if part
    ]
    batches = [[row for batch in step for row in batch] for step in zip(*streams, strict=True)]
    trained = trainable(victim.model)
    victim.model.eval()

    def after(done: int, _total: int) -> None:
        if done in moments:
            score(victim, done)

    try:
        with pinned(), packing(victim.model) as packs:
            lay = pack if packs else partial(collate, pad_id=pad)
            train(
                trained,
                lambda k: trunk_nll(victim.model, lay(batches[k]).to(device)),
                max(moments),
                Schedule(lr=lr, warmup=2),
                weight_decay=0.0,
                progress=after,
            )
    except InvalidParameter as e:
        raise CannotRun(f"fine-tuning diverged: {e}") from e


def _batches(rows: Sequence[Encoded], batch_size: int, n: int) -> list[list[Encoded]]:
    batches: list[list[Encoded]] = []
    while len(batches) < n:
        batches += epoch_batches(rows, batch_size, b"expunge/finetune/v1", len(batches))
    return batches[:n]


def finetune_and_ask(target: Target, probes: Probes, text: Sequence[Fact], sweep: Sweep, batch_size: int) -> Ran:
    """Fine-tune on text that holds no forgotten fact, then ask for all of them."""
    scores: Scores = {}
    retained: dict[str, float] = {}
    for lr, moments in sweep:

        def score(victim: Target, done: int, lr: float = lr) -> None:
            scores[setting(lr, done)] = victim.recalls(probes.forget)
            retained.update(still_known(victim, probes, setting(lr, done)))

        finetune(target, text, lr, moments, batch_size, score)
    return Ran(scores, retained=retained)


def setting(lr: float, steps: int) -> str:
    """The name of a point on the curve over steps.

    >>> setting(2e-4, 15)
    'lr 0.0002 @ 15'
    """
    return f"lr {lr:g} @ {steps}"


def held_back(probes: Probes) -> tuple[list[Fact], list[Fact]]:
    """Retained facts to ask after an attack, up to N_KEPT and half of them, and the rest, which may be rehearsed."""
    order = keyed_order([f.id for f in probes.retain], b"expunge/kept/v1")
    n = min(N_KEPT, len(order) // 2)
    return [probes.retain[i] for i in order[:n]], [probes.retain[i] for i in order[n:]]


def still_known(victim: Target, probes: Probes, name: str) -> dict[str, float]:
    """Recall of the retained facts that were held back, under a setting's name; empty where there are none."""
    found = victim.recalls(held_back(probes)[0])
    return {name: sum(found) / len(found)} if found else {}
