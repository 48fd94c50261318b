"""Is the model as sure as it is right, on the tokens that carry retained facts?"""

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.calibration import binned_gaps, weighted_error
from expunge.verify.metrics.means import Mean, bounds
from expunge.verify.probes import Probes
from expunge.verify.side_effects.effect import BESIDE, Effect
from expunge.verify.side_effects.seen import Seen
from expunge.verify.statistics import bootstrap_weights

_NAME = "calibration error"
_MEANS = "expected calibration error of the likeliest token at each token of a retained value; higher, its confidence misleads"

Matrix = NDArray[np.float64]


def calibration(seen: Mapping[str, Seen], probes: Probes) -> Effect:
    """The error of each arm and its change, with bounds over subjects: a subject's tokens are drawn together."""
    units = [f.subject or f.id for f in probes.retain]
    names = list(dict.fromkeys(units))
    weights_BN = bootstrap_weights([names.index(u) for u in units])
    found: dict[str, tuple[float, Matrix]] = {}
    reasons = []
    for arm, s in seen.items():
        try:
            gaps_NK, tokens_N = _by_fact(s)
        except TooFewSamples as e:
            reasons.append(f"{arm}: {e}")
            continue
        value = float(weighted_error(gaps_NK, tokens_N, np.ones((1, len(units))))[0])
        found[arm] = (value, weighted_error(gaps_NK, tokens_N, weights_BN))
    arms = {arm: _mean(value, draws, len(units), len(names)) for arm, (value, draws) in found.items()}
    beside = next((arm for arm in BESIDE if arm in seen), "")
    if not {"unlearned", beside} <= set(found):
        return Effect(name=_NAME, means=_MEANS, arms=arms, beside=beside, reason="; ".join(reasons))
    (new, new_B), (old, old_B) = found["unlearned"], found[beside]
    change = _mean(new - old, new_B - old_B, len(units), len(names))
    return Effect(name=_NAME, means=_MEANS, arms=arms, change=change, beside=beside, reason="; ".join(reasons))


def _by_fact(seen: Seen) -> tuple[Matrix, Matrix]:
    """Sums of gaps by bin, [N, K], and counts of tokens, [N], of each fact."""
    lengths = [len(row) for row in seen.confidence]
    gaps_TK = binned_gaps(list(chain(*seen.confidence)), list(chain(*seen.right)))
    owner_T = np.repeat(np.arange(len(lengths)), lengths)
    gaps_NK = np.zeros((len(lengths), gaps_TK.shape[1]))
    np.add.at(gaps_NK, owner_T, gaps_TK)
    return gaps_NK, np.asarray(lengths, dtype=np.float64)


def _mean(value: float, draws_B: Matrix, n: int, units: int) -> Mean:
    low, high = bounds(value, draws_B, units) if units > 1 else (None, None)
    return Mean(value, low, high, n, units)
