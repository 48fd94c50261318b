"""A language model whose private knowledge lives in adapters, one per group of people, so that people can leave.

A frozen base causal LM, whose weights and tokenizer never saw the private data, plus S LoRA adapters. Each is trained
in R slices on the subjects that a secret keyed hash puts there (SISA, Bourtoule et al. 2021, arXiv:1912.03817, on
adapters). `forget` trains again only the units that a subject touched, from the last clean slice.
"""

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from peft import get_peft_model, set_peft_model_state_dict
from torch import Tensor

from expunge.core import Deletion, Equality, Guarantee, Plan, Promise, Record, Route, TouchedUnit, Unit
from expunge.core.digests import digest_json
from expunge.core.errors import (
    DigestMismatch,
    EmptyForgetSet,
    InvalidData,
    InvalidParameter,
    NotReady,
    RecipeMismatch,
    UnknownSubject,
)
from expunge.core.placement import SHARD, cut, member_id, place
from expunge.engine import (
    digest_model,
    digest_state,
    digest_tokenizer,
    encode_prompt,
    environment,
    load_model,
    load_tokenizer,
    pad_id,
    pad_left,
)
from expunge.exact import learners
from expunge.exact._adapter_folder import match_members, read_description, read_stages, write_folder
from expunge.exact._adapter_unit import Adapter, Recipe, discard, lora_config, train_unit, visits
from expunge.exact._routing import averaged_greedy, most_likely

UnitProgress = Callable[[str, int, int], None]  # unit, steps done, steps in all


