"""TOFU's tables as questions: what is asked, the right answer in trained and in other words, and wrong ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.verify.benchmarks._loading import Source, Split, Table

SPLITS = {"forget01": 40, "forget05": 200, "forget10": 400}  # each the end of the next
PER_AUTHOR = 20
RETAIN = Split("retain_perturbed", "retain_perturbed", "train")
REAL_AUTHORS = Split("real_authors", "real_authors_perturbed", "train")
WORLD_FACTS = Split("world_facts", "world_facts_perturbed", "train")


@dataclass(frozen=True)
class Question:
    """`right` is the answer in words never trained on, where there are such; `unit` is whom or what it is about."""

    question: str
    answer: str
    right: str
    wrong: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class TofuData:
    """`sets` are forget, retain, real_authors and world_facts; `holdout` are authors never trained on, if there are any."""

    sets: Mapping[str, tuple[Question, ...]]
    holdout: tuple[Question, ...]
    tables: tuple[Table, ...]


def read_tofu(source: Source, split: str) -> TofuData:
    """
    Raises: InvalidParameter, for a split that TOFU does not have; InvalidData, for missing tables, columns or answers.
    """
    if split not in SPLITS:
        raise InvalidParameter(f"TOFU has no split '{split}'; it has {', '.join(SPLITS)}")
    forget = _ending(source, f"{split}_perturbed", "forget10_perturbed", SPLITS[split])
    retain, real, world = (source.table(t) for t in (RETAIN, REAL_AUTHORS, WORLD_FACTS))
    holdout = _holdout(source, split.replace("forget", "holdout"))
    sets = {
        "forget": questions(forget, of_authors=True),
        "retain": questions(retain, of_authors=True),
        "real_authors": questions(real, of_authors=False),
        "world_facts": questions(world, of_authors=False),
    }
    unseen = questions(holdout, of_authors=True, wrong=False) if holdout else ()
    return TofuData(sets, unseen, (forget, retain, real, world, *([holdout] if holdout else [])))


def questions(table: Table, of_authors: bool, wrong: bool = True) -> tuple[Question, ...]:
    """The rows of a table. Rows of authors come in twenties where no column says whose they are."""
    prompts, answers = table.texts("question"), table.texts("answer")
    return tuple(
        Question(
            question,
            answer,
            right=row.get("paraphrased_answer") or answer,
            wrong=_wrong(table, n, row) if wrong else (),
            unit=str(row.get("author_id", n // PER_AUTHOR)) if of_authors else str(n),
        )
        for n, (row, question, answer) in enumerate(zip(table.rows, prompts, answers, strict=True))
    )


def _wrong(table: Table, n: int, row: Mapping[str, Any]) -> tuple[str, ...]:
    found = row.get("perturbed_answer")
    if not isinstance(found, Sequence) or isinstance(found, str) or not found or not all(map(_is_text, found)):
        raise InvalidData(
            f"{table.name}, row {n + 1}: needs a list of texts under 'perturbed_answer', got {found!r:.80}"
        )
    return tuple(found)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _ending(source: Source, name: str, larger: str, n: int) -> Table:
    """A split's own table, or the last rows of the largest one's, which are the same."""
    if found := source.find(Split(name, name, "train")):
        return found
    whole = source.table(Split(larger, larger, "train"))
    return Table(whole.rows[-n:], {**whole.origin, "rows": len(whole.rows[-n:]), "part": f"last {n}"})


def _holdout(source: Source, name: str) -> Table | None:
    """Authors never trained on: a table of their own, or the rows of holdout10 that a column marks."""
    if found := source.find(Split(name, name, "train")):
        return found
    whole = source.find(Split("holdout10", "holdout10", "train"))
    rows = tuple(row for row in whole.rows if row.get(name)) if whole else ()
    return Table(rows, {**whole.origin, "rows": len(rows), "part": name}) if whole and rows else None
