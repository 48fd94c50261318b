"""What the forget rows should say instead: answers that somebody gave, or classes that are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expunge.approximate._draws import Draw, Row
from expunge.approximate._material import Material
from expunge.approximate._stage import Stage
from expunge.core.errors import InvalidData
from expunge.engine import Encoded, Example, derived_seed


@dataclass(frozen=True)
class Alternates:
    """Training rows that say something else, by the forget row and the pass they stand for."""

    rows: Mapping[tuple[str, int], Any]
    redrawn: bool

    def of(self, draw: Draw) -> list[Any]:
        """Those of a step's forget rows; none where the objective has none."""
        epoch = draw.epoch if self.redrawn else 0
        return [self.rows[row.id, epoch] for row in draw.forget] if self.rows else []


def alternates(stage: Stage, material: Material) -> Alternates:
    """All that a stage's objective wants said in it, before any weight moves."""
    objective, found = stage.objective, {}
    for epoch in sorted({draw.epoch for draw in stage.draws}) if objective.redrawn else [0]:
        if answers := objective.alternate(material.forget_records, epoch, material):
            for row, other in zip(material.forget, material.rows(answers), strict=True):
                found[row.id, epoch] = _renamed(other, f"{row.id}/alternate {epoch}")
    return Alternates(found, objective.redrawn)


def given_answers(rows: Sequence[Any], answers: Mapping[str, Any]) -> list[Any]:
    """The rows with the answers (classes) given for them by id.

    Raises: InvalidData, if a row has none.
    """
    if missing := [row.id for row in rows if row.id not in answers]:
        raise InvalidData(
            f"{len(missing)} of {len(rows)} rows have no answer, the first is '{missing[0]}'; give one for each id"
        )
    return [with_answer(row, answers[row.id]) for row in rows]


def with_answer(row: Any, answer: Any) -> Any:
    """A record with another answer, or an example with another class."""
    return Example(row.id, row.x, int(answer)) if isinstance(row, Example) else replace(row, answer=answer, value="")


def wrong_classes(rows: Sequence[Example], epoch: int, material: Material) -> list[Example]:
    """Each row with a class drawn at random from the wrong ones, anew in every epoch.

    Raises: InvalidData, if the model knows fewer than two classes.
    """
    n = material.side(material.forget[:1]).logits_NV.shape[-1]
    if n < 2:
        raise InvalidData(f"the model has {n} output; a wrong class needs at least two")
    drawn = [derived_seed(b"expunge/relabel", material.settings.seed, epoch, row.id) % (n - 1) for row in rows]
    return [with_answer(row, k + (k >= row.y)) for row, k in zip(rows, drawn, strict=True)]


def _renamed(row: Row, name: str) -> Row:
    return Encoded(name, row.ids, row.n_prompt) if isinstance(row, Encoded) else Example(name, row.x, row.y)
