"""A language model whose private knowledge lives in adapters, one per group of people, so that people can leave.

A frozen base causal LM, whose weights and tokenizer never saw the private data, plus S LoRA adapters. Each is trained
in R slices on the subjects that a secret keyed hash puts there (SISA, Bourtoule et al. 2021, arXiv:1912.03817, on
adapters). `forget` trains again only the shards that a subject touched, from the last clean slice.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from torch import Tensor

from expunge.core import Deletion, Equality, Guarantee, Plan, Promise, Record, Route, TouchedUnit, Unit
from expunge.core.digests import digest_json
from expunge.core.errors import DigestMismatch, NotReady
from expunge.core.placement import cut
from expunge.core.recipe import WITHOUT_CANARY, Recipe
from expunge.engine import encode_prompt, pad_id, pad_left
from expunge.engine.adapters import with_adapters
from expunge.exact._adapter.base import prepare_base
from expunge.exact._adapter.fitted import Change, Fitted
from expunge.exact._adapter.folder import match_records, read_description, read_shards, write_folder
from expunge.exact._adapter.parameters import Parameters, RouteBy, read_parameters
from expunge.exact._adapter.records import Subjects, as_records, record_id
from expunge.exact._adapter.unit import Trainer, UnitProgress, lora_config
from expunge.exact._registry import learners

_TOGETHER = 32  # questions in one pass

__all__ = ["AdapterShards", "as_records", "prepare_base", "record_id"]


@learners.add
class AdapterShards:
    """S adapters on a frozen base; an answer comes from one of them.

    Guaranteed: after `forget`, all persisted state (adapters of every slice, words, members, parameters) has the same
    bits as a fit without those records, on the same processor capability, threads and library versions. A record about
    several subjects leaves with any of them. Not guaranteed: that the base is clean of them (it is recorded by digest,
    its cleanness is the caller's word), nor safety against requests chosen after seeing outputs: never publish routes
    or single adapters.

    `base` is a model, a folder or a hub name. Adapters answer questions in words they were not trained on only if the
    base knows those words from elsewhere: `prepare_base` trains one on public people who never ask to leave, each fact
    in several phrasings, with a tokenizer fitted on them alone, and leaves those rows beside the weights. With
    `rehearsal=1` adapters see as many of them as private rows, which keeps what the base knows of the language.

    `salt` is the secret behind placement and order; without one it is derived from `seed`, with a warning.

    `route` says who answers a question that names no subject. `words`: the shard that knows most of the words which
    the base did not expect, else the base alone. `likelihood`: the adapter that finds the question likeliest; it always
    picks one. The route may be changed after a fit; every other parameter counts at the next fit.
    """

    def __init__(
        self,
        base: Any,
        tokenizer: Any = None,
        *,
        shards: int = 4,
        slices: int = 1,
        rank: int = 32,
        alpha: int | None = None,
        lr: float = 3e-3,
        epochs: int = 25,
        batch_size: int = 16,
        rehearsal: float = 0.0,
        route: RouteBy = "words",
        seed: int = 0,
        salt: bytes | None = None,
        threads: int = 1,
    ) -> None:
        self.base, self.tokenizer = base, tokenizer
        self.shards, self.slices = shards, slices
        self.rank, self.alpha, self.lr = rank, alpha, lr
        self.epochs, self.batch_size, self.rehearsal = epochs, batch_size, rehearsal
        self.route, self.seed, self.salt, self.threads = route, seed, salt, threads
        self._fitted: Fitted | None = None

    @classmethod
    def from_parameters(
        cls, recorded: Mapping[str, Any], base: Any, tokenizer: Any = None, *, salt: bytes
    ) -> "AdapterShards":
        """An unfitted learner with the parameters of another, as its `parameters()` or the ledger record them.

        Raises: RecipeMismatch, for an option that no longer exists.
        """
        return cls(base, tokenizer, salt=salt, **asdict(read_parameters(recorded)))

    # -- fit and forget ------------------------------------------------------------------------------------------

    def fit(
        self,
        texts: Sequence[Record | tuple[str, str] | str],
        subjects: Subjects | None = None,
        ids: Sequence[str] | None = None,
        *,
        work: Path | None = None,
        progress: UnitProgress | None = None,
    ) -> "AdapterShards":
        """Train every shard. `texts` are Records, (question, answer) pairs or plain texts with their `subjects`.

        A subject is a name, or several as a tuple. `work` is a folder for finished stages, from which an interrupted
        fit goes on.

        Raises: InvalidData, for no records, missing subjects or duplicate ids.
        """
        records = as_records(texts, subjects, ids)
        self._fitted = Fitted.on(self._trainer(), records, work, progress)
        return self

    def add(
        self,
        texts: Sequence[Record | tuple[str, str] | str],
        subjects: Subjects | None = None,
        ids: Sequence[str] | None = None,
        *,
        work: Path | None = None,
        progress: UnitProgress | None = None,
    ) -> "AdapterShards":
        """Learn further records, given as to `fit`: the bits are those of one fit of all. On any error the model stays.

        Only the shards that they are placed in are trained, from the first slice that changes. Records that were forgotten
        are known by no list here: whoever adds must leave them out.

        Raises: InvalidData; RecipeMismatch; NotReady.
        """
        fitted = self._current()
        records = as_records(texts, subjects, ids)
        self._fitted = fitted.checked().with_records(records, work, progress)
        return self

    def plan(self, subjects: Sequence[str] = (), *, records: Sequence[str] = ()) -> Plan:
        """The shards and slices that forgetting would train again, and the share of full training that costs.

        Raises: EmptyForgetSet; UnknownSubject or UnknownRecord, if there is nothing here for a name.
        """
        fitted = self._current()
        return self._plan(fitted, fitted.changes(subjects, records))

    def forget(
        self,
        subjects: Sequence[str] = (),
        *,
        records: Sequence[str] = (),
        work: Path | None = None,
        progress: UnitProgress | None = None,
    ) -> Deletion:
        """Rebuild the touched shards without these subjects and records. On any error the model stays as it was.

        Files in `work` that were trained on them are removed.
        """
        began, fitted = time.perf_counter(), self._current()
        changes = fitted.changes(subjects, records)
        plan, before = self._plan(fitted, changes), self.digest()
        self._fitted = fitted.checked().without(changes, work, progress)
        return Deletion(
            plan=plan,
            digest_before=before,
            digest_after=self.digest(),
            cost=plan.cost,
            elapsed_s=time.perf_counter() - began,
            destroyed=plan.purge,
        )

    def promise(self) -> Promise:
        unwatched = self._fitted is not None and self._fitted.recipe.canary is None
        return Promise(
            guarantee=Guarantee.EXACT,
            equality=Equality.BITWISE,
            adaptive_safe=False,
            scope="full state: adapters of every slice, words, members, parameters",
            assumptions=(
                "the base model and its tokenizer never saw the data (asserted, recorded by digest, not verified)",
                "requests do not depend on published outputs",
                "number of units, rank, rates and epochs were not chosen on the removed data",
                *([WITHOUT_CANARY] if unwatched else []),
            ),
        )

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def salt_(self) -> bytes:
        """The secret of the fit: `salt`, or what was derived without one."""
        return self._current().trainer.salt

    @property
    def tokenizer_(self) -> Any:
        """The tokenizer of the fit: the one given, or the base's own."""
        return self._current().trainer.tokenizer

    def units(self) -> tuple[Unit, ...]:
        return self._current().units()

    def members(self, unit: str) -> list[list[str]]:
        """Opaque names of a unit's records, by slice."""
        return self._current().members(unit)

    def records(self, unit: str) -> list[list[Record]]:
        """The records a unit was trained on, by slice."""
        return [list(part) for part in self._current().shards[unit].slices]

    def parameters(self) -> dict[str, Any]:
        """Parameters and base as recorded, without secrets: a fit with them gives this state again."""
        return (self._trainer() if self._fitted is None else self._current().trainer).recorded()

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage."""
        return self._current().state()

    def digest(self) -> str:
        """One digest of the whole state: equal digests mean equal bits everywhere."""
        return digest_json("adapter-shards", self.state())

    def save(self, folder: Path) -> None:
        """Write the state as PEFT folders; see `_adapter/folder.py`. No record, subject or salt is in it."""
        fitted, state = self._current(), self.state()
        described = {**state, "digest": digest_json("adapter-shards", state)}
        write_folder(folder, described, fitted.shards, lora_config(fitted.trainer.parameters))

    @classmethod
    def load(
        cls, folder: Path, base: Any, tokenizer: Any = None, *, records: Sequence[Record], salt: bytes
    ) -> "AdapterShards":
        """A saved model, with the base and the records that it was trained on.

        Raises: UnreadableModel; RecipeMismatch, for an option that no longer exists; DigestMismatch, if base, records
        or bits are not the recorded ones.
        """
        learner = cls.for_reading(folder, base, tokenizer, salt=salt)
        fitted = learner._current()
        placed = cut(records, salt, learner.shards, learner.slices)
        learner._fitted = replace(fitted, shards=match_records(folder, fitted.shards, placed, salt))
        return learner

    @classmethod
    def for_reading(cls, folder: Path, base: Any, tokenizer: Any = None, *, salt: bytes) -> "AdapterShards":
        """A saved model without its records: it answers, but cannot forget.

        Raises: UnreadableModel; RecipeMismatch, for an option that no longer exists; DigestMismatch, if base or bits
        are not the recorded ones.
        """
        description = read_description(folder)
        learner = cls.from_parameters(description["parameters"], base, tokenizer, salt=salt)
        state = {name: value for name, value in description.items() if name != "digest"}
        if digest_json("adapter-shards", state) != description.get("digest"):
            raise DigestMismatch(
                f"the description of the model in {folder} does not add up to its digest; restore it from a backup"
            )
        trainer = learner._trainer()
        if trainer.base_digest != description["parameters"]["base"]:
            raise DigestMismatch(f"the base given is {trainer.base_digest}; this model needs the one it was trained on")
        settings = {"config": description["config"]} if "config" in description else {}
        recipe = Recipe(settings, description["environment"], description.get("canary"))
        learner._fitted = Fitted(trainer, read_shards(folder, description), recipe)
        return learner

    def check_recipe(self) -> None:
        """See that a rebuild here gives the bits of a rebuild there.

        Raises: RecipeMismatch.
        """
        self._current().checked()

    # -- answers -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        subjects: Sequence[str] | None = None,
        **settings: Any,
    ) -> Tensor:
        """As transformers' `generate`; each row is answered by the shard of its subject, else as `route` says.

        Rows are padded on the left. A subject whose shard is empty is answered by the base. What is known about
        several subjects together lives with one of them: ask it without `subjects`.
        """
        fitted = self._current()
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        units = None if subjects is None else [fitted.home(subject) for subject in subjects]
        return fitted.answers.generate(input_ids, mask, units, settings)

    def answer(
        self, questions: Sequence[str], subjects: Sequence[str] | None = None, max_new_tokens: int = 32
    ) -> list[str]:
        """Greedy answers in words, in the order of the questions; questions of like length are asked together."""
        tokenizer = self.tokenizer_
        prompts = [encode_prompt(tokenizer, q) for q in questions]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for part in (order[k : k + _TOGETHER] for k in range(0, len(order), _TOGETHER)):
            ids, mask = pad_left([prompts[i] for i in part], pad_id(tokenizer))
            named = None if subjects is None else [subjects[i] for i in part]
            out = self.generate(ids, mask, subjects=named, max_new_tokens=max_new_tokens, do_sample=False)
            texts = tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
            for i, text in zip(part, texts, strict=True):
                answers[i] = text.strip()
        return answers

    def share_found(self) -> float | None:
        """The share of the questions that it was trained on which find the adapter that learned them, unnamed.

        The others are answered by the base, or by somebody else's adapter. None where no question was trained on.
        """
        fitted = self._current()
        questions = [
            (r.question, name) for name in fitted.shards for part in self.records(name) for r in part if r.question
        ]
        if not questions:
            return None
        tokenizer = self.tokenizer_
        prompts = sorted((encode_prompt(tokenizer, question), name) for question, name in questions)
        found = []
        for part in (prompts[k : k + _TOGETHER] for k in range(0, len(prompts), _TOGETHER)):
            ids, mask = pad_left([ids for ids, _ in part], pad_id(tokenizer))
            found += fitted.answers.found(ids, mask, [name for _, name in part])
        return sum(found) / len(found)

    def model_for(self, subject: str) -> Any:
        """The plain model that would answer about this subject: base and one adapter, merged. For attacks, not serving."""
        fitted = self._current()
        base, shard = copy.deepcopy(fitted.trainer.base), fitted.shards.get(fitted.home(subject))
        if shard is None:
            return base.requires_grad_(True)
        model = with_adapters(base, lora_config(fitted.trainer.parameters))
        set_peft_model_state_dict(model, shard.serving)
        return model.merge_and_unload().requires_grad_(True).eval()

    # -- internals -----------------------------------------------------------------------------------------------

    def _trainer(self) -> Trainer:
        """What the next fit trains with."""
        chosen = {field.name: getattr(self, field.name) for field in fields(Parameters)}
        alpha = 2 * self.rank if self.alpha is None else self.alpha
        return Trainer.on(self.base, self.tokenizer, Parameters(**{**chosen, "alpha": alpha}), self.salt)

    def _current(self) -> Fitted:
        """What the last fit, deletion or load left.

        Raises: NotReady.
        """
        if self._fitted is None:
            raise NotReady("this AdapterShards is not fitted; call fit first")
        self._fitted = self._fitted.routed(self.route)
        return self._fitted

    def _plan(self, fitted: Fitted, changes: Sequence[Change]) -> Plan:
        return Plan(
            route=Route.REBUILD,
            promise=self.promise(),
            units=tuple(TouchedUnit(c.shard.name, c.n_removed, c.first_slice) for c in changes),
            n_removed=sum(c.n_removed for c in changes),
            cost=fitted.cost(changes),
            purge=tuple(part for c in changes for part in c.destroyed()),
        )

    def __repr__(self) -> str:
        shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(Parameters))
        return f"AdapterShards({', '.join(shown)})"
