"""A language model whose private knowledge lives in adapters, one per group of people, so that people can leave.

A frozen base causal LM, whose weights and tokenizer never saw the private data, plus S LoRA adapters. Each is trained
in R slices on the subjects that a secret keyed hash puts there (SISA, Bourtoule et al. 2021, arXiv:1912.03817, on
adapters). `forget` trains again only the shards that a subject touched, from the last clean slice.
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model, set_peft_model_state_dict
from torch import Tensor

from expunge.core import Deletion, Equality, Guarantee, Plan, Promise, Record, Route, TouchedUnit, Unit
from expunge.core.digests import digest_json
from expunge.core.errors import DigestMismatch, NotReady
from expunge.core.placement import SHARD, cut, member_id, place
from expunge.engine import encode_prompt, environment, pad_id, pad_left
from expunge.exact._adapter.answers import Answers, RouteBy
from expunge.exact._adapter.base import prepare_base
from expunge.exact._adapter.changes import TRUNCATED, Change, changes, lost, share_of_a_fit
from expunge.exact._adapter.folder import match_members, read_description, read_shards, write_folder
from expunge.exact._adapter.records import Subjects, as_records, ids_of
from expunge.exact._adapter.setup import check_parameters, set_up
from expunge.exact._adapter.unit import Adapter, Shard, lora_config, same_environment
from expunge.exact._adapter.words import known_words
from expunge.exact._registry import learners

__all__ = ["AdapterShards", "as_records", "prepare_base"]

UnitProgress = Callable[[str, int, int], None]  # unit, steps done, steps in all


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
    picks one. `average` (mean probability) and `merge` (mean of the adapters) ask all of them and keep far less.

    `permutations=B` (S3T, arXiv:2406.16257) trains each shard on B rotations of its slices, stage i changing the i-th
    group of layers only, which keeps much less. `forget` then drops the stages that saw the data, and the longest order
    that is left answers: no training until every order of a shard has lost its first stage. What is held equals a fit
    without the data of the recipe with `truncated=` (in `parameters()`), not of the full one: fewer slices are known.
    `truncated` is lineage: it tells in which slices something left. `retrain()` brings all stages back.
    """

    def __init__(
        self,
        base: Any,
        tokenizer: Any = None,
        *,
        shards: int = 4,
        slices: int = 1,
        permutations: int = 0,
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
        truncated: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.base, self.tokenizer = base, tokenizer
        self.shards, self.slices, self.permutations = shards, slices, permutations
        self.rank, self.alpha, self.lr = rank, alpha, lr
        self.epochs, self.batch_size, self.rehearsal = epochs, batch_size, rehearsal
        self.route, self.seed, self.salt, self.threads = route, seed, salt, threads
        self.truncated = truncated

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
        self.__dict__.pop("_recipe", None)  # parameters may have been set since the last fit
        self._prepare()
        cuts = dict(self.truncated or {})
        placed = cut(records, self.salt_, self.shards, self.slices)
        held = {
            unit: self._train(unit, slices, (), cuts.get(_name(unit), ()), work, progress)
            for unit, slices in placed.items()
        }
        self._keep(held)
        self._environment = environment(self.threads)
        return self

    def plan(self, subjects: Sequence[str] = (), *, records: Sequence[str] = ()) -> Plan:
        """The shards and slices that forgetting would train again, and the share of full training that costs.

        Raises: EmptyForgetSet; UnknownSubject or UnknownRecord, if there is nothing here for a name.
        """
        found = self._changes(subjects, records)
        cut_off = [c for c in found if not c.trained and not c.emptied]
        return Plan(
            route=Route.DROP if cut_off and not any(c.trained for c in found) else Route.REBUILD,
            promise=self.promise(),
            units=tuple(TouchedUnit(_name(c.unit), c.n_removed, max(c.kept) + 1) for c in found),
            n_removed=sum(c.n_removed for c in found),
            cost=share_of_a_fit(found, self._held, self._recipe),
            purge=tuple(f"{_name(c.unit)}/{part}" for c in found for part in lost(c, self._held)),
            notes=tuple(
                f"{_name(c.unit)} will know {max(c.kept)} of {self.slices} slices until it is retrained"
                for c in cut_off
            ),
        )

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
        plan, began, before = self.plan(subjects, records=records), time.perf_counter(), self.digest()
        self.check_environment()
        found, held = self._changes(subjects, records), dict(self._held)
        for change in found:
            if change.emptied:
                del held[change.unit]
                continue
            clean = [line[:n] for line, n in zip(held[change.unit].lines, change.kept, strict=True)]
            stages = () if change.trained else change.kept
            held[change.unit] = self._train(change.unit, change.slices, clean, stages, work, progress)
        if work:
            for change in found:
                first = [n + 1 for n in change.kept]
                self._trainer.discard(change.unit, self._held[change.unit].slices, first, work)
        self._keep(held)
        return Deletion(
            plan=plan,
            digest_before=before,
            digest_after=self.digest(),
            cost=plan.cost,
            elapsed_s=time.perf_counter() - began,
            destroyed=plan.purge,
        )

    def retrain(self, *, work: Path | None = None, progress: UnitProgress | None = None) -> "AdapterShards":
        """Train the stages that deletions took away; afterwards the state equals that of a full fit.

        Does nothing without permutations: there every deletion ends with all stages.
        """
        self._check_fitted()
        self.check_environment()
        held = {
            unit: self._train(unit, shard.slices, shard.lines, (), work, progress) for unit, shard in self._held.items()
        }
        self._keep(held)
        return self

    def promise(self) -> Promise:
        return Promise(
            guarantee=Guarantee.EXACT,
            equality=Equality.BITWISE,
            adaptive_safe=False,
            scope="full state: adapters of every slice, words, members, parameters",
            assumptions=(
                "the base model and its tokenizer never saw the data (asserted, recorded by digest, not verified)",
                "requests do not depend on published outputs",
                "number of units, rank, rates and epochs were not chosen on the removed data",
                *([TRUNCATED] if self.permutations else []),
            ),
        )

    # -- state ---------------------------------------------------------------------------------------------------

    def units(self) -> tuple[Unit, ...]:
        self._check_fitted()
        return tuple(
            Unit(_name(unit), tuple(len(part) for part in shard.slices), shard.digest())
            for unit, shard in self._held.items()
        )

    def members(self, unit: str) -> list[list[str]]:
        """Opaque names of a unit's records, by slice."""
        return [[member_id(r, self.salt_) for r in part] for part in self._held[_number(unit)].slices]

    def records(self, unit: str) -> list[list[Record]]:
        """The records a unit was trained on, by slice."""
        return [list(part) for part in self._held[_number(unit)].slices]

    def parameters(self) -> dict[str, Any]:
        """What was asked for, without secrets, and what deletions truncated: a fit with them gives this state again."""
        self._prepare()
        asked = {"kind": "adapter_shards", "shards": self.shards, "route": self.route, **asdict(self._recipe)}
        stages = {unit: list(n) for unit, n in (self.truncated or {}).items()}
        if hasattr(self, "_held"):
            stages = {_name(unit): [len(line) for line in shard.lines] for unit, shard in self._held.items()}
        short = {unit: n for unit, n in stages.items() if min(n) < self.slices}
        return {**asked, "truncated": short} if short else asked

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage."""
        return {
            "parameters": self.parameters(),
            "environment": self._environment,
            "units": [{**asdict(u), "slices": list(u.slices), "members": self.members(u.id)} for u in self.units()],
        }

    def digest(self) -> str:
        """One digest of the whole state: equal digests mean equal bits everywhere."""
        return digest_json("adapter-shards", self.state())

    def save(self, folder: Path) -> None:
        """Write the state as PEFT folders; see `_adapter/folder.py`. No record, subject or salt is in it."""
        state, shards = self.state(), {_name(unit): shard for unit, shard in self._held.items()}
        members = {unit: self.members(unit) for unit in shards}
        write_folder(folder, {**state, "digest": self.digest()}, shards, members, lora_config(self._recipe))

    @classmethod
    def load(
        cls, folder: Path, base: Any, tokenizer: Any = None, *, records: Sequence[Record], salt: bytes
    ) -> "AdapterShards":
        """A saved model, with the base and the records that it was trained on.

        Raises: UnreadableModel; DigestMismatch, if base, records or bits are not the recorded ones.
        """
        self = cls.for_reading(folder, base, tokenizer, salt=salt)
        placed = cut(records, salt, self.shards, self.slices)
        for unit, shard in self._held.items():
            slices = match_members(folder, _name(unit), placed.pop(unit, None), salt, self.slices)
            self._held[unit] = replace(shard, slices=slices)
        if extra := sum(len(part) for slices in placed.values() for part in slices):
            raise DigestMismatch(f"{extra} of the records given belong to units that this model does not have")
        return self

    @classmethod
    def for_reading(cls, folder: Path, base: Any, tokenizer: Any = None, *, salt: bytes) -> "AdapterShards":
        """A saved model without its records: it answers, but cannot forget.

        Raises: UnreadableModel; DigestMismatch, if base or bits are not the recorded ones.
        """
        described = read_description(folder)
        asked = {k: v for k, v in described["parameters"].items() if k not in ("base", "kind")}
        self = cls(base, tokenizer, salt=salt, **asked)
        self._prepare()
        if self._recipe.base != described["parameters"]["base"]:
            raise DigestMismatch(f"the base given is {self._recipe.base}; this model needs the one it was trained on")
        shards = read_shards(folder, described, [self.slices] * len(self._recipe.orders()))
        self._keep({_number(unit): shard for unit, shard in shards.items()})
        self._environment = described["environment"]
        return self

    def check_environment(self) -> None:
        """Whether a rebuild here gives the bits of a rebuild there.

        Raises: RecipeMismatch.
        """
        same_environment(self._environment, self.threads)

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
        self._check_fitted()
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        units = None if subjects is None else [_name(place(s, self.salt_, self.shards, SHARD)) for s in subjects]
        return self._serve().generate(input_ids, mask, units, settings)

    def answer(
        self, questions: Sequence[str], subjects: Sequence[str] | None = None, max_new_tokens: int = 32
    ) -> list[str]:
        """Greedy answers in words, in the order of the questions."""
        self._check_fitted()
        prompts = [encode_prompt(self.tokenizer_, q) for q in questions]
        ids, mask = pad_left(prompts, pad_id(self.tokenizer_))
        out = self.generate(ids, mask, subjects=subjects, max_new_tokens=max_new_tokens, do_sample=False)
        return [t.strip() for t in self.tokenizer_.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)]

    def model_for(self, subject: str) -> Any:
        """The plain model that would answer about this subject: base and one adapter, merged. For attacks, not serving."""
        self._check_fitted()
        merged = copy.deepcopy(self._base)
        unit = place(subject, self.salt_, self.shards, SHARD)
        if unit not in self._held:
            return merged.requires_grad_(True)
        model = get_peft_model(merged, lora_config(self._recipe))
        set_peft_model_state_dict(model, self._held[unit].serving)
        return model.merge_and_unload().requires_grad_(True).eval()

    # -- internals -----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        check_parameters(self)
        if not hasattr(self, "_recipe"):
            self._trainer = set_up(self)
            self._base, self.tokenizer_ = self._trainer.base, self._trainer.tokenizer
            self._recipe, self.salt_ = self._trainer.recipe, self._trainer.salt

    def _train(
        self,
        unit: int,
        slices: list[list[Record]],
        clean: Sequence[Sequence[Adapter]],
        stages: Sequence[int],
        work: Path | None,
        progress: UnitProgress | None,
    ) -> Shard:
        report = (lambda done, total: progress(_name(unit), done, total)) if progress else None
        lines = self._trainer.lines(unit, slices, clean, stages, work, report)
        said = (record for part in slices for record in part)
        return Shard(slices, lines, known_words(said, self.salt_) if self.route == "words" else None)

    def _keep(self, held: dict[int, Shard]) -> None:
        self._held = held
        self._answers: Answers | None = None

    def _changes(self, subjects: Sequence[str], records: Sequence[str]) -> list[Change]:
        self._check_fitted()
        held = (r for shard in self._held.values() for part in shard.slices for r in part)
        return changes(self._held, ids_of(held, subjects, records), self._recipe)

    def _serve(self) -> Answers:
        """Every shard's adapter on one copy of the base, put together when first asked."""
        if self._answers is None or self._answers.route != self.route:
            shards = {_name(unit): shard for unit, shard in self._held.items()}
            self._answers = Answers(
                self._base, self.tokenizer_, lora_config(self._recipe), shards, self.route, self.salt_
            )
        return self._answers

    def _check_fitted(self) -> None:
        if not hasattr(self, "_held"):
            raise NotReady("this AdapterShards is not fitted; call fit first")

    def __repr__(self) -> str:
        hidden = ("base", "tokenizer", "salt")
        shown = {k: v for k, v in vars(self).items() if k in _PARAMETERS and k not in hidden}
        return f"AdapterShards({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


_PARAMETERS = tuple(signature(AdapterShards.__init__).parameters)


def _name(unit: int) -> str:
    return f"shard-{unit:03d}"


def _number(name: str) -> int:
    return int(name.removeprefix("shard-"))
