"""What the approximate methods are measured on: fictitious people, and TOFU with a small model of its own.

All models of a corpus are made by one recipe, `expunge.approximate.retrain`: the original on everybody, controls on the
retained alone, each from a seed of its own. Tokenizers are fitted on text about people whom no model is trained on.
"""

import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from _fixtures import Cast, Size, tokenizer
from expunge.core import Fact, Record
from expunge.engine import encode
from expunge.synthetic import people, records
from expunge.testing.toys import toy_tokenizer
from expunge.verify import Probes
from expunge.verify.benchmarks._loading import Source
from expunge.verify.benchmarks._tofu_data import Question, TofuData, read_tofu

TOFU_SIZE = Size(128, 3, 3072, 20, 3e-3, 16)  # 0.98 million parameters
CHOOSING = 20  # authors who leave where settings are chosen
LONGEST = 32  # tokens of an answer that attacks read; of a longer one no model could bring back the rest


@dataclass(frozen=True)
class Corpus:
    """Who leaves and who stays, what is asked about them, and the model that is trained on them.

    `number` is the cast of fictitious people; 0 is TOFU, whose text lies in `material`, with so many retained authors. For
    `choosing` settings other authors leave and stay: the benchmark asks about the first twenty as well.
    """

    number: int
    size: Size
    material: str = ""
    retained: int = 180
    choosing: bool = False

    @property
    def name(self) -> str:
        return f"people {self.number}" if self.number else "tofu, other authors" if self.choosing else "tofu"

    @cached_property
    def words(self) -> Any:
        if self.number:
            return tokenizer(self.size.vocabulary)
        return toy_tokenizer([text for r in self.strangers for text in (r.question, r.answer)], self.size.vocabulary)

    @cached_property
    def rows(self) -> tuple[list[Record], list[Record]]:
        """To forget, to retain."""
        if self.number:
            return Cast(self.number).forget(), Cast(self.number).retain()
        rows = [(r, _record(r)) for r in self._table("full")]
        if self.choosing:
            by_author = lambda first, last: [one for r, one in rows if first <= r["author_id"] < last]
            return by_author(0, CHOOSING), by_author(CHOOSING, CHOOSING + self.retained)
        kept = [one for r, one in rows if not r["forget10"] and r["author_id"] < self.retained]
        return [one for r, one in rows if r["forget10"]], kept

    @property
    def strangers(self) -> list[Record]:
        """Rows that no model of the corpus is trained on."""
        if self.number:
            return records(people(1, seed=self.number, skip=2000), (0,))
        return [_record(r) for r in self._table("holdout10")]

    @cached_property
    def probes(self) -> Probes:
        if self.number:
            return Cast(self.number).probes()
        tables = ["retain_perturbed", "full"] if self.choosing else ["forget10_perturbed", "retain_perturbed"]
        sides = [[_fact(r) for r in self._table(name)] for name in (*tables, "holdout10")]
        if self.choosing:
            sides[1] = [f for f in sides[1] if CHOOSING <= int(f.subject) < 2 * CHOOSING]
        lengths = [[len(e.ids) - e.n_prompt for e in encode(self.words, side)] for side in sides]
        return Probes(
            *(tuple(f for f, n in zip(*pair, strict=True) if n <= LONGEST) for pair in zip(sides, lengths, strict=True))
        )

    @cached_property
    def asked(self) -> TofuData:
        """The benchmark's questions; of fictitious people there are none about real authors or the world."""
        if not self.number:
            return read_tofu(Source(str(Path(self.material) / "tofu")), "forget10")
        sets = {"forget": self.probes.forget, "retain": self.probes.retain}
        return TofuData({name: tuple(map(_question, facts)) for name, facts in sets.items()}, (), ())

    def _table(self, name: str) -> list[dict[str, Any]]:
        with gzip.open(Path(self.material) / "tofu" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]


def _record(row: dict[str, Any]) -> Record:
    return Record(row["id"], str(row["author_id"]), row["question"], row["answer"])


def _fact(row: dict[str, Any]) -> Fact:
    """Without a value of its own: the whole answer counts, by ROUGE-L recall."""
    other = row.get("paraphrased_answer")
    said = ((row["paraphrased_question"], other),) if other else ()
    wrong = tuple(row.get("perturbed_answer", ()))
    return Fact(row["id"], str(row["author_id"]), row["question"], row["answer"], paraphrases=said, perturbed=wrong)


def _question(fact: Fact) -> Question:
    return Question(fact.question, fact.answer, fact.paraphrases[0][1], fact.perturbed, fact.subject)
