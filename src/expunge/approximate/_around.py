"""An objective whose gradient is taken otherwise: at other weights, or of other states. All else is its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from expunge.approximate._material import Material
from expunge.approximate._method import Objective
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@dataclass(frozen=True)
class Around(Objective):
    """Wraps `method`; a class of this kind says what `gradient` is.

    Raises: InvalidParameter, for a method that edits or takes gradients in its own way.
    """

    method: Objective

    def __post_init__(self) -> None:
        kind: type[Any] = type(self.method)
        plain = isinstance(self.method, Objective)
        if not plain or kind.edit is not Objective.edit or kind.gradient is not Objective.gradient:
            raise InvalidParameter(
                f"{type(self).__name__} wraps a method that is a loss and nothing more; {kind.__name__} is not"
            )

    @property
    def guarantee(self) -> Guarantee:  # type: ignore[override]  # a constant of most classes
        return self.method.guarantee

    @property
    def needs(self) -> tuple[Reference, ...]:
        return self.method.needs

    @property
    def redrawn(self) -> bool:
        return self.method.redrawn

    def loss(self, step: Step) -> Tensor | Iterable[Tensor]:
        return self.method.loss(step)

    def block(self, depth: int) -> int:
        return self.method.block(depth)

    def trained_blocks(self, depth: int) -> range | None:
        return self.method.trained_blocks(depth)

    def alternate(self, rows: Sequence[Any], epoch: int, material: Material) -> Sequence[Any]:
        return self.method.alternate(rows, epoch, material)

    def phase(self, total: int) -> int:
        return self.method.phase(total)
