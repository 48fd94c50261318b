"""Units as parts of a saved learner: the bytes of every stage, kept as they were written when it was trained."""

from collections.abc import Mapping

from expunge.core.errors import DigestMismatch
from expunge.exact._learner.rows import Positions
from expunge.exact._sisa.place import Cut
from expunge.exact._sisa.unit import UNTRAINED, Stage, Trained, Training, stage_id, unit_id


def stage_parts(units: Mapping[int, Trained]) -> dict[str, bytes]:
    return {
        stage_id(unit, r): stage.data
        for unit, trained in units.items()
        for r, stage in enumerate(trained.stages, 1)
        if stage.data
    }


def read_units(
    parts: Mapping[str, bytes],
    recorded: Mapping[str, list[int]],
    cut: Cut,
    positions: Positions,
    slices: int,
    training: Training,
) -> dict[int, Trained]:
    """Units whose records lie as recorded, with digests made anew from what their parts hold.

    Raises: DigestMismatch, where the records lie elsewhere; UnsafeWeights; UnreadableModel.
    """
    units = cut.units(positions)
    sizes = {unit: cut.sizes(places, slices) for unit, places in units.items()}
    if {unit_id(unit): list(n) for unit, n in sizes.items()} != recorded:
        raise DigestMismatch("the records do not lie in the units as recorded; give the salt of the fit")

    def stage(name: str) -> Stage:
        return Stage(parts[name], training.digest(training.load(parts[name]))) if name in parts else UNTRAINED

    return {
        unit: Trained(places, sizes[unit], tuple(stage(stage_id(unit, r + 1)) for r in range(slices)))
        for unit, places in units.items()
    }
