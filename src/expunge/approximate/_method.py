"""What a method is: it changes a copy of a model, nearly always by descending an objective.

All but one part of each class has a default, so a method's file says only where it differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from expunge.core import Guarantee
from expunge.engine import Reference, Step, backward

if TYPE_CHECKING:
    from expunge.approximate._work import Work


class Method(ABC):
    """Whatever `edit` does to a model. Parameters are a frozen dataclass, so that `repr` names the method whole."""

    guarantee: ClassVar[Guarantee] = Guarantee.EMPIRICAL  # what a result may be called

    @abstractmethod
    def edit(self, work: "Work") -> list[float]:
        """Change `work.model` in place; the losses of the steps."""


class Objective(Method):
    """A method that is a loss to descend, and what the engine prepares for it."""

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

    def alternate(self, rows: Sequence[Any], epoch: int, work: "Work") -> Sequence[Any]:
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

    def edit(self, work: "Work") -> list[float]:
        """One guarded stage on all rows, for as long as the settings say."""
        return work.descend(self, guarded=True)
