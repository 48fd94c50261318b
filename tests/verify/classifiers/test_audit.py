"""What an audit of classifiers may and may not say."""

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from expunge.core import Assurance, Flag, Guarantee, Outcome
from expunge.core.errors import EmptyForgetSet, InvalidData
from expunge.verify.classifiers import (
    ATTACKS,
    ClassifierAudit,
    Direct,
    Probability,
    RelearnTime,
    RetainFinetune,
    Rows,
    Sets,
    attack_classifier,
    audit_classifier,
)

QUICK = (Direct(), Probability())


def outcomes(audit: ClassifierAudit) -> dict[str, Outcome]:
    return {f.attack: f.outcome for f in audit.findings}


def audited(world: Any, unlearned: Any, **more: Any) -> ClassifierAudit:
    """The world's original and control beside one of its models, or another one."""
    models = world.models
    judged = models[unlearned] if isinstance(unlearned, str) else unlearned
    arms = {"original": models["original"], "unlearned": judged, "control": models["control"]}
    return audit_classifier(**{**arms, **world.rows(), **more})


def test_a_class_hidden_by_a_bias_is_found(one_class: Any) -> None:
    audit = audited(one_class, "hidden")
    found = outcomes(audit)
    assert found["direct"] is Outcome.NOT_RECOVERED
    for attack in ("offset", "retain_finetune", "relearn_time", "class_inversion"):
        assert found[attack] is Outcome.RECOVERED, attack
    assert Flag.HIDDEN in audit.flags
    assert audit.relearning is not None
    assert audit.relearning.index is not None
    assert audit.relearning.index < 0.5  # the Anamnesis Index of a model that only hid
    json.dumps(audit.to_json(), allow_nan=False)


@pytest.mark.parametrize("more", [(), ("retrained 3", "retrained 4")], ids=["one control", "three controls"])
def test_nothing_is_found_in_a_retrained_model(one_class: Any, more: tuple[str, ...]) -> None:
    audit = audited(one_class, "retrained 2", more_controls=[one_class.models[name] for name in more])
    assert Outcome.RECOVERED not in outcomes(audit).values()
    assert not {Flag.HIDDEN, Flag.RETAINED, Flag.PARTIAL, Flag.DAMAGED} & set(audit.flags)
    for attack in ("direct", "probability", "retain_finetune"):
        assert outcomes(audit)[attack] is Outcome.NOT_RECOVERED, attack
    assert audit.relearning is not None
    assert audit.relearning.index is None or audit.relearning.index >= 0.5


def test_an_untouched_model_is_retained(one_class: Any) -> None:
    audit = audited(one_class, "original", attacks=QUICK)
    assert Flag.RETAINED in audit.flags
    assert audit.assurance <= Assurance.SUPPRESSED


def test_a_model_wrecked_by_gradient_ascent_is_damaged(one_class: Any) -> None:
    audit = audited(one_class, "wrecked")
    assert audit.skill is not None
    assert audit.skill < 0.9
    assert Flag.DAMAGED in audit.flags
    assert outcomes(audit)["relearn_time"] is Outcome.INCONCLUSIVE  # what cannot be taught resists for another reason


def test_a_random_sample_has_no_contrast_and_only_membership_speaks(random_sample: Any) -> None:
    """A retrained model gets most forgotten rows right, so silence means nothing: never a pass, for nobody."""
    outs = [random_sample.models["out"]]
    untouched = audited(random_sample, "original", randomised=True, outs=outs)
    retrained = audited(random_sample, "retrained", randomised=True, outs=outs)
    for audit in (untouched, retrained):
        assert set(outcomes(audit).values()) == {Outcome.NO_CONTRAST}
        assert Flag.INCONCLUSIVE in audit.flags
        assert audit.assurance is Assurance.CLAIMED
    assert untouched.membership.outcome is Outcome.RECOVERED
    assert retrained.membership.outcome is Outcome.NOT_RECOVERED


def test_membership_decides_nothing_unless_the_draw_is_stated(random_sample: Any) -> None:
    outs = [random_sample.models["out"]]
    for said in (None, False):
        found = audited(random_sample, "original", randomised=said, outs=outs, attacks=QUICK).membership
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "at random" in found.reason
        assert found.arms["original"].mean > 0.65  # shown all the same


def test_without_a_control_or_with_a_false_one_nothing_is_decided(one_class: Any) -> None:
    models = one_class.models
    nobody = audited(one_class, "hidden", control=None, attacks=QUICK)
    itself = audited(one_class, "hidden", control=models["hidden"], attacks=QUICK)
    the_original = audited(one_class, "hidden", control=models["original"], attacks=QUICK)
    for audit in (nobody, itself, the_original):
        assert set(outcomes(audit).values()) == {Outcome.INCONCLUSIVE}
        assert Flag.INCONCLUSIVE in audit.flags


