"""Ask the plain question. What this finds was not even hidden."""

from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Direct:
    family: ClassVar[str] = "plain"

    def run(self, target: Target, probes: Probes) -> Scores:
        return {"greedy": target.recalls(probes.forget)}
