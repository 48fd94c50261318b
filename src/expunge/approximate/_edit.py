"""Run a method on a copy of a model: check the rows, train or let the method edit, say what it cost."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from expunge.approximate._check import check_method, check_model, check_reads, check_sets
from expunge.approximate._described import edit_key
from expunge.approximate._inner import adapted
from expunge.approximate._material import Track
from expunge.approximate._method import Method
from expunge.approximate._settings import Edit
from expunge.approximate._skill import Kept
from expunge.approximate._statistics import reestimate
from expunge.approximate._work import Work
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import Progress, Trunk, pinned
from expunge.engine.adapters import with_adapters
from expunge.engine.trunk import REFUSALS


@dataclass(frozen=True)
class Edited:
    """An edited copy, what its method claims, and what it cost. `notes` say what happened on the way.

    `weights_moved` of all its `weights` stand in tensors that are not what they were. `kept`: what is left of the retained
    rows; None where the settings have no guard.
    """

    model: Any
    guarantee: Guarantee
    losses: list[float]
    elapsed_s: float
    rows_trained: int
    weights_moved: int
    weights: int
    kept: Kept | None = None
    notes: tuple[str, ...] = field(default=())


def run_edit(
    model: Any,
    tokenizer: Any,
    forget: Sequence[Any],
    retain: Sequence[Any],
    method: Method,
    settings: Edit | None = None,
    *,
    folder: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    track: Track | None = None,
) -> Edited:
    """A copy of `model` edited by `method`; the model given is not changed.

    Rows are Records, or Examples where `tokenizer` is None and the model a classifier. With a `folder` for
    its state an edit that was stopped goes on; `cache` keeps the original model's quantities for other edits.
    `track` is told the stage, steps done, steps in all and the loss of every step.

    What is frozen in the model given stays as it is, so of a PEFT model its adapters alone move, and the copy is one too.
    Running statistics (batch normalisation) are those of the retained rows at the end.

    Not guaranteed: that anything is gone. The result carries the method's guarantee, EMPIRICAL at most; attack it.

    Raises: EmptyForgetSet; InvalidData, if nothing is retained, an id occurs twice, a row is in both sets, or the model
    cannot read the rows; InvalidParameter, for what is no method, a model without weights that can be trained, or a loss
    that is not a number.
    """
    edit, began = settings or Edit(), time.perf_counter()
    check_method(method)
    check_sets(forget, retain)
    check_model(model)
    with pinned(edit.threads):
        work = Work(
            _copied(model, edit),
            tokenizer,
            forget,
            retain,
            edit,
            folder=folder,
            cache=cache,
            progress=progress,
            track=track,
        )
        check_reads(work)
        if folder:
            work.store.claim(edit_key(work.model, tokenizer, forget, retain, method, edit))
        work.start = work.skill() if edit.guard is not None else None
        losses = method.edit(work)
        reestimate(work)
        previous = work.kept()
        edited = _whole(model, work.model, edit)
    work.store.clear()
    moved, weights = _moved(model, edited)
    return Edited(
        edited,
        Guarantee(method.guarantee),
        losses,
        time.perf_counter() - began,
        work.rows_trained,
        moved,
        weights,
        previous,
        tuple(work.notes),
    )


def _copied(model: Any, edit: Edit) -> Any:
    """The copy that is edited, without dropout: it would make the loss of the same batch two different numbers."""
    edited = copy.deepcopy(model).eval()
    if edit.lora:
        edited = _adapted(edited, edit)
    if edit.checkpointing:
        _recompute(edited)
    return edited


def _adapted(model: Any, edit: Edit) -> Any:
    """The model with adapters, which alone are trained; not those on maps that are frozen.

    Raises: InvalidParameter, where it has some already, or PEFT cannot put any on it.
    """
    from peft import LoraConfig

    if adapted(model):
        raise InvalidParameter("the model given has adapters of its own, which are trained; leave lora out")
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    config = LoraConfig(r=edit.lora, lora_alpha=2 * edit.lora, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(edit.seed)
        try:
            model = with_adapters(model, config).eval()
        except REFUSALS as e:
            reason = (str(e).splitlines() or [type(e).__name__])[0]
            raise InvalidParameter(f"PEFT puts no adapters on {type(model).__name__}: {reason}; leave lora out") from e
    for name, p in model.named_parameters():
        place, is_adapter, _ = name.removeprefix("base_model.model.").partition(".lora_")
        if is_adapter and f"{place}.weight" in frozen:
            p.requires_grad_(False)
    return model


def _recompute(model: Any) -> None:
    """Blocks are run again on the way back instead of kept. A block does that only where it is said to be in training,
    which for what is inside it, dropout above all, stays untrue.

    Raises: InvalidParameter, where a block drops out by itself.
    """
    model.gradient_checkpointing_enable({"use_reentrant": False})  # the other kind trains nothing below adapters
    for block in Trunk.of(model).blocks:
        rates = {name: v for name, v in vars(block).items() if "drop" in name and isinstance(v, float) and v > 0}
        if rates:
            raise InvalidParameter(
                f"{type(block).__name__} drops out by itself ({rates}); set these to 0 for checkpointing"
            )
        block.training = True


def _whole(given: Any, model: Any, edit: Edit) -> Any:
    """New adapters merged, the same weights trainable as in the model given."""
    if edit.lora:
        model = model.merge_and_unload()
    if edit.checkpointing:
        model.gradient_checkpointing_disable()
        model.eval()
    trainable = {name: p.requires_grad for name, p in given.named_parameters()}
    for name, p in model.named_parameters():
        p.requires_grad_(trainable[name])
    return model


def _moved(before: Any, after: Any) -> tuple[int, int]:
    """Weights in tensors that differ, and all."""
    was = dict(before.named_parameters())
    moved = [p.numel() for name, p in after.named_parameters() if not torch.equal(p, was[name])]
    return sum(moved), sum(p.numel() for p in was.values())
