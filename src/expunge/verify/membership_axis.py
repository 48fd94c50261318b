"""Membership, an axis of its own: can the forgotten be told from strangers otherwise than with the control?

Every statistic of every membership attack that looks at the value's tokens is judged: one that tells is enough, and all
must be silent for silence. Rows over whole answers are for reading only (names alone tell members apart).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy import isfinite

from expunge.core import ArmScore, Finding, Outcome
from expunge.verify import quantiles
from expunge.verify.findings import lacks_something, why_not
from expunge.verify.metrics.auc import auc
from expunge.verify.pairs import PRIMARY, WHOLE, pairs
from expunge.verify.scores import ARMS, ArmScores
from expunge.verify.thresholds import CONTAMINATED, FEWEST_MEMBERS, MEMBERSHIP_FACTS, MEMBERSHIP_MARGIN

ATTACKS = ("membership", "membership_reference", "membership_gradient")  # the first is always needed


def membership(
    arms: Mapping[str, ArmScores],
    facts: Sequence[int] | None = None,
    bare: str = PRIMARY,
    added: Sequence[str] = (),
) -> Finding:
    """How far the unlearned arm's member/non-member AUC lies from the control's, either way, where it lies farthest.

    `bare` names the statistic whose rows have no name of their own. Membership attacks that were `added` to the battery can
    find a difference or leave its absence open, and cannot show its absence by themselves.
    """
    own = [name for name in ATTACKS if name not in added]
    found = _of_attacks(own, arms, facts, bare)
    if not added or found.outcome is Outcome.RECOVERED:
        return found
    together = _of_attacks([*own, *added], arms, facts, bare)
    return together if together.outcome is Outcome.RECOVERED or found.outcome is Outcome.NOT_RECOVERED else found


def _of_attacks(names: Sequence[str], arms: Mapping[str, ArmScores], facts: Sequence[int] | None, bare: str) -> Finding:
    ran = [name for name in names if name == ATTACKS[0] or _was_run(name, arms)]
    reasons = [reason for name in ran if (reason := why_not(name, arms))]
    if reason := (reasons or [""])[0] or _contaminated(arms):
        return Finding(attack="membership", family="membership", outcome=Outcome.INCONCLUSIVE, reason=reason)
    statistics = [s for name in ran for s in _statistics(name, arms, facts, bare)]
    n = statistics[0].n
    bound = quantiles.normal(1 - 0.05 / len(statistics))  # looking at many statistics is paid for
    beyond = [s for s in statistics if n >= FEWEST_MEMBERS and abs(s.gap) - s.half_width(bound) > MEMBERSHIP_MARGIN]
    contrasted = [s for s in statistics if s.contrast >= MEMBERSHIP_MARGIN]
    worst = max(beyond or contrasted or statistics[:1], key=lambda s: abs(s.gap))
    gap, width = f"ΔAUC = {worst.gap:+.2f} to the control ({worst.name})", worst.half_width()
    if beyond:
        outcome, reason, width = Outcome.RECOVERED, f"{gap}, beyond ±{MEMBERSHIP_MARGIN}", worst.half_width(bound)
    elif not contrasted:
        outcome, reason = Outcome.NO_CONTRAST, "the original's members cannot be told from strangers either"
    elif n >= MEMBERSHIP_FACTS and all(abs(s.gap) + s.half_width() <= MEMBERSHIP_MARGIN for s in contrasted):
        outcome, reason = Outcome.NOT_RECOVERED, f"{gap}, within ±{MEMBERSHIP_MARGIN}"
    else:
        outcome = Outcome.INCONCLUSIVE
        reason = f"{gap}; equivalence is not measurable below {MEMBERSHIP_FACTS} facts"
        if n >= MEMBERSHIP_FACTS:
            reason = f"{gap}, give or take {width:.2f}: neither within ±{MEMBERSHIP_MARGIN} nor beyond it"
    return Finding(
        attack="membership",
        family="membership",
        arms={arm: ArmScore(v, v, v, f"AUC, {worst.name}") for arm, v in worst.value.items()},
        recovered=None,
        outcome=outcome,
        reason=reason,
        n_facts=n,
        facts_needed=MEMBERSHIP_FACTS if n < MEMBERSHIP_FACTS else None,
        low=worst.gap - width,
        high=worst.gap + width,
        elapsed_s=sum(arms[arm].elapsed_s.get(name, 0.0) for arm in ARMS for name in ran),
    )


@dataclass(frozen=True)
class _Statistic:
    """Its AUC on three arms, of n members and at least as many others."""

    name: str
    value: dict[str, float]
    n: int

    @property
    def gap(self) -> float:
        return self.value["unlearned"] - self.value["control"]

    @property
    def contrast(self) -> float:
        return abs(self.value["original"] - self.value["control"])

    def half_width(self, z: float = 1.645) -> float:
        """Var(AUC) <= A (1 - A) / min(members, others) whatever the scores' distributions (Birnbaum and Klose 1957).

        A is drawn towards the middle, or an AUC of 0 or 1 of few facts would have no width.
        """
        drawn = [(self.n * self.value[arm] + 1) / (self.n + 2) for arm in ("unlearned", "control")]
        return z * float((sum(a * (1 - a) for a in drawn) / self.n) ** 0.5)


def _statistics(name: str, arms: Mapping[str, ArmScores], facts: Sequence[int] | None, bare: str) -> list[_Statistic]:
    rows = {arm: pairs(arms[arm].scores[name], bare) for arm in ARMS}
    strangers = len(arms["control"].unseen)  # arms joined of several models repeat the same strangers
    found = []
    for statistic, (members, nonmembers) in rows["control"].items():
        if statistic.endswith(WHOLE):
            continue
        n = min(len(facts) if facts is not None else len(members), len(nonmembers), strangers or len(nonmembers))
        value = {}
        for arm in ARMS:
            known, unknown = rows[arm][statistic]
            value[arm] = auc(known if facts is None else [known[i] for i in facts], unknown)
        found.append(_Statistic(statistic, value, n))
    return found


def _was_run(name: str, arms: Mapping[str, ArmScores]) -> bool:
    """Whether an arm was attacked with it, or should have been and was not; not, where all arms lack the same."""
    known = any(name in arms[arm].scores or name in arms[arm].failed for arm in ARMS if arm in arms)
    return known and not lacks_something(name, arms)


def _contaminated(arms: Mapping[str, ArmScores]) -> str:
    """Why the strangers are none: an arm answers questions about them better than a control guesses unknown facts."""
    from scipy.stats import fisher_exact

    guessed = arms["control"].scores.get("direct", {}).get("greedy", [])
    for arm in ARMS:
        known = arms[arm].unseen
        if not known or not guessed or not isfinite([*known, *guessed]).all():
            continue
        hits, lucky = round(sum(known)), round(sum(guessed))
        table = [[hits, len(known) - hits], [lucky, len(guessed) - lucky]]
        if fisher_exact(table, alternative="greater").pvalue < CONTAMINATED:
            return (
                f"the {arm} answers {hits} of {len(known)} questions about facts that were never trained on, the control "
                f"{lucky} of {len(guessed)} about the forgotten; the strangers were trained on, choose others"
            )
    return ""
