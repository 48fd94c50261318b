"""What an edit is asked for, looked at before anything is trained: sets, weights, and whether the model reads these rows.

Sentences take the place of what torch or transformers would raise later, in the middle of a run.
"""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import nn

from expunge.approximate._inner import adapted
from expunge.approximate._material import Material
from expunge.approximate._method import Method
from expunge.core.errors import EmptyForgetSet, InvalidData, InvalidParameter
from expunge.engine import Example
from expunge.engine.arrays import MASK, Features, logits_of, stacked
from expunge.engine.rounding import same
from expunge.engine.trunk import REFUSALS

IDS = "input_ids"


def check_method(method: object) -> None:
    """Raises: InvalidParameter, for what is no method."""
    if not isinstance(method, Method):
        raise InvalidParameter(
            f"{method!r} is no method; give an instance of a class that inherits expunge.approximate.Objective (a loss) or "
            "Method (an edit)"
        )


def check_sets(forget: Sequence[Any], retain: Sequence[Any]) -> None:
    """Raises: EmptyForgetSet; InvalidData, where the sets cannot be told apart."""
    if not len(forget):
        raise EmptyForgetSet("the forget set is empty; name at least one record to forget")
    if not len(retain):
        raise InvalidData("the retain set is empty; methods need examples of what the model should keep")
    if len({r.id for r in forget}) < len(forget) or len({r.id for r in retain}) < len(retain):
        raise InvalidData("record ids are not unique; the original model's values are looked up by id")
    if both := {_content(r) for r in forget} & {_content(r) for r in retain}:
        raise InvalidData(f"{len(both)} texts are in both the forget and the retain set; take them out of one")


def check_model(model: object) -> None:
    """Raises: InvalidParameter, for a model without weights that can be trained, or with values that are not numbers."""
    floats = [p for p in model.parameters() if p.is_floating_point()] if isinstance(model, nn.Module) else []
    if not floats:
        raise InvalidParameter(
            f"{type(model).__name__} has no weights that a gradient could change; retrain it instead"
        )
    if not any(p.requires_grad for p in floats):
        raise InvalidParameter(
            f"every weight of {type(model).__name__} is frozen, and what is frozen stays; free those that may move "
            "(requires_grad_(True)), or load a PEFT model with is_trainable=True"
        )
    if bad := sum(not bool(torch.isfinite(p).all()) for p in floats):
        raise InvalidParameter(f"{bad} tensors of the model hold values that are not numbers; load it again")


def check_reads(material: Material) -> None:
    """Two tokens, or two rows, are read.

    Raises: InvalidParameter, where the model does not answer as one of its kind does; InvalidData, where rows are not ones
    that it can read, or would be read together with their padding.
    """
    if material.text:
        _check_speaks(material)
    else:
        for rows in (material.forget, material.retain):
            _check_classifies(material.model, rows)


def _check_speaks(material: Material) -> None:
    model = material.model
    base = model.get_base_model() if adapted(model) else model
    name = type(base).__name__ + (" with adapters" if base is not model else "")
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise InvalidParameter(
            f"{name} reads a question by an encoder and answers by a decoder; edits are for models that are one decoder"
        )
    words = len(model.get_input_embeddings().weight)
    most = max(max(row.ids) for row in (*material.forget, *material.retain))
    if most >= words:
        raise InvalidData(
            f"the tokenizer gives ids up to {most} and the model knows {words} words; give the model's own tokenizer, or "
            "resize its embeddings and train them first"
        )
    try:
        ids_12 = torch.tensor([material.retain[0].ids[:2]], device=next(model.parameters()).device)
        logits = _asked(model, {IDS: ids_12}, raw=True)
    except REFUSALS as e:
        raise InvalidParameter(
            f"{name} does not read two tokens: {_first_line(e)}; load it as a causal model, or leave adapters out"
        ) from e
    if logits.dim() != 3:
        raise InvalidParameter(
            f"{name} answers a text with {logits.shape[-1]} numbers, as a classifier does; leave the tokenizer out, and give "
            "each side as (X, y) with X = tokenizer(texts, padding=True, return_tensors='pt')"
        )


def _check_classifies(model: Any, rows: Sequence[Example]) -> None:
    forms = {_form(row.x) for row in rows}
    if len(forms) > 1:
        raise InvalidData(
            f"rows have features of {len(forms)} forms ({'; '.join(sorted(forms)[:2])}); give them all one"
        )
    device, name = next(model.parameters()).device, type(model).__name__
    try:
        logits_1V = _asked(model, stacked(rows[:1], device))
    except REFUSALS as e:
        raise InvalidParameter(f"{name} does not read a row of {next(iter(forms))}: {_first_line(e)}") from e
    if logits_1V.dim() != 2:
        raise InvalidParameter(
            f"{name} answers a row with numbers of shape {tuple(logits_1V.shape[1:])}; a classifier gives one for each class"
        )
    classes = logits_1V.shape[1]
    if wrong := sorted({row.y for row in rows if not 0 <= row.y < classes}):
        raise InvalidData(f"{name} has {classes} outputs, and there are rows of class {wrong[0]}; count classes from 0")
    if padded := next((row for row in rows if _n_padding(model, row.x)), None):
        n = _n_padding(model, padded.x)
        whole = stacked([padded], device)
        alone = whole[:, :-n] if isinstance(whole, torch.Tensor) else {key: t[:, :-n] for key, t in whole.items()}
        if not same(_asked(model, whole), _asked(model, alone)):
            raise InvalidData(
                f"rows end in padding (id {model.config.pad_token_id}) that no mask names, and {name} would read it; give X as "
                f"the tokenizer's whole answer, with its {MASK}"
            )


@torch.no_grad()
def _asked(model: Any, features: Features, raw: bool = False) -> torch.Tensor:
    return torch.as_tensor(model(**features).logits) if raw else logits_of(model, features)  # type: ignore[arg-type]


def _n_padding(model: Any, x: Features) -> int:
    """Ids at the end of a row that look like padding, where the row has no mask and the model would take one."""
    pad = getattr(getattr(model, "config", None), "pad_token_id", None)
    if not isinstance(x, torch.Tensor):
        if MASK in x or IDS not in x or len({t.shape for t in x.values()}) > 1:
            return 0
        x = x[IDS]
    if pad is None or x.dim() != 1 or x.is_floating_point() or MASK not in signature(model.forward).parameters:
        return 0
    held = (x != pad).nonzero()
    return len(x) - 1 - int(held[-1]) if len(held) else 0


def _form(x: Features) -> str:
    if isinstance(x, torch.Tensor):
        return f"{tuple(x.shape)} {x.dtype}"
    return ", ".join(f"{name} {tuple(t.shape)}" for name, t in sorted(x.items()))


def _content(row: Any) -> str:
    return row.id.rpartition("/")[0] if isinstance(row, Example) else row.content


def _first_line(e: BaseException) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0]
