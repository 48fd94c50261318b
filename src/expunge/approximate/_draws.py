"""The rows of every step: passes over each set in a keyed order, one after the other."""

from collections.abc import Sequence
from typing import NamedTuple

from expunge.approximate._settings import Edit
from expunge.core.errors import InvalidParameter
from expunge.engine import Encoded, Example, epoch_batches, keyed_order

POOL = 8  # batches among which rows are sorted by length
Row = Encoded | Example


class Draw(NamedTuple):
    """The rows of a step. `epoch`: the pass over the forget set that they belong to, from 0."""

    forget: list[Row]
    retain: list[Row]
    epoch: int


def draws(
    forget: Sequence[Row], retain: Sequence[Row], steps: int, name: str, settings: Edit, lone: bool = True
) -> list[Draw]:
    """One for each step of the stage of this name. Not `lone`: no batch is a single row, of which there is no variance.

    Raises: InvalidParameter, where there would be no other.
    """
    if not lone and (len(retain) < 2 or settings.retain_batch < 2):
        raise InvalidParameter(
            f"batches are normalised by their own statistics, and with {len(retain)} retained rows at a retain_batch of "
            f"{settings.retain_batch} they are single rows; give two at least"
        )
    secret = f"edit/{settings.seed}/{name}".encode()
    left = passes(forget, settings.forget_batch, steps, secret, "forget", settings.bucket)
    right = passes(retain, settings.retain_batch, steps, secret, "retain", settings.bucket, lone)
    return [Draw(f, r, epoch) for (f, epoch), (r, _) in zip(left, right, strict=True)]


def passes(
    rows: Sequence[Row], size: int, steps: int, secret: bytes, side: str, bucket: bool, lone: bool = True
) -> list[tuple[list[Row], int]]:
    """A batch for each step with the number of its pass; with `bucket` texts of like lengths share one."""
    if not rows:
        return [([], 0)] * steps
    alike = bucket and isinstance(rows[0], Encoded)
    batches: list[tuple[list[Row], int]] = []
    epoch = 0
    while len(batches) < steps:
        found = _alike(rows, size, secret, side, epoch) if alike else epoch_batches(rows, size, secret, side, epoch)
        batches += [(batch, epoch) for batch in (found if lone else paired(found))]
        epoch += 1
    return batches[:steps]


def paired(batches: list[list[Row]]) -> list[list[Row]]:
    """The batches of a pass, a last one of a single row joined to the one before."""
    if len(batches) > 1 and len(batches[-1]) == 1:
        return [*batches[:-2], batches[-2] + batches[-1]]
    return batches


def content(row: Row) -> list[int]:
    """What is trained on: a text's token ids, or an example's class."""
    return list(row.ids) if isinstance(row, Encoded) else [row.y]


def answered(row: Row) -> int:
    """How many tokens of a row are an answer; an example's class is one."""
    return len(row.ids) - row.n_prompt if isinstance(row, Encoded) else 1


def _alike(rows: Sequence[Row], size: int, secret: bytes, side: str, epoch: int) -> list[list[Row]]:
    """Batches of like lengths: rows are sorted within pools, then short and long batches take turns in a keyed order."""
    pools = epoch_batches(rows, POOL * size, secret, side, epoch)
    by_length = [row for pool in pools for row in sorted(pool, key=lambda row: len(content(row)))]
    cut = [by_length[k : k + size] for k in range(0, len(by_length), size)]
    return [cut[i] for i in keyed_order([str(i) for i in range(len(cut))], secret, side, "order", epoch)]
