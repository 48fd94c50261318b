"""Every per-question score of TOFU for one model, from one teacher-forced pass and one greedy answer a question."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from expunge.core import Fact
from expunge.engine import AnswerStats, encode, greedy_answers, one_pass, pad_id
from expunge.verify.battery import Arm
from expunge.verify.benchmarks._tofu_data import Question, TofuData
from expunge.verify.metrics.exact_memorization import exact_memorization
from expunge.verify.metrics.extraction_strength import extraction_strength
from expunge.verify.metrics.min_k_plus_plus import lowest_share
from expunge.verify.metrics.probability import probability, share_of_options
from expunge.verify.metrics.rouge_l import rouge_l_recall
from expunge.verify.metrics.truth_ratio import truth_ratio
from expunge.verify.metrics.zlib_score import zlib_score

Scores = dict[str, list[float]]
ATTACKS = ("loss", "zlib", "min_k", "min_k_plus_plus")
_VARIANCE = 1e-6  # of log p, below which Min-K%++ takes it for this (open-unlearning)


def tofu_scores(arm: Arm, data: TofuData, mean: str, k: float, answer_tokens: int, shards: int = 1) -> Scores:
    """Name -> one score per question. Truth ratios are R itself; membership scores are higher for likelier members.

    Probabilities count the end of text as a token, memorisation and membership do not, as in open-unlearning.
    """
    return read_scores(arm, data, mean, k, shards) | said_scores(arm, data, answer_tokens)


def read_scores(arm: Arm, data: TofuData, mean: str, k: float, shards: int = 1) -> Scores:
    """All scores of given answers, each question and answer read once whatever asks for it."""
    read, found = _read(arm, data, shards), Scores()
    for name, group in data.sets.items():
        stats = [{a: read[q.question, a] for a in (q.answer, q.right, *q.wrong)} for q in group]
        found[f"{name}_probability"] = [_probability(name, q, s) for q, s in zip(group, stats, strict=True)]
        found[f"{name}_truth_ratio"] = [_truth_ratio(q, s, mean) for q, s in zip(group, stats, strict=True)]
    forget = [read[q.question, q.answer].without_end() for q in data.sets["forget"]]
    guesses = [s.greedy_T.tolist() for s in forget]
    found["extraction_strength"] = [extraction_strength(g, [True] * len(g)) for g in guesses]
    found["exact_memorization"] = [exact_memorization(g, [True] * len(g)) for g in guesses]
    for side, group in (("forget", data.sets["forget"]), ("holdout", data.holdout)):
        attacked = [_membership(read[q.question, q.answer], q.answer, k) for q in group]
        found.update({f"{side}_{attack}": [a[attack] for a in attacked] for attack in ATTACKS if attacked})
    return found


def said_scores(arm: Arm, data: TofuData, answer_tokens: int) -> Scores:
    """All scores of the model's own greedy answers, each question answered once."""
    questions = list(dict.fromkeys(q.question for part in data.sets.values() for q in part))
    replies = dict(zip(questions, greedy_answers(arm.model, arm.tokenizer, questions, answer_tokens), strict=True))
    return {
        f"{name}_rouge": [rouge_l_recall(replies[q.question], q.answer) for q in group]
        for name, group in data.sets.items()
    }


def _read(arm: Arm, data: TofuData, shards: int) -> dict[tuple[str, str], AnswerStats]:
    """(question, answer) -> its tokens' statistics, each pair read once whatever asks for it."""
    group = [q for part in (*data.sets.values(), data.holdout) for q in part]
    pairs = list(dict.fromkeys((q.question, a) for q in group for a in (q.answer, q.right, *q.wrong)))
    rows = encode(arm.tokenizer, [Fact(str(i), "", question, answer) for i, (question, answer) in enumerate(pairs)])
    return dict(zip(pairs, one_pass(arm.model, rows, pad_id(arm.tokenizer), shards=shards), strict=True))


def _probability(name: str, q: Question, stats: Mapping[str, AnswerStats]) -> float:
    """Of the answer; where there are options to choose from, its share among them."""
    own = probability(_list(stats[q.answer].logp_T))
    if name in ("forget", "retain"):
        return own
    return share_of_options(own, [probability(_list(stats[a].logp_T)) for a in q.wrong])


def _truth_ratio(q: Question, stats: Mapping[str, AnswerStats], mean: str) -> float:
    def logp(answer: str) -> float:
        return float(np.mean(stats[answer].logp_T, dtype=np.float64))

    return truth_ratio(logp(q.right), [logp(a) for a in q.wrong], mean)


def _membership(stats: AnswerStats, answer: str, k: float) -> dict[str, float]:
    whole, stats = stats.logp_T, stats.without_end()
    loss = float(np.mean(whole, dtype=np.float64))
    z_T = (stats.logp_T - stats.mean_T) / np.sqrt(np.maximum(stats.std_T**2, _VARIANCE))
    lowest = [lowest_share(torch.from_numpy(x), k) for x in (stats.logp_T, z_T)]
    return dict(zip(ATTACKS, (loss, zlib_score(loss, answer), *lowest), strict=True))


def _list(values_T: NDArray[np.float32]) -> Sequence[float]:
    return [float(x) for x in values_T]
