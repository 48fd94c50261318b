"""What a method is run on: a copy of the model, the rows of both sides, and stages of training."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from expunge.approximate._draws import Row, draws
from expunge.approximate._fresh import fresh
from expunge.approximate._method import Objective
from expunge.approximate._settings import Edit, Shape
from expunge.approximate._stage import Stage
from expunge.approximate._store import Store
from expunge.approximate._training import train_stage
from expunge.engine import (
    ArrayReferences,
    Progress,
    ReferenceCache,
    Schedule,
<<<<<<< HEAD
=======
    Step,
    Trunk,
>>>>>>> engine
    array_step_maker,
    derived_seed,
    encode,
<<<<<<< HEAD
=======
    epoch_batches,
    own,
    packing,
>>>>>>> engine
    pad_id,
    step_maker,
)

Track = Callable[[str, int, int, float], None]  # stage, steps done, steps in all, the loss of the step


@dataclass
class Work:
    """A copy of the model that may be changed in place, and what it is changed with.

    `forget_records` and `retain_records` are records (of a classifier, examples), `forget` and `retain` the same as training
    rows. `tokenizer` is None for a classifier. Stages keep their state under `folder`, if there is one.
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

    def __post_init__(self) -> None:
        self.forget, self.retain = self.rows(self.forget_records), self.rows(self.retain_records)
        self.store = Store(self.folder, self.settings.every)

    @property
    def text(self) -> bool:
        return self.tokenizer is not None

    def rows(self, records: Sequence[Any]) -> list[Any]:
        """Records as training rows."""
        return encode(self.tokenizer, records) if self.text else list(records)

    def accuracy(self, rows: Sequence[Row], model: Any = None) -> float:
        """Share of these rows' answer tokens (classes) that the model finds likeliest."""
        hits = n = 0
        with torch.no_grad():
            for k in range(0, len(rows), 64):
                side = self.side(rows[k : k + 64], model)
                hits += int((side.logits_NV.argmax(-1) == side.labels_N).sum())
                n += len(side.labels_N)
        return hits / n if n else 0.0

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

    def descend(
        self,
        objective: Objective,
        *,
        name: str = "edit",
        model: Any = None,
        forget: Sequence[Row] | None = None,
        retain: Sequence[Row] | None = None,
        steps: int | None = None,
        lr: float | None = None,
        shape: Shape | None = None,
        guarded: bool = False,
        mask: Mapping[nn.Parameter, Tensor] | None = None,
    ) -> list[float]:
        """Run a stage, with the edit's own model, rows, steps and rate where no others are named.

<<<<<<< HEAD
        Returns the losses of the steps run here. A stage that was finished before a kill is not run again.
        """
        edit = self.settings
        forget, retain = self.forget if forget is None else forget, self.retain if retain is None else retain
        stage = Stage(
            name=name,
            objective=objective,
            model=self.model if model is None else model,
            draws=draws(forget, retain, edit.steps if steps is None else steps, name, edit),
            schedule=Schedule(lr=edit.lr if lr is None else lr, warmup=edit.warmup, shape=shape or edit.shape),
            guarded=guarded,
            mask=mask,
        )
        noted = len(self.notes)
        descent = self.store.run(stage, partial(train_stage, stage, self))
        self.notes[noted:] = descent.notes
        self.rows_trained += descent.rows
        return descent.losses
