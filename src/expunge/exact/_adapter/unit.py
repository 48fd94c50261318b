"""Train one shard: LoRA adapters on a frozen base, slice after slice, each from the checkpoint before it.

Nothing in a stage depends on later slices or other shards: its optimizer starts fresh, its step count, schedule, order
and padding come from the records of the slices so far alone, and every random draw from (salt, seed, shard, stage).

With permutations (S3T, arXiv:2406.16257) a shard is trained once for each of several orders of its slices, and stage i
trains the i-th group of layers only, counted from the top, with all others frozen. A stage that saw somebody who
leaves is dropped with those after it; what is left answers at once, without training.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import RecipeMismatch
from expunge.core.placement import member_id, stage_epochs
from expunge.engine import (
    Encoded,
    Progress,
    Resume,
    Schedule,
    Trunk,
    collate,
    derived_seed,
    digest_state,
    encode,
    environment,
    epoch_batches,
    keyed_order,
    mean_nll,
    pad_id,
    pinned,
    train,
)

Adapter = dict[str, Tensor]
Slices = Sequence[Sequence[Record]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything besides records and salt that decides a shard's bits."""

    rank: int
    alpha: int
    lr: float
    epochs: int
    batch_size: int
    slices: int
    permutations: int
    rehearsal: float
    seed: int
    threads: int
    base: str  # digest of the base's weights and tokenizer, and of its public rows where they are rehearsed

    def orders(self) -> list[list[int]]:
        """The orders in which slices are learned: one, or as many rotations as there are permutations."""
        n, turns = self.slices, max(1, self.permutations)
        return [[(b * n // turns + i) % n for i in range(n)] for b in range(turns)]


@dataclass(frozen=True)
class Shard:
    """What a shard holds: its records by slice, the adapter after every stage of every order, the words it knows."""

    slices: list[list[Record]]
    lines: list[list[Adapter]]
    words: Tensor | None = None

    @property
    def serving(self) -> Adapter:
        """The adapter that answers: the last of the longest line."""
        return max(self.lines, key=len)[-1]

    def digest(self) -> str:
        tensors = {} if self.words is None else {"words": self.words}
        for b, line in enumerate(self.lines, start=1):
            order = f"order-{b}/" if len(self.lines) > 1 else ""
            tensors |= {f"{order}slice-{r}/{k}": v for r, stage in enumerate(line, start=1) for k, v in stage.items()}
        return digest_state(tensors)


def same_environment(recorded: Mapping[str, Any], threads: int) -> None:
    """Whether a rebuild here gives the bits of a rebuild there.

    Raises: RecipeMismatch.
    """
    here = environment(threads)
    if recorded != here:
        differs = sorted(k for k in here if here[k] != recorded.get(k))
        raise RecipeMismatch(
            f"this process differs from the recorded recipe in {', '.join(differs)}: "
            f"{ {k: here[k] for k in differs} } here, { {k: recorded.get(k) for k in differs} } recorded; "
            "the other units would keep bits that a fit here would not give"
        )


def lora_config(recipe: Recipe) -> LoraConfig:
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def visits(slices: Sequence[int], epochs: int, first: int = 1) -> int:
    """Records seen by stages `first`.. of a line whose slices hold so many records.

    >>> visits([10, 10], 30), visits([10, 10], 30, first=2)
    (600, 400)
    """
    per_stage = stage_epochs(epochs, len(slices))
    return sum(per_stage[r] * sum(slices[: r + 1]) for r in range(first - 1, len(slices)))


@dataclass(frozen=True)
class Trainer:
    """A frozen base, a recipe, the secret behind order and seeds, and public rows to rehearse."""

    base: Any
    tokenizer: Any
    recipe: Recipe
    salt: bytes
    public: Sequence[Encoded] = ()

    def lines(
        self,
        unit: int,
        slices: Slices,
        clean: Sequence[Sequence[Adapter]] = (),
        stages: Sequence[int] = (),
        work: Path | None = None,
        progress: Progress | None = None,
    ) -> list[list[Adapter]]:
        """The adapter after every stage, for every order of the slices.

        `clean` are the stages that need no training, `stages` how many there shall be (all, if not given), by order.
        `work` keeps finished ones, found again by the content they were trained on, so a stale one is never served.
        """
        orders = self.recipe.orders()
        return [
            self._line(
                unit,
                b,
                [slices[k] for k in order],
                clean[b] if clean else (),
                stages[b] if stages else len(order),
                work,
                progress,
            )
            for b, order in enumerate(orders)
        ]

    def discard(self, unit: int, slices: Slices, first: Sequence[int], work: Path) -> None:
        """Remove the files of stages `first`.. (from 1, by order) of these records."""
        for b, order in enumerate(self.recipe.orders()):
            ordered = [slices[k] for k in order]
            for r in range(first[b], len(order) + 1):
                for suffix in ("safetensors", "part", "tmp"):
                    (work / f"{self.key(unit, b, ordered[:r])}.{suffix}").unlink(missing_ok=True)

    def key(self, unit: int, line: int, slices: Slices) -> str:
        """Content key of a stage: recipe, shard, order, salt and records of all its slices."""
        members = [[member_id(r, self.salt) for r in part] for part in slices]
        salted = hashlib.sha256(b"expunge/stage-salt/v1\0" + self.salt).hexdigest()
        return digest_json("stage", [vars(self.recipe), [unit, line], members, salted]).removeprefix("sha256:")

    def _line(
        self,
        unit: int,
        line: int,
        slices: Slices,
        clean: Sequence[Adapter],
        n_stages: int,
        work: Path | None,
        progress: Progress | None,
    ) -> list[Adapter]:
        stages = list(clean)
        with pinned(self.recipe.threads), torch.random.fork_rng(devices=[]):
            for r in range(len(stages), n_stages):
                name = self.key(unit, line, slices[: r + 1])
                kept = work / f"{name}.safetensors" if work else None
                if kept and (found := _read(kept)) is not None:
                    stages.append(found)
                    continue
                resume = Resume(path=work / f"{name}.part") if work else None
                before = stages[-1] if stages else None
                where = (unit, line) if self.recipe.permutations else (unit,)
                stages.append(self._stage(where, slices[: r + 1], before, resume, progress))
                if kept:
                    temporary = kept.with_suffix(".tmp")
                    save_file(stages[-1], temporary)
                    temporary.replace(kept)
        return stages

    def _stage(
        self, where: tuple[int, ...], slices: Slices, before: Adapter | None, resume: Resume | None, progress: Any
    ) -> Adapter:
        recipe, r = self.recipe, len(slices) - 1
        secret = self.salt + recipe.seed.to_bytes(8, "big")
        batches = self._batches(where, slices, secret)
        torch.manual_seed(derived_seed(secret, "adapter", *where))  # fresh before each adapter's initialisation
        try:
            model = get_peft_model(self.base, lora_config(recipe))
            if before is not None:
                set_peft_model_state_dict(model, before)
            if recipe.permutations:
                _train_only(model, r, recipe.slices)
            model.train()
            torch.manual_seed(derived_seed(secret, "stage", *where, r))
            pad, device = pad_id(self.tokenizer), next(model.parameters()).device
            if batches:
                train(
                    list(model.parameters()),
                    # Questions are learned too: their likelihood is what an answer may be routed by.
                    lambda k: mean_nll(model, collate(batches[k], pad, learn_question=True).to(device)),
                    len(batches),
                    Schedule(lr=recipe.lr, warmup=min(10, len(batches) // 4), shape="cosine"),
                    resume=resume,
                    progress=progress,
                )
            return {k: v.detach().cpu().clone().contiguous() for k, v in get_peft_model_state_dict(model).items()}
        finally:
            _take_off_adapters(self.base)
            self.base.eval()
            for p in self.base.parameters():
                p.requires_grad_(False)

    def _batches(self, where: tuple[int, ...], slices: Slices, secret: bytes) -> list[list[Encoded]]:
        """Every pass of a stage over its records, with as many public rows among them as the recipe says."""
        recipe, r = self.recipe, len(slices) - 1
        rows = encode(self.tokenizer, [record for part in slices for record in part])
        n_public, names = round(recipe.rehearsal * len(rows)), [row.id for row in self.public]
        batches: list[list[Encoded]] = []
        for epoch in range(stage_epochs(recipe.epochs, recipe.slices)[r]):
            drawn = keyed_order(names, secret, "rehearsal", *where, r, epoch)[:n_public] if n_public else []
            mixed = [*rows, *(self.public[i] for i in drawn)]
            batches += epoch_batches(mixed, recipe.batch_size, secret, "unit", *where, r, epoch)
        return batches


def _train_only(model: Any, group: int, n_groups: int) -> None:
    """Freeze all adapters but those of one group of layers; group 0 is at the top."""
    layers = Trunk.of(model).blocks
    n = len(layers)
    chosen = range(n - (group + 1) * n // n_groups, n - group * n // n_groups)
    for i, layer in enumerate(layers):
        if i not in chosen:
            layer.requires_grad_(False)


def _take_off_adapters(base: Any) -> None:
    """Leave the base as it was given, also where it was interrupted while an adapter was being put on."""
    for module in list(base.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, BaseTunerLayer):
                setattr(module, name, child.get_base_layer())
    if hasattr(base, "peft_config"):
        del base.peft_config


def _read(path: Path) -> Adapter | None:
    try:
        return load_file(path) if path.exists() else None
    except SafetensorError:
        return None  # half-written by a killed process: not finished, so train it
