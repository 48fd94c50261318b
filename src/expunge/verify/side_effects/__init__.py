"""What unlearning did besides forgetting: to neighbours, willingness to answer, fluency, calibration, weights, privacy.

Source of the list: Cooper et al. (2024), arXiv:2412.06966; knowledge holes (arXiv:2511.00030): a benchmark's utility can
look fine while most of what lies next to the forgotten is gone. Every number stands beside a control's, which shows what
two trainings differ by anyway.
"""

from expunge.verify.side_effects.effect import Effect
from expunge.verify.side_effects.every import SideEffects, side_effects

__all__ = ["Effect", "SideEffects", "side_effects"]
