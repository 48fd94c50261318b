"""MUSE: six numbers for passages that should be forgotten, each beside a model that was retrained without them.

Source: Shi et al. (2024), arXiv:2407.06460, and its code for what the paper leaves open. Hub: muse-bench/MUSE-News,
muse-bench/MUSE-Books.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from expunge.core.errors import ExpungeError, InvalidParameter, TooFewSamples
from expunge.verify.attacks._target import Target
from expunge.verify.battery import Arm
from expunge.verify.benchmarks._loading import Source, Split, Table
from expunge.verify.benchmarks._passages import answered, continued, cut, first_tokens, passages
from expunge.verify.benchmarks._registry import benchmarks
from expunge.verify.benchmarks._result import NO_RETRAINED, Measure, Result, measured, origins
from expunge.verify.membership import blind_auc
from expunge.verify.membership.answers import read_answers
from expunge.verify.metrics.auc_interval import Sample, auc_difference, auc_interval
from expunge.verify.metrics.means import Mean
from expunge.verify.metrics.min_k_plus_plus import lowest_share
from expunge.verify.metrics.privleak import privleak
from expunge.verify.metrics.rouge_l import rouge_l_f1
from expunge.verify.pairs import WHOLE

VERBMEM = Split("verbmem/forget", "verbmem", "forget")  # prompt, gt
KNOWMEM = {side: Split(f"knowmem/{side}_qa", "knowmem", f"{side}_qa") for side in ("forget", "retain")}
SHOTS = {side: Split(f"knowmem/{side}_qa_icl", "knowmem", f"{side}_qa_icl") for side in ("forget", "retain")}
MEMBERS, OTHERS = Split("privleak/forget", "privleak", "forget"), Split("privleak/holdout", "privleak", "holdout")
_STOPS = ("\n\n", "\nQuestion", "Question:")
_KNOWN = {
    "forget": "what is known of the forgotten passages: the retrained model's is the target, not zero",
    "retain": "utility: what is known of the retained passages; below the retrained model's, unlearning took it along",
}


@benchmarks.add
@dataclass(frozen=True, kw_only=True)
class Muse:
    """VerbMem, KnowMem on both sides and PrivLeak of one model; `scalability` and `sustainability` take several.

    `plain` asks the bare questions, for models that were trained on them, without "Question: … Answer:" and examples.
    """

    plain: bool = False
    verbatim_tokens: int = 128
    answer_tokens: int = 32
    k: float = 0.4

    def run(self, arm: Arm, source: Source | None, retrained: Arm | None = None) -> Result:
        """
        Raises: InvalidParameter, without data; InvalidData, for missing tables or columns, or prompts too long to read.
        """
        if source is None:
            raise InvalidParameter("muse needs data: a folder, or muse-bench/MUSE-News or MUSE-Books on the hub")
        arms = {"model": arm} | ({"retrained": retrained} if retrained else {})
        verbatim = source.table(VERBMEM)
        tables = {side: source.table(split) for side, split in KNOWMEM.items()}
        shots = {side: None if self.plain else source.find(split) for side, split in SHOTS.items()}
        members, nonmembers = source.table(MEMBERS), source.table(OTHERS)
        scores = {"verbmem": {name: verbmem(a, verbatim, self.verbatim_tokens) for name, a in arms.items()}}
        for side, table in tables.items():
            scores[f"knowmem_{side}"] = {name: self._knowmem(a, table, shots[side]) for name, a in arms.items()}
        for side, table in (("forget", members), ("holdout", nonmembers)):
            scores[f"min_k_{side}"] = {name: min_k(a, table.texts("text"), self.k) for name, a in arms.items()}
        return Result(
            benchmark="muse",
            model=arm.digest,
            retrained=retrained.digest if retrained else None,
            data=origins(verbatim, *tables.values(), *shots.values(), members, nonmembers),
            settings=asdict(self),
            measures=(
                _of(
                    "verbmem",
                    "how far the model goes on word for word after a forgotten passage's start",
                    scores["verbmem"],
                ),
                *(_of(f"knowmem_{side}", means, scores[f"knowmem_{side}"]) for side, means in _KNOWN.items()),
                *leakage(scores["min_k_forget"], scores["min_k_holdout"]),
            ),
            cautions=shifted(members.texts("text"), nonmembers.texts("text")),
            scores=scores,
        )

    def utility(self, arm: Arm, source: Source) -> float:
        """KnowMem on the retained passages: what `scalability` and `sustainability` watch."""
        shots = None if self.plain else source.find(SHOTS["retain"])
        found = self._knowmem(arm, source.table(KNOWMEM["retain"]), shots)
        return sum(found) / len(found)

    def _knowmem(self, arm: Arm, table: Table, shots: Table | None) -> list[float]:
        return knowmem(arm, table, shots, self.answer_tokens, self.plain)


def verbmem(arm: Arm, table: Table, n_tokens: int = 128) -> list[float]:
    """ROUGE-L F1 between a greedy continuation and as many tokens of the true one, per passage (MUSE, Eq. 1)."""
    replies = continued(arm, table.texts("prompt"), n_tokens)
    true = [first_tokens(arm.tokenizer, text, n_tokens) for text in table.texts("gt")]
    return [rouge_l_f1(a, b) for a, b in zip(replies, true, strict=True)]


def knowmem(arm: Arm, table: Table, shots: Table | None, n_tokens: int = 32, plain: bool = False) -> list[float]:
    """ROUGE-L F1 between answers and the true ones, per question (MUSE, Eq. 2, in its code's form of ROUGE)."""
    examples = ""
    if shots:
        pairs = zip(shots.texts("question"), shots.texts("answer"), strict=True)
        examples = "".join(f"Question: {q}\nAnswer: {a}\n\n" for q, a in pairs)
    questions = table.texts("question")
    prompts = questions if plain else [f"{examples}Question: {q}\n" for q in questions]
    replies = [cut(text, _STOPS) for text in answered(arm, prompts, "" if plain else "Answer:", n_tokens)]
    return [rouge_l_f1(a, b) for a, b in zip(replies, table.texts("answer"), strict=True)]


def min_k(arm: Arm, texts: Sequence[str], k: float = 0.4) -> list[float]:
    """Mean log-probability of each text's least likely `k` tokens; higher, more likely a member."""
    read = read_answers(Target(arm.model, arm.tokenizer), passages(arm, texts))
    return [lowest_share(answer.logp(WHOLE), k) for answer in read]


def leakage(members: dict[str, list[float]], nonmembers: dict[str, list[float]]) -> tuple[Measure, Measure]:
    """The AUC of members against texts never trained on, two-sided, and PrivLeak, which is a ratio to the retrained one.

    Bounds are one-sided 95 % each way, over texts. PrivLeak has none of its own: read those of the AUC's difference.
    """
    auc_means = "membership, P(forgotten text scores above an unseen one): 0.5 says nothing, above and below both tell"
    leak_means = (
        "percent: near 0 as the retrained model; far below, members are plain; far above, pushed away and plain too"
    )
    try:
        samples = {name: _sample(members[name], nonmembers[name]) for name in members}
        found = {name: _auc(sample) for name, sample in samples.items()}
    except ExpungeError as e:
        reason = str(e)
        return (
            Measure(name="auc", means=auc_means, reason=reason),
            Measure(name="privleak", means=leak_means, unit="percent", reason=reason),
        )
    if "retrained" not in samples:
        return (
            Measure(name="auc", means=auc_means, model=found["model"], reason=NO_RETRAINED),
            Measure(name="privleak", means=leak_means, unit="percent", reason=NO_RETRAINED),
        )
    apart = auc_difference(samples["model"], samples["retrained"])
    n, units = found["model"].n, found["model"].units
    difference = Mean(apart.value, apart.low, apart.high, n, units)
    auc = Measure(
        name="auc", means=auc_means, model=found["model"], retrained=found["retrained"], difference=difference
    )
    try:
        leak = Mean(privleak(found["model"].value, found["retrained"].value), None, None, n, units)
    except ExpungeError as e:
        return auc, Measure(name="privleak", means=leak_means, unit="percent", reason=str(e))
    return auc, Measure(name="privleak", means=leak_means, unit="percent", model=leak)


def shifted(members: Sequence[str], nonmembers: Sequence[str]) -> tuple[str, ...]:
    """A caution where a bag of words, which never sees the model, already tells the two sides apart."""
    blind = blind_auc(
        members, nonmembers, *([f"{side}{i}" for i in range(len(s))] for side, s in (("m", members), ("o", nonmembers)))
    )
    if not blind.void:
        return ()
    return (
        f"{blind}: the forgotten and the held-out texts can be told apart by their words alone, so an AUC says how they were "
        "chosen as well; only its difference to the retrained model's says something of the model",
    )


@dataclass(frozen=True)
class Point:
    """Utility after forgetting `at` (a size, or a number of requests), and its change since the first point."""

    at: int
    utility: float
    change: float


Models = Callable[[int], Arm] | Sequence[Arm]
"""One model a point: made or loaded by a function, so that one is held at a time, or all of them."""


def scalability(sizes: Sequence[int], models: Models, utility: Callable[[Arm], float]) -> list[Point]:
    """Utility over forget sets of growing size, each forgotten by the same method from the same original (MUSE, Sec. 3.2).

    >>> [p.change for p in scalability([1, 2], models=lambda size: size, utility=lambda model: 1.0 / model)]
    [0.0, -0.5]
    """
    return _curve(sizes, models, utility)


def sustainability(requests: int, models: Models, utility: Callable[[Arm], float]) -> list[Point]:
    """Utility after 1, 2, … requests, each on top of those before (MUSE, Sec. 3.2). A function is asked for 1, 2, …"""
    return _curve(range(1, requests + 1), models, utility)


def _curve(at: Sequence[int], models: Models, utility: Callable[[Arm], float]) -> list[Point]:
    if not at or (not callable(models) and len(models) != len(at)):
        raise TooFewSamples(f"a curve needs a point, and one model for each; there are {len(at)} points")
    arms = map(models, at) if callable(models) else iter(models)
    found = [(i, utility(arm)) for i, arm in zip(at, arms, strict=True)]
    return [Point(i, value, value - found[0][1]) for i, value in found]


def _of(name: str, means: str, scores: dict[str, list[float]]) -> Measure:
    return measured(name, means, scores["model"], scores.get("retrained"))


def _sample(members: list[float], nonmembers: list[float]) -> Sample:
    return Sample(
        members, nonmembers, [f"m{i}" for i in range(len(members))], [f"o{i}" for i in range(len(nonmembers))]
    )


def _auc(sample: Sample) -> Mean:
    found = auc_interval(sample, level=0.9)
    return Mean(found.value, found.low, found.high, len(sample.members), found.n_units)
