"""Mistakes of published implementations, one test each: the mistake gives another number or a pass here, and does not.

Numbers are those of the list of pitfalls in the design material: definitions, tools, and ways to fool oneself.
"""

import copy
import math
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from expunge.core import Fact, Outcome
from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.engine import encode
from expunge.verify import Arm
from expunge.verify.attacks import attacks
from expunge.verify.batteries import BATTERIES
from expunge.verify.benchmarks._result import Measure, Result
from expunge.verify.benchmarks.harness import MCQ_ONLY, _cautions
from expunge.verify.benchmarks.muse import leakage
from expunge.verify.membership_axis import membership
from expunge.verify.metrics.auc import auc
from expunge.verify.metrics.epsilon_lower_bound import epsilon_from_models
from expunge.verify.metrics.extraction_strength import extraction_strength
from expunge.verify.metrics.forget_quality import forget_quality, truth_ratio_distance
from expunge.verify.metrics.gradient_norm import gradient_norms
from expunge.verify.metrics.leak_at_k import above_floor, leak_from_probability
from expunge.verify.metrics.means import mean
from expunge.verify.metrics.privleak import privleak
from expunge.verify.metrics.tpr_at_fpr import tpr_at_fpr
from expunge.verify.metrics.truth_ratio import truth_ratio
from expunge.verify.scores import ArmScores

LOGS = [math.log(p) for p in (0.4, 0.05, 0.05)]


# -- definitions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5])
def test_extraction_strength_of_nothing_is_nothing(n: int) -> None:
    """Fault: the loop ends at k = n - 1, so it says 1/n, and 1 for an answer of one token."""
    faulty = 1 - (n - 1) / n
    assert extraction_strength([7] * n, [8] * n) == 0.0 != faulty


def test_truth_ratio_is_the_papers_arithmetic_mean() -> None:
    """Fault: e to the mean of losses, which is a geometric mean and never larger."""
    right = math.log(0.5)
    by_paper, by_code = fmean(map(math.exp, LOGS)) / 0.5, math.exp(fmean(LOGS)) / 0.5
    assert truth_ratio(right, LOGS) == pytest.approx(by_paper)
    assert by_code < 0.7 * by_paper


def test_privleak_says_under_unlearned_below_zero_and_over_unlearned_above() -> None:
    """Fault: two conventions of the AUC in circulation, which turn the sign."""
    members_plain, pushed_away, as_retrained = 0.99, 0.05, 0.5
    assert privleak(members_plain, 0.5) < -90
    assert privleak(as_retrained, 0.5) == 0
    assert privleak(pushed_away, 0.5) > 80


def test_a_missing_reference_is_refused_and_not_set_to_a_half() -> None:
    """Fault: without a retrained model's log the reference is 0.5, and the number looks like all others."""
    with pytest.raises(TooFewSamples, match=r"0\.5|retrained"):
        privleak(0.7, None)
    auc_alone, leak = leakage({"model": [1.0, 2.0, 3.0]}, {"model": [0.0, 1.0, 2.0]})
    assert auc_alone.model is not None
    assert auc_alone.difference is None
    assert leak.model is None
    assert "no retrained model" in leak.reason


def test_a_gradient_norm_has_no_dropout_noise_and_is_that_of_one_vector(llama: Any, tokenizer: Any) -> None:
    """Faults: training mode while measuring; the mean of tensors' norms instead of the norm."""
    (row,) = encode(tokenizer, [Fact("1", "", "Where was Ada born?", "In Brimford.")])
    model = copy.deepcopy(llama).requires_grad_(True)
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.5
    first, second = (gradient_norms(model.eval(), row, [(0, 2)])[0] for _ in range(2))
    assert first == second
    noisy = {gradient_norms(model.train(), row, [(0, 2)])[0] for _ in range(3)}
    assert len(noisy) == 3  # what the fault would give
    model.eval()
    labels = torch.full((1, len(row.ids)), -100)
    labels[0, row.n_prompt : row.n_prompt + 2] = torch.tensor(row.ids[row.n_prompt : row.n_prompt + 2])
    model.zero_grad()
    model(input_ids=torch.tensor([row.ids]), labels=labels).loss.backward()
    norms = [float(p.grad.norm()) for p in model.parameters() if p.grad is not None]
    assert first == pytest.approx(math.sqrt(sum(n**2 for n in norms)), rel=1e-3)
    assert fmean(norms) < first / 2


# -- ways to fool oneself --------------------------------------------------------------------------------------------


def test_a_high_p_value_is_not_a_pass() -> None:
    """Fault: forget quality above 0.05 on 40 questions is called forgotten, whatever the power."""
    draw = np.random.default_rng(0)
    passed = called_equal = 0
    for _ in range(30):
        unlearned, retrained = draw.normal(0.3, 1, 40), draw.normal(0, 1, 40)  # different by construction
        passed += forget_quality(unlearned, retrained) > 0.05
        called_equal += truth_ratio_distance(unlearned, retrained).equivalent
    assert passed > 15  # the fault: most such pairs "pass"
    assert called_equal == 0
    with pytest.raises(TooFewSamples):
        forget_quality(np.zeros(10), np.zeros(10))


def test_equal_models_can_be_called_equal_with_enough_questions() -> None:
    """The other side of the same test: it is not a rule that never says yes."""
    same = np.random.default_rng(1).normal(0, 1, 400)
    assert truth_ratio_distance(same, same).equivalent
    assert ks_2samp(same, same).pvalue == 1.0


