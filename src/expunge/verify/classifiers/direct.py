"""Classify the forgotten rows: the plain question."""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.classifiers.rows import Sets
from expunge.verify.classifiers.target import Classifier, Found


@dataclass(frozen=True, kw_only=True)
class Direct:
    name: ClassVar[str] = "direct"
    family: ClassVar[str] = "plain"
    whole_class: ClassVar[bool] = False

    def run(self, target: Classifier, sets: Sets) -> Found:
        return Found({"accuracy": target.hits(sets.forget)})
