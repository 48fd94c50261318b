"""From raw scores to findings: one attack, three arms, a recovered fraction with bounds, and why it may mean nothing.

Nothing here has a default that helps: a missing arm, a failed attack, a score that is not a number, or too few facts
make a finding INCONCLUSIVE. See DESIGN, "Promises".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from expunge.core import ArmScore, Finding, Outcome
from expunge.verify.attacks import attacks
from expunge.verify.scores import ARMS, ArmScores
from expunge.verify.statistics import (
    Matrix,
    Resampling,
    Scored,
    best,
    bounds_of,
    exact_bounds,
    facts_needed,
    interval,
    owners,
    resamplings,
)
from expunge.verify.thresholds import CONTRAST, FEWEST, KEPT, TAU, TAUGHT, TEACHES

MEMBERSHIP = "membership"  # a family of its own: its scores are not per fact to forget


def findings(
    arms: Mapping[str, ArmScores],
    battery: tuple[str, ...],
    facts: Sequence[int] | None = None,
    people: Sequence[str] | None = None,
    families: Mapping[str, str] | None = None,
    added: Sequence[str] = (),
) -> list[Finding]:
    """One finding per attack on recall, with bounds that hold together.

    `people` says whose each fact is (nobody's, if not given); `facts` restricts the findings to some of the facts.
    `families` are those of attacks that are not in the registry of attacks on language models; `added` are those beside the
    battery's own (`bounds_of`).
    """
    families = families or {name: attacks.get(name).family for name in battery}
    recall_attacks = [name for name in battery if families[name] != MEMBERSHIP]
    ready: dict[str, Scored] = {}
    result: dict[str, Finding] = {}
    for name in recall_attacks:
        if reason := why_not(name, arms):
            result[name] = _finding(name, arms, reason=reason, applies=not lacks_something(name, arms))
        else:
            ready[name] = Scored(*(_matrix(arms[arm], name, facts) for arm in ARMS))
    if ready:
        sizes = {name: scored.n_facts for name, scored in ready.items()}
        n_facts = max(sizes.values())
        for name in [n for n in ready if sizes[n] < n_facts]:
            del ready[name]
            result[name] = _finding(name, arms, reason=f"gave scores for {sizes[name]} of {n_facts} facts")
        whose = _whose(people, facts, n_facts)
        draws, n_people = resamplings(whose), len(set(owners(whose)))
        contrast = {name: scored.contrast_low(draws) for name, scored in ready.items()}
        bounds = bounds_of({n: scored for n, scored in ready.items() if contrast[n] >= CONTRAST}, draws, added)
        for name, scored in ready.items():
            shown = _shown(scored, list(arms["control"].scores[name]), draws)
            result[name] = _measured(name, arms, scored, shown, contrast[name], bounds.get(name), n_people)
    return [replace(result[name], family=families[name]) for name in recall_attacks]


def beside_noise(found: Sequence[Finding], noise: Sequence[Finding]) -> list[Finding]:
    """What a second control "recovers" is noise: an attack that finds as much in it shows nothing.

    A second control that answers plain questions has seen the data and is no control: it excuses nothing.
    """
    if any(f.attack == "direct" and f.outcome is Outcome.RECOVERED for f in noise):
        return list(found)
    floor = {f.attack: f for f in noise if f.outcome is Outcome.RECOVERED}
    result = []
    for f in found:
        other = floor.get(f.attack)
        if f.outcome is Outcome.RECOVERED and other and f.low is not None and f.low <= (other.high or 0.0):
            reason = f"a second control, which never saw the data either, shows {other.recovered:.2f}"
            f = replace(f, outcome=Outcome.INCONCLUSIVE, reason=reason)
        result.append(f)
    return result


def why_not(name: str, arms: Mapping[str, ArmScores]) -> str:
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
    if reason := why_no_control(arms):
        return reason
    if len({tuple((setting, len(row)) for setting, row in arms[arm].scores[name].items()) for arm in ARMS}) > 1:
        return "gave other settings or other numbers of scores on different arms"
    if (
        not _is_membership(arms["control"].scores[name])
        and len({len(row) for row in arms["control"].scores[name].values()}) > 1
    ):
        return "gave different numbers of scores at different settings"
    return ""


def _is_membership(scores: Mapping[str, object]) -> bool:
    """Whether rows are of members and of others, whose numbers may differ."""
    return any(setting.endswith("others") for setting in scores)


def why_no_control(arms: Mapping[str, ArmScores]) -> str:
    """Why these three are no fair comparison; empty if they are."""
    control = arms["control"]
    if control.kind == "model":
        if control.digest == arms["unlearned"].digest:
            return "the control is the unlearned model itself; train one without the data, with a fresh seed"
        if control.digest == arms["original"].digest:
            return "the control is the original itself; train one without the data, with a fresh seed"
        if len({arms[arm].probes for arm in ARMS}) > 1:
            return "the arms were asked different questions; attack all of them with the same probes"
    if len({arms[arm].precision for arm in ARMS}) > 1:
        found = ", ".join(f"{arm} {arms[arm].precision}" for arm in ARMS)
        return f"the arms have different precisions ({found}); attack all of them in the one that is delivered"
    return ""


def lacks_something(name: str, arms: Mapping[str, ArmScores]) -> bool:
    """Whether no arm could be attacked, for one and the same reason: the probes lack what the attack needs."""
    reasons = {arms[arm].failed.get(name) if arm in arms else None for arm in ARMS}
    return len(reasons) == 1 and None not in reasons


def _void(name: str, arms: Mapping[str, ArmScores]) -> str:
    """Why finding nothing shows nothing; empty if it does. What was recovered stands in either case."""
    return _not_taught(name, arms) or _too_harsh(name, arms)


def _reference(arms: Mapping[str, ArmScores]) -> ArmScores:
    """The arm whose skill and docility are the measure: placebos are asked of the unlearned model, which is no measure."""
    return arms["original"] if arms["control"].kind == "placebo" else arms["control"]


def _too_harsh(name: str, arms: Mapping[str, ArmScores]) -> str:
    """Why an attack that wrecks an arm whatever its setting shows nothing of it."""
    for arm, scores in (("reference", _reference(arms)), ("unlearned arm", arms["unlearned"])):
        retained = scores.checks.get(name, {}).get("kept", {})
        if not retained or not scores.skill:
            continue
        least = KEPT * sum(scores.skill) / len(scores.skill)
        if not any(retained.get(setting, 1.0) >= least for setting in scores.scores[name]):
            return f"every setting of it takes the {arm}'s skill below {KEPT:.0%} of what it was; none is gentle enough"
    return ""


def _not_taught(name: str, arms: Mapping[str, ArmScores]) -> str:
    """Why an arm from which nothing came back by training shows nothing: it can be taught nothing, or nobody could."""
    learnt = arms["unlearned"].checks.get(name, {}).get("learnt")
    able = _reference(arms).checks.get(name, {}).get("learnt")
    if learnt is None or able is None or (able >= TEACHES and learnt >= TAUGHT * able):
        return ""
    if able < TEACHES:
        return f"the reference itself could be taught {able:.0%} of unrelated facts with this budget; too little to compare"
    return (
        f"the unlearned arm could be taught {learnt:.0%} of unrelated facts and the reference {able:.0%}; "
        "what cannot learn anything cannot show what it has forgotten"
    )


def _whose(people: Sequence[str] | None, facts: Sequence[int] | None, n_facts: int) -> list[str]:
    if people is None:
        return [""] * n_facts
    return list(people) if facts is None else [people[i] for i in facts]


def _matrix(arm: ArmScores, name: str, facts: Sequence[int] | None) -> Matrix:
    matrix = np.array(list(arm.scores[name].values()), dtype=np.float64)
    return matrix if facts is None else matrix[:, list(facts)]


def _shown(scored: Scored, settings: Sequence[str], draws: Sequence[Resampling]) -> dict[str, ArmScore]:
    shown = {}
    for arm, matrix in zip(ARMS, (scored.original, scored.unlearned, scored.control), strict=True):
        low, high = interval(matrix, draws)
        at = int(matrix.mean(axis=1).argmax())
        shown[arm] = ArmScore(best(matrix), low, high, settings[at], tuple(map(float, matrix[at])))
    return shown


def _measured(
    name: str,
    arms: Mapping[str, ArmScores],
    scored: Scored,
    shown: dict[str, ArmScore],
    contrast: float,
    bounds: tuple[float, float] | None,
    n_people: int,
) -> Finding:
    if bounds is None:
        reason = f"original - control has lower bound {contrast:.2f}; below {CONTRAST:.2f} a silence means nothing"
        return _finding(name, arms, reason=reason, outcome=Outcome.NO_CONTRAST, shown=shown, contrast=contrast)
    low, high = bounds
    needed = facts_needed(best(scored.control), best(scored.original) - best(scored.control), TAU)
    if scored.n_facts < FEWEST:
        outcome = Outcome.INCONCLUSIVE
        reason = f"{scored.n_facts} facts are too few for bounds, {needed} would be needed"
    elif low > TAU:
        outcome, reason = Outcome.RECOVERED, f"at least {low:.2f} of what the original knew came back"
    elif reason := _void(name, arms):
        outcome = Outcome.INCONCLUSIVE
    elif high <= TAU:
        outcome, reason = Outcome.NOT_RECOVERED, f"at most {high:.2f} of what the original knew came back"
        if not scored.unlearned.any() and n_people < scored.n_facts:
            most = exact_bounds(0, n_people)[1]
            reason += f"; of {n_people} people nothing did, so of up to {most:.0%} of people some may"
    else:
        outcome = Outcome.INCONCLUSIVE
        reason = f"between {low:.2f} and {high:.2f}; {scored.n_facts} facts, {max(needed, scored.n_facts + 1)} would be needed"
    return Finding(
        attack=name,
        family="",
        arms=shown,
        contrast_low=contrast,
        recovered=scored.recovered(),
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
    applies: bool = True,
) -> Finding:
    return Finding(
        attack=name,
        family="",
        arms=shown or {},
        contrast_low=contrast,
        outcome=outcome,
        reason=reason,
        n_facts=len(next(iter(shown.values())).per_fact) if shown else 0,
        elapsed_s=sum(scores.elapsed_s.get(name, 0.0) for scores in arms.values()),
        applies=applies,
    )