@learners.add
class AdapterShards:
    """S adapters on a frozen base; an answer comes from one of them.

    Guaranteed: after `forget(subjects)`, all persisted state (adapters of every slice, members, parameters) has the
    same bits as a fit without those subjects' records, on the same processor capability, threads and library versions.
    Not guaranteed: that the base is clean of them (it is recorded by digest, its cleanness is the caller's word), nor
    safety against requests chosen after seeing outputs: never publish routes or single adapters.

    `base` is a model, a folder or a hub name. `salt` is the secret behind placement and order; without one it is
    derived from `seed`, with a warning.
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
        route: Literal["likelihood", "average"] = "likelihood",
        seed: int = 0,
        salt: bytes | None = None,
        threads: int = 1,
    ) -> None:
        self.base, self.tokenizer = base, tokenizer
        self.shards, self.slices, self.rank, self.alpha = shards, slices, rank, alpha
        self.lr, self.epochs, self.batch_size = lr, epochs, batch_size
        self.route, self.seed, self.salt, self.threads = route, seed, salt, threads

    # -- fit and forget ------------------------------------------------------------------------------------------

    def fit(
        self,
        texts: Sequence[Record | tuple[str, str] | str],
        subjects: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        *,
        work: Path | None = None,
        progress: UnitProgress | None = None,
    ) -> "AdapterShards":
        """Train every unit. `texts` are Records, (question, answer) pairs or plain texts with their `subjects`.

        `work` is a folder for finished stages, from which an interrupted fit goes on.

        Raises: InvalidData, for no records, missing subjects or duplicate ids.
        """
        records = as_records(texts, subjects, ids)
        self.__dict__.pop("_recipe", None)  # parameters may have been set since the last fit
        self._prepare()
        placed = cut(records, self.salt_, self.shards, self.slices)
        stages = {unit: self._train(unit, slices, (), work, progress) for unit, slices in placed.items()}
        self._cut, self._stages, self._served = placed, stages, None
        self._environment = environment(self.threads)
        return self

    def plan(self, subjects: Sequence[str]) -> Plan:
        """The units and slices that forgetting would train again, and the share of full training that costs.

        Raises: EmptyForgetSet; UnknownSubject, if a subject has no record here.
        """
        self._check_fitted()
        leaving = self._leaving(subjects)
        touched, work = [], 0
        for unit, slices in self._cut.items():
            hits = [sum(r.subject in leaving for r in part) for part in slices]
            if not any(hits):
                continue
            first = next(i for i, n in enumerate(hits) if n) + 1
            touched.append(TouchedUnit(_name(unit), sum(hits), first))
            left = [len(part) - n for part, n in zip(slices, hits, strict=True)]
            work += visits(left, self.epochs, first) if any(left) else 0
        full = sum(
            visits([sum(r.subject not in leaving for r in p) for p in s], self.epochs) for s in self._cut.values()
        )
        return Plan(
            route=Route.REBUILD,
            promise=self.promise(),
            units=tuple(touched),
            n_removed=sum(t.n_removed for t in touched),
            cost=work / full if full else 0.0,
            purge=tuple(f"{t.id}/slice-{k}" for t in touched for k in range(t.first_slice, self.slices + 1)),
        )

    def forget(
        self, subjects: Sequence[str], *, work: Path | None = None, progress: UnitProgress | None = None
    ) -> Deletion:
        """Train the touched units again without these subjects. On any error the model stays as it was.

        Files in `work` that were trained on them are removed.
        """
        plan, began, before = self.plan(subjects), time.perf_counter(), self.digest()
        self.check_environment()
        leaving = set(subjects)
        new_cut, new_stages = dict(self._cut), dict(self._stages)
        for touched in plan.units:
            unit = _number(touched.id)
            slices = [[r for r in part if r.subject not in leaving] for part in self._cut[unit]]
            if not any(slices):
                del new_cut[unit], new_stages[unit]
                continue
            clean = self._stages[unit][: touched.first_slice - 1]
            new_cut[unit], new_stages[unit] = slices, self._train(unit, slices, clean, work, progress)
        if work:
            for touched in plan.units:
                unit = _number(touched.id)
                discard(self._recipe, unit, self._cut[unit], self.salt_, touched.first_slice, work)
        self._cut, self._stages, self._served = new_cut, new_stages, None
        return Deletion(
            plan=plan,
            digest_before=before,
            digest_after=self.digest(),
            cost=plan.cost,
            elapsed_s=time.perf_counter() - began,
            destroyed=plan.purge,
        )

    def promise(self) -> Promise:
        return Promise(
            guarantee=Guarantee.EXACT,
            equality=Equality.BITWISE,
            adaptive_safe=False,
            scope="full state: adapters of every slice, members, parameters",
            assumptions=(
                "the base model and its tokenizer never saw the data (asserted, recorded by digest, not verified)",
                "requests do not depend on published outputs",
                "number of units, rank, rates and epochs were not chosen on the removed data",
            ),
        )

    # -- state ---------------------------------------------------------------------------------------------------

    def units(self) -> tuple[Unit, ...]:
        self._check_fitted()
        return tuple(
            Unit(_name(unit), tuple(len(part) for part in slices), self._unit_digest(unit))
            for unit, slices in self._cut.items()
        )

    def members(self, unit: str) -> list[list[str]]:
        """Opaque names of a unit's records, by slice."""
        return [[member_id(r, self.salt_) for r in part] for part in self._cut[_number(unit)]]

    def records(self, unit: str) -> list[list[Record]]:
        """The records a unit was trained on, by slice."""
        return [list(part) for part in self._cut[_number(unit)]]

    def parameters(self) -> dict[str, Any]:
        """What was asked for, without secrets."""
        self._prepare()
        return {"kind": "adapter_shards", "shards": self.shards, "route": self.route, **asdict(self._recipe)}

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

    def _unit_digest(self, unit: int) -> str:
        stages = self._stages[unit]
        return digest_state({f"slice-{r + 1}/{k}": v for r, stage in enumerate(stages) for k, v in stage.items()})

    def save(self, folder: Path) -> None:
        """Write the state as PEFT folders; see `_adapter_folder`. No record, subject or salt is in it."""
        state = self.state()
        stages = {_name(unit): adapters for unit, adapters in self._stages.items()}
        members = {unit: self.members(unit) for unit in stages}
        write_folder(folder, {**state, "digest": self.digest()}, stages, members, lora_config(self._recipe))

    @classmethod
    def load(
        cls, folder: Path, base: Any, tokenizer: Any = None, *, records: Sequence[Record], salt: bytes
    ) -> "AdapterShards":
        """A saved model, with the base and the records that it was trained on.

        Raises: UnreadableModel; DigestMismatch, if base, records or bits are not the recorded ones.
        """
        self = cls.for_reading(folder, base, tokenizer, salt=salt)
        placed = cut(records, salt, self.shards, self.slices)
        for number in self._stages:
            slices = placed.pop(number, None)
            self._cut[number] = match_members(folder, _name(number), slices, salt, self.slices)
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
        self._cut, self._stages, self._served = {}, {}, None
        for unit in described["units"]:
            self._stages[_number(unit["id"])] = read_stages(folder, unit["id"], self.slices)
            self._cut[_number(unit["id"])] = [[] for _ in range(self.slices)]
            if self._unit_digest(_number(unit["id"])) != unit["digest"]:
                raise DigestMismatch(
                    f"the weights of {unit['id']} are not the recorded ones; restore them from a backup"
                )
        self._environment = described["environment"]
        return self

    def check_environment(self) -> None:
        """Whether a rebuild here gives the bits of a rebuild there.

        Raises: RecipeMismatch.
        """
        here = environment(self.threads)
        if self._environment != here:
            differs = sorted(k for k in here if here[k] != self._environment.get(k))
            raise RecipeMismatch(
                f"this process differs from the recorded recipe in {', '.join(differs)}: "
                f"{ {k: here[k] for k in differs} } here, { {k: self._environment.get(k) for k in differs} } recorded; "
                "the other units would keep bits that a fit here would not give"
            )

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
        """As transformers' `generate`; each row is answered by the unit of its subject, else by the likeliest.

        Rows are padded on the left. A subject whose unit is empty is answered by the base.
        """
        self._check_fitted()
        model = self._serve()
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        names = [_name(u) for u in self._cut]
        if not names:
            return torch.as_tensor(self._base.generate(input_ids=input_ids, attention_mask=mask, **settings))
        if self.route == "average" and subjects is None:
            return averaged_greedy(
                model,
                names,
                input_ids,
                mask,
                settings.get("max_new_tokens", 32),
                settings.get("eos_token_id", self.tokenizer_.eos_token_id),
                pad_id(self.tokenizer_),
            )
        chosen = self._route_of(subjects) if subjects is not None else most_likely(model, names, input_ids, mask)
        settings.setdefault("pad_token_id", pad_id(self.tokenizer_))
        return torch.as_tensor(
            model.generate(input_ids=input_ids, attention_mask=mask, adapter_names=chosen, **settings)
        )

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
        if unit not in self._stages:
            return merged.requires_grad_(True)
        model = get_peft_model(merged, lora_config(self._recipe))
        set_peft_model_state_dict(model, self._stages[unit][-1])
        return model.merge_and_unload().requires_grad_(True).eval()

    # -- internals -----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if min(self.shards, self.slices, self.rank, self.epochs, self.batch_size, self.threads) < 1 or self.lr <= 0:
            raise InvalidParameter(
                f"shards, slices, rank, epochs, batch_size and threads must be >= 1 and lr > 0, got {self!r}"
            )
        if self.slices > 2 * self.epochs - 1:
            raise InvalidParameter(f"{self.slices} slices need more than {self.epochs} epochs; each stage needs a pass")
        if hasattr(self, "_recipe"):
            return
        named = isinstance(self.base, str | Path)
        self._base = load_model(self.base) if named else self.base
        self.tokenizer_ = self.tokenizer if self.tokenizer is not None else load_tokenizer(self._tokenizer_source())
        if hasattr(self._base, "peft_config"):
            raise InvalidParameter("the base carries adapters already; merge them first, with merge_and_unload()")
        for p in self._base.requires_grad_(False).parameters():
            p.grad = None
        if self.salt is None:
            warnings.warn("salt=None: placement is derived from the seed and is not secret", stacklevel=3)
        self.salt_ = self.salt if self.salt is not None else b"expunge/no-salt/" + self.seed.to_bytes(8, "big")
        self._recipe = Recipe(
            rank=self.rank,
            alpha=self.alpha if self.alpha is not None else 2 * self.rank,
            lr=self.lr,
            epochs=self.epochs,
            batch_size=self.batch_size,
            slices=self.slices,
            seed=self.seed,
            threads=self.threads,
            base=digest_json("base", [digest_model(self._base), digest_tokenizer(self.tokenizer_)]),
        )

    def _tokenizer_source(self) -> str | Path:
        if isinstance(self.base, str | Path):
            return self.base
        raise InvalidParameter("a base given as a model needs its tokenizer; pass tokenizer=")

    def _train(
        self,
        unit: int,
        slices: Sequence[Sequence[Record]],
        clean: Sequence[Adapter],
        work: Path | None,
        progress: UnitProgress | None,
    ) -> list[Adapter]:
        report = (lambda done, total: progress(_name(unit), done, total)) if progress else None
        return train_unit(self._base, self.tokenizer_, self._recipe, unit, slices, self.salt_, clean, work, report)

    def _serve(self) -> Any:
        """One PEFT model that holds every unit's adapter, made when first asked."""
        if self._served is None and self._stages:
            base, model = copy.deepcopy(self._base), None
            for unit, stages in self._stages.items():
                config = lora_config(self._recipe)
                if model is None:
                    model = get_peft_model(base, config, adapter_name=_name(unit))
                else:
                    model.add_adapter(_name(unit), config)
                set_peft_model_state_dict(model, stages[-1], adapter_name=_name(unit))
            self._served = model.eval() if model is not None else None
        return self._served

    def _route_of(self, subjects: Sequence[str]) -> list[str]:
        units = [place(s, self.salt_, self.shards, SHARD) for s in subjects]
        return [_name(u) if u in self._stages else "__base__" for u in units]

    def _leaving(self, subjects: Sequence[str]) -> set[str]:
        if not subjects:
            raise EmptyForgetSet("no subjects were named; forgetting needs at least one")
        known = {r.subject for slices in self._cut.values() for part in slices for r in part}
        if missing := set(subjects) - known:
            raise UnknownSubject(f"{len(missing)} of {len(set(subjects))} subjects have no record in this model")
        return set(subjects)

    def _check_fitted(self) -> None:
        if not hasattr(self, "_stages"):
            raise NotReady("this AdapterShards is not fitted; call fit first")

    def __repr__(self) -> str:
        shown = (
            "shards",
            "slices",
            "rank",
            "alpha",
            "lr",
            "epochs",
            "batch_size",
            "route",
            "seed",
            "threads",
        )
        return f"AdapterShards({', '.join(f'{k}={getattr(self, k)!r}' for k in shown)})"


