"""Read the probability of the right answer, which greedy decoding does not show."""

import math
from dataclasses import dataclass
from typing import ClassVar

from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Probability:
    """exp(mean log-probability) of the tokens that carry the value: P(a|q)^(1/|a|) of TOFU (Maini et al. 2024)."""

    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        return {"value": [math.exp(sum(row) / len(row)) for row in target.value_logp(probes.forget)]}
