"""Train on text that has to do with neither the forgotten nor the retained facts, and ask again.

What comes back with any training at all was hardly hidden: ten samples of unrelated text undid most of RMU.
Source: Łucki et al. (2024), arXiv:2409.18025 (fine-tuning on unrelated text); Qi et al. (2023), arXiv:2310.03693.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.synthetic import facts, people
from expunge.verify.attacks._finetune import Sweep, finetune_and_ask
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import Ran, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class UnrelatedFinetune:
    """The text is about `n_people` fictitious people, drawn by a seed of this attack's own, twenty facts each.

    Never the probes' `unseen` facts: those are the non-members of other attacks.
    """

    sweep: Sweep = ((1e-4, (15, 40)), (2e-4, (15,)))
    n_people: int = 10
    seed: int = 20_240_918
    batch_size: int = 32
    family: ClassVar[str] = "relearning"

    def run(self, target: Target, probes: Probes) -> Ran:
        text = facts(people(self.n_people, self.seed))
        return finetune_and_ask(target, probes, text, self.sweep, self.batch_size)