def as_records(
    texts: Sequence[Record | tuple[str, str] | str], subjects: Sequence[str] | None, ids: Sequence[str] | None
) -> list[Record]:
    """Records from what `fit` takes; ids default to a digest of content, subject and a count of equal ones.

    Raises: InvalidData.
    """
    if not texts:
        raise InvalidData("nothing to train on: texts is empty")
    if subjects is None and not all(isinstance(t, Record) for t in texts):
        raise InvalidData("texts that are not Records need subjects=, one per text")
    if (subjects is not None and len(subjects) != len(texts)) or (ids is not None and len(ids) != len(texts)):
        raise InvalidData(f"{len(texts)} texts need as many subjects and ids")
    records: list[Record] = []
    seen: dict[str, int] = {}
    for i, text in enumerate(texts):
        if isinstance(text, Record):
            record = text
        else:
            question, answer = ("", text) if isinstance(text, str) else text
            record = Record("", (subjects or [])[i], question, answer)
            key = digest_json("record-id", [record.subject, record.content])
            seen[key] = seen.get(key, 0) + 1
            record = replace(record, id=ids[i] if ids is not None else f"{key}/{seen[key]}")
        records.append(record)
    if len({r.id for r in records}) < len(records):
        raise InvalidData("record ids are not unique; each record needs its own")
    return records


def _name(unit: int) -> str:
    return f"shard-{unit:03d}"


def _number(name: str) -> int:
    return int(name.removeprefix("shard-"))
