"""Every metric beside an independent implementation, or a case worked by hand. A metric without a case here fails."""

import copy
import itertools
import math
import random
import zlib
from collections import Counter
from collections.abc import Callable
from pkgutil import iter_modules
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from rouge_score import rouge_scorer
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from expunge.core import Fact
from expunge.engine import collate, encode, rows_logp, token_logp
from expunge.verify import metrics
from expunge.verify.metrics import (
    auc,
    auc_interval,
    calibration,
    drift,
    epsilon_lower_bound,
    exact_memorization,
    extraction_strength,
    fluency,
    forget_quality,
    gradient_norm,
    leak_at_k,
    means,
    min_k_plus_plus,
    model_utility,
    privleak,
    probability,
    recall,
    refusals,
    repetition,
    rouge_l,
    toxicity,
    tpr_at_fpr,
    truth_ratio,
    zlib_score,
)

NO_METRIC = {"finite"}
CASES: dict[str, Callable[..., None]] = {}


def case(function: Callable[..., None]) -> Callable[..., None]:
    CASES[function.__name__] = function
    return function


def sides(seed: int, n: int = 60, m: int = 90) -> tuple[list[float], list[float]]:
    """Scores of members and others, some of them equal."""
    draw = np.random.default_rng(seed)
    return draw.normal(0.5, 1, n).round(1).tolist(), draw.normal(0, 1, m).round(1).tolist()


def labelled(members: list[float], others: list[float]) -> tuple[list[int], list[float]]:
    return [1] * len(members) + [0] * len(others), members + others


def tokens(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(12, 9, generator=generator, dtype=torch.float64), torch.randint(0, 9, (12,), generator=generator)


@case
def auc_() -> None:
    for seed in range(20):
        assert auc.auc(*sides(seed)) == pytest.approx(roc_auc_score(*labelled(*sides(seed))))


@case
def auc_interval_() -> None:
    """DeLong's variance in closed form (DeLong, DeLong, Clarke-Pearson 1988), where every fact is a unit."""
    members, others = sides(3, 200, 200)
    wins = np.sign(np.subtract.outer(members, others)) / 2 + 0.5
    half = 1.96 * math.sqrt(wins.mean(1).var(ddof=1) / 200 + wins.mean(0).var(ddof=1) / 200)
    units = [f"m{i}" for i in range(200)], [f"o{i}" for i in range(200)]
    found = auc_interval.auc_interval(auc_interval.Sample(members, others, *units))
    assert found.value == pytest.approx(wins.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@case
def calibration_() -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(400)
    right = draw.random(400) < confidence
    shares, mean_confidence = calibration_curve(right, confidence, n_bins=10)
    weights = np.histogram(confidence, bins=10, range=(0, 1))[0] / 400
    by_sklearn = (weights[weights > 0] * np.abs(shares - mean_confidence)).sum()
    found = calibration.expected_calibration_error(confidence.tolist(), right.tolist(), bins=10)
    assert found == pytest.approx(by_sklearn)


@case
def drift_() -> None:
    new, old = tokens(0)[0], tokens(1)[0]
    p, q = scipy.special.softmax(new.numpy(), 1), scipy.special.softmax(old.numpy(), 1)
    np.testing.assert_allclose(drift.kl_divergence(new, old).numpy(), scipy.stats.entropy(p, q, axis=1))
    assert drift.relative_l2(new, old) == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old))
    a, b = new - new.mean(0), old - old.mean(0)
    gram = [(x @ x.T).numpy() for x in (a, b)]
    alignment = (gram[0] * gram[1]).sum() / (np.linalg.norm(gram[0]) * np.linalg.norm(gram[1]))
    assert drift.linear_cka(new, old) == pytest.approx(alignment)


@case
def epsilon_lower_bound_() -> None:
    """P(at least v of 200 right) under the binomial of Steinke et al., solved for epsilon by scipy."""
    for right in (120, 140, 160, 180):
        q = scipy.stats.binomtest(right, 200).proportion_ci(0.9, "exact").low  # one-sided 95 %
        found = epsilon_lower_bound.epsilon_lower_bound(right, 200, 200, delta=0.0)
        assert found.epsilon == pytest.approx(math.log(q / (1 - q)), abs=1e-6)


@case
def exact_memorization_() -> None:
    assert exact_memorization.exact_memorization([1, 5, 3, 4], [1, 2, 3, 4]) == np.mean([True, False, True, True])


@case
def extraction_strength_() -> None:
    """The smallest k after which the rest is right, by trying every k."""
    draw = random.Random(0)
    for _ in range(200):
        n = draw.randint(1, 8)
        guessed, labels = ([draw.randint(0, 1) for _ in range(n)] for _ in range(2))
        k = next(k for k in range(n + 1) if guessed[k:] == labels[k:])
        assert extraction_strength.extraction_strength(guessed, labels) == pytest.approx(1 - k / n)


