"""The demo's models and what is done to them; each function is one task that runs in a process of its own."""

import json
import os
import random
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expunge.approximate import Edit, methods, run_edit
from expunge.core import Fact, Record
from expunge.core.durable import write_durably
from expunge.engine import (
    Schedule,
    derived_seed,
    encode,
    epoch_batches,
    load_model,
    load_tokenizer,
    pack,
    packing,
    pinned,
    save_model,
    train,
    trunk_nll,
)
from expunge.synthetic import Person, facts, people, records
from expunge.testing.toys import toy_llama, toy_tokenizer
from expunge.verify import Arm, Probes, attack_arm

# Learning rates and steps by method, found by hand on other people than the demo's, on models of this size. No guard: what
# a method does by itself is what the audit is shown.
SETTINGS = {
    "gradient_ascent": Edit(lr=3e-4, steps=40, guard=None),
    "grad_diff": Edit(lr=5e-4, steps=15, guard=None),
    "npo": Edit(lr=1e-3, steps=40, guard=None),
    "refusal": Edit(lr=3e-4, steps=40, guard=None),
    "rmu": Edit(lr=1e-3, steps=80, guard=None),
}
BATTERY = "short"  # what fits the time of a demo
UNTOUCHED, SAME_BUDGET, SECOND_SEED = "untouched", "retrain, same budget", "retrain, second seed"


@dataclass(frozen=True)
class Cast:
    """Who is in the demo. Public people teach the base how questions are asked; they never ask to leave."""

    public: int = 40
    private: int = 32
    leaving: int = 8
    shards: int = 6
    strangers: int = 10
    hidden: int = 128
    layers: int = 4
    base_epochs: int = 6
    epochs: int = 8
    seed: int = 7

    def public_people(self) -> list[Person]:
        return people(self.public, self.seed)

    def private_people(self) -> list[Person]:
        return people(self.private, self.seed, skip=1000)

    def shard_people(self) -> list[Person]:
        return people(self.shards, self.seed, skip=2000)

    def never_seen(self) -> list[Person]:
        return people(self.strangers, self.seed, skip=3000)

    def probes(self) -> Probes:
        """The block's questions: the leaving, the staying, and people who were never trained on."""
        private = self.private_people()
        return Probes(
            tuple(facts(private[: self.leaving])),
            tuple(facts(private[self.leaving :])),
            tuple(facts(self.never_seen())),
        )


QUICK = Cast(public=24, private=16, leaving=4, shards=4, strangers=4, hidden=96, layers=3, base_epochs=12, epochs=12)


@dataclass(frozen=True)
class Result:
    """What a task gives back: its value, the seconds of CPU that its own work took, and its peak memory by process."""

    value: Any
    cpu_s: float
    pid: int
    peak_mb: float


def measured(name: str, folder: Path, cast: Cast, call: Callable[..., Any], *arguments: Any) -> Result:
    """Run a task and measure it; what was finished before a kill is read back."""
    path = folder / "tasks" / f"{name}.json"
    if path.exists():
        return Result(**json.loads(path.read_text()))
    began = time.process_time()
    value = call(folder, cast, *arguments)
    spent = time.process_time() - began
    result = Result(value, spent, os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    write_durably(path, json.dumps(asdict(result)).encode())
    return result


def base(folder: Path, cast: Cast) -> None:
    """A small Llama and its tokenizer, from public text only."""
    public = records(cast.public_people(), (0, 1, 2))
    tokenizer = toy_tokenizer([f"{r.question} {r.answer}" for r in public])
    model = toy_llama(len(tokenizer), cast.hidden, cast.layers, seed=cast.seed)
    _fit(model, tokenizer, public, cast.base_epochs, 2.5e-3, seed=0)
    save_model(model, tokenizer, folder / "base")


def block(folder: Path, cast: Cast, name: str, without_leaving: bool, seed: int, share: float = 1.0) -> None:
    """One block on the base: private people in two phrasings each, with public rows mixed in to keep the language.

    `share` is the part of full training that may be spent.
    """
    private = cast.private_people()[cast.leaving if without_leaving else 0 :]
    public = records(cast.public_people(), (0, 1, 2))
    rehearsal = random.Random(seed).sample(public, min(len(public), 15 * cast.private))
    model, tokenizer = load_model(folder / "base"), load_tokenizer(folder / "base")
    _fit(model, tokenizer, records(private, (0, 1)) + rehearsal, cast.epochs, 2e-3, seed, share=share)
    save_model(model, tokenizer, folder / name)


def edited(folder: Path, cast: Cast, method: str) -> float:
    """The block edited by a method; returns the seconds of CPU that the edit took."""
    private = cast.private_people()
    model, tokenizer = load_model(folder / "original"), load_tokenizer(folder / "original")
    forget, retain = records(private[: cast.leaving], (0, 1)), records(private[cast.leaving :], (0, 1))
    began = time.process_time()
    done = run_edit(model, tokenizer, forget, retain, methods.get(method)(), SETTINGS[method])
    spent = time.process_time() - began
    save_model(done.model, tokenizer, folder / method)
    return spent


def attacked(folder: Path, cast: Cast, name: str) -> dict[str, Any]:
    """Every attack of the short battery on a model folder."""
    model, tokenizer = load_model(folder / name), load_tokenizer(folder / name)
    return attack_arm(Arm.of(model, tokenizer), cast.probes(), BATTERY, folder / "scores").to_json()


def write_inputs(folder: Path, cast: Cast) -> None:
    """What a user of the exact route would have: a data file, probes, a recipe. Written once, for its owner edits it."""
    if (folder / "recipe.py").exists():
        return
    persons = cast.shard_people()
    rows = [
        {"id": r.id, "person": r.subject, "question": r.question, "answer": r.answer, "value": r.value}
        for r in records(persons, (0, 1))
    ]
    write_lines(folder / "people.jsonl", rows)
    write_lines(folder / "probes.jsonl", [asdict(f) for f in [*facts(persons), *facts(cast.never_seen())]])
    (folder / "recipe.py").write_text(_RECIPE.format(base=str(folder / "base"), shards=max(2, cast.shards // 2)))


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


_RECIPE = '''"""How the demo's assistant is made of adapters: the file that `expunge train` runs."""

from expunge import Training
from expunge.exact import AdapterShards


def recipe() -> Training:
    learner = AdapterShards({base!r}, shards={shards}, epochs=25, batch_size=8, lr=3e-3)
    return Training(model="assistant", dataset="people", learner=learner)
'''


def phrasing_facts(persons: Sequence[Person]) -> dict[str, list[Fact]]:
    """The same facts asked in each of the three phrasings; the third was never trained on."""
    return {name: facts(persons, asked=k) for k, name in enumerate(("first", "second", "unseen"))}


def _fit(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Record],
    epochs: int,
    lr: float,
    seed: int,
    share: float = 1.0,
) -> None:
    """Language modelling on question and answer."""
    encoded, secret = encode(tokenizer, rows), b"demo/" + derived_seed(b"demo", seed).to_bytes(8, "big")
    batches = [batch for epoch in range(epochs) for batch in epoch_batches(encoded, 32, secret, epoch)]
    steps = max(1, int(len(batches) * share))
    model.train()
    with pinned(), packing(model):
        train(
            list(model.parameters()),
            lambda k: trunk_nll(model, pack(batches[k], learn_question=True)),
            steps,
            Schedule(lr=lr, warmup=min(20, steps // 4), shape="cosine"),
        )
    model.eval()
