"""What a deletion changes in the shards: which stages stay, which are trained again, and what that costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expunge.core import Record
from expunge.exact._adapter.unit import Recipe, Shard, visits

# What equality means once stages were dropped: an assumption of every promise with permutations.
TRUNCATED = (
    "equality is to a fit of the recipe as truncated by earlier deletions; which stages are missing is lineage and "
    "tells in which slices something left"
)


@dataclass(frozen=True)
class Change:
    """A shard that a deletion touches: the records that stay, by slice, and the stages that stay, by order."""

    unit: int
    n_removed: int
    slices: list[list[Record]]
    kept: list[int]
    trained: bool  # or only cut off after the stages that stay

    @property
    def emptied(self) -> bool:
        return not any(self.slices)


def changes(held: Mapping[int, Shard], gone: set[str], recipe: Recipe) -> list[Change]:
    """What removing these record ids changes, by shard.

    A stage stays if no slice up to it lost a record. With permutations nothing is trained as long as one stays.
    """
    found = []
    for unit, shard in held.items():
        left = [[r for r in part if r.id not in gone] for part in shard.slices]
        hit = [len(now) < len(before) for now, before in zip(left, shard.slices, strict=True)]
        if not any(hit):
            continue
        kept = [
            min(len(line), next(i for i, k in enumerate(order) if hit[k]))
            for line, order in zip(shard.lines, recipe.orders(), strict=True)
        ]
        trained = any(left) and not (recipe.permutations and max(kept))
        kept = [0] * len(kept) if trained and recipe.permutations else kept
        n_removed = sum(map(len, shard.slices)) - sum(map(len, left))
        found.append(Change(unit, n_removed, left, kept, trained))
    return found


def share_of_a_fit(found: Sequence[Change], held: Mapping[int, Shard], recipe: Recipe) -> float:
    """Records that the changes train on, counted at every visit, over those that a whole fit afterwards would."""
    after = {unit: shard.slices for unit, shard in held.items()} | {c.unit: c.slices for c in found}
    full = sum(_visits(slices, order, recipe) for slices in after.values() for order in recipe.orders())
    work = sum(
        _visits(c.slices, order, recipe, kept + 1)
        for c in found
        if c.trained
        for order, kept in zip(recipe.orders(), c.kept, strict=True)
    )
    return work / full if full else 0.0


def lost(change: Change, held: Mapping[int, Shard]) -> list[str]:
    """What is destroyed of a shard: stages, and the words it was found by."""
    shard = held[change.unit]
    several = len(shard.lines) > 1
    stages = [
        (f"order-{b}/" if several else "") + f"slice-{r}"
        for b, (line, kept) in enumerate(zip(shard.lines, change.kept, strict=True), start=1)
        for r in range(kept + 1, len(line) + 1)
    ]
    return stages if shard.words is None else [*stages, "words"]


def _visits(slices: Sequence[Sequence[Record]], order: Sequence[int], recipe: Recipe, first: int = 1) -> int:
    return visits([len(slices[k]) for k in order], recipe.epochs, first)
