"""Attack three classifiers and say what the result carries."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from expunge.core import Finding, Guarantee, Outcome
from expunge.core.errors import InvalidData, TooFewSamples
from expunge.engine import pinned
from expunge.verify.attacks._target import CannotRun
from expunge.verify.audits import ClassifierAudit
from expunge.verify.classifiers.class_inversion import ClassInversion
from expunge.verify.classifiers.direct import Direct
from expunge.verify.classifiers.klom import NAME as KLOM
from expunge.verify.classifiers.klom import Klom, klom, klom_by_set, klom_finding
from expunge.verify.classifiers.membership import Membership, membership_finding
from expunge.verify.classifiers.noise import beside_controls
from expunge.verify.classifiers.offset import Offset
from expunge.verify.classifiers.probability import Probability
from expunge.verify.classifiers.relearn_time import RelearnSteps, RelearnTime, relearn_steps
from expunge.verify.classifiers.retain_finetune import RetainFinetune
from expunge.verify.classifiers.rows import Rows, Sets
from expunge.verify.classifiers.shadow_models import ShadowModels
from expunge.verify.classifiers.target import Attack, Classifier
from expunge.verify.classifiers.u_lira import NAME as U_LIRA
from expunge.verify.classifiers.u_lira import u_lira_finding
from expunge.verify.findings import findings
from expunge.verify.judgement import Skill
from expunge.verify.scores import ARMS, ArmScores
from expunge.verify.skill import skill
from expunge.verify.thresholds import TAU

VERSION = 1
ATTACKS: tuple[Attack, ...] = (
    Direct(),
    Probability(),
    Offset(),
    RetainFinetune(),
    RelearnTime(),
    ClassInversion(),
)


def audit_classifier(
    *,
    original: Any,
    unlearned: Any,
    control: Any | None,
    forget: tuple[Any, Any] | Rows,
    retain: tuple[Any, Any] | Rows,
    holdout: tuple[Any, Any] | Rows | None = None,
    randomised: bool | None = None,
    more_controls: Sequence[Any] = (),
    outs: Sequence[Any] = (),
    shadows: ShadowModels | None = None,
    subjects: Sequence[str] | None = None,
    attacks: Sequence[Attack] = ATTACKS,
    guarantee: Guarantee = Guarantee.EMPIRICAL,
    replay: bool | None = None,
    duplicates: int | None = None,
) -> ClassifierAudit:
    """Run the attacks on every arm and judge, by the rules of `expunge.verify.audit`; a fact is a row to forget.

    Models are torch modules (one logit per class, labels are column numbers) or fitted estimators, or the scores that
    `attack_classifier` gave for one, so that an arm of several audits is attacked once. `control` was trained without the
    forgotten rows, with a fresh seed and salt; `more_controls` are such models of other seeds, which show how far two of them
    differ (`noise`): with one control, attacks on a class as a whole decide little. `holdout` was never trained on.
    `randomised` says whether forgotten and holdout rows were drawn alike at random before training; unless it is True,
    membership decides nothing. `outs` are models that saw neither, for RMIA; where none are given, `shadows.never_saw` or
    `more_controls` serve. `subjects[i]` is whose row i of `forget` is.

    Means: an audit bounds leakage from below. A random sample of rows is often classified as well by a model that never saw
    them; recovery then has no contrast, and only membership can say anything: that is INCONCLUSIVE, never a pass.

    Raises: EmptyForgetSet; InvalidData, for rows and labels that do not fit, or a holdout that was trained on.
    """
    began = time.perf_counter()
    sets = Sets(
        Rows.of(forget, "forget"),
        Rows.of(retain, "retain"),
        None if holdout is None else Rows.of(holdout, "holdout"),
    )
    people = [""] * len(sets.forget) if subjects is None else list(subjects)
    if len(people) != len(sets.forget):
        raise InvalidData(f"{len(people)} subjects for {len(sets.forget)} rows to forget; one each is needed")
    three = {"original": original, "unlearned": unlearned, "control": control}
    given = {name: _arm(model) for name, model in three.items() if model is not None}
    further = {f"control {i}": _arm(model) for i, model in enumerate(more_controls, start=2)}
    strangers = [Classifier(m) for m in (outs or (shadows.never_saw if shadows else _models(more_controls)))]
    _check_all_differ(given, further, strangers)
    every = (*attacks, Membership(outs=tuple(strangers)))
    arms = {name: _scores(arm, sets, every) for name, arm in given.items()}
    arms |= {name: _scores(arm, sets, attacks) for name, arm in further.items()}
    ensembles, kloms = _ensembles(given, sets, shadows)
    return ClassifierAudit(
        findings=tuple(_found(arms, attacks, people)),
        membership=membership_finding(arms, randomised),
        retained=_retained(arms),
        people=tuple(people),
        guarantee=guarantee,
        replay=replay,
        duplicates=duplicates,
        arms=arms,
        ensembles=tuple(ensembles),
        relearning=_relearning(arms),
        klom=kloms,
        battery={"name": "classifier", "version": VERSION, "attacks": [a.name for a in every], "tau": TAU},
        rows=tuple(sets.forget.names()),
        elapsed_s=time.perf_counter() - began,
    )


def attack_classifier(model: Any, sets: Sets, attacks: Sequence[Attack] = ATTACKS) -> ArmScores:
    """Every attack on one arm. What cannot run is listed with its reason; other errors are raised."""
    with pinned():
        return _attacked(Classifier(model), sets, attacks)


def _attacked(target: Classifier, sets: Sets, attacks: Sequence[Attack]) -> ArmScores:
    scores, failed, elapsed, checks = {}, {}, {}, {}
    for attack in attacks:
        began = time.perf_counter()
        try:
            found = attack.run(target, sets)
            scores[attack.name], checks[attack.name] = found.scores, found.checks
        except CannotRun as e:
            failed[attack.name] = str(e)
        elapsed[attack.name] = time.perf_counter() - began
    try:
        skill = tuple(target.hits(sets.retain))
    except CannotRun:
        skill = ()  # judged INCONCLUSIVE
    return ArmScores(
        target.digest,
        scores,
        failed,
        skill,
        elapsed,
        checks,
        probes=sets.digest(),
        precision=target.precision,
    )


def _check_all_differ(
    arms: Mapping[str, Classifier | ArmScores],
    further: Mapping[str, Classifier | ArmScores],
    outs: Sequence[Classifier],
) -> None:
    """Raises: InvalidData, where a model is given twice and would be a reference for itself."""
    controls = [target.digest for name, target in {**arms, **further}.items() if name.startswith("control")]
    if len(set(controls)) < len(controls):
        raise InvalidData(
            "two controls are the same model; train them with seeds of their own, or give one where training draws nothing"
        )
    if {target.digest for target in arms.values()} & {out.digest for out in outs}:
        raise InvalidData("an arm is among `outs`; a model is no reference for itself")


def _arm(given: Any) -> Classifier | ArmScores:
    return given if isinstance(given, ArmScores) else Classifier(given)


def _models(given: Sequence[Any]) -> list[Any]:
    return [model for model in given if not isinstance(model, ArmScores)]


def _scores(arm: Classifier | ArmScores, sets: Sets, attacks: Sequence[Attack]) -> ArmScores:
    """Raises: InvalidData, for scores of other rows."""
    if not isinstance(arm, ArmScores):
        return attack_classifier(arm.model, sets, attacks)
    if arm.probes != sets.digest():
        raise InvalidData("scores were given that an arm got on other rows; attack it again on these")
    return arm


def _found(arms: Mapping[str, ArmScores], attacks: Sequence[Attack], people: Sequence[str]) -> list[Finding]:
    controls = [arms["control"], *(s for name, s in arms.items() if name not in ARMS)] if "control" in arms else []
    families = {attack.name: attack.family for attack in attacks}
    found = [_uncensored(f, arms) for f in findings(arms, tuple(families), people=people, families=families)]
    return beside_controls(found, controls, [a.whole_class for a in attacks])


def _uncensored(f: Finding, arms: Mapping[str, ArmScores]) -> Finding:
    """A model that was not relearned within the budget shows how small the budget was, not that it has forgotten."""
    if f.attack != RelearnTime.name or f.outcome is not Outcome.NOT_RECOVERED:
        return f
    times = _relearning(arms)
    if times is None or times.index is not None:
        return f
    return replace(f, outcome=Outcome.INCONCLUSIVE, reason=times.reason)


def _relearning(arms: Mapping[str, ArmScores]) -> RelearnSteps | None:
    noted = {arm: arms[arm].checks.get(RelearnTime.name, {}) for arm in ARMS if arm in arms}
    if len(noted) < len(ARMS) or not all(noted.values()):
        return None
    curves = {arm: checks["curve"] for arm, checks in noted.items()}
    if len({tuple(c) for c in curves.values()}) > 1:
        return None  # arms of different kinds, trained in different ways
    return relearn_steps(curves, noted["control"]["moments"])


def _ensembles(
    arms: Mapping[str, Classifier | ArmScores], sets: Sets, shadows: ShadowModels | None
) -> tuple[list[Finding], dict[str, Klom]]:
    """What shadow models show; where they cannot, a finding says why."""
    if shadows is None:
        return [], {}
    found: list[Finding] = []
    kloms: dict[str, Klom] = {}
    try:
        models = {name: arm for name, arm in arms.items() if isinstance(arm, Classifier)}
        found.append(u_lira_finding(models, shadows, sets.forget))
    except (CannotRun, TooFewSamples) as e:
        found.append(Finding(attack=U_LIRA, family="membership", reason=str(e)))
    try:
        parts = {"forget": sets.forget, "retain": sets.retain, "holdout": sets.holdout}
        kloms = klom_by_set(shadows, {name: rows for name, rows in parts.items() if rows is not None and len(rows)})
        untouched = None
        if shadows.original:
            never = shadows.confidence("never_saw", sets.forget)
            untouched = klom(shadows.confidence("original", sets.forget), never)
        found.append(klom_finding(kloms["forget"], untouched))
    except (CannotRun, TooFewSamples) as e:
        found.append(Finding(attack=KLOM, family="membership", reason=str(e)))
    return found, kloms


def _retained(arms: Mapping[str, ArmScores]) -> Skill | None:
    """None where it cannot be measured; any accuracy of the control is a measure."""
    if "control" not in arms:
        return None
    own, reference = arms["unlearned"].skill, arms["control"].skill
    return skill(own, reference, [""] * len(own), least=0.0)
