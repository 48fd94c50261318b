"""The rows of every step: passes over each set in a keyed order, one after the other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from expunge.approximate._settings import Edit
from expunge.engine import Encoded, Example, epoch_batches, like_length_batches

Row = Encoded | Example


class Draw(NamedTuple):
    """The rows of a step. `epoch`: the pass over the forget set that they belong to, from 0."""

    forget: list[Row]
    retain: list[Row]
    epoch: int


def draws(forget: Sequence[Row], retain: Sequence[Row], steps: int, name: str, settings: Edit) -> list[Draw]:
    """One for each step of the stage of this name."""
    secret = f"edit/{settings.seed}/{name}".encode()
    left = passes(forget, settings.forget_batch, steps, secret, "forget", settings.bucket)
    right = passes(retain, settings.retain_batch, steps, secret, "retain", settings.bucket)
    return [Draw(f, r, epoch) for (f, epoch), (r, _) in zip(left, right, strict=True)]


def passes(
    rows: Sequence[Row], size: int, steps: int, secret: bytes, side: str, bucket: bool
) -> list[tuple[list[Row], int]]:
    """A batch for each step with the number of its pass; with `bucket` texts of like lengths share one."""
    if not rows:
        return [([], 0)] * steps
    batches: list[tuple[list[Row], int]] = []
    epoch = 0
    while len(batches) < steps:
        cut: Any = like_length_batches if bucket and isinstance(rows[0], Encoded) else epoch_batches
        found: list[list[Row]] = cut(rows, size, secret, side, epoch)
        batches += [(batch, epoch) for batch in found]
        epoch += 1
    return batches[:steps]


def content(row: Row) -> list[int]:
    """What is trained on: a text's token ids, or an example's class."""
    return list(row.ids) if isinstance(row, Encoded) else [row.y]
