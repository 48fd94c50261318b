"""What a method is: it changes a copy of a model, nearly always by descending an objective.

All but one part of each class has a default, so a method's file says only where it differs.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from expunge.approximate._descended import Descended
from expunge.approximate._work import Work
from expunge.core import Guarantee


class Method(ABC):
    """Whatever `edit` does to a model. Parameters are a frozen dataclass, so that `repr` names the method whole."""

    guarantee: ClassVar[Guarantee] = Guarantee.EMPIRICAL  # what a result may be called

    @abstractmethod
    def edit(self, work: Work) -> list[float]:
        """Change `work.model` in place; the losses of the steps."""


class Objective(Descended, Method):
    """A method that is a loss to descend; what it may say beside the loss stands in `Descended`."""

    def edit(self, work: Work) -> list[float]:
        """One guarded stage on all rows, for as long as the settings say."""
        return work.descend(self, guarded=True)
