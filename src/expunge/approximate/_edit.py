"""Run a method: draw forget and retain rows, let the method say the loss, train a copy of the model."""

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from torch import Tensor, nn

from expunge.core import Guarantee, Record
from expunge.core.digests import digest_json
from expunge.core.errors import EmptyForgetSet, InvalidData, InvalidParameter
from expunge.engine import (
    Encoded,
    Progress,
    Reference,
    ReferenceCache,
    Resume,
    Schedule,
    Step,
    digest_model,
    encode,
    epoch_batches,
    layers_of,
    pad_id,
    pinned,
    step_maker,
    train,
)


class Method(Protocol):
    """What a file in this folder offers. `relabel`, `block` and `trains` are there only where a method uses them."""

    guarantee: Any
    needs: Any

    def loss(self, step: Step) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Edit:
    """How long and how fast to train; the defaults are for models of a few million parameters or less.

    For billions of parameters use lr 1e-5 and the same number of passes over the forget set.
    """

    lr: float = 1e-3
    steps: int = 40
    warmup: int = 5
    forget_batch: int = 32
    retain_batch: int = 96
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.steps, self.forget_batch, self.retain_batch, self.threads) < 1:
            raise InvalidParameter(f"steps, batch sizes and threads must be >= 1, got {self}")


@dataclass(frozen=True)
class Edited:
    """An edited copy, what its method claims, and what it cost."""

    model: Any
    guarantee: Guarantee
    losses: list[float]
    elapsed_s: float
    rows_trained: int


def run_edit(
    model: Any,
    tokenizer: Any,
    forget: Sequence[Record],
    retain: Sequence[Record],
    method: Method,
    settings: Edit | None = None,
    *,
    resume: Resume | None = None,
    progress: Progress | None = None,
) -> Edited:
    """A copy of `model` edited by `method`; the model given is not changed.

    Not guaranteed: that anything is gone. The result carries the method's guarantee, EMPIRICAL at most; attack it.

    Raises: EmptyForgetSet; InvalidData, if nothing is retained, an id occurs twice or a row is in both sets.
    """
    edit, began = settings or Edit(), time.perf_counter()
    _check_sets(forget, retain)
    relabel = getattr(method, "relabel", list)
    rows_forget, rows_retain = encode(tokenizer, relabel(forget)), encode(tokenizer, retain)
    with pinned(edit.threads):
        edited = copy.deepcopy(model)
        _freeze(edited, method)
        edited.eval()  # dropout would make the loss of the same batch two different numbers
        draws = _draws(rows_forget, rows_retain, edit)
        cache, pad = ReferenceCache(), pad_id(tokenizer)
        block = method.block(len(layers_of(edited))) if hasattr(method, "block") else 0
        drawn_retain = [e for _, rows in draws for e in rows] if Reference.HIDDEN in method.needs else []
        cache.fill(method.needs, edited, rows_forget, drawn_retain, block, pad)
        make = step_maker(edited, cache, pad)
        if resume:  # a checkpoint of another edit is never continued
            run = [digest_model(model), repr(method), asdict(edit), _ids(draws)]
            resume = replace(resume, key=digest_json("edit", run))
        losses = train(
            list(edited.parameters()),
            lambda k: method.loss(make(*draws[k])),
            edit.steps,
            Schedule(lr=edit.lr, warmup=edit.warmup),
            resume=resume,
            progress=progress,
        )
    for p in edited.parameters():
        p.requires_grad_(True)
    trained = edit.steps * (min(edit.forget_batch, len(rows_forget)) + min(edit.retain_batch, len(rows_retain)))
    return Edited(edited, Guarantee(method.guarantee), losses, time.perf_counter() - began, trained)


def _check_sets(forget: Sequence[Record], retain: Sequence[Record]) -> None:
    if not forget:
        raise EmptyForgetSet("the forget set is empty; name at least one record to forget")
    if not retain:
        raise InvalidData("the retain set is empty; methods need examples of what the model should keep")
    if len({r.id for r in forget}) < len(forget) or len({r.id for r in retain}) < len(retain):
        raise InvalidData("record ids are not unique; the original model's values are looked up by id")
    if both := {r.content for r in forget} & {r.content for r in retain}:
        raise InvalidData(f"{len(both)} texts are in both the forget and the retain set; take them out of one")


def _freeze(model: nn.Module, method: Method) -> None:
    """Leave trainable what the method trains: everything, unless it names blocks."""
    if not hasattr(method, "trains"):
        return
    blocks = layers_of(model)
    for p in model.parameters():
        p.requires_grad_(False)
    for i, block in enumerate(blocks):
        for p in block.parameters():
            p.requires_grad_(method.trains(i, len(blocks)))


def _draws(
    forget: Sequence[Encoded], retain: Sequence[Encoded], edit: Edit
) -> list[tuple[list[Encoded], list[Encoded]]]:
    """The rows of every step: passes over each set in a fresh keyed order, one after the other."""
    secret = f"edit/{edit.seed}".encode()
    return list(
        zip(
            _passes(forget, edit.forget_batch, edit.steps, secret, "forget"),
            _passes(retain, edit.retain_batch, edit.steps, secret, "retain"),
            strict=True,
        )
    )


def _passes(rows: Sequence[Encoded], size: int, steps: int, secret: bytes, side: str) -> list[list[Encoded]]:
    batches: list[list[Encoded]] = []
    epoch = 0
    while len(batches) < steps:
        batches += epoch_batches(rows, size, secret, side, epoch)
        epoch += 1
    return batches[:steps]


def _ids(draws: Sequence[tuple[list[Encoded], list[Encoded]]]) -> list[list[list[int]]]:
    return [[list(e.ids) for e in (*forget, *retain)] for forget, retain in draws]
