"""Unlearning without a project: a model, what to forget, what to keep, a method."""

from collections.abc import Sequence
from typing import Any

from expunge.approximate import Edit, methods, run_edit
from expunge.core import Record
from expunge.exact.adapter_shards import as_records

Texts = Sequence[Record | tuple[str, str] | str]


def edit(
    model: Any,
    *,
    forget: Texts,
    retain: Texts,
    method: Any,
    tokenizer: Any = None,
    settings: Edit | None = None,
    progress: Any = None,
) -> Any:
    """A copy of `model` edited by `method` (an object or a name). Texts are Records, (question, answer) pairs or strings.

    Not guaranteed: that anything is gone; attack the result with `expunge.verify.audit`.

    Raises: EmptyForgetSet, InvalidData, UnknownMethod.
    """
    if tokenizer is None:
        from expunge.engine import load_tokenizer

        tokenizer = load_tokenizer(model.config.name_or_path)
    chosen = methods.get(method)() if isinstance(method, str) else method
    sides = [as_records(side, ["-"] * len(side), None) if len(side) else [] for side in (forget, retain)]
    return run_edit(model, tokenizer, sides[0], sides[1], chosen, settings, progress=progress).model
