"""How sure the model is of each forgotten row's own label: what an argmax hides."""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.classifiers.rows import Sets
from expunge.verify.classifiers.target import Classifier, Found


@dataclass(frozen=True, kw_only=True)
class Probability:
    name: ClassVar[str] = "probability"
    family: ClassVar[str] = "black box"
    whole_class: ClassVar[bool] = False

    def run(self, target: Classifier, sets: Sets) -> Found:
        return Found({"probability": target.probability(sets.forget).tolist()})
