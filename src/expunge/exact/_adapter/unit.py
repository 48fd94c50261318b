"""Train one shard: LoRA adapters on a frozen base, slice after slice, each from the checkpoint before it.

Nothing in a stage depends on later slices or other shards: its optimizer starts fresh, its step count, schedule, order
and padding come from the records of the slices so far alone, and every random draw from (salt, seed, shard, stage).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter, RecipeMismatch, UnreadableModel
from expunge.core.placement import member_id, stage_epochs
from expunge.core.recipe import Recipe
from expunge.engine import (
    Encoded,
    Progress,
    Resume,
    Schedule,
    Stages,
    collate,
    derived_seed,
    digest_config,
    digest_model,
    digest_state,
    digest_tokenizer,
    encode,
    environment,
    epoch_batches,
    keyed_order,
    load_model,
    load_tokenizer,
    mean_nll,
    pad_id,
    pinned,
    stage_key,
    train,
)
from expunge.engine.adapters import with_adapters
from expunge.engine.conditions import MODELS
from expunge.engine.text import context_of
from expunge.exact._adapter.base import digest_public, read_public
from expunge.exact._adapter.parameters import Parameters
from expunge.exact._adapter.trial import try_adapters
from expunge.exact._adapter.words import known_words

Adapter = dict[str, Tensor]
Slices = Sequence[Sequence[Record]]
_CANARY = 24  # tokens of the longer fixed row, where the model reads as many
UnitProgress = Callable[[str, int, int], None]  # unit, steps done, steps in all


@dataclass(frozen=True)
class Shard:
    """What a shard holds: its records by slice, the adapter after every slice, and the words it is found by."""

    number: int
    slices: list[list[Record]]
    stages: list[Adapter]
    words: Tensor | None
    encoded: str | None  # digest of the token ids it was trained on; None in models of Expunge 0.1.0

    @property
    def name(self) -> str:
        return shard_name(self.number)

    @property
    def serving(self) -> Adapter:
        """The adapter that answers: the one after the last slice."""
        return self.stages[-1]

    def digest(self) -> str:
        tensors = {} if self.words is None else {"words": self.words}
        tensors |= {f"slice-{r}/{k}": v for r, stage in enumerate(self.stages, start=1) for k, v in stage.items()}
        return digest_state(tensors)


def shard_name(number: int) -> str:
    return f"shard-{number:03d}"


def shard_number(name: str) -> int:
    return int(name.removeprefix("shard-"))


def fixed_rows(base: Any) -> list[Encoded]:
    """Two rows of token ids, of different lengths as rows of a batch are: the canary's.

    They are made of the model alone: not every tokenizer knows the words of a fixed text, nor every model reads as many. What
    the tokenizer makes of the records is compared by itself.
    """
    n_ids, most = base.get_input_embeddings().weight.shape[0], min(_CANARY, context_of(base))
    lengths = (most, max(2, most // 3))
    return [Encoded(f"canary/{n}", tuple((7 * i + 3) % n_ids for i in range(n)), max(1, n // 3)) for n in lengths]


def lora_config(parameters: Parameters) -> LoraConfig:
    return LoraConfig(
        r=parameters.rank,
        lora_alpha=parameters.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


@dataclass(frozen=True)
class Trainer:
    """Everything besides records that decides a shard's bits: a frozen base, parameters, the secret, public rows."""

    base: Any
    tokenizer: Any
    parameters: Parameters
    salt: bytes  # behind placement, order and seeds
    public: Sequence[Encoded]  # to rehearse
    base_digest: str  # of weights and tokenizer, and of the public rows where they are rehearsed

    @classmethod
    def on(cls, base: Any, tokenizer: Any, parameters: Parameters, salt: bytes | None) -> "Trainer":
        """A trainer on this base, which is loaded where a folder is named.

        Raises: InvalidParameter, for a base that carries adapters, has no tokenizer, or has nothing to rehearse.
        """
        model = load_model(base) if isinstance(base, str | Path) else base
        if hasattr(model, "peft_config"):
            raise InvalidParameter("the base carries adapters already; merge them first, with merge_and_unload()")
        if tokenizer is None:
            if not isinstance(base, str | Path):
                raise InvalidParameter("a base given as a model needs its tokenizer; pass tokenizer=")
            tokenizer = load_tokenizer(base)
        public = read_public(base) if parameters.rehearsal else []
        if salt is None:
            warnings.warn("salt=None: placement is derived from the seed and is not secret", stacklevel=4)
            salt = b"expunge/no-salt/" + parameters.seed.to_bytes(8, "big")
        digests = [digest_model(model), digest_tokenizer(tokenizer), *([digest_public(public)] if public else [])]
        return cls(model, tokenizer, parameters, salt, encode(tokenizer, public), digest_json("base", digests))

    def try_out(self) -> None:
        """See, before anything is trained, that adapters on this base can be trained and answer side by side.

        Raises: InvalidParameter.
        """
        with pinned(self.parameters.threads), torch.random.fork_rng(devices=[]), self._clean():
            torch.manual_seed(0)
            _, short = fixed_rows(self.base)
            try_adapters(self.base, lora_config(self.parameters), short.ids, pad_id(self.tokenizer))

    @cached_property
    def recipe(self) -> Recipe:
        """What decides the bits of a shard: settings, environment, and one step on two fixed rows, as they are when this
        trainer is first asked.
        """
        settings = {k: v for k, v in self.recorded().items() if k != "route"}  # it may change: no adapter rests on it
        settings["config"] = digest_config(self.base)
        device = next(self.base.parameters()).device
        return Recipe(settings, environment(MODELS, self.parameters.threads, device)).tried(self._canary)

    def recorded(self) -> dict[str, Any]:
        """The parameters and the base as saved models hold them."""
        return self.parameters.recorded(self.base_digest)

    def shard(
        self,
        number: int,
        slices: list[list[Record]],
        clean: Sequence[Adapter] = (),
        work: Path | None = None,
        progress: UnitProgress | None = None,
    ) -> Shard:
        """Train a shard on these records; `clean` are its first stages, where they need no training.

        `work` keeps finished stages, found again by the content they were trained on, so a stale one is never served.
        """
        done, finished = list(clean), Stages(work)
        report = (lambda done, total: progress(shard_name(number), done, total)) if progress else None
        with pinned(self.parameters.threads), torch.random.fork_rng(devices=[]):
            for r in range(len(done), len(slices)):
                key = self.key(number, slices[: r + 1])

                def train(begun: Path | None, r: int = r) -> Adapter:
                    resume = Resume(path=begun) if begun else None
                    return self._stage(number, slices[: r + 1], done[-1] if done else None, resume, report)

                done.append(finished.run(key, train, read_adapter, save_file))
        records = [record for part in slices for record in part]
        words = known_words(records, self.salt) if self.parameters.route == "words" else None
        return Shard(number, slices, done, words, self.encoded(slices))

    def encoded(self, slices: Slices) -> str:
        """Digest of the token ids that these records become."""
        rows = encode(self.tokenizer, [record for part in slices for record in part])
        return digest_json("encoded", [[list(row.ids), row.n_prompt] for row in rows])

    def check_encoded(self, shard: Shard) -> None:
        """See that its records become the token ids that it was trained on.

        Raises: RecipeMismatch.
        """
        if shard.encoded is not None and shard.encoded != self.encoded(shard.slices):
            raise RecipeMismatch(
                f"the records of {shard.name} become other tokens here than when it was trained: the tokenizer, or what its "
                "chat template writes, has changed. Restore it as it was, or train again"
            )

    def discard(self, number: int, slices: Slices, clean: int, work: Path) -> None:
        """Remove the files of all stages of these records after the first `clean`."""
        Stages(work).discard(self.key(number, slices[:r]) for r in range(clean + 1, len(slices) + 1))

    def key(self, number: int, slices: Slices) -> str:
        """Content key of a stage: recipe, shard, salt, and the records of all its slices with their token ids."""
        settings = {k: v for k, v in self.recipe.settings.items() if k not in ("kind", "shards", "route")}
        members = [[member_id(r, self.salt) for r in part] for part in slices]
        content = [number, members, self.encoded(slices)]
        return stage_key(replace(self.recipe, settings=settings), self.salt, content)

    def _canary(self) -> str:
        """Digest of an adapter after one step on fixed rows."""
        with pinned(self.parameters.threads), torch.random.fork_rng(devices=[]):
            return digest_state(self._trained([fixed_rows(self.base)], b"expunge/canary", 0, 0))

    def _stage(
        self, number: int, slices: Slices, before: Adapter | None, resume: Resume | None, progress: Progress | None
    ) -> Adapter:
        secret = self.salt + self.parameters.seed.to_bytes(8, "big")
        batches = self._batches(number, slices, secret)
        return self._trained(batches, secret, number, len(slices) - 1, before, resume, progress)

    def _trained(
        self,
        batches: Sequence[list[Encoded]],
        secret: bytes,
        number: int,
        r: int,
        before: Adapter | None = None,
        resume: Resume | None = None,
        progress: Progress | None = None,
    ) -> Adapter:
        """The adapter after these steps, from the one before or from a fresh one."""
        parameters = self.parameters
        torch.manual_seed(derived_seed(secret, "adapter", number))  # fresh before each adapter's initialisation
        with self._clean():
            model = with_adapters(self.base, lora_config(parameters))
            if before is not None:
                set_peft_model_state_dict(model, before)
            model.train()
            torch.manual_seed(derived_seed(secret, "stage", number, r))
            pad, device = pad_id(self.tokenizer), next(model.parameters()).device
            if batches:
                train(
                    list(model.parameters()),
                    # Questions are learned too: their likelihood is what an answer may be routed by.
                    lambda k: mean_nll(model, collate(batches[k], pad, learn_question=True).to(device)),
                    len(batches),
                    Schedule(lr=parameters.lr, warmup=min(10, len(batches) // 4), shape="cosine"),
                    resume=resume,
                    progress=progress,
                )
            return {k: v.detach().cpu().clone().contiguous() for k, v in get_peft_model_state_dict(model).items()}

    @contextmanager
    def _clean(self) -> Iterator[None]:
        """Meanwhile the base is frozen; afterwards it is as it was given: without adapters, flags and modes its own."""
        trained = [p for p in self.base.parameters() if p.requires_grad]
        modes = [(module, module.training) for module in self.base.modules()]
        try:
            for p in trained:
                p.requires_grad_(False)
            self.base.eval()
            yield
        finally:
            _take_off_adapters(self.base)
            for module, mode in modes:
                module.training = mode
            for p in self.base.parameters():
                p.requires_grad_(False)
            for p in trained:
                p.requires_grad_(True)

    def _batches(self, number: int, slices: Slices, secret: bytes) -> list[list[Encoded]]:
        """Every pass of a stage over its records, with as many public rows among them as `rehearsal` says."""
        parameters, r = self.parameters, len(slices) - 1
        rows = encode(self.tokenizer, [record for part in slices for record in part])
        n_public, names = round(parameters.rehearsal * len(rows)), [row.id for row in self.public]
        batches: list[list[Encoded]] = []
        for epoch in range(stage_epochs(parameters.epochs, parameters.slices)[r]):
            drawn = keyed_order(names, secret, "rehearsal", number, r, epoch)[:n_public] if n_public else []
            mixed = [*rows, *(self.public[i] for i in drawn)]
            batches += epoch_batches(mixed, parameters.batch_size, secret, "unit", number, r, epoch)
        return batches


def _take_off_adapters(base: Any) -> None:
    """Leave the base as it was given, also where it was interrupted while an adapter was being put on."""
    for module in list(base.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, BaseTunerLayer):
                setattr(module, name, child.get_base_layer())
    if hasattr(base, "peft_config"):
        del base.peft_config


def read_adapter(path: Path) -> Adapter:
    """Raises: UnreadableModel."""
    try:
        adapter: Adapter = load_file(path)
    except (SafetensorError, OSError) as e:
        raise UnreadableModel(f"{path} is missing or truncated ({e}); restore it from a backup") from e
    return adapter
