"""What the transformers that forget share: they say what their deletion does not reach."""

from dataclasses import replace
from typing import Any

from sklearn.base import TransformerMixin

from expunge.core import Plan
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows

DOWNSTREAM = "a learner fitted on this transformer's output has to be fitted again: its route is retrain"


class Transformer(TransformerMixin, Learner):
    """A learner whose output others are fitted on; every plan reminds of them.

    Inside a unit that is rebuilt as a whole, such as one of `Sisa`, that happens by itself.
    """

    def _planned(self, learned: Any, rows: Rows, gone: Positions) -> tuple[Plan, Any]:
        plan, unlearned = super()._planned(learned, rows, gone)
        return replace(plan, notes=(*plan.notes, DOWNSTREAM)), unlearned
