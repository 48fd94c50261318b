"""Unlearning without a project: a model, what to forget, what to keep, a method."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from expunge.approximate import Edit, methods, run_edit
from expunge.workflow.alone.trackers import tracker
from expunge.workflow.inputs.sides import array_rows, text_rows


def edit(
    model: Any,
    *,
    forget: Any,
    retain: Any,
    method: Any,
    tokenizer: Any = None,
    settings: Edit | None = None,
    progress: Callable[[int, int], None] | None = None,
    track: Callable[[str, int, int, float], None] | str | None = None,
    folder: str | Path | None = None,
    cache: str | Path | None = None,
) -> Any:
    """A copy of `model` edited by `method`, an object or a name. The model given is not changed.

    A causal language model, or a path to one: each side is a list of Records, (question, answer) pairs, texts, dicts with
    the usual columns or chats; a Hugging Face dataset; or a path to JSONL, Parquet, text or a folder of texts. Any other
    torch module is a classifier, and each side (X, y) or rows of `expunge.engine.examples`.

    `progress` is told steps done and in all; `track` the stage, both, and the loss of every step, or is "tensorboard",
    "wandb" or "jsonl:PATH". With a `folder` for its state an edit that was stopped goes on; in the folder
    `cache` other edits of the same model find what it said of the rows before. What happened on the way (a guard that
    went back) is a warning; `expunge.approximate.run_edit` returns it, with losses and time.

    Not guaranteed: that anything is gone; attack the result with `expunge.verify.audit`.

    Raises: EmptyForgetSet, InvalidData, with every bad row; UnknownMethod; MissingExtra; InvalidParameter.

    >>> import torch
    >>> from expunge import Edit
    >>> X, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
    >>> model = torch.nn.Linear(4, 2)
    >>> short = Edit(steps=3, guard=None)
    >>> edited = edit(model, forget=(X[:1], y[:1]), retain=(X[1:], y[1:]), method="npo", settings=short)
    >>> bool(edited(X[0])[0] - edited(X[0])[1] < model(X[0])[0] - model(X[0])[1])  # its class is less likely now
    True
    """
    if isinstance(model, str | Path):
        from expunge.engine import load_model, load_tokenizer

        model, tokenizer = load_model(model), tokenizer or load_tokenizer(model)
    elif tokenizer is None and _speaks(model):
        from expunge.engine import load_tokenizer

        tokenizer = load_tokenizer(model.config.name_or_path)
    chosen = methods.get(method)() if isinstance(method, str) else method

    def rows(given: Any, side: str) -> Sequence[Any]:
        return array_rows(given, side) if tokenizer is None else text_rows(given, side, model, tokenizer).records

    sides = rows(forget, "forget"), rows(retain, "retain")
    with tracker(track, repr(chosen)) if isinstance(track, str) else nullcontext(track) as losses:
        work, memory = (Path(path) if path is not None else None for path in (folder, cache))
        given = (model, tokenizer, *sides, chosen, settings)
        done = run_edit(*given, folder=work, cache=memory, progress=progress, track=losses)
    for note in done.notes:
        warnings.warn(note, stacklevel=2)
    return done.model


def _speaks(model: Any) -> bool:
    """Whether this is a language model of transformers."""
    can = getattr(model, "can_generate", None)
    return bool(can and can())
