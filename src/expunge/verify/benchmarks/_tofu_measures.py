"""From TOFU's per-question scores to its numbers, each beside a retrained model's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import ExpungeError
from expunge.verify.benchmarks._result import NO_RETRAINED, Measure, measured
from expunge.verify.benchmarks._tofu_data import TofuData
from expunge.verify.benchmarks._tofu_scores import ATTACKS, Scores
from expunge.verify.membership.blind import blind_auc
from expunge.verify.metrics.auc_interval import Sample, auc_difference, auc_interval
from expunge.verify.metrics.forget_quality import Distance, forget_quality, truth_ratio_distance
from expunge.verify.metrics.means import Mean, bounds
from expunge.verify.metrics.model_utility import MEASURES, SETS, model_utility
from expunge.verify.metrics.privleak import privleak
from expunge.verify.metrics.truth_ratio import closeness_to_one, truthfulness
from expunge.verify.statistics import bootstrap_weights

_ANSWER = "probability of the answer, by its length"
_OPTIONS = "probability of the answer among the options; chance is one over their number"
_EQUALLY = "truth ratio as min(R, 1/R): 1, wrong answers are as likely as the right one; near 0, they are told apart"
_TRUE = "truth ratio as max(0, 1 - R): 1, wrong answers are impossible beside the right one"
_OF_SETS: dict[str, tuple[str, str, Callable[[float], float], str]] = {
    "forget": ("forgotten authors", _ANSWER, closeness_to_one, _EQUALLY),
    "retain": ("retained authors", _ANSWER, truthfulness, _TRUE),
    "real_authors": ("real authors", _OPTIONS, truthfulness, _TRUE),
    "world_facts": ("facts of the world", _OPTIONS, truthfulness, _TRUE),
}
_MEMORISED = {
    "extraction_strength": "share of a forgotten answer that comes out once its start is given; 0 where nothing does",
    "exact_memorization": "share of a forgotten answer's tokens that the model would choose, each given those before it",
}
_UTILITY = "harmonic mean of the nine numbers about what should stay; 0 as soon as one of them is"
_QUALITY = (
    "p-value: low, the truth ratios differ from the retrained model's; high, no difference was found, which proves none"
)
_DISTANCE = (
    "largest difference D of the two distributions of truth ratios; equal is said where its upper bound is 0.10 or less"
)
_AUC = "membership, P(forgotten author's answer scores above an unseen author's): 0.5 says nothing, above and below both tell"
_LEAK = "percent: near 0 as the retrained model; far below, members are plain; far above, pushed away and plain too"
_UNSEEN = "no authors that were never trained on; add the holdout table"


def measures(data: TofuData, own: Scores, other: Scores | None) -> tuple[Measure, ...]:
    """All numbers. What could not be measured carries its reason."""
    found = [m for name in data.sets for m in _of_set(name, data, own, other)]
    found.append(_attempt("model_utility", _UTILITY, lambda: _utility(data, own, other)))
    found += _beside(data, own, other)
    found += [_plain(name, means, data, "forget", own, other) for name, means in _MEMORISED.items()]
    found += [_attempt(f"auc_{attack}", _AUC, lambda a=attack: _auc(a, data, own, other)) for attack in ATTACKS]  # type: ignore[misc]
    found.append(_attempt("privleak", _LEAK, lambda: _privleak(data, own, other), "percent"))
    return tuple(found)


def cautions(data: TofuData, own: Scores, other: Scores | None) -> tuple[str, ...]:
    """What a reader would take for more than it is."""
    return (*_not_equal(data, own, other), *_shifted(data))


def _not_equal(data: TofuData, own: Scores, other: Scores | None) -> tuple[str, ...]:
    try:
        distance = _distance(data, own, other) if other else None
    except ExpungeError:  # its measure says why
        return ()
    if distance is None or distance.equivalent:
        return ()
    return (
        f"truth ratios on {distance.n} questions: D = {distance.value:.2f}, and up to {distance.high:.2f} is not ruled out; "
        f"they count as equal up to {distance.margin:.2f}, whatever the p-value of forget quality",
    )


def _shifted(data: TofuData) -> tuple[str, ...]:
    """A bag of words, which never sees the model, must not tell the forgotten answers from the held-out ones."""
    if not data.holdout:
        return ()
    members, nonmembers = ([q.answer for q in side] for side in (data.sets["forget"], data.holdout))
    blind = blind_auc(members, nonmembers, _units(data, "forget"), _units(data, "holdout"))
    if blind.auc is not None and not blind.void:
        return ()
    return (
        f"{blind}; an AUC also says how the held-out authors were chosen where words alone tell them apart: only its "
        "difference to the retrained model's says something of the model",
    )


def _of_set(name: str, data: TofuData, own: Scores, other: Scores | None) -> list[Measure]:
    whom, probability, shown, ratio = _OF_SETS[name]
    ratios = [[shown(r) for r in s[f"{name}_truth_ratio"]] if s else None for s in (own, other)]
    return [
        _plain(f"{name}_probability", f"{whom}: {probability}", data, name, own, other),
        _plain(f"{name}_rouge", f"{whom}: ROUGE-L recall of greedy answers", data, name, own, other),
        measured(f"{name}_truth_ratio", f"{whom}: {ratio}", ratios[0] or [], ratios[1], _units(data, name)),
    ]


def _plain(name: str, means: str, data: TofuData, of: str, own: Scores, other: Scores | None) -> Measure:
    return measured(name, means, own[name], other[name] if other else None, _units(data, of))


def _units(data: TofuData, name: str) -> list[str]:
    return [q.unit for q in (data.holdout if name == "holdout" else data.sets[name])]


def _attempt(name: str, means: str, measure: Callable[[], Measure], unit: str = "share") -> Measure:
    try:
        return measure()
    except ExpungeError as e:
        return Measure(name=name, means=means, unit=unit, reason=str(e))


def _utility(data: TofuData, own: Scores, other: Scores | None) -> Measure:
    n, units = sum(len(data.sets[s]) for s in SETS), min(len(set(_units(data, s))) for s in SETS)

    def bounded(value: float, replicates_B: NDArray[np.float64], within: tuple[float, float]) -> Mean:
        low, high = bounds(value, replicates_B, units, within)
        return Mean(value, low, high, n, units)

    value, draws_B = _utilities(data, own)
    mean = bounded(value, draws_B, (0.0, 1.0))
    if other is None:
        return Measure(name="model_utility", means=_UTILITY, model=mean, reason=NO_RETRAINED)
    theirs, their_draws_B = _utilities(data, other)
    return Measure(
        name="model_utility",
        means=_UTILITY,
        model=mean,
        retrained=bounded(theirs, their_draws_B, (0.0, 1.0)),
        difference=bounded(value - theirs, draws_B - their_draws_B, (-1.0, 1.0)),
    )


def _utilities(data: TofuData, scores: Scores) -> tuple[float, NDArray[np.float64]]:
    """Model utility, and in every bootstrap sample of authors and facts, [B]; the same samples for every model."""
    means, drawn = [], []
    for name in SETS:
        weights_BN = bootstrap_weights(_units(data, name))
        for measure in MEASURES:
            values = scores[f"{name}_{measure}"]
            values_N = np.asarray([truthfulness(v) for v in values] if measure == "truth_ratio" else values)
            means.append(float(values_N.mean()))
            drawn.append(weights_BN @ values_N)
    value = model_utility(means)
    with np.errstate(divide="ignore"):
        return value, len(drawn) / (1 / np.stack(drawn)).sum(axis=0)


def _beside(data: TofuData, own: Scores, other: Scores | None) -> list[Measure]:
    """Forget quality and the distance behind it, which exist only beside a retrained model."""
    n, units = len(data.sets["forget"]), len(set(_units(data, "forget")))

    def of(name: str, means: str, unit: str, value: Callable[[Scores], Mean]) -> Measure:
        if other is None:
            return Measure(name=name, means=means, unit=unit, reason=NO_RETRAINED)
        return _attempt(name, means, lambda: Measure(name=name, means=means, unit=unit, model=value(other)), unit)

    def quality(other: Scores) -> Mean:
        return Mean(forget_quality(*_ratios(own, other)), None, None, n, units)

    def distance(other: Scores) -> Mean:
        found = _distance(data, own, other)
        return Mean(found.value, found.low, found.high, n, units)

    return [
        of("forget_quality", _QUALITY, "p-value", quality),
        of("truth_ratio_distance", _DISTANCE, "share", distance),
    ]


def _ratios(own: Scores, other: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = (np.asarray(s["forget_truth_ratio"], dtype=np.float64) for s in (own, other))
    return a, b


def _distance(data: TofuData, own: Scores, other: Scores) -> Distance:
    return truth_ratio_distance(*_ratios(own, other), units=_units(data, "forget"))


def _sample(attack: str, data: TofuData, scores: Scores) -> Sample:
    return Sample(
        scores[f"forget_{attack}"], scores.get(f"holdout_{attack}", []), _units(data, "forget"), _units(data, "holdout")
    )


def _auc(attack: str, data: TofuData, own: Scores, other: Scores | None) -> Measure:
    name, n = f"auc_{attack}", len(data.sets["forget"])
    if not data.holdout:
        return Measure(name=name, means=_AUC, reason=_UNSEEN)

    def interval(sample: Sample) -> Mean:
        found = auc_interval(sample, level=0.9)
        return Mean(found.value, found.low, found.high, n, found.n_units)

    sample = _sample(attack, data, own)
    if other is None:
        return Measure(name=name, means=_AUC, model=interval(sample), reason=NO_RETRAINED)
    reference = _sample(attack, data, other)
    apart = auc_difference(sample, reference)
    difference = Mean(apart.value, apart.low, apart.high, n, apart.n_units)
    return Measure(name=name, means=_AUC, model=interval(sample), retrained=interval(reference), difference=difference)


def _privleak(data: TofuData, own: Scores, other: Scores | None) -> Measure:
    """Of Min-K%, as MUSE defines it. It has no bounds of its own: read those of the AUC's difference."""
    if not data.holdout or other is None:
        reason = NO_RETRAINED if data.holdout else _UNSEEN
        return Measure(name="privleak", means=_LEAK, unit="percent", reason=reason)
    sample, reference = (_sample("min_k", data, s) for s in (own, other))
    leak = privleak(sample.auc, reference.auc)
    mean = Mean(leak, None, None, len(sample.members), sample.n_units)
    return Measure(name="privleak", means=_LEAK, unit="percent", model=mean)
