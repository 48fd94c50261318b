"""Faults put into the verifier itself, or into what it is given: none may end in a pass."""

import copy
import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.core import Assurance, Flag, Outcome
from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.synthetic import facts, people
from expunge.verify import Arm, Probes, attack_arm, audit
from expunge.verify.recheck import recheck
from expunge.verify.scores import ArmScores

BATTERY = "quick"
ACCUSED = {Flag.RETAINED, Flag.HIDDEN, Flag.PARTIAL}


@pytest.fixture(scope="module")
def original(trained: Any, probes: Probes) -> ArmScores:
    return attack_arm(Arm.of(trained.model, trained.tokenizer), probes, BATTERY)


@pytest.fixture(scope="module")
def clean(control: Any, trained: Any, probes: Probes) -> ArmScores:
    return attack_arm(Arm.of(control, trained.tokenizer), probes, BATTERY)


@pytest.fixture(scope="module")
def other(trained: Any, probes: Probes) -> ArmScores:
    """Another control, of another seed."""
    from expunge.testing import contract

    return attack_arm(
        Arm.of(contract.taught(trained.retain, trained.tokenizer, seed=2), trained.tokenizer), probes, BATTERY
    )


def judged(original: ArmScores, unlearned: ArmScores, control: ArmScores, probes: Probes, **more: Any) -> Any:
    return audit(original=original, unlearned=unlearned, control=control, probes=probes, battery=BATTERY, **more)


def passes(found: Any) -> bool:
    """Whether anything good is said."""
    return found.assurance > Assurance.CLAIMED or (
        Flag.INCONCLUSIVE not in found.flags and not ACCUSED & set(found.flags)
    )


def test_the_unmutated_verifier_tells_them_apart(original: Any, clean: Any, other: Any, probes: Probes) -> None:
    assert Flag.RETAINED in judged(original, original, clean, probes).flags
    assert not ACCUSED & set(judged(original, other, clean, probes).flags)


def test_the_control_swapped_for_the_original(original: Any, clean: Any, other: Any, probes: Probes) -> None:
    found = judged(original, original, original, probes)
    assert not passes(found)
    assert all("original" in f.reason or "unlearned" in f.reason for f in found.findings)
    assert not passes(judged(original, clean, original, probes))
    disguised = replace(original, digest="sha256:another")
    assert {f.outcome for f in judged(original, clean, disguised, probes).findings} == {Outcome.NO_CONTRAST}


def test_seeds_reused(original: Any, clean: Any, other: Any, probes: Probes) -> None:
    assert not passes(judged(original, clean, clean, probes))  # the control is the unlearned model, bit for bit
    for twice in (original, other, clean):
        with pytest.raises(InvalidParameter, match="second control"):
            judged(original, other, clean, probes, second=twice)


def test_a_contaminated_holdout(trained: Any, original: Any, clean: Any, probes: Probes) -> None:
    with pytest.raises(InvalidData, match="strangers"):
        Probes(probes.forget, probes.retain, probes.retain)
    worded = tuple(
        replace(f, id=f"u/{f.id}", answer=f.answer.rstrip(".")) for f in probes.retain
    )  # trained, other words
    bad = Probes(probes.forget, probes.retain, worded)
    arms = [attack_arm(Arm.of(m, trained.tokenizer), bad, BATTERY) for m in (trained.model, trained.model)]
    control = replace(attack_arm(Arm.of(trained.model, trained.tokenizer), bad, BATTERY), digest="sha256:c")
    control = replace(control, scores={**control.scores, "direct": clean.scores["direct"]})
    found = audit(original=arms[0], unlearned=arms[1], control=control, probes=bad, battery=BATTERY)
    assert found.membership.outcome is Outcome.INCONCLUSIVE
    assert "strangers" in found.membership.reason


@pytest.mark.parametrize("which", ["original", "unlearned", "control"])
@pytest.mark.parametrize("attack", ["direct", "probability", "linear_probe"])
@pytest.mark.parametrize("harm", ["nan", "skipped"])
def test_nan_and_silence(
    original: Any, clean: Any, other: Any, probes: Probes, which: str, attack: str, harm: str
) -> None:
    arms = {"original": original, "unlearned": other, "control": clean}
    scores = dict(arms[which].scores)
    if harm == "skipped":
        del scores[attack]
    else:
        scores[attack] = {setting: [float("nan"), *row[1:]] for setting, row in scores[attack].items()}
    arms[which] = replace(arms[which], scores=scores)
    found = audit(**arms, probes=probes, battery=BATTERY)
    assert not passes(found)
    assert next(f for f in found.findings if f.attack == attack).outcome is Outcome.INCONCLUSIVE


def test_scores_of_another_model(trained: Any, control: Any, original: Any, clean: Any, probes: Probes) -> None:
    arm = Arm.of(trained.model, trained.tokenizer)
    assert recheck(arm, original, probes) == []
    forged = replace(clean, digest=arm.digest)  # the control's scores under the original's name
    assert recheck(arm, forged, probes) == [
        "'direct' gives other scores on this model",
        "'probability' gives other scores on this model",
    ]
    assert recheck(Arm.of(control, trained.tokenizer), original, probes)
    with pytest.raises(DigestMismatch):
        attack_arm(Arm(control, trained.tokenizer, arm.digest), probes, BATTERY)