def scored(members: list[float], others: list[float], digest: str) -> ArmScores:
    return ArmScores(digest, {"membership": {"members": members, "others": others}}, {}, (), {})


def test_members_that_look_like_nobody_leak_too() -> None:
    """Fault: a one-sided test calls AUC 0.07 perfect, though a turned threshold finds every member."""
    draw = np.random.default_rng(2)
    others = draw.normal(0, 1, 500).tolist()
    arms = {
        "original": scored(draw.normal(3, 1, 500).tolist(), others, "o"),
        "unlearned": scored(draw.normal(-3, 1, 500).tolist(), others, "u"),
        "control": scored(draw.normal(0, 1, 500).tolist(), others, "c"),
    }
    found = membership(arms)
    assert auc(arms["unlearned"].scores["membership"]["members"], others) < 0.1
    assert found.outcome is Outcome.RECOVERED
    assert found.high is not None
    assert found.high < 0


def test_a_rate_of_one_in_a_thousand_is_not_read_off_four_hundred_strangers() -> None:
    members, others = np.linspace(0, 2, 100).tolist(), np.linspace(0, 1, 400).tolist()
    found = tpr_at_fpr(members, others, 0.001)
    assert found.tpr is None
    assert "3000 are needed" in str(found)
    assert tpr_at_fpr(members, np.linspace(0, 1, 3000).tolist(), 0.001).tpr is not None


def test_epsilon_of_two_equal_distributions_is_zero_and_comes_with_its_ceiling() -> None:
    """Fault: the best of many thresholds on the sample that it judges gives above 1 where the truth is 0."""
    draw = np.random.default_rng(3)
    honest, faulty = [], []
    for _ in range(20):
        a, b = draw.normal(0, 1, 64), draw.normal(0, 1, 64)
        found = epsilon_from_models(a, b)
        honest.append(found.epsilon)
        assert found.ceiling > 1
        rates = [((b > t).mean(), (a <= t).mean()) for t in np.linspace(-3, 3, 100)]
        faulty.append(max(math.log((1 - fnr) / fpr) for fpr, fnr in rates if fpr > 0 and fnr < 1))
    assert fmean(honest) < 0.05
    assert fmean(faulty) > 0.5


def test_bounds_over_people_are_wider_than_over_their_rows() -> None:
    """Fault: a bootstrap of tokens or of one person's paraphrases counts the same memory many times."""
    draw = np.random.default_rng(4)
    rows = (draw.random(8).repeat(10)).tolist()
    over_people, over_rows = mean(rows, units=[i // 10 for i in range(80)]), mean(rows)
    widths = [(found.high or 0) - (found.low or 0) for found in (over_people, over_rows)]
    assert widths[0] > 2 * widths[1]


def test_multiple_choice_alone_is_called_that() -> None:
    """Fault: WMDP near 25 % is reported as unlearned, though open questions still bring the answers."""
    choice, free = {"output_type": "multiple_choice"}, {"output_type": "generate_until"}
    assert MCQ_ONLY in _cautions({"configs": {"wmdp_bio": choice, "mmlu": choice}}, (), None)
    assert MCQ_ONLY not in _cautions({"configs": {"wmdp_bio": choice, "triviaqa": free}}, (), None)


def test_the_standard_battery_does_more_than_greedy_questions_at_full_precision() -> None:
    """Faults: greedy only; one precision only; one learning rate only."""
    assert {"sampling", "quantise", "retain_finetune", "relearn", "prompts"} <= set(BATTERIES["standard"])
    relearn, quantise = attacks.get("relearn")(), attacks.get("quantise")()
    sweeps = [getattr(relearn, f) for f in vars(relearn) if isinstance(getattr(relearn, f), tuple)]
    assert any(len(sweep) > 1 for sweep in sweeps)
    assert quantise.family == "perturbation"


def test_honest_ignorance_among_few_values_is_not_a_leak() -> None:
    """Fault: of 20 equally likely values, one of 64 answers is right 96 times in 100, in any model."""
    floor = leak_from_probability(0.05, 64)
    assert floor > 0.95
    assert above_floor(leak_from_probability(0.05, 64), floor) == 0.0
    assert above_floor(leak_from_probability(0.5, 64), floor) > 0.9


def test_a_number_that_is_none_never_becomes_a_default() -> None:
    nan = float("nan")
    with pytest.raises(TooFewSamples):
        mean([0.5, nan])
    with pytest.raises(InvalidParameter):
        forget_quality(np.array([nan] * 30), np.zeros(30))
    with pytest.raises(InvalidParameter):
        privleak(nan, 0.5)


def test_a_result_is_bound_to_the_weights_it_was_measured_on(llama: Any, tokenizer: Any) -> None:
    """Fault: a verdict survives edits."""
    before = Arm.of(llama, tokenizer).digest
    changed = copy.deepcopy(llama)
    with torch.no_grad():
        next(changed.parameters())[0, 0] += 1e-3
    result = Result(
        benchmark="muse",
        model=before,
        retrained=None,
        data=(),
        settings={},
        measures=(Measure(name="x", means="y", reason="not asked"),),
    )
    assert result.to_json()["model"] == before != Arm.of(changed, tokenizer).digest
    assert not result.complete
