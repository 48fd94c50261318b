"""Train one unit: a LoRA adapter on a frozen base, slice after slice, each from the checkpoint before it.

Nothing in a stage depends on later slices or other units: its optimizer starts fresh, its step count, schedule, order
and padding come from the records of slices 1..r alone, and every random draw from (salt, seed, unit, stage).
"""

import hashlib
from collections.abc import Sequence
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
from expunge.core.placement import member_id, stage_epochs
from expunge.engine import (
    Progress,
    Resume,
    Schedule,
    collate,
    derived_seed,
    encode,
    epoch_batches,
    mean_nll,
    pad_id,
    pinned,
    train,
)

Adapter = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything besides records and salt that decides a unit's bits."""

    rank: int
    alpha: int
    lr: float
    epochs: int
    batch_size: int
    slices: int
    seed: int
    threads: int
    base: str  # digest of the base's weights and tokenizer


def lora_config(recipe: Recipe) -> LoraConfig:
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def train_unit(
    base: Any,
    tokenizer: Any,
    recipe: Recipe,
    unit: int,
    slices: Sequence[Sequence[Record]],
    salt: bytes,
    clean: Sequence[Adapter] = (),
    work: Path | None = None,
    progress: Progress | None = None,
) -> list[Adapter]:
    """The adapter after every stage. `clean` are the stages that need no training; `work` keeps finished ones.

    Finished stages are found again by the content they were trained on, so a stale one is never served.
    """
    stages = list(clean)
    with pinned(recipe.threads), torch.random.fork_rng(devices=[]):
        for r in range(len(stages), recipe.slices):
            name = stage_key(recipe, unit, slices[: r + 1], salt)
            kept = work / f"{name}.safetensors" if work else None
            if kept and (found := _read(kept)) is not None:
                stages.append(found)
                continue
            resume = Resume(path=work / f"{name}.part") if work else None
            before = stages[-1] if stages else None
            stages.append(_train_stage(base, tokenizer, recipe, unit, r, slices, salt, before, resume, progress))
            if kept:
                temporary = kept.with_suffix(".tmp")
                save_file(stages[-1], temporary)
                temporary.replace(kept)
    return stages


def visits(slices: Sequence[int], epochs: int, first: int = 1) -> int:
    """Records seen by stages `first`.. of a unit whose slices hold so many records.

    >>> visits([10, 10], 30), visits([10, 10], 30, first=2)
    (600, 400)
    """
    per_stage = stage_epochs(epochs, len(slices))
    return sum(per_stage[r] * sum(slices[: r + 1]) for r in range(first - 1, len(slices)))


def stage_key(recipe: Recipe, unit: int, slices: Sequence[Sequence[Record]], salt: bytes) -> str:
    """Content key of a stage: recipe, unit, salt and records of all its slices."""
    members = [[member_id(r, salt) for r in part] for part in slices]
    salted = hashlib.sha256(b"expunge/stage-salt/v1\0" + salt).hexdigest()
    return digest_json("stage", [vars(recipe), unit, members, salted]).removeprefix("sha256:")


def discard(recipe: Recipe, unit: int, slices: Sequence[Sequence[Record]], salt: bytes, first: int, work: Path) -> None:
    """Remove the files of stages `first`.. (from 1) of these records."""
    for r in range(first, len(slices) + 1):
        name = stage_key(recipe, unit, slices[:r], salt)
        for suffix in ("safetensors", "part", "tmp"):
            (work / f"{name}.{suffix}").unlink(missing_ok=True)


def _train_stage(
    base: Any,
    tokenizer: Any,
    recipe: Recipe,
    unit: int,
    r: int,
    slices: Sequence[Sequence[Record]],
    salt: bytes,
    before: Adapter | None,
    resume: Resume | None,
    progress: Progress | None,
) -> Adapter:
    rows = encode(tokenizer, [record for part in slices[: r + 1] for record in part])
    secret = salt + recipe.seed.to_bytes(8, "big")
    batches = [
        batch
        for epoch in range(stage_epochs(recipe.epochs, recipe.slices)[r])
        for batch in epoch_batches(rows, recipe.batch_size, secret, "unit", unit, r, epoch)
    ]
    torch.manual_seed(derived_seed(secret, "adapter", unit))  # fresh before each adapter's initialisation
    try:
        model = get_peft_model(base, lora_config(recipe))
        if before is not None:
            set_peft_model_state_dict(model, before)
        model.train()
        torch.manual_seed(derived_seed(secret, "stage", unit, r))
        pad, device = pad_id(tokenizer), next(model.parameters()).device
        if batches:
            train(
                list(model.parameters()),
                # Questions are learned too: their likelihood is what an answer is routed by.
                lambda k: mean_nll(model, collate(batches[k], pad, learn_question=True).to(device)),
                len(batches),
                Schedule(lr=recipe.lr, warmup=min(10, len(batches) // 4), shape="cosine"),
                resume=resume,
                progress=progress,
            )
        return {k: v.detach().cpu().clone().contiguous() for k, v in get_peft_model_state_dict(model).items()}
    finally:
        _take_off_adapters(base)
        base.eval()
        for p in base.parameters():
            p.requires_grad_(False)


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
