"""Rows of a classifier: features and a class, and what a method sees of a batch of them.

Features are one tensor, which the model reads as its first argument, or several by name, as a tokenizer gives them
(`input_ids`, `attention_mask`, ...), which it reads as keywords: so padding is masked as the model itself masks it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.core.digests import digest_json
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine.state import digest_state
from expunge.engine.step import ALTERNATE, FORGET, RETAIN, Reference, Step

Features = Tensor | Mapping[str, Tensor]
MASK = "attention_mask"


@dataclass(frozen=True, eq=False)
class Example:
    """One row: what a classifier reads, and its class."""

    id: str
    x: Features
    y: int


def examples(x: Any, y: Any) -> list[Example]:
    """Rows of an array, or of arrays by name; named by their content and, where it repeats, by how often it did.

    What a mask hides is no content: a text is the same one however far it was padded.

    Raises: InvalidData, for other numbers of rows and classes, or a value that is not a number.
    """
    columns = {name: _tensor(name, one) for name, one in (x.items() if isinstance(x, Mapping) else [("x", x)])}
    y_N = _classes(y)
    if wrong := {name: len(column) for name, column in columns.items() if len(column) != len(y_N)}:
        raise InvalidData(f"{next(iter(wrong.values()))} rows and {len(y_N)} classes; give one class a row")
    if not columns:
        raise InvalidData("the rows have no features; name at least one, such as input_ids")
    bad = sum(int((~torch.isfinite(c)).sum()) for c in columns.values() if c.is_floating_point() or c.is_complex())
    if bad:
        raise InvalidData(f"{bad} values are not numbers; fill or drop them")
    seen: dict[str, int] = {}
    rows = []
    for i, label in enumerate(y_N.tolist()):
        row = {name: column[i] for name, column in columns.items()}
        # Not `digest_value`: names decide the order of every pass, so that recorded edits would end in other bits.
        name = digest_json("example", [digest_state(unpadded(row)), label])
        seen[name] = seen.get(name, 0) + 1
        rows.append(Example(f"{name}/{seen[name]}", row if isinstance(x, Mapping) else row["x"], label))
    return rows


def unpadded(row: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A row's features without the columns at its ends that its mask hides.

    >>> row = {"input_ids": torch.tensor([5, 6, 0]), "attention_mask": torch.tensor([1, 1, 0])}
    >>> unpadded(row)["input_ids"].tolist()
    [5, 6]
    """
    if MASK not in row or not row[MASK].any():
        return dict(row)
    mask_T = row[MASK]
    held = mask_T.nonzero()[:, 0]
    first, last = int(held[0]), int(held[-1]) + 1
    return {name: t[first:last] if t.shape[:1] == mask_T.shape else t for name, t in row.items()}


def stacked(rows: Sequence[Example], device: torch.device) -> Features:
    """The features of rows side by side, on a device."""
    if isinstance(rows[0].x, Mapping):
        return {name: torch.stack([row.x[name] for row in rows]).to(device) for name in rows[0].x}  # type: ignore[index]
    return torch.stack([row.x for row in rows]).to(device)  # type: ignore[misc]


def logits_of(call: Callable[..., Any], features: Features) -> Tensor:
    """What a classifier says of features, [N, classes]: a tensor, or the `logits` of its answer."""
    output = call(**features) if isinstance(features, Mapping) else call(features)
    return torch.as_tensor(getattr(output, "logits", output)).float()


def _classes(y: Any) -> Tensor:
    """Raises: InvalidData, for what is no whole number and would be another class if it were cut."""
    given = _tensor("y", y)
    if given.is_floating_point() and bool((given.frac() != 0).any()):
        raise InvalidData("classes are whole numbers, and some of y are not; number the classes from 0")
    return given.long()


def _tensor(name: str, given: Any) -> Tensor:
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as e:
        raise InvalidData(
            f"'{name}' is no array whose rows are equally long; of a tokenizer take padding=True, return_tensors='pt'"
        ) from e


class ArraySide:
    """One batch of a classifier: an answer is one class, so N = B."""

    def __init__(self, model: Any, rows: Sequence[Example], references: "ArrayReferences", name: str) -> None:
        self._model, self._rows, self._references, self._name = model, rows, references, name

    @property
    def rows(self) -> tuple[str, ...]:
        """The ids of the rows."""
        return tuple(row.id for row in self._rows)

    @cached_property
    def _device(self) -> torch.device:
        return torch.device(next(self._model.parameters()).device)

    @cached_property
    def inputs(self) -> Features:
        return stacked(self._rows, self._device)

    @cached_property
    def logits_NV(self) -> Tensor:
        """What the model says, [N, classes]."""
        return logits_of(self._model, self.inputs)

    @cached_property
    def labels_N(self) -> Tensor:
        return torch.tensor([row.y for row in self._rows], device=self._device)

    @property
    def row_N(self) -> Tensor:
        return torch.arange(len(self._rows), device=self._device)

    @cached_property
    def logp_N(self) -> Tensor:
        """Log-probability of each row's class, nats."""
        return -F.cross_entropy(self.logits_NV, self.labels_N, reduction="none")

    @property
    def logp_B(self) -> Tensor:
        return self.logp_N

    @property
    def length_B(self) -> Tensor:
        return torch.ones(len(self._rows), device=self._device)

    @property
    def nll(self) -> Tensor:
        return -self.logp_N.mean()

    @property
    def reference_logits_NV(self) -> Tensor:
        """The same as `logits_NV` under the original model."""
        return self._references.of(self._name, self._rows).to(self._device)

    @property
    def reference_logp_B(self) -> Tensor:
        return -F.cross_entropy(self.reference_logits_NV, self.labels_N, reduction="none")

    def hidden_ND(self, block: int) -> Tensor:
        raise InvalidParameter("a classifier has no known blocks; choose a method that looks at outputs")

    reference_hidden_ND = hidden_ND


class ArrayReferences:
    """What the original model says of every row, computed before any weight moves."""

    def __init__(self) -> None:
        self._logits: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def fill(self, needs: Sequence[Reference], model: Any, sides: Mapping[str, Sequence[Example]]) -> None:
        for name, rows in sides.items():
            if not any(r.side == name for r in needs):
                continue
            for k in range(0, len(rows), 256):
                part = rows[k : k + 256]
                output = ArraySide(model, part, self, name).logits_NV.cpu()
                self._logits.update({(name, row.id): one for row, one in zip(part, output, strict=True)})

    def of(self, name: str, rows: Sequence[Example]) -> Tensor:
        return torch.stack([self._logits[name, row.id] for row in rows])


def array_step_maker(model: Any, references: ArrayReferences) -> Callable[..., Step]:
    """A function from drawn rows to what the method sees."""

    def make(
        forget: Sequence[Example],
        retain: Sequence[Example],
        alternate: Sequence[Example] = (),
        number: int = 0,
        total: int = 1,
        epoch: int = 0,
    ) -> Step:
        drawn = {FORGET: forget, RETAIN: retain, ALTERNATE: alternate}
        sides = {name: ArraySide(model, rows, references, name) if rows else None for name, rows in drawn.items()}
        again = lambda: make(forget, retain, alternate, number, total, epoch)
        return Step(sides[FORGET], sides[RETAIN], 0, sides[ALTERNATE], number, total, epoch, again)

    return make
