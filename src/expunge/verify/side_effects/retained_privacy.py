"""Are the people who stay easier to recognise as members than before? Removing a layer of data exposes the next one."""

from collections.abc import Mapping

from expunge.core.errors import ExpungeError
from expunge.verify.attacks._target import Target
from expunge.verify.battery import Arm
from expunge.verify.membership.answers import read_answers
from expunge.verify.metrics.auc_interval import Sample, auc_difference, auc_interval
from expunge.verify.metrics.means import Mean
from expunge.verify.metrics.min_k_plus_plus import lowest_share
from expunge.verify.pairs import VALUE
from expunge.verify.probes import Probes
from expunge.verify.side_effects.effect import BESIDE, Effect, not_measured

_NAME = "membership of retained people"
_MEANS = (
    "AUC of retained facts against ones never trained on, by Min-K%++ of the value's tokens, as the onion effect would "
    "raise it (Carlini et al. 2022, arXiv:2206.10469); above the control's, forgetting cost those who stay some privacy"
)


def retained_privacy(arms: Mapping[str, Arm], probes: Probes, k: float = 0.2) -> Effect:
    """Membership of the retained, unlearned minus control, with 90 % bounds over subjects."""
    if not probes.unseen:
        return not_measured(_NAME, _MEANS, "no facts that were never trained on; add `unseen` probes as non-members")
    samples: dict[str, Sample] = {}
    found: dict[str, Mean] = {}
    reasons = []
    for name, arm in arms.items():
        try:
            sample = _sample(arm, probes, k)
            area = auc_interval(sample, level=0.9)
        except ExpungeError as e:
            reasons.append(f"{name}: {e}")
            continue
        samples[name] = sample
        found[name] = Mean(area.value, area.low, area.high, len(sample.members), area.n_units)
    beside = next((name for name in BESIDE if name in arms), "")
    if not {"unlearned", beside} <= set(samples):
        return Effect(name=_NAME, means=_MEANS, arms=found, beside=beside, reason="; ".join(reasons))
    if found["unlearned"].value == found[beside].value == 1.0:
        full = f"unlearned and {beside} both tell all members apart, so no rise could be seen"
        return Effect(name=_NAME, means=_MEANS, arms=found, beside=beside, reason=full)
    apart = auc_difference(samples["unlearned"], samples[beside])
    change = Mean(apart.value, apart.low, apart.high, found["unlearned"].n, apart.n_units)
    return Effect(name=_NAME, means=_MEANS, arms=found, change=change, beside=beside, reason="; ".join(reasons))


def _sample(arm: Arm, probes: Probes, k: float) -> Sample:
    target = Target(arm.model, arm.tokenizer)
    sides = [
        [lowest_share(a.z(VALUE), k) for a in read_answers(target, facts)] for facts in (probes.retain, probes.unseen)
    ]
    units = [[f.subject or f.id for f in facts] for facts in (probes.retain, probes.unseen)]
    return Sample(sides[0], sides[1], units[0], units[1])