def test_scores_of_another_precision_or_other_questions(
    trained: Any, original: Any, clean: Any, other: Any, probes: Probes
) -> None:
    half = replace(other, precision="bfloat16")
    assert not passes(judged(original, half, clean, probes))
    assert "precision" in judged(original, half, clean, probes).findings[0].reason
    easier = replace(other, probes="sha256:others")
    assert "different questions" in judged(original, easier, clean, probes).findings[0].reason
    model = copy.deepcopy(trained.model).to(torch.bfloat16)
    assert "precision" in " ".join(recheck(Arm.of(model, trained.tokenizer), original, probes))


def test_what_a_second_control_shows_is_noise(original: Any, clean: Any, other: Any, probes: Probes) -> None:
    draw = random.Random(0)
    loud = [float(draw.random() < 0.9) for _ in probes.forget]
    noisy = replace(other, scores={**other.scores, "quantise": dict.fromkeys(other.scores["quantise"], loud)})
    alone = judged(original, noisy, clean, probes)
    assert Flag.HIDDEN in alone.flags or Flag.PARTIAL in alone.flags
    twin = replace(noisy, digest="sha256:twin")
    beside = judged(original, noisy, clean, probes, second=twin)
    (finding,) = [f for f in beside.findings if f.attack == "quantise"]
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "second control" in finding.reason


def test_an_arm_that_can_be_taught_nothing_shows_nothing(original: Any, clean: Any, other: Any, probes: Probes) -> None:
    def with_relearning(arm: ArmScores, score: float, learnt: float) -> ArmScores:
        scores = {**arm.scores, "relearn": {"lr 1 @ 5": [score] * len(probes.forget)}}
        return replace(arm, scores=scores, checks={"relearn": {"learnt": learnt, "kept": {}}})

    arms = {"original": with_relearning(original, 1.0, 0.9), "control": with_relearning(clean, 0.0, 0.9)}
    for learnt, taught in ((0.8, True), (0.1, False)):
        found = audit(**arms, unlearned=with_relearning(other, 0.0, learnt), probes=probes, battery="short")
        finding = next(f for f in found.findings if f.attack == "relearn")
        assert ("could be taught" in finding.reason) is not taught
        assert finding.outcome is Outcome.INCONCLUSIVE  # three people are too few either way


@pytest.mark.parametrize("kept, gentle", [(1.0, True), (0.2, False)])
def test_an_attack_that_wrecks_the_control_shows_nothing_by_silence(
    original: Any, clean: Any, other: Any, probes: Probes, kept: float, gentle: bool
) -> None:
    def with_relearning(arm: ArmScores, score: float, kept: float) -> ArmScores:
        scores = {**arm.scores, "relearn": {"lr 1 @ 5": [score] * len(probes.forget)}}
        return replace(arm, scores=scores, checks={"relearn": {"learnt": None, "kept": {"lr 1 @ 5": kept}}})

    def found(unlearned: float) -> Any:
        arms = {
            "original": with_relearning(original, 1.0, 1.0),
            "unlearned": with_relearning(other, unlearned, 1.0),
            "control": with_relearning(clean, 0.0, kept),
        }
        return next(f for f in audit(**arms, probes=probes, battery="short").findings if f.attack == "relearn")

    assert ("gentle" in found(0.0).reason) is not gentle
    assert found(1.0).outcome is Outcome.RECOVERED  # what came back stands


def test_a_second_control_that_has_seen_the_data_excuses_nothing(
    original: Any, clean: Any, other: Any, probes: Probes
) -> None:
    loud = {setting: [1.0] * len(probes.forget) for setting in other.scores["quantise"]}
    hiding = replace(other, scores={**other.scores, "quantise": loud})
    knows = replace(original, digest="sha256:knows")
    assert Flag.HIDDEN in judged(original, hiding, clean, probes, second=knows).flags


def test_beside_placebos_the_original_is_the_measure_of_what_can_be_taught(
    original: Any, clean: Any, other: Any, probes: Probes
) -> None:
    def taught(arm: ArmScores, learnt: float, kind: str = "model") -> ArmScores:
        scores = {**arm.scores, "relearn": {"lr 1 @ 5": [float(arm is original)] * len(probes.forget)}}
        return replace(arm, scores=scores, checks={"relearn": {"learnt": learnt, "kept": {}}}, kind=kind)

    control = taught(other, 0.0, "placebo")
    found = audit(
        original=taught(original, 1.0), unlearned=taught(other, 0.0), control=control, probes=probes, battery="short"
    )
    assert "could be taught" in next(f for f in found.findings if f.attack == "relearn").reason


def test_strangers_are_people_who_are_nowhere_else() -> None:
    assert not {f.subject for f in facts(people(3))} & {f.subject for f in facts(people(3, skip=8))}
