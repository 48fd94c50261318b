"""What an edit is made of: a copy of the model that may be changed in place, the rows of both sides, the settings."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from expunge.approximate._draws import Row, answered
from expunge.approximate._fresh import fresh
from expunge.approximate._probe import probe
from expunge.approximate._settings import Edit
from expunge.approximate._skill import Kept, Skill, by_chance
from expunge.approximate._telling import telling_tokens, telling_words, words
from expunge.engine import (
    ArrayReferences,
    Progress,
    ReferenceCache,
    array_step_maker,
    derived_seed,
    encode,
    greedy_texts,
    pad_id,
    step_maker,
)
from expunge.engine.trunk import REFUSALS

PROBE = 64  # retained rows that are looked at
ANSWERS = 8  # of them asked for in the model's own words
LONGEST = 48  # tokens of an answer

Track = Callable[[str, int, int, float], None]  # stage, steps done, steps in all, the loss of the step


@dataclass
class Material:
    """`forget` and `retain` are training rows of the records given; of a classifier, whose `tokenizer` is None, examples.

    State is kept under `folder`, if there is one.
    """

    model: Any
    tokenizer: Any
    forget_records: Sequence[Any]
    retain_records: Sequence[Any]
    settings: Edit
    folder: Path | None = None
    cache: Path | None = None
    progress: Progress | None = None
    track: Track | None = None
    notes: list[str] = field(default_factory=list)
    rows_trained: int = 0
    start: Skill | None = None  # of the original model; None where nobody looks

    def __post_init__(self) -> None:
        self._records: dict[str, Any] = {}
        self.forget, self.retain = self.rows(self.forget_records), self.rows(self.retain_records)

    @property
    def text(self) -> bool:
        return self.tokenizer is not None

    def rows(self, records: Sequence[Any]) -> list[Any]:
        """Records as training rows."""
        if not self.text:
            return list(records)
        for record in records:
            self._records.setdefault(record.id, record)
        return encode(self.tokenizer, records)

    def accuracy(self, rows: Sequence[Row], model: Any = None) -> float:
        """Share of these rows' answer tokens (classes) that the model finds likeliest, those too that the question gives
        away: `known` leaves them out."""
        right, _ = self._answered(rows, model, [[True] * answered(row) for row in rows])
        return sum(right) / len(right) if right else 0.0

    def known(self, rows: Sequence[Row], model: Any = None) -> float:
        """Share of what tells something in these rows (of their classes) that the model finds likeliest; of all their tokens
        where nothing does, as `telling_tokens` has it."""
        right, _ = self._answered(rows, model, self._telling(rows))
        return sum(right) / len(right) if right else 0.0

    def skill(self, model: Any = None) -> Skill:
        """What a model can do with some of the retained rows; this one's, if none is given."""
        model = self.model if model is None else model
        rows = probe(self.retain, PROBE, self.settings.seed)
        right, labels = self._answered(rows, model, self._telling(rows))
        answers, n_answers = self._greedy(model, rows) if self.text else (None, 0)
        return Skill(
            tokens=sum(right) / len(right),
            n_tokens=len(right),
            chance=by_chance(labels),
            answers=answers,
            n_answers=n_answers,
            text=self.text,
        )

    def kept(self) -> Kept | None:
        """What is left of the skill that the original model had; None where nobody looked at that."""
        return Kept(self.start, self.skill()) if self.start else None

    def _telling(self, rows: Sequence[Any]) -> list[list[bool]]:
        return telling_tokens(self.tokenizer, rows, self._records) if self.text else [[True] for _ in rows]

    def _answered(
        self, rows: Sequence[Row], model: Any, counted: Sequence[Sequence[bool]]
    ) -> tuple[list[bool], list[int]]:
        """Of every answer token (class) that is counted whether it is found likeliest, and the token."""
        right: list[bool] = []
        labels: list[int] = []
        with torch.no_grad():
            for k in range(0, len(rows), 64):
                side = self.side(rows[k : k + 64], model)
                chosen = [token for row in counted[k : k + 64] for token in row]
                counted_N = torch.tensor(chosen, device=side.labels_N.device)
                right += (side.logits_NV.argmax(-1) == side.labels_N)[counted_N].tolist()
                labels += side.labels_N[counted_N].tolist()
        return right, labels

    def _greedy(self, model: Any, rows: Sequence[Row]) -> tuple[float | None, int]:
        """Share of what tells something in a few greedy answers, and how many were asked for."""
        questions = [row for row in rows if self._records[row.id].question]
        needed = telling_words([self._records[row.id] for row in questions])
        few = [(row, must) for row, must in zip(questions, needed, strict=True) if must][:ANSWERS]
        if not few:
            return None, 0
        prompts = [row.ids[: row.n_prompt] for row, _ in few]  # type: ignore[union-attr]
        longest = min(LONGEST, max(len(row.ids) - row.n_prompt for row, _ in few))  # type: ignore[union-attr]
        try:
            texts = greedy_texts(model, self.tokenizer, prompts, longest)
        except REFUSALS:
            return None, 0  # a model that cannot go on from a question, such as an encoder
        shares = [len(must & words(text)) / len(must) for (_, must), text in zip(few, texts, strict=True)]
        return sum(shares) / len(shares), len(shares)

    def side(self, rows: Sequence[Row], model: Any = None) -> Any:
        """What a method sees of these rows, outside of training."""
        model = self.model if model is None else model
        if self.text:
            return step_maker(model, ReferenceCache(), pad_id(self.tokenizer))((), rows).retain
        return array_step_maker(model, ArrayReferences())((), rows).retain

    def seed(self, *use: str | int) -> int:
        """A seed for one use in this edit, another for another use."""
        return derived_seed(f"edit/{self.settings.seed}".encode(), *use)

    def fresh(self, seed: int) -> Any:
        """The same architecture with new weights, as if training began. See `_fresh`."""
        return fresh(self.model, self.text, seed)

    def twin(self) -> Any:
        """Another copy of the model as it is now."""
        return copy.deepcopy(self.model)
