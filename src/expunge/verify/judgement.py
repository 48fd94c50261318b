"""From raw scores to findings, and from findings to the strongest claim that they carry. See DESIGN, "Promises".

Nothing here has a default that helps: a missing arm, a failed attack, a score that is not a number, or too few facts
make a finding INCONCLUSIVE, and a level needs every attack it rests on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.core import ArmScore, Assurance, Finding, Flag, Guarantee, Outcome
from expunge.verify.attacks import attacks
from expunge.verify.battery import ArmScores
from expunge.verify.metrics.auc import auc
from expunge.verify.statistics import (
    CONTRAST,
    Scored,
    best,
    bootstrap_weights,
    facts_needed,
    interval,
    simultaneous_bounds,
)

TAU = 0.10  # recovered fraction up to which nothing was recovered
RETAINED_FROM = 0.5
SKILL = 0.9  # of the control's
MEMBERSHIP_MARGIN = 0.15
MEMBERSHIP_FACTS = 400  # from here on equivalence can be measured
ARMS = ("original", "unlearned", "control")

# What a level rests on. `prompts` and `sampling` are not in any battery yet, so no level above SUPPRESSED is reached.
REQUIRED = {
    Assurance.SUPPRESSED: ("direct", "paraphrase"),
    Assurance.RESISTS_BLACK_BOX: ("probability", "membership", "prompts", "sampling"),
    Assurance.RESISTS_WHITE_BOX: ("relearn", "retain_finetune", "quantise", "linear_probe"),
}


def findings(arms: Mapping[str, ArmScores], battery: tuple[str, ...], facts: list[int] | None = None) -> list[Finding]:
    """One finding per attack on recall, with bounds that hold together. `facts` restricts them to some of the facts."""
    recall_attacks = [name for name in battery if attacks.get(name).family != "membership"]
    ready: dict[str, Scored] = {}
    result: dict[str, Finding] = {}
    for name in recall_attacks:
        if reason := _why_not(name, arms):
            result[name] = _finding(name, arms, reason=reason)
        else:
            ready[name] = Scored(*(_matrix(arms[arm], name, facts) for arm in ARMS))
    if ready:
        sizes = {name: scored.n_facts for name, scored in ready.items()}
        n_facts = max(sizes.values())
        for name in [n for n in ready if sizes[n] < n_facts]:
            del ready[name]
            result[name] = _finding(name, arms, reason=f"gave scores for {sizes[name]} of {n_facts} facts")
        weights_BN = bootstrap_weights(n_facts)
        contrast = {name: scored.contrast_low(weights_BN) for name, scored in ready.items()}
        usable = [name for name in ready if contrast[name] >= CONTRAST]
        bounds = dict(zip(usable, simultaneous_bounds([ready[n] for n in usable], weights_BN), strict=True))
        for name, scored in ready.items():
            result[name] = _measured(name, arms, scored, contrast[name], bounds.get(name), weights_BN)
    return [result[name] for name in recall_attacks]


def membership(arms: Mapping[str, ArmScores], facts: list[int] | None = None) -> Finding:
    """How far the unlearned arm's member/non-member AUC lies from the control's, either way."""
    if reason := _why_not("membership", arms):
        return _finding("membership", arms, reason=reason)
    value = {arm: _auc(arms[arm], facts) for arm in ARMS}
    n = min(
        len(facts) if facts is not None else len(arms["control"].scores["membership"]["members"]),
        len(arms["control"].scores["membership"]["others"]),
    )
    gap = value["unlearned"] - value["control"]
    shown = {arm: ArmScore(v, v, v, "AUC") for arm, v in value.items()}
    # Var(AUC) <= A (1 - A) / min(members, others) whatever the scores' distributions (Birnbaum and Klose 1957).
    half_width = 1.645 * (sum(value[arm] * (1 - value[arm]) for arm in ("unlearned", "control")) / n) ** 0.5
    outcome, reason = (
        Outcome.INCONCLUSIVE,
        f"|ΔAUC| = {abs(gap):.2f}; equivalence is not measurable below {MEMBERSHIP_FACTS} facts",
    )
    if abs(value["original"] - value["control"]) < MEMBERSHIP_MARGIN:
        outcome, reason = Outcome.NO_CONTRAST, "the original's members cannot be told from strangers either"
    elif abs(gap) - half_width > MEMBERSHIP_MARGIN:
        outcome, reason = Outcome.RECOVERED, f"ΔAUC = {gap:+.2f} to the control, beyond ±{MEMBERSHIP_MARGIN}"
    elif n >= MEMBERSHIP_FACTS and abs(gap) + half_width <= MEMBERSHIP_MARGIN:
        outcome, reason = (
            Outcome.NOT_RECOVERED,
            f"ΔAUC = {gap:+.2f} to the control, within ±{MEMBERSHIP_MARGIN}",
        )
    return Finding(
        attack="membership",
        family="membership",
        arms=shown,
        recovered=None,
        outcome=outcome,
        reason=reason,
        n_facts=n,
        facts_needed=MEMBERSHIP_FACTS if n < MEMBERSHIP_FACTS else None,
        low=gap - half_width,
        high=gap + half_width,
    )


@dataclass(frozen=True)
class Judgement:
    assurance: Assurance
    flags: tuple[Flag, ...]


def judge(
    found: list[Finding],
    member: Finding,
    skill: float | None,
    guarantee: Guarantee,
    replay: bool | None,
    duplicates: int | None = None,
) -> Judgement:
    """The level and the flags. `replay` says whether an independent rebuild gave the same bits; None: it was not run."""
    by_name = {f.attack: f for f in [*found, member]}
    if skill is not None and not np.isfinite(skill):
        skill = None
    flags = _recovery_flags(found)
    if skill is not None and skill < SKILL:
        flags.append(Flag.DAMAGED)
    if _over_forgotten(found, member):
        flags.append(Flag.OVER_FORGOTTEN)
    if duplicates:
        flags.append(Flag.TAINTED)
    recovered = any(f.outcome is Outcome.RECOVERED for f in found)
    if guarantee is Guarantee.EXACT and replay and not recovered and Flag.TAINTED not in flags:
        # The replay carries the claim; the attacks are a cross-check that may be too weak to add anything. PARTIAL and
        # OVER_FORGOTTEN without an attack that recovered are estimates within the noise, which a replay outweighs.
        return Judgement(Assurance.EXACT, tuple(f for f in flags if f not in (Flag.OVER_FORGOTTEN, Flag.PARTIAL)))
    negatives_hold = skill is not None and Flag.DAMAGED not in flags
    level = _level(by_name) if negatives_hold else Assurance.CLAIMED
    if guarantee is Guarantee.SUPPRESSED or recovered:
        level = min(level, Assurance.SUPPRESSED)
    undecided = [f for f in found if f.outcome in (Outcome.INCONCLUSIVE, Outcome.NO_CONTRAST)]
    # What was recovered or wrecked is decided; PARTIAL alone is not, its estimate may lie within the noise.
    decided = recovered or Flag.DAMAGED in flags
    if skill is None or ((undecided or not found) and not decided):
        flags.append(Flag.INCONCLUSIVE)
    return Judgement(level, tuple(flags))


def _recovery_flags(found: list[Finding]) -> list[Flag]:
    plain = next((f for f in found if f.attack == "direct"), None)
    if plain is None or plain.recovered is None or plain.low is None:
        hidden = any(f.outcome is Outcome.RECOVERED for f in found)
        return [Flag.PARTIAL] if hidden else []
    if plain.low >= RETAINED_FROM:
        return [Flag.RETAINED]
    if plain.recovered > TAU:
        return [Flag.PARTIAL]
    return [Flag.HIDDEN] if any(f.outcome is Outcome.RECOVERED for f in found) else []


def _over_forgotten(found: list[Finding], member: Finding) -> bool:
    below = any(f.recovered is not None and f.high is not None and f.recovered < -TAU and f.high < 0 for f in found)
    strange = member.outcome is Outcome.RECOVERED and member.high is not None and member.high < 0
    return below or strange


def _level(by_name: Mapping[str, Finding]) -> Assurance:
    reached = Assurance.CLAIMED
    for level, required in REQUIRED.items():
        if not all(name in by_name and by_name[name].outcome is Outcome.NOT_RECOVERED for name in required):
            break
        reached = level
    return reached


def _measured(
    name: str,
    arms: Mapping[str, ArmScores],
    scored: Scored,
    contrast: float,
    bounds: tuple[float, float] | None,
    weights_BN: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> Finding:
    shown = {}
    for arm, matrix in zip(ARMS, (scored.original, scored.unlearned, scored.control), strict=True):
        low, high = interval(matrix, weights_BN)
        settings = list(arms[arm].scores[name])
        at = int(matrix.mean(axis=1).argmax())
        shown[arm] = ArmScore(best(matrix), low, high, settings[at], tuple(map(float, matrix[at])))
    if bounds is None:
        reason = f"original - control has lower bound {contrast:.2f}; below {CONTRAST:.2f} a silence means nothing"
        return _finding(name, arms, reason=reason, outcome=Outcome.NO_CONTRAST, shown=shown, contrast=contrast)
    low, high = bounds
    recovered = scored.recovered()
    needed = facts_needed(best(scored.control), best(scored.original) - best(scored.control), TAU)
    if low > TAU:
        outcome, reason = Outcome.RECOVERED, f"at least {low:.2f} of what the original knew came back"
    elif high <= TAU:
        outcome, reason = Outcome.NOT_RECOVERED, f"at most {high:.2f} of what the original knew came back"
    else:
        outcome = Outcome.INCONCLUSIVE
        reason = f"between {low:.2f} and {high:.2f}; {scored.n_facts} facts, {max(needed, scored.n_facts + 1)} would be needed"
    return Finding(
        attack=name,
        family=attacks.get(name).family,
        arms=shown,
        contrast_low=contrast,
        recovered=recovered,
        low=low,
        high=high,
        outcome=outcome,
        reason=reason,
        n_facts=scored.n_facts,
        facts_needed=max(needed, scored.n_facts + 1) if outcome is Outcome.INCONCLUSIVE else None,
        elapsed_s=sum(arms[arm].elapsed_s.get(name, 0.0) for arm in ARMS),
    )


def _finding(
    name: str,
    arms: Mapping[str, ArmScores],
    *,
    reason: str,
    outcome: Outcome = Outcome.INCONCLUSIVE,
    shown: dict[str, ArmScore] | None = None,
    contrast: float | None = None,
) -> Finding:
    n = len(next(iter(shown.values())).per_fact) if shown else 0
    elapsed = sum(scores.elapsed_s.get(name, 0.0) for scores in arms.values())
    return Finding(
        attack=name,
        family=attacks.get(name).family,
        arms=shown or {},
        contrast_low=contrast,
        outcome=outcome,
        reason=reason,
        n_facts=n,
        elapsed_s=elapsed,
    )


def _why_not(name: str, arms: Mapping[str, ArmScores]) -> str:
    """Why this attack says nothing; empty if it can be judged."""
    for arm in ARMS:
        if arm not in arms:
            return f"there is no {arm} arm; without it a score cannot be judged"
        if name in arms[arm].failed:
            return f"could not run on the {arm}: {arms[arm].failed[name]}"
        if name not in arms[arm].scores:
            return f"was not run on the {arm}"
        if not all(len(row) for row in arms[arm].scores[name].values()) or not arms[arm].scores[name]:
            return f"gave no scores on the {arm}"
        if not all(np.isfinite(row).all() for row in arms[arm].scores[name].values()):
            return f"gave a score that is not a number on the {arm}"
    if arms["control"].digest == arms["unlearned"].digest:
        return "the control is the unlearned model itself; train one without the data, with a fresh seed"
    if len({tuple((setting, len(row)) for setting, row in arms[arm].scores[name].items()) for arm in ARMS}) > 1:
        return "gave other settings or other numbers of scores on different arms"
    if name != "membership" and len({len(row) for row in arms["control"].scores[name].values()}) > 1:
        return "gave different numbers of scores at different settings"
    return ""


def _matrix(arm: ArmScores, name: str, facts: list[int] | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    matrix = np.array(list(arm.scores[name].values()), dtype=np.float64)
    return matrix if facts is None else matrix[:, facts]


def _auc(arm: ArmScores, facts: list[int] | None) -> float:
    scores = arm.scores["membership"]
    members = scores["members"] if facts is None else [scores["members"][i] for i in facts]
    return auc(members, scores["others"])
