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


def needs_whole_weights(work: Work, method: str) -> None:
    """
    Raises: InvalidParameter, where adapters are trained instead of the weights.
    """
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
    if work.settings.modules:
        raise InvalidParameter(
            f"{method} changes every weight, and the settings train those that match '{work.settings.modules}'; "
            "leave modules out"
        )
