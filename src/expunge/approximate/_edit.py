"""Run a method on a copy of a model: check the rows, train or let the method edit, say what it cost."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from expunge.approximate._described import edit_key
from expunge.approximate._material import Track
from expunge.approximate._method import Method
from expunge.approximate._settings import Edit
from expunge.approximate._work import Work
from expunge.core import Guarantee
from expunge.core.errors import EmptyForgetSet, InvalidData, InvalidParameter
from expunge.engine import Example, Progress, Trunk, pinned


@dataclass(frozen=True)
class Edited:
    """An edited copy, what its method claims, and what it cost. `notes` say what happened on the way."""

    model: Any
    guarantee: Guarantee
    losses: list[float]
    elapsed_s: float
    rows_trained: int
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

    Not guaranteed: that anything is gone. The result carries the method's guarantee, EMPIRICAL at most; attack it.

    Raises: EmptyForgetSet; InvalidData, if nothing is retained, an id occurs twice or a row is in both sets;
    InvalidParameter, for what is no method, a model without weights that can be trained, or a loss that is not a number.
    """
    edit, began = settings or Edit(), time.perf_counter()
    _check_method(method)
    _check_sets(forget, retain)
    _check_model(model)
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
        if folder:
            work.store.claim(edit_key(work.model, forget, retain, method, edit))
        losses = method.edit(work)
        edited = _whole(work.model, edit)
    work.store.clear()
    return Edited(
        edited,
        Guarantee(method.guarantee),
        losses,
        time.perf_counter() - began,
        work.rows_trained,
        tuple(work.notes),
    )


def _copied(model: Any, edit: Edit) -> Any:
    """The copy that is edited, without dropout: it would make the loss of the same batch two different numbers."""
    edited = copy.deepcopy(model).eval()
    for p in edited.parameters():
        p.requires_grad_(p.is_floating_point())
    if edit.lora:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=edit.lora, lora_alpha=2 * edit.lora, target_modules="all-linear")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(edit.seed)
            edited = get_peft_model(edited, config).eval()
    if edit.checkpointing:
        _recompute(edited)
    return edited


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


def _whole(model: Any, edit: Edit) -> Any:
    """Adapters merged, every weight trainable again."""
    if edit.lora:
        model = model.merge_and_unload()
    if edit.checkpointing:
        model.gradient_checkpointing_disable()
        model.eval()
    for p in model.parameters():
        p.requires_grad_(p.is_floating_point())
    return model


def _check_method(method: object) -> None:
    if not isinstance(method, Method):
        raise InvalidParameter(
            f"{method!r} is no method; give an instance of a class that inherits expunge.approximate.Objective (a loss) or "
            "Method (an edit)"
        )


def _check_model(model: object) -> None:
    floats = [p for p in model.parameters() if p.is_floating_point()] if isinstance(model, nn.Module) else []
    if not floats:
        raise InvalidParameter(
            f"{type(model).__name__} has no weights that a gradient could change; retrain it instead"
        )
    if bad := sum(not bool(torch.isfinite(p).all()) for p in floats):
        raise InvalidParameter(f"{bad} tensors of the model hold values that are not numbers; load it again")


def _check_sets(forget: Sequence[Any], retain: Sequence[Any]) -> None:
    if not len(forget):
        raise EmptyForgetSet("the forget set is empty; name at least one record to forget")
    if not len(retain):
        raise InvalidData("the retain set is empty; methods need examples of what the model should keep")
    if len({r.id for r in forget}) < len(forget) or len({r.id for r in retain}) < len(retain):
        raise InvalidData("record ids are not unique; the original model's values are looked up by id")
    if both := {_content(r) for r in forget} & {_content(r) for r in retain}:
        raise InvalidData(f"{len(both)} texts are in both the forget and the retain set; take them out of one")


def _content(row: Any) -> str:
    return row.id.rpartition("/")[0] if isinstance(row, Example) else row.content