@case
def fluency_() -> None:
    words = ["the", "cat", "saw", "the", "dog", "and", "the", "cat", "saw", "a", "bird"]
    entropies = {
        n: scipy.stats.entropy(list(Counter(zip(*(words[i:] for i in range(n)), strict=False)).values()), base=2)
        for n in (2, 3)
    }
    assert fluency.ngram_entropy(" ".join(words)) == pytest.approx((2 / 3 * entropies[2] + 4 / 3 * entropies[3]) / 2)


@case
def forget_quality_() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random(80), draw.random(80) ** 1.5
    theirs = scipy.stats.ks_2samp(a, b)
    assert forget_quality.forget_quality(a, b) == pytest.approx(theirs.pvalue)
    assert forget_quality.truth_ratio_distance(a, b).value == pytest.approx(theirs.statistic)
    by_hand = max(abs((a <= x).mean() - (b <= x).mean()) for x in np.concatenate([a, b]))
    assert by_hand == pytest.approx(theirs.statistic)


@case
def gradient_norm_(llama: Any, tokenizer: Any) -> None:
    """One backward pass over all parameters as one vector."""
    (row,) = encode(tokenizer, [Fact("1", "", "Where was Ada born?", "In Brimford.")])
    llama = copy.deepcopy(llama).requires_grad_(True)
    (found,) = gradient_norm.gradient_norms(llama, row, [(0, len(row.ids) - row.n_prompt)])
    labels = torch.full((1, len(row.ids)), -100)
    labels[0, row.n_prompt :] = torch.tensor(row.ids[row.n_prompt :])
    llama.zero_grad()
    llama(input_ids=torch.tensor([row.ids]), labels=labels).loss.backward()
    whole = torch.cat([p.grad.reshape(-1) for p in llama.parameters()])
    llama.zero_grad()
    assert found == pytest.approx(float(whole.norm()), rel=1e-4)


@case
def leak_at_k_() -> None:
    """The best of every possible draw of k among n, averaged."""
    scores = [0.0, 0.2, 1.0, 0.0, 0.7, 0.2]
    for k in range(1, 7):
        best = [max(draw) for draw in itertools.combinations(scores, k)]
        assert leak_at_k.leak_at_k(scores, k) == pytest.approx(fmean(best))


@case
def means_() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random(100), draw.random(100)
    theirs = scipy.stats.bootstrap((a,), np.mean, confidence_level=0.9, method="percentile", rng=1)
    found = means.mean(a.tolist())
    assert found.value == pytest.approx(a.mean())
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)
    assert means.difference(a.tolist(), b.tolist()).value == pytest.approx((a - b).mean())
    assert means.ratio(a.tolist(), b.tolist()).value == pytest.approx(a.mean() / b.mean())
    exact = scipy.stats.binomtest(0, 29).proportion_ci(0.9, "exact")
    assert means.mean([0.0] * 29).high == pytest.approx(exact.high)


@case
def min_k_plus_plus_() -> None:
    logits, labels = tokens(4)
    p = scipy.special.softmax(logits.numpy(), axis=1)
    mean = (p * np.log(p)).sum(1)
    sd = np.sqrt((p * np.log(p) ** 2).sum(1) - mean**2)
    z = (np.log(p[np.arange(12), labels.numpy()]) - mean) / sd
    found = min_k_plus_plus.token_scores(logits, labels)
    np.testing.assert_allclose(found.numpy(), z)
    assert min_k_plus_plus.lowest_share(found, 0.4) == pytest.approx(np.sort(z)[: int(12 * 0.4)].mean())


@case
def model_utility_() -> None:
    values = [0.9, 0.5, 0.7, 0.6, 0.8, 0.4, 0.95, 0.3, 0.55]
    assert model_utility.model_utility(values) == pytest.approx(9 / sum(1 / v for v in values))
    assert model_utility.model_utility(values) == pytest.approx(scipy.stats.hmean(values))


@case
def privleak_() -> None:
    """MUSE's own formula, with its own AUC: that of held-out texts scoring above forgotten ones."""
    (forgotten, held_out), (again, others) = sides(5), sides(6)
    theirs = [roc_auc_score(*labelled(out, gone)) for gone, out in ((forgotten, held_out), (again, others))]
    by_muse = (theirs[0] - theirs[1]) / theirs[1] * 100
    found = privleak.privleak(auc.auc(forgotten, held_out), auc.auc(again, others))
    assert found == pytest.approx(by_muse)


