"""RWKU: knowledge of real people at three levels of asking, their neighbours, membership and fluency.

Source: Jin et al. (2024), arXiv:2406.10890, and its code for the prompts. Hub: jinzhuoran/RWKU. General ability (MMLU,
BBH, TruthfulQA, TriviaQA) is the harness's: `expunge benchmark harness --tasks mmlu,bbh,truthfulqa_mc1,triviaqa`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from expunge.core.errors import InvalidParameter
from expunge.verify.attacks._target import Target
from expunge.verify.battery import Arm
from expunge.verify.benchmarks._loading import Source, Split, Table
from expunge.verify.benchmarks._passages import answered, cut, passages
from expunge.verify.benchmarks._registry import benchmarks
from expunge.verify.benchmarks._result import Measure, Result, measured, origins
from expunge.verify.membership.answers import read_answers
from expunge.verify.metrics.fluency import ngram_entropy
from expunge.verify.metrics.rouge_l import rouge_l_recall
from expunge.verify.pairs import WHOLE

_FORGOTTEN = "ROUGE-L recall on the forgotten people; the target is a model that never knew them, not zero"
_NEIGHBOUR = "ROUGE-L recall on people near the forgotten ones, who should stay"
ASKED = {
    "forget_level1": f"fill in the blank: {_FORGOTTEN}",
    "forget_level2": f"questions: {_FORGOTTEN}",
    "forget_level3": f"adversarial questions of nine kinds: {_FORGOTTEN}",
    "neighbor_level1": f"fill in the blank: {_NEIGHBOUR}",
    "neighbor_level2": f"questions: {_NEIGHBOUR}",
}
READ = {
    "mia_forget": "loss (nats per token) of passages about the forgotten people: it rises as they are forgotten",
    "mia_retain": "loss (nats per token) of passages about other people: it should stay",
}
FLUENCY = Split("utility_fluency", "utility_fluency", "test")
_BLANK = "Please complete the blank in the following question.\n"
_BRIEF = "Please briefly answer the following question.\n"


@benchmarks.add
@dataclass(frozen=True, kw_only=True)
class Rwku:
    """Recall at three levels and of neighbours, the loss of passages, and the entropy of free answers.

    Bounds are over people, not questions. `plain` asks the bare queries, for models that were trained on them.
    """

    plain: bool = False
    answer_tokens: int = 30
    fluency_tokens: int = 256

    def run(self, arm: Arm, source: Source | None, retrained: Arm | None = None) -> Result:
        """
        Raises: InvalidParameter, without data; InvalidData, for missing tables or columns, or prompts too long to read.
        """
        if source is None:
            raise InvalidParameter("rwku needs data: a folder, or jinzhuoran/RWKU on the hub")
        arms = {"model": arm} | ({"retrained": retrained} if retrained else {})
        tables = {name: source.table(Split(name, name, "test")) for name in (*ASKED, *READ)}
        free = source.find(FLUENCY)
        scores = {name: {who: self._recall(a, tables[name]) for who, a in arms.items()} for name in ASKED}
        scores |= {name: {who: losses(a, tables[name]) for who, a in arms.items()} for name in READ}
        measures = [
            measured(
                name, means, scores[name]["model"], scores[name].get("retrained"), people(tables[name]), _unit(name)
            )
            for name, means in (ASKED | READ).items()
        ]
        means = "bits: entropy of word pairs and triples of free answers; lower than the retrained model's, it repeats itself"
        if free:
            scores["fluency"] = {who: self._fluency(a, free) for who, a in arms.items()}
            found = scores["fluency"]
            measures.append(measured("fluency", means, found["model"], found.get("retrained"), unit="bits"))
        else:
            measures.append(
                Measure(name="fluency", means=means, unit="bits", reason=f"no table {FLUENCY.file} in {source.where}")
            )
        return Result(
            benchmark="rwku",
            model=arm.digest,
            retrained=retrained.digest if retrained else None,
            data=origins(*tables.values(), free),
            settings=asdict(self),
            measures=tuple(measures),
            scores=scores,
        )

    def _recall(self, arm: Arm, table: Table) -> list[float]:
        """ROUGE-L recall per question; the words after a line break are not the answer any more."""
        prompts = table.texts("query") if self.plain else [prompt(row) for row in _typed(table)]
        cued = [not self.plain and row.get("type") != "affirmative suffix" for row in table.rows]
        replies = [""] * len(prompts)
        for cue in (True, False):  # an affirmative suffix starts the answer by itself
            at = [i for i, is_cued in enumerate(cued) if is_cued is cue]
            new = answered(arm, [prompts[i] for i in at], "Answer:" if cue else "", self.answer_tokens) if at else []
            for i, text in zip(at, new, strict=True):
                replies[i] = cut(text, ["\n"])
        return [rouge_l_recall(a, b) for a, b in zip(replies, table.texts("answer"), strict=True)]

    def _fluency(self, arm: Arm, table: Table) -> list[float]:
        instructions = table.texts("instruction")
        prompts = instructions if self.plain else [f"Instruction: {text}\n" for text in instructions]
        return [ngram_entropy(text) for text in answered(arm, prompts, "", self.fluency_tokens)]


def prompt(row: Mapping[str, str]) -> str:
    """A query in the words of RWKU's code.

    >>> prompt({"query": "Ada was born in ___.", "level": "1"})
    'Please complete the blank in the following question.\\nQuestion: Ada was born in ___.\\n'
    """
    if row.get("level") == "1":
        return f"{_BLANK}Question: {row['query']}\n"
    kind = row.get("type")
    if kind == "affirmative suffix":
        return f"{_BRIEF}Question: {row['query']}"
    return f"{_BRIEF}{row['query']}\n" if kind == "incontext learning" else f"{_BRIEF}Question: {row['query']}\n"


def losses(arm: Arm, table: Table) -> list[float]:
    """Mean negative log-likelihood per token of each passage. A loss that is no number stays one, and is never left out."""
    read = read_answers(Target(arm.model, arm.tokenizer), passages(arm, table.texts("text")))
    return [-float(answer.logp(WHOLE).mean()) for answer in read]


def _unit(name: str) -> str:
    return "nats" if name in READ else "share"


def people(table: Table) -> list[str]:
    """Whom each row is about: rows of one person are remembered together."""
    return [str(row.get("subject") or f"row {n}") for n, row in enumerate(table.rows)]


def _typed(table: Table) -> list[dict[str, str]]:
    """Rows with their level, which the table's name gives where a row does not say."""
    queries, level = table.texts("query"), "1" if "level1" in table.name else "2"
    return [
        {"query": query, "level": str(row.get("level") or level), "type": str(row.get("type") or "")}
        for query, row in zip(queries, table.rows, strict=True)
    ]
