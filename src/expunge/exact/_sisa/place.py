"""Where the records of a fit go: shard and slice by keyed hash, and an order that other records do not change.

Source: Bourtoule et al. (2021), SISA, arXiv:1912.03817. Those who are likely to leave live in the last slices, by fixed
cut-offs of a declared prior: a rank would move people when others leave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.core.placement import SHARD, SLICE, place
from expunge.exact._learner.rows import Positions, Rows

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Cut:
    """Shard, slice (from 0) and order key of every position; `keys` is [size, 2], of 64 bits each."""

    shard: NDArray[np.int64]
    slice: NDArray[np.int64]
    keys: NDArray[np.uint64]

    def ordered(self, positions: Positions) -> Positions:
        """Positions by slice, and within a slice by key; records that share a key are the same record twice."""
        keys = self.keys[positions]
        order: Positions = positions[np.lexsort((keys[:, 1], keys[:, 0], self.slice[positions]))]
        return order

    def units(self, positions: Positions) -> dict[int, Positions]:
        """Ordered positions of every shard that has any."""
        shards = self.shard[positions]
        return {int(s): self.ordered(positions[shards == s]) for s in np.unique(shards)}

    def touched(self, gone: Positions) -> list[tuple[int, int, int]]:
        """Of each shard that holds any of these: its number, how many, and the first slice (from 1) that does."""
        shards, parts = self.shard[gone], self.slice[gone]
        return [(int(s), int((shards == s).sum()), int(parts[shards == s].min()) + 1) for s in np.unique(shards)]

    def left(self, sizes: Mapping[int, Sequence[int]], gone: Positions) -> dict[int, tuple[int, ...]]:
        """Of these shards' sizes by slice, what is left without these records; shards that keep none are left out."""
        rest = {unit: np.array(n) for unit, n in sizes.items()}
        for shard, part in zip(self.shard[gone].tolist(), self.slice[gone].tolist(), strict=True):
            rest[shard][part] -= 1
        return {unit: tuple(n.tolist()) for unit, n in rest.items() if n.any()}

    def without(self, gone: Positions) -> "Cut":
        """The same with nothing about these records."""
        shard, part, keys = self.shard.copy(), self.slice.copy(), self.keys.copy()
        shard[gone], part[gone], keys[gone] = 0, 0, 0
        return Cut(shard, part, keys)

    def of(self, positions: Positions) -> "Cut":
        """The same of these positions alone."""
        return Cut(self.shard[positions], self.slice[positions], self.keys[positions])

    def sizes(self, positions: Positions, slices: int) -> tuple[int, ...]:
        """How many of these positions are in each slice."""
        return tuple(np.bincount(self.slice[positions], minlength=slices).tolist())


def cut_rows(
    rows: Rows,
    shards: int,
    slices: int,
    bands: NDArray[np.int64],
    n_bands: int,
    weights: NDArray[np.float64] | None = None,
    known: Cut | None = None,
) -> Cut:
    """Place every live record; band b > 0 is the slice `slices - n_bands + b - 1`, band 0 any slice before those.

    Where the first records are placed already, as `known` says, only the others are.
    """
    free, first = slices - n_bands, 0 if known is None else len(known.shard)
    homes: dict[bytes, tuple[int, int]] = {}
    shard, part = np.zeros(rows.size, np.int64), np.zeros(rows.size, np.int64)
    for i, key in enumerate(rows.placement_keys(first), start=first):
        if key not in homes:
            name = key.hex()
            homes[key] = place(name, rows.salt, shards, SHARD), place(name, rows.salt, free, SLICE)
        shard[i], part[i] = homes[key]
    part = np.where(bands > 0, free + bands - 1, part)
    shard[~rows.alive], part[~rows.alive] = 0, 0
    keys = np.frombuffer(b"".join(rows.content_keys(weights, first)), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    if known is None:
        return Cut(shard, part, keys)
    shard[:first], part[:first] = known.shard, known.slice
    return Cut(shard, part, np.concatenate([known.keys, keys]))


def bands_of(prior: Any, cutoffs: Sequence[float], n: int) -> NDArray[np.int64]:
    """How many of the cut-offs each record's prior reaches.

    Raises: InvalidData, where there is not one number per record; InvalidParameter, for a prior without cut-offs.

    >>> bands_of([0.05, 0.3, 0.9], (0.2, 0.5), 3)
    array([0, 1, 2])
    """
    if prior is None:
        return np.zeros(n, np.int64)
    if not len(cutoffs):
        raise InvalidParameter(
            "a prior was given, but no cutoffs; say from which values on a record sits in later slices"
        )
    values = _one_number_each(prior, n, "the prior")
    return np.searchsorted(np.asarray(cutoffs, dtype=np.float64), values, side="right").astype(np.int64)


def weights_of(weights: Any, n: int) -> NDArray[np.float64] | None:
    """One number per record, or None.

    Raises: InvalidData.

    >>> weights_of([1, 2], 2)
    array([1., 2.])
    """
    return None if weights is None else _one_number_each(weights, n, "sample_weight")


def some_weight(weights: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """The weights of all records, if there is something to learn from.

    Raises: InvalidData, where all are zero.
    """
    if weights is not None and not weights.any():
        raise InvalidData(
            "sample_weight is zero for every record, so there is nothing to learn from; give some a weight"
        )
    return weights


def _one_number_each(given: Any, n: int, what: str) -> NDArray[np.float64]:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise InvalidData(f"{what} must be one number per record: {e}") from e
    if values.shape != (n,) or not np.isfinite(values).all():
        raise InvalidData(f"{what} must be one finite number per record, {n} in all; got shape {values.shape}")
    return values


def pass_order(keys: NDArray[np.uint64], seed: int) -> Positions:
    """An order for one pass over the data: by a keyed hash of each record, so that nobody's turn depends on others.

    The hash is the mixing step of SplitMix64 (Steele, Lea, Flood 2014), a bijection, over keys that are HMACs.

    >>> keys = np.arange(6, dtype=np.uint64)
    >>> both = pass_order(keys, 1), pass_order(keys[[0, 1, 2, 4, 5]], 1)
    >>> [k for k in both[0] if k != 3] == keys[[0, 1, 2, 4, 5]][both[1]].tolist()
    True
    """
    mixed = keys ^ np.uint64(seed)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")