@case
def probability_() -> None:
    assert probability.probability([math.log(0.5), math.log(0.2)]) == pytest.approx(scipy.stats.gmean([0.5, 0.2]))
    assert probability.share_of_options(0.3, [0.1, 0.2]) == pytest.approx(0.5)


@case
def recall_() -> None:
    fact = Fact("1", "Ada", "Where?", "Ada was born in Brimford.", "Brimford")
    assert [recall.recall(said, fact) for said in ("in BRIMFORD!", "in Askel", "")] == [1.0, 0.0, 0.0]


@case
def refusals_() -> None:
    said = ["I don’t know.", "In Brimford.", "Pass", "pass!", "PASS."]
    assert [refusals.is_refusal(s) for s in said] == [True, False, False, False, False]
    assert refusals.most_repeated(said, [True, False, True, True, True]) == "pass"


@case
def repetition_() -> None:
    words = ["a", "b", "a", "b", "a", "b", "c"]
    pairs = list(itertools.pairwise(words))
    assert repetition.repeated_share(" ".join(words), n=2) == pytest.approx(1 - len(set(pairs)) / len(pairs))


@case
def rouge_l_() -> None:
    scorer, draw = rouge_scorer.RougeScorer(["rouge1", "rougeL"], use_stemmer=False), random.Random(1)
    words = ["Ada", "was", "born", "in", "Brimford", "1907", "well-known", "É"]
    for _ in range(100):
        said, true = (" ".join(draw.choices(words, k=draw.randint(0, 8))) for _ in range(2))
        theirs = scorer.score(true, said)
        assert rouge_l.rouge_l_recall(said, true) == pytest.approx(theirs["rougeL"].recall)
        assert rouge_l.rouge_l_f1(said, true) == pytest.approx(theirs["rougeL"].fmeasure)
        assert rouge_l.rouge_1_recall(said, true) == pytest.approx(theirs["rouge1"].recall)


@case
def toxicity_() -> None:
    found = toxicity.toxicity(list("abcde"), lambda texts: [0.1, 0.5, 0.9, 0.2, 0.3])
    assert (found.score.value, found.above.value) == pytest.approx((0.4, 0.4))


@case
def tpr_at_fpr_() -> None:
    members, others = sides(7, 300, 400)
    fpr, tpr, _ = roc_curve(*labelled(members, others), drop_intermediate=False)
    by_sklearn = tpr[fpr <= 0.01 + 1e-12].max()
    assert tpr_at_fpr.tpr_at_fpr(members, others, 0.01).tpr == pytest.approx(by_sklearn)


@case
def truth_ratio_() -> None:
    """TOFU's formula on plain probabilities: P^(1/length) of wrong answers, averaged, over that of the right one."""
    right, wrong = (0.3**4, 4), [(0.1**3, 3), (0.2**5, 5)]
    by_paper = fmean(p ** (1 / n) for p, n in wrong) / right[0] ** (1 / right[1])
    logs = [math.log(p) / n for p, n in (right, *wrong)]
    assert truth_ratio.truth_ratio(logs[0], logs[1:]) == pytest.approx(by_paper)
    assert truth_ratio.truth_ratio(logs[0], logs[1:], mean="geometric") == pytest.approx(math.sqrt(0.1 * 0.2) / 0.3)
    assert (truth_ratio.closeness_to_one(by_paper), truth_ratio.truthfulness(by_paper)) == pytest.approx((0.5, 0.5))


@case
def zlib_score_() -> None:
    text = "Ada was born in Brimford. " * 3
    assert zlib_score.zlib_score(-1.5, text) == pytest.approx(-1.5 / len(zlib.compress(bytes(text, "utf-8"))))


@pytest.mark.parametrize("name", sorted(CASES))
def test_parity(name: str, request: pytest.FixtureRequest) -> None:
    function = CASES[name]
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    function(**{fixture: request.getfixturevalue(fixture) for fixture in wanted})


def test_every_metric_has_its_case() -> None:
    files = {m.name for m in iter_modules(metrics.__path__)} - NO_METRIC
    assert files == {name.removesuffix("_") for name in CASES}


def test_padding_and_batch_change_no_score(llama: Any, tokenizer: Any) -> None:
    """A row alone and a row beside longer ones have the same log-probabilities."""
    facts = [Fact(str(i), "", "Where was Ada born?", "In Brimford" + " by the sea" * i) for i in range(4)]
    rows = encode(tokenizer, facts)
    together = rows_logp(llama, rows, 0, batch_size=4)
    for row, logp in zip(rows, together, strict=True):
        with torch.no_grad():
            alone, _ = token_logp(llama, collate([row]))
        assert logp == pytest.approx(alone.tolist(), abs=1e-5)
