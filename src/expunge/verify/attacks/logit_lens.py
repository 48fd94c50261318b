"""Let the vocabulary head read the states of earlier blocks: what is only suppressed late shows there.

Source: nostalgebraist (2020), "interpreting GPT: the logit lens"; for edited facts Patil et al. (2023), arXiv:2309.17410,
who read the answer off inner layers among a few candidates.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from expunge.engine import Trunk
from expunge.verify.attacks._reading import first_tokens, value_starts, value_tokens
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class LogitLens:
    """Final norm and head on every block's state just before the value; 1 where the value's first token comes first.

    "layer i" compares with the whole vocabulary; "layer i, among values" with the first tokens of all forgotten and
    retained values, which grammar and junk cannot win. Guessing by what the values are like is as good on the control.
    """

    family: ClassVar[str] = "reading"

    @torch.no_grad()
    def run(self, target: Target, probes: Probes) -> Scores:
        if not probes.retain:
            raise CannotRun(
                "no retained facts, among whose values a forgotten one could be picked; add them to the probes"
            )
        starts = value_starts(target, probes.forget)
        values = value_tokens(target, (*probes.forget, *probes.retain))
        scores: Scores = {}
        for i, states_ND in enumerate(starts.layers):
            logits_NV = Trunk.of(target.model).read_out(states_ND).cpu()
            scores |= first_tokens(f"layer {i}", logits_NV, starts.token_N, values)
        return scores