def test_too_few_rows_are_inconclusive(one_class: Any) -> None:
    few = one_class.sets.forget.at(np.arange(20))
    audit = audited(one_class, "retrained 2", forget=few, attacks=QUICK)
    assert set(outcomes(audit).values()) == {Outcome.INCONCLUSIVE}
    assert audit.findings[0].facts_needed is not None
    assert audit.findings[0].facts_needed >= 29  # whose bound is 0.10 if none is recovered


def test_rows_of_three_people_carry_no_pass(one_class: Any) -> None:
    subjects = [f"person {i % 3}" for i in range(len(one_class.sets.forget))]
    assert Flag.INCONCLUSIVE not in audited(one_class, "retrained 2", attacks=QUICK).flags
    assert Flag.INCONCLUSIVE in audited(one_class, "retrained 2", attacks=QUICK, subjects=subjects).flags


def test_a_model_of_nan_is_inconclusive_and_no_crash(one_class: Any) -> None:
    broken = copy.deepcopy(one_class.models["original"])
    with torch.no_grad():
        broken[0].weight.fill_(float("nan"))
    audit = audited(one_class, broken)
    assert set(outcomes(audit).values()) == {Outcome.INCONCLUSIVE}
    assert Flag.INCONCLUSIVE in audit.flags


def test_scores_repeat_bit_for_bit_and_arms_stay_as_they_are(one_class: Any) -> None:
    before = copy.deepcopy(one_class.models["hidden"].state_dict())
    short = (RetainFinetune(rates=(1e-3,), moments=(10,)), RelearnTime(rates=(3e-3,), moments=(0, 4, 8)), ATTACKS[-1])
    torch.manual_seed(1)
    first = audited(one_class, "hidden", attacks=short)
    torch.manual_seed(2)
    again = audited(one_class, "hidden", attacks=short)
    assert [a.scores for a in first.arms.values()] == [a.scores for a in again.arms.values()]
    assert all(torch.equal(before[k], v) for k, v in one_class.models["hidden"].state_dict().items())


def test_arms_of_another_precision_are_not_compared(one_class: Any) -> None:
    audit = audited(one_class, copy.deepcopy(one_class.models["hidden"]).double(), attacks=QUICK)
    assert set(outcomes(audit).values()) == {Outcome.INCONCLUSIVE}
    assert "precision" in audit.findings[0].reason


def test_scores_given_instead_of_a_model_say_the_same(one_class: Any) -> None:
    models, sets = one_class.models, one_class.sets
    scores = {name: attack_classifier(models[name], sets, QUICK) for name in ("original", "retrained 2", "control")}
    from_models = audited(one_class, "retrained 2", attacks=QUICK)
    from_scores = audited(
        one_class, scores["retrained 2"], original=scores["original"], control=scores["control"], attacks=QUICK
    )
    assert outcomes(from_scores) == outcomes(from_models)
    assert from_scores.flags == from_models.flags
    elsewhere = attack_classifier(models["control"], Sets(sets.forget, sets.retain), QUICK)
    with pytest.raises(InvalidData, match="other rows"):
        audited(one_class, "retrained 2", control=elsewhere, attacks=QUICK)


def test_rows_that_do_not_fit_are_refused(one_class: Any) -> None:
    sets = one_class.sets
    with pytest.raises(EmptyForgetSet):
        audited(one_class, "hidden", forget=sets.forget.at(np.arange(0)))
    with pytest.raises(InvalidData, match="among the trained ones"):
        audited(one_class, "hidden", holdout=sets.retain)
    with pytest.raises(InvalidData, match="one label per row"):
        audited(one_class, "hidden", retain=(sets.retain.X, sets.retain.y[1:]))
    with pytest.raises(InvalidData, match="subjects"):
        audited(one_class, "hidden", subjects=["a"])
    with pytest.raises(InvalidData, match="reference for itself"):
        audited(one_class, "hidden", outs=[one_class.models["control"]])
    with pytest.raises(InvalidData, match="two controls are the same"):
        audited(one_class, "hidden", more_controls=[one_class.models["control"]])


# -- estimators ------------------------------------------------------------------------------------------------------


def estimators(world: Any, make: Any) -> dict[str, Any]:
    sets = world.sets
    both = Rows(np.concatenate([sets.forget.X, sets.retain.X]), np.concatenate([sets.forget.y, sets.retain.y]))
    original, control = make().fit(both.X, both.y), make().fit(sets.retain.X, sets.retain.y)
    return {"original": original, "control": control}


