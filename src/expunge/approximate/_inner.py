"""Run a method inside another one: on the same copy of the model, with stages of its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from expunge.approximate._method import Method
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter


def run_inner(work: Work, method: Method, name: str, forget_records: Sequence[Any] | None = None) -> list[float]:
    """Change `work.model` in place by a method, on all forget rows or on these; the losses of its steps.

    Its stages are kept under `name`, so that those of two methods, or of one method run twice, are never confused.
    """
    inner = replace(
        work,
        forget_records=work.forget_records if forget_records is None else forget_records,
        folder=work.store.path(name),
        rows_trained=0,
    )
    losses = method.edit(inner)
    work.rows_trained += inner.rows_trained
    return losses


def adapted(model: Any) -> bool:
    """Whether a model is a base with adapters."""
    return hasattr(model, "peft_config")


def needs_whole_weights(work: Work, method: str) -> None:
    """
    Raises: InvalidParameter, where adapters are trained instead of the weights.
    """
    if not work.settings.lora and adapted(work.model):
        raise InvalidParameter(
            f"{method} works on the model's own weights, and the model given trains adapters; merge them first "
            "(merge_and_unload)"
        )
    if work.settings.lora:
        raise InvalidParameter(
            f"{method} works on the model's own weights, and the settings train adapters of rank {work.settings.lora}; "
            "set lora=0"
        )


def needs_every_weight(work: Work, method: str) -> None:
    """
    Raises: InvalidParameter, where adapters are trained, or a part of the weights.
    """
    needs_whole_weights(work, method)
    if frozen := sum(not p.requires_grad for p in work.model.parameters() if p.is_floating_point()):
        raise InvalidParameter(
            f"{method} changes every weight, and {frozen} tensors of the model given are frozen; free them "
            "(requires_grad_(True)) or choose another method"
        )
    if work.settings.modules:
        raise InvalidParameter(
            f"{method} changes every weight, and the settings train those that match '{work.settings.modules}'; "
            "leave modules out"
        )