=======
    def _maker(self, model: Any, method: Any, drawn: Any, others: "_Others", packs: bool) -> Callable[..., Step]:
        sides = {
            "forget": _unique(row for rows, _, _ in drawn for row in rows),
            "retain": _unique(row for _, rows, _ in drawn for row in rows),
            "alternate": others.rows,
        }
        if not self.text:
            references = ArrayReferences()
            references.fill(method.needs, model, sides)
            return array_step_maker(model, references)
        pad, depth = pad_id(self.tokenizer), len(Trunk.of(model).blocks)
        block = method.block(depth) if hasattr(method, "block") else 0
        digest = digest_model(model) if self.cache else ""
        cache = ReferenceCache(pad, self.cache, digest)
        cache.fill(method.needs, model, sides, block, _first_trained(model))
        return step_maker(model, cache, pad, packs)

    def _alternates(self, method: Any, drawn: Any) -> "_Others":
        """What a method wants said instead, for every pass over the forget set, before any weight moves."""
        if not hasattr(method, "alternate"):
            return _Others({}, False)
        redrawn = bool(getattr(method, "redrawn", False))
        epochs = sorted({epoch for _, _, epoch in drawn}) if redrawn else [0]
        found = {}
        for epoch in epochs:
            said = method.alternate(self.forget_said, epoch, self)
            for row, other in zip(self.forget, self.rows(said), strict=True):
                found[row.id, epoch] = _renamed(other, f"{row.id}/alternate {epoch}")
        return _Others(found, redrawn)

    def _guard(self, model: Any, method: Any, name: str, steps: int) -> Guard | None:
        edit = self.settings
        if not edit.guard and edit.until is None:
            return None
        folder = self._path(f"{name}.guard") if self.folder else None
        measure = lambda rows: self.accuracy(rows, model)
        forget, retain = (probe(rows, PROBE, edit.seed) for rows in (self.forget, self.retain))
        phase = method.phase(steps) if hasattr(method, "phase") else 1
        every = -(-edit.guard_every // phase) * phase
        return Guard(model, steps, measure, forget, retain, edit.guard or None, edit.until, every, folder)

    def _draws(
        self, forget: Sequence[Row], retain: Sequence[Row], steps: int, name: str
    ) -> Iterator[tuple[list[Row], list[Row], int]]:
        """The rows of every step: passes over each set in a fresh keyed order, one after the other."""
        edit, secret = self.settings, f"edit/{self.settings.seed}/{name}".encode()
        ours = _passes(forget, edit.forget_batch, steps, secret, "forget", edit.bucket)
        theirs = _passes(retain, edit.retain_batch, steps, secret, "retain", edit.bucket)
        for (f, epoch), (r, _) in zip(ours, theirs, strict=True):
            yield f, r, epoch

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def _finished(self, name: str, key: str, model: Any) -> bool:
        done = self.folder / f"{name}.json" if self.folder else None
        if not done or not done.exists() or json.loads(done.read_text())["key"] != key:
            return False
        model.load_state_dict(load_file(done.with_suffix(".safetensors")), strict=False)
        said = json.loads(done.read_text())
        self.notes += said["notes"]
        self.rows_trained += said["rows"]
        return True

    def _finish(self, name: str, key: str, model: Any, said: dict[str, Any]) -> None:
        if self.folder and ranks()[0] == 0:
            state = {k: v.detach().cpu().contiguous().clone() for k, v in model.named_parameters()}
            self._path(f"{name}.json").unlink(missing_ok=True)
            save_file(state, self._path(f"{name}.safetensors"))
            temporary = self._path(f"{name}.json.tmp")
            temporary.write_text(json.dumps({"key": key, **said}))
            temporary.replace(self._path(f"{name}.json"))  # last: a stage is finished when this is there
        wait()

    def claim(self, method: Any) -> None:
        """Make the folder this edit's own: what another one left there, of other weights, rows or settings, goes."""
        if not self.folder:
            return
        rows = [[described(row) for row in side] for side in (self.forget_said, self.retain_said)]
        key = digest_json("edit", [digest_model(self.model), rows, described(method), asdict(self.settings)])
        kept = self._path("whose.txt")
        if not kept.exists() and any(self.folder.iterdir()):
            raise InvalidParameter(
                f"{self.folder} holds other files, and an edit's state is removed; name a new folder"
            )
        stale = not kept.exists() or kept.read_text() != key
        wait()
        if stale and ranks()[0] == 0:
            shutil.rmtree(self.folder)
            self._path("whose.txt").write_text(key)
        wait()

    def clear(self) -> None:
        """Remove the folder; every rank has read what it had to."""
        wait()
        if self.folder and ranks()[0] == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        wait()


@dataclass(frozen=True)
class _Others:
    """What is said instead, by row and pass."""

    found: dict[tuple[str, int], Any]
    redrawn: bool

    @property
    def rows(self) -> list[Any]:
        return list(self.found.values())

    def of(self, rows: Sequence[Row], epoch: int) -> list[Any]:
        return [self.found[row.id, epoch if self.redrawn else 0] for row in rows] if self.found else []


def _passes(
    rows: Sequence[Row], size: int, steps: int, secret: bytes, side: str, bucket: bool
) -> list[tuple[list[Row], int]]:
    """Batches of rows with the number of the pass they belong to."""
    if not rows:
        return [([], 0)] * steps
    batches: list[tuple[list[Row], int]] = []
    epoch = 0
    while len(batches) < steps:
        if bucket and isinstance(rows[0], Encoded):
            pools = epoch_batches(rows, POOL * size, secret, side, epoch)  # type: ignore[arg-type]
            sorted_rows = [r for pool in pools for r in sorted(pool, key=lambda e: len(e.ids))]
            cut = [sorted_rows[k : k + size] for k in range(0, len(sorted_rows), size)]
            order = epoch_batches([Encoded(str(i), (), 0) for i in range(len(cut))], 1, secret, side, "order", epoch)
            batches += [(list(cut[int(one[0].id)]), epoch) for one in order]
        else:
            batches += [(list(b), epoch) for b in epoch_batches(rows, size, secret, side, epoch)]  # type: ignore[arg-type]
        epoch += 1
    return batches[:steps]


def _freeze(model: nn.Module, method: Any, modules: str) -> list[nn.Parameter]:
    """Leave trainable what the method and the settings name; what was frozen for it comes back."""
    import re

    named = hasattr(method, "trains")
    if not named and not modules:
        return []
    free = {id(p) for p in model.parameters()}
    if named:
        blocks = Trunk.of(model).blocks
        free = {id(p) for i, b in enumerate(blocks) if method.trains(i, len(blocks)) for p in b.parameters()}
    if modules:
        free &= {id(p) for name, p in model.named_parameters() if re.search(modules, name)}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in free]
    for p in frozen:
        p.requires_grad_(False)
    return frozen


def _first_trained(model: Any) -> int:
    """The lowest block with a weight that is trained; 0, if embeddings are trained too."""
    blocks = Trunk.of(model).blocks
    inside = {id(p) for block in blocks for p in block.parameters()}
    if any(p.requires_grad and id(p) not in inside for p in model.parameters()):
        return 0
    trained = [i for i, block in enumerate(blocks) if any(p.requires_grad for p in block.parameters())]
    return trained[0] if trained else 0


def _renamed(row: Row, name: str) -> Row:
    return Encoded(name, row.ids, row.n_prompt) if isinstance(row, Encoded) else Example(name, row.x, row.y)


def _unique(rows: Iterator[Any]) -> list[Any]:
    return list({row.id: row for row in rows}.values())


def _ids(drawn: Sequence[tuple[list[Row], list[Row], int]]) -> list[str]:
    return [
        digest_json("drawn", [[row.id, *(row.ids if isinstance(row, Encoded) else (row.y,))] for row in (*f, *r)])
        for f, r, _ in drawn
    ]


__all__ = ["Plain", "Record", "Row", "Work"]
>>>>>>> engine