def test_an_estimator_without_further_training_says_so(one_class: Any) -> None:
    arms = estimators(one_class, lambda: RandomForestClassifier(20, random_state=0))
    other = RandomForestClassifier(20, random_state=1).fit(one_class.sets.retain.X, one_class.sets.retain.y)
    audit = audit_classifier(**arms, unlearned=other, **one_class.rows())
    found = {f.attack: f for f in audit.findings}
    assert found["direct"].outcome is Outcome.NOT_RECOVERED
    for attack in ("retain_finetune", "relearn_time"):
        assert found[attack].outcome is Outcome.INCONCLUSIVE
        assert "no partial_fit" in found[attack].reason
    assert "gradients" in found["class_inversion"].reason
    assert Flag.INCONCLUSIVE in audit.flags  # an attack that could not run is not a pass


def test_an_untouched_estimator_is_retained(one_class: Any) -> None:
    arms = estimators(one_class, lambda: LogisticRegression(max_iter=200))
    audit = audit_classifier(**arms, unlearned=arms["original"], **one_class.rows(), attacks=QUICK)
    assert Flag.RETAINED in audit.flags


def test_an_estimator_with_partial_fit_is_fine_tuned(mislabelled: Any) -> None:
    """A count of retained rows does not bring back what was never taken out of the counts; an untouched model keeps it."""
    arms = estimators(mislabelled, GaussianNB)
    audit = audit_classifier(**arms, unlearned=arms["original"], **mislabelled.rows(), attacks=(RetainFinetune(),))
    assert list(audit.arms["control"].scores["retain_finetune"]) == ["its own pace @ 30", "its own pace @ 100"]
    assert audit.findings[0].outcome is Outcome.NO_CONTRAST  # it never memorised single rows


def test_warm_started_estimators_go_on_where_they_stand(mislabelled: Any) -> None:
    arms = estimators(mislabelled, lambda: LogisticRegression(max_iter=50))
    attack = RetainFinetune(moments=(2, 4))
    scores = audit_classifier(**arms, unlearned=arms["original"], **mislabelled.rows(), attacks=(attack,)).arms[
        "original"
    ]
    assert "retain_finetune" in scores.scores
    assert arms["original"].max_iter == 50  # the arm itself stays as it is


def test_a_class_that_an_estimator_has_never_heard_of_cannot_be_taught(one_class: Any) -> None:
    arms = estimators(one_class, GaussianNB)
    audit = audit_classifier(**arms, unlearned=arms["original"], **one_class.rows(), attacks=(RelearnTime(),))
    assert audit.findings[0].outcome is Outcome.INCONCLUSIVE
    assert "could not run on the control" in audit.findings[0].reason


def test_a_learner_of_units_goes_through_by_its_methods_alone(random_sample: Any) -> None:
    """A replay carries the claim of an exact deletion; the attacks are a cross-check, and have no contrast here."""
    from expunge.exact.gaussian_nb import GaussianNB as Exact

    sets = random_sample.sets
    X = np.concatenate([sets.forget.X, sets.retain.X]).astype(np.float64)
    y = np.concatenate([sets.forget.y, sets.retain.y])
    original = Exact(salt=b"one").fit(X, y)
    unlearned = copy.deepcopy(original)
    unlearned.forget(records=list(range(len(sets.forget))))
    control = Exact(salt=b"another").fit(sets.retain.X.astype(np.float64), sets.retain.y)
    arms = {"original": original, "unlearned": unlearned, "control": control}
    audit = audit_classifier(**arms, **random_sample.rows(), guarantee=Guarantee.EXACT, replay=True)
    assert audit.assurance is Assurance.EXACT
    without = audit_classifier(**arms, **random_sample.rows(), guarantee=Guarantee.EXACT, attacks=QUICK)
    assert without.assurance is Assurance.CLAIMED
    assert Flag.INCONCLUSIVE in without.flags
    assert {a.digest for a in audit.arms.values()} == {original.digest(), unlearned.digest(), control.digest()}


def test_a_finding_is_void_where_the_attack_did_not_run_on_every_control(one_class: Any) -> None:
    from expunge.verify.classifiers.noise import beside_controls

    audit = audited(one_class, "retrained 2", attacks=QUICK)
    control = audit.arms["control"]
    lacking = replace(control, scores={}, failed={"direct": "it broke"})
    found = beside_controls(audit.findings[:1], [control, lacking], [False])
    assert found[0].outcome is Outcome.INCONCLUSIVE
    assert "it broke" in found[0].reason
