"""Rows of a classifier: features and a class, and what a method sees of a batch of them."""

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


@dataclass(frozen=True, eq=False)
class Example:
    """One row: what a classifier reads, and its class."""

    id: str
    x: Tensor
    y: int


def examples(x: Any, y: Any) -> list[Example]:
    """Rows of arrays, named by their content and, where it repeats, by how often it did.

    Raises: InvalidData, for other numbers of rows and classes, or a value that is not a number.
    """
    x_N, y_N = torch.as_tensor(x), torch.as_tensor(y).long()
    if len(x_N) != len(y_N):
        raise InvalidData(f"{len(x_N)} rows and {len(y_N)} classes; give one class a row")
    if not torch.isfinite(x_N.double()).all():
        raise InvalidData(f"{int((~torch.isfinite(x_N.double())).sum())} values are not numbers; fill or drop them")
    seen: dict[str, int] = {}
    rows = []
    for one, label in zip(x_N, y_N.tolist(), strict=True):
        name = digest_json("example", [digest_state({"x": one}), label])
        seen[name] = seen.get(name, 0) + 1
        rows.append(Example(f"{name}/{seen[name]}", one, label))
    return rows


class ArraySide:
    """One batch of a classifier: an answer is one class, so N = B."""

    def __init__(self, model: Any, rows: Sequence[Example], references: "ArrayReferences", name: str) -> None:
        self._model, self._rows, self._references, self._name = model, rows, references, name

    @property
    def rows(self) -> tuple[str, ...]:
        """The ids of the rows."""
        return tuple(row.id for row in self._rows)

    @cached_property
    def inputs(self) -> Tensor:
        return torch.stack([row.x for row in self._rows]).to(_device(self._model))

    @cached_property
    def logits_NV(self) -> Tensor:
        """What the model says, [N, classes]."""
        said = self._model(self.inputs)
        return torch.as_tensor(getattr(said, "logits", said)).float()

    @cached_property
    def labels_N(self) -> Tensor:
        return torch.tensor([row.y for row in self._rows], device=self.inputs.device)

    @property
    def row_N(self) -> Tensor:
        return torch.arange(len(self._rows), device=self.inputs.device)

    @cached_property
    def logp_N(self) -> Tensor:
        """Log-probability of each row's class, nats."""
        return -F.cross_entropy(self.logits_NV, self.labels_N, reduction="none")

    @property
    def logp_B(self) -> Tensor:
        return self.logp_N

    @property
    def length_B(self) -> Tensor:
        return torch.ones(len(self._rows), device=self.inputs.device)

    @property
    def nll(self) -> Tensor:
        return -self.logp_N.mean()

    @property
    def reference_logits_NV(self) -> Tensor:
        """The same as `logits_NV` under the original model."""
        return self._references.of(self._name, self._rows).to(self.inputs.device)

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
                said = ArraySide(model, part, self, name).logits_NV.cpu()
                self._logits.update({(name, row.id): one for row, one in zip(part, said, strict=True)})

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


def _device(model: Any) -> torch.device:
    return torch.device(next(model.parameters()).device)
