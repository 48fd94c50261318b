"""What a method is run on: a copy of the model, the rows of both sides, and training stages that survive a kill."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from expunge.approximate._described import described
from expunge.approximate._fresh import fresh
from expunge.approximate._guard import PROBE, Guard
from expunge.approximate._probe import probe
from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter
from expunge.engine import (
    ArrayReferences,
    Encoded,
    Example,
    Loss,
    Progress,
    Reference,
    ReferenceCache,
    Resume,
    Schedule,
    Step,
    Trunk,
    array_step_maker,
    digest_model,
    encode,
    epoch_batches,
    own,
    packing,
    pad_id,
    ranks,
    step_maker,
    train,
    wait,
)

Shape = Literal["constant", "cosine"]
POOL = 8  # batches among which rows are sorted by length
Row = Encoded | Example
Track = Callable[[str, int, int, float], None]  # stage, steps done, steps in all, the loss of the step


@dataclass(frozen=True)
class Plain:
    """A loss without a file of its own: one stage of a method that has several."""

    of: Callable[[Step], Loss]
    needs: tuple[Reference, ...] = ()
    guarantee: ClassVar[Any] = None

    def loss(self, step: Step) -> Loss:
        return self.of(step)

    def __repr__(self) -> str:
        """By the function's name: a stage's key must be the same in another process."""
        return f"Plain({self.of.__module__}.{self.of.__qualname__}, {self.needs})"


@dataclass
class Work:
    """A copy of the model that may be changed in place, and what it is changed with.

    `forget_said` and `retain_said` are the records or examples as given, `forget` and `retain` the same as training rows.
    `tokenizer` is None for a classifier. Stages keep their state under `folder`, if there is one.
    """

    model: Any
    tokenizer: Any
    forget_said: Sequence[Any]
    retain_said: Sequence[Any]
    settings: Any
    folder: Path | None = None
    cache: Path | None = None
    progress: Progress | None = None
    track: Track | None = None
    notes: list[str] = field(default_factory=list)
    rows_trained: int = 0

    def __post_init__(self) -> None:
        self.forget, self.retain = self.rows(self.forget_said), self.rows(self.retain_said)

    @property
    def text(self) -> bool:
        return self.tokenizer is not None

    def rows(self, said: Sequence[Any]) -> list[Any]:
        return encode(self.tokenizer, said) if self.text else list(said)

    def descend(
        self,
        method: Any,
        *,
        name: str = "edit",
        model: Any = None,
        forget: Sequence[Row] | None = None,
        retain: Sequence[Row] | None = None,
        steps: int | None = None,
        lr: float | None = None,
        shape: Shape | None = None,
        guarded: bool = False,
        mask: Any = None,
    ) -> list[float]:
        """Train a model, the copy if no other is named, by a method's loss; the losses of the steps run here.

        `method` has `loss(step)`, which gives terms one after the other, and `needs`; where it has them also `trains`,
        `block`, `alternate`, `gradient` and `phase` (a guard looks at the ends of so many steps) are used. A stage that
        was finished before a kill is not run again.
        """
        edit, model = self.settings, self.model if model is None else model
        forget, retain = self.forget if forget is None else forget, self.retain if retain is None else retain
        steps = edit.steps if steps is None else steps
        drawn = list(self._draws(forget, retain, steps, name))
        key = self._key(name, method, steps, lr, shape, drawn) if self.folder else ""
        if self._finished(name, key, model):
            return []
        drawn, noted = [(own(f), own(r), epoch) for f, r, epoch in drawn], len(self.notes)
        others = self._alternates(method, drawn)
        frozen = _freeze(model, method, edit.modules)
        guard = self._guard(model, method, name, steps) if guarded else None
        with packing(model) if self.text else nullcontext(False) as packs:
            losses = train(
                list(model.parameters()),
                self._loss_at(model, method, drawn, others, packs),
                steps,
                Schedule(lr=edit.lr if lr is None else lr, warmup=edit.warmup, shape=shape or edit.shape),
                resume=Resume(path=self._path(f"{name}.part"), every=edit.every, key=key) if self.folder else None,
                progress=self.progress,
                say=partial(self.track, name) if self.track else None,
                watch=guard,
                mask=mask,
            )
        for p in frozen:
            p.requires_grad_(True)
        rows = sum(len(f) + len(r) for f, r, _ in drawn[: guard.ended if guard else steps])
        self.rows_trained += rows
        if guard:
            self.notes += guard.notes
        self._finish(name, key, model, {"notes": self.notes[noted:], "rows": rows})
        return losses

    def _loss_at(self, model: Any, method: Any, drawn: Any, others: "_Others", packs: bool) -> Callable[[int], Loss]:
        """The method's loss of the k-th step."""
        make = self._maker(model, method, drawn, others, packs)

        def at(k: int) -> Loss:
            forget_rows, retain_rows, epoch = drawn[k]
            step = make(forget_rows, retain_rows, others.of(forget_rows, epoch), k, len(drawn), epoch)
            found: Loss = method.gradient(step, model) if hasattr(method, "gradient") else method.loss(step)
            return found

        return at

    def _key(self, name: str, method: Any, steps: int, lr: float | None, shape: Any, drawn: Any) -> str:
        """Names a stage of this edit: a checkpoint of another one is never continued."""
        return digest_json("stage", [name, repr(method), steps, lr, shape, _ids(drawn)])

    def accuracy(self, rows: Sequence[Row], model: Any = None) -> float:
        """Share of these rows' answer tokens (classes) that the model finds likeliest."""
        model, hits, n = self.model if model is None else model, 0, 0
        with torch.no_grad():
            for k in range(0, len(rows), 64):
                side = self.side(rows[k : k + 64], model)
                hits += int((side.logits_NV.argmax(-1) == side.labels_N).sum())
                n += len(side.labels_N)
        return hits / n if n else 0.0

    def side(self, rows: Sequence[Row], model: Any = None) -> Any:
        """What a method sees of these rows, outside of training."""
        make = self._bare(self.model if model is None else model)
        return make((), rows).retain

    def fresh(self, seed: int) -> Any:
        """The same architecture with new weights, as if training began. See `_fresh`."""
        return fresh(self.model, self.text, seed)

    def twin(self) -> Any:
        """Another copy of the model as it is now."""
        return copy.deepcopy(self.model)

    def _bare(self, model: Any) -> Callable[..., Step]:
        if self.text:
            return step_maker(model, ReferenceCache(), pad_id(self.tokenizer))
        return array_step_maker(model, ArrayReferences())

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
