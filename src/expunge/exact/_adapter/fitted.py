"""What a fit leaves and a deletion replaces: every shard, what trained them and where, as one value that never changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from expunge.core import Record, Unit
from expunge.core.alike import n_alike
from expunge.core.errors import InvalidData
from expunge.core.identity import canonical_identity
from expunge.core.placement import SHARD, cut, member_id, place, stage_epochs, visits
from expunge.core.recipe import Recipe
from expunge.exact._adapter.answers import Answers
from expunge.exact._adapter.parameters import RouteBy
from expunge.exact._adapter.records import ids_of
from expunge.exact._adapter.unit import Adapter, Shard, Slices, Trainer, UnitProgress, shard_name


@dataclass(frozen=True)
class Change:
    """A shard that a deletion touches, the records that stay of it by slice, and the stages that stay as they are."""

    shard: Shard
    slices: list[list[Record]]
    clean: list[Adapter]

    @property
    def emptied(self) -> bool:
        return not any(self.slices)

    @property
    def n_removed(self) -> int:
        return sum(map(len, self.shard.slices)) - sum(map(len, self.slices))

    @property
    def first_slice(self) -> int:
        return len(self.clean) + 1

    def destroyed(self) -> list[str]:
        """Stages that saw what leaves, and the words the shard was found by."""
        stages = [f"slice-{r}" for r in range(self.first_slice, len(self.shard.stages) + 1)]
        parts = stages if self.shard.words is None else [*stages, "words"]
        return [f"{self.shard.name}/{part}" for part in parts]


@dataclass(frozen=True)
class Fitted:
    """Shards by name; those without records are left out."""

    trainer: Trainer
    shards: Mapping[str, Shard]
    recipe: Recipe  # by which they were trained

    @classmethod
    def on(
        cls, trainer: Trainer, records: Sequence[Record], work: Path | None, progress: UnitProgress | None
    ) -> "Fitted":
        """Every shard trained on its records."""
        parameters = trainer.parameters
        trainer.try_out()
        placed = cut(records, trainer.salt, parameters.shards, parameters.slices)
        shards = [trainer.shard(n, slices, work=work, progress=progress) for n, slices in placed.items()]
        return cls(trainer, {shard.name: shard for shard in shards}, trainer.recipe)

    def without(self, changes: Sequence[Change], work: Path | None, progress: UnitProgress | None) -> "Fitted":
        """The touched shards trained again without what leaves; its files are removed from `work`."""
        shards = dict(self.shards)
        for change in changes:
            self.trainer.check_encoded(change.shard)
        for change in changes:
            name, number = change.shard.name, change.shard.number
            if change.emptied:
                del shards[name]
            else:
                shards[name] = self.trainer.shard(number, change.slices, change.clean, work, progress)
        if work:
            for change in changes:
                self.trainer.discard(change.shard.number, change.shard.slices, len(change.clean), work)
        return replace(self, shards=shards)

    def with_records(self, new: Sequence[Record], work: Path | None, progress: UnitProgress | None) -> "Fitted":
        """The shards that these are placed in trained again, from the first slice that changes.

        Raises: InvalidData, for an id that is there already.
        """
        held, trainer = list(self._records()), self.trainer
        contents = {r.id: (r.content, r.subjects) for r in held}
        if taken := sum(contents.get(r.id, (r.content, r.subjects)) != (r.content, r.subjects) for r in new):
            raise InvalidData(f"{taken} of {len(new)} record ids are in this model already; each record needs its own")
        parameters = trainer.parameters
        shards = {}
        for number, slices in cut([*held, *new], trainer.salt, parameters.shards, parameters.slices).items():
            before, clean = self.shards.get(shard_name(number)), list[Adapter]()
            if before is not None:
                trainer.check_encoded(before)
                old, now = (
                    [trainer.key(number, of[: r + 1]) for r in range(len(of))] for of in (before.slices, slices)
                )
                clean = before.stages[: n_alike(old, now)]
            if before is not None and len(clean) == len(slices):
                shards[before.name] = before
            else:
                shards[shard_name(number)] = trainer.shard(number, slices, clean, work, progress)
        return replace(self, shards=shards)

    def routed(self, route: RouteBy) -> "Fitted":
        """The same shards, asked in another way: the route may change after a fit, as no adapter rests on it."""
        parameters = self.trainer.parameters
        if route == parameters.route:
            return self
        return replace(self, trainer=replace(self.trainer, parameters=replace(parameters, route=route)))

    def changes(self, subjects: Sequence[str], records: Sequence[str]) -> list[Change]:
        """What removing these subjects and records changes, by shard. A stage stays if no slice up to it lost any.

        Raises: EmptyForgetSet, UnknownSubject, UnknownRecord.
        """
        removed = ids_of(self._records(), subjects, records)
        found = []
        for shard in self.shards.values():
            left = [[r for r in part if r.id not in removed] for part in shard.slices]
            touched = [r for r, part in enumerate(left) if len(part) < len(shard.slices[r])]
            if touched:
                found.append(Change(shard, left, shard.stages[: touched[0]]))
        return found

    def cost(self, changes: Sequence[Change]) -> float:
        """Records that the changes train on, counted at every visit, over those that a fit without them would."""
        left = {name: shard.slices for name, shard in self.shards.items()}
        left |= {change.shard.name: change.slices for change in changes}
        full = sum(self._visits(slices) for slices in left.values())
        return sum(self._visits(c.slices, c.first_slice) for c in changes) / full if full else 0.0

    def home(self, subject: str) -> str:
        """The name of the shard where a subject lives."""
        return shard_name(place(canonical_identity(subject), self.trainer.salt, self.trainer.parameters.shards, SHARD))

    def units(self) -> tuple[Unit, ...]:
        return tuple(
            Unit(name, tuple(len(part) for part in shard.slices), shard.digest()) for name, shard in self.shards.items()
        )

    def members(self, unit: str) -> list[list[str]]:
        """Opaque names of a unit's records, by slice."""
        return [[member_id(r, self.trainer.salt) for r in part] for part in self.shards[unit].slices]

    def state(self) -> dict[str, Any]:
        """Everything persisted, as JSON and digests; what 0.1.0 did not record is left out of its models."""
        recipe, units = self.recipe, self.units()
        added = {"config": recipe.settings.get("config"), "canary": recipe.canary}
        return {
            "parameters": self.trainer.recorded(),
            "environment": recipe.environment,
            **{name: value for name, value in added.items() if value is not None},
            "units": [self._described(unit) for unit in units],
        }

    @cached_property
    def answers(self) -> Answers:
        """Every shard's adapter on one copy of the base, loaded at the first question."""
        return Answers(self.trainer, self.shards)

    def checked(self) -> "Fitted":
        """The same with a trainer of now, where a rebuild gives the bits that it gave there.

        Raises: RecipeMismatch.
        """
        trainer = replace(self.trainer)
        self.recipe.require(trainer.recipe)
        return replace(self, trainer=trainer)

    def _described(self, unit: Unit) -> dict[str, Any]:
        encoded = self.shards[unit.id].encoded
        described = {**asdict(unit), "slices": list(unit.slices), "members": self.members(unit.id)}
        return described if encoded is None else {**described, "encoded": encoded}

    def _records(self) -> Iterator[Record]:
        return (record for shard in self.shards.values() for part in shard.slices for record in part)

    def _visits(self, slices: Slices, first: int = 1) -> int:
        """Records seen by the stages from `first` on."""
        return visits(list(map(len, slices)), stage_epochs(self.trainer.parameters.epochs, len(slices)), first)
