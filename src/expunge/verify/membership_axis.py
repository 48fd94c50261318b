"""Membership, an axis of its own: can the forgotten be told from strangers otherwise than with the control?"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import fisher_exact

from expunge.core import ArmScore, Finding, Outcome
from expunge.verify.battery import ArmScores
from expunge.verify.findings import ARMS, why_not
from expunge.verify.metrics.auc import auc

MEMBERSHIP_MARGIN = 0.15
MEMBERSHIP_FACTS = 400  # from here on equivalence can be measured
FEWEST_MEMBERS = 10  # on either side, below which nothing is said
CONTAMINATED = 0.001  # p-value below which facts "never trained on" were trained on


def membership(arms: Mapping[str, ArmScores], facts: Sequence[int] | None = None) -> Finding:
    """How far the unlearned arm's member/non-member AUC lies from the control's, either way."""
    if reason := why_not("membership", arms) or _contaminated(arms):
        return Finding(attack="membership", family="membership", outcome=Outcome.INCONCLUSIVE, reason=reason)
    value = {arm: _auc(arms[arm], facts) for arm in ARMS}
    scores = arms["control"].scores["membership"]
    n = min(len(facts) if facts is not None else len(scores["members"]), len(scores["others"]))
    if strangers := len(arms["control"].unseen):  # arms joined of several models repeat the same strangers
        n = min(n, strangers)
    gap = value["unlearned"] - value["control"]
    # Var(AUC) <= A (1 - A) / min(members, others) whatever the scores' distributions (Birnbaum and Klose 1957); A is drawn
    # towards the middle, or an AUC of 0 or 1 of few facts would have no width.
    drawn = [(n * value[arm] + 1) / (n + 2) for arm in ("unlearned", "control")]
    half_width = 1.645 * (sum(a * (1 - a) for a in drawn) / n) ** 0.5
    outcome, reason = (
        Outcome.INCONCLUSIVE,
        f"|ΔAUC| = {abs(gap):.2f}; equivalence is not measurable below {MEMBERSHIP_FACTS} facts",
    )
    if abs(value["original"] - value["control"]) < MEMBERSHIP_MARGIN:
        outcome, reason = Outcome.NO_CONTRAST, "the original's members cannot be told from strangers either"
    elif n >= FEWEST_MEMBERS and abs(gap) - half_width > MEMBERSHIP_MARGIN:
        outcome, reason = Outcome.RECOVERED, f"ΔAUC = {gap:+.2f} to the control, beyond ±{MEMBERSHIP_MARGIN}"
    elif n >= MEMBERSHIP_FACTS and abs(gap) + half_width <= MEMBERSHIP_MARGIN:
        outcome, reason = (
            Outcome.NOT_RECOVERED,
            f"ΔAUC = {gap:+.2f} to the control, within ±{MEMBERSHIP_MARGIN}",
        )
    return Finding(
        attack="membership",
        family="membership",
        arms={arm: ArmScore(v, v, v, "AUC") for arm, v in value.items()},
        recovered=None,
        outcome=outcome,
        reason=reason,
        n_facts=n,
        facts_needed=MEMBERSHIP_FACTS if n < MEMBERSHIP_FACTS else None,
        low=gap - half_width,
        high=gap + half_width,
        elapsed_s=sum(arms[arm].elapsed_s.get("membership", 0.0) for arm in ARMS),
    )


def _contaminated(arms: Mapping[str, ArmScores]) -> str:
    """Why the strangers are none: an arm answers questions about them better than a control guesses unknown facts."""
    guessed = arms["control"].scores.get("direct", {}).get("greedy", [])
    for arm in ARMS:
        known = arms[arm].unseen
        if not known or not guessed or not np.isfinite([*known, *guessed]).all():
            continue
        hits, lucky = round(sum(known)), round(sum(guessed))
        table = [[hits, len(known) - hits], [lucky, len(guessed) - lucky]]
        if fisher_exact(table, alternative="greater").pvalue < CONTAMINATED:
            return (
                f"the {arm} answers {hits} of {len(known)} questions about facts that were never trained on, the control "
                f"{lucky} of {len(guessed)} about the forgotten; the strangers were trained on, choose others"
            )
    return ""


def _auc(arm: ArmScores, facts: Sequence[int] | None) -> float:
    scores = arm.scores["membership"]
    members = scores["members"] if facts is None else [scores["members"][i] for i in facts]
    return auc(members, scores["others"])
