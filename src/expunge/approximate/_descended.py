"""What a stage of training descends."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from expunge.approximate._material import Material
from expunge.engine import Reference, Step, backward


class Descended(ABC):
    """A loss to descend, and what the engine prepares for it. All but the loss has a default."""

    @abstractmethod
    def loss(self, step: Step) -> Tensor | Iterable[Tensor]:
        """The loss of a step; or its terms, weighted, one after the other: none holds its activations beside another's."""

    @property
    def needs(self) -> tuple[Reference, ...]:
        """Quantities of the model before the first step; of every row they are computed once."""
        return ()

    def block(self, depth: int) -> int:
        """The block, from 0, whose original states are kept where `needs` names them: the last."""
        return depth - 1

    def trained_blocks(self, depth: int) -> range | None:
        """The blocks whose weights alone are trained; None: every weight, those outside of blocks too."""
        return None

    def alternate(self, rows: Sequence[Any], epoch: int, material: Material) -> Sequence[Any]:
        """The forget rows with what they should say instead, for `step.alternate`; empty where nothing is. No weight has
        moved yet."""
        return ()

    @property
    def redrawn(self) -> bool:
        """Whether every pass over the forget set (`epoch`) has alternates of its own; otherwise pass 0's serve all."""
        return False

    def gradient(self, step: Step, model: Any) -> float:
        """Fill the gradients of the trained weights; the value of the loss."""
        return backward(self.loss(step))

    def phase(self, total: int) -> int:
        """A guard looks at the ends of so many steps of `total`: what one step takes along the next may bring back."""
        return 1
