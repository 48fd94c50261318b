"""What the forget rows should say instead: answers that somebody gave, or classes that are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from expunge.approximate._work import Work
from expunge.core.errors import InvalidData
from expunge.engine import Example, derived_seed


def given_answers(said: Sequence[Any], answers: Mapping[str, Any]) -> list[Any]:
    """The rows with the answers (classes) given for them by id.

    Raises: InvalidData, if a row has none.
    """
    if missing := [row.id for row in said if row.id not in answers]:
        raise InvalidData(
            f"{len(missing)} of {len(said)} rows have no answer, the first is '{missing[0]}'; give one for each id"
        )
    return [saying(row, answers[row.id]) for row in said]


def saying(row: Any, answer: Any) -> Any:
    """A record with another answer, or an example with another class."""
    return Example(row.id, row.x, int(answer)) if isinstance(row, Example) else replace(row, answer=answer, value="")


def wrong_classes(said: Sequence[Example], epoch: int, work: Work) -> list[Example]:
    """Each row with a class drawn at random from the wrong ones, anew in every epoch.

    Raises: InvalidData, if the model knows fewer than two classes.
    """
    n = work.side(work.forget[:1]).logits_NV.shape[-1]
    if n < 2:
        raise InvalidData(f"the model has {n} output; a wrong class needs at least two")
    drawn = [derived_seed(b"expunge/relabel", work.settings.seed, epoch, row.id) % (n - 1) for row in said]
    return [saying(row, k + (k >= row.y)) for row, k in zip(said, drawn, strict=True)]
