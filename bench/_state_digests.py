"""What fits, deletions and edits end in, as digests: run under two versions of Expunge, the lines tell whether bits changed.

    python bench/_state_digests.py            prints one JSON object, name -> digest

Uses only names that every release has.
"""

import json
import sys
import warnings
from typing import Any

from expunge.core.capability import pin_capability

pin_capability()

import torch  # noqa: E402

from expunge.approximate import Edit, methods, run_edit  # noqa: E402
from expunge.core import Record  # noqa: E402
from expunge.core.digests import digest_json  # noqa: E402
from expunge.core.errors import ExpungeError  # noqa: E402
from expunge.engine import digest_model, examples  # noqa: E402
from expunge.exact import AdapterShards  # noqa: E402
from expunge.synthetic import people, records  # noqa: E402
from expunge.testing.tabular import CASES, requests  # noqa: E402
from expunge.testing.toys import toy_llama, toy_tokenizer  # noqa: E402

SEEDS = range(3)


def learners() -> dict[str, str]:
    """Every tabular learner of the contract, after deletions."""
    found = {}
    for name, case in CASES.items():
        for seed in SEEDS:
            table = case.data(seed, 60)
            model = table.fit(case.make())
            found[f"{name}, {seed}: fitted"] = _learned(model)
            for request in requests(table, seed).asked:
                model.forget(**request)
            found[f"{name}, {seed}: after deletions"] = _learned(model)
    return found


def _learned(model: Any) -> str:
    """Digest of all that is persisted, but for the canary: it tells where the model was fitted, and 0.1.0 had none."""
    return digest_json("state", {name: part for name, part in model.state().items() if name != "canary"})


def adapters() -> dict[str, str]:
    """Adapter shards of a toy model, before and after a deletion."""
    learned = records(people(6), [0])
    tokenizer = toy_tokenizer([f"{r.question} {r.answer}" for r in records(people(8, skip=6))], 600)
    base = toy_llama(len(tokenizer), hidden=32, layers=2)
    model = AdapterShards(base, tokenizer, shards=2, slices=2, rank=4, lr=1e-2, epochs=3, batch_size=8, salt=b"salt")
    model.fit(learned)
    found = {f"adapter shards, {u.id}: fitted": u.digest for u in model.units()}
    model.forget([learned[0].subject])
    return found | {f"adapter shards, {u.id}: after a deletion": u.digest for u in model.units()}


def edits() -> dict[str, str]:
    """Every method on a toy language model and on a toy classifier, or why it refused."""
    forget, retain = records(people(2), [0]), records(people(4, skip=2), [0])
    tokenizer = toy_tokenizer([f"{r.question} {r.answer}" for r in (*forget, *retain)], 500)
    x, y = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    rows = examples(x, y)
    found = {}
    for name in methods.names():
        model = toy_llama(len(tokenizer), hidden=32, layers=2)
        found[f"edit {name}, language model"] = _edited(name, model, tokenizer, forget, retain)
        found[f"edit {name}, classifier"] = _edited(name, classifier, None, rows[:12], rows[12:])
    return found


def _edited(name: str, model: Any, tokenizer: Any, forget: list[Record] | Any, retain: list[Record] | Any) -> str:
    settings = Edit(lr=1e-3, steps=6, forget_batch=4, retain_batch=8, seed=3)
    try:
        return digest_model(run_edit(model, tokenizer, forget, retain, methods.get(name)(), settings).model)
    except (ExpungeError, TypeError) as e:
        return f"refused: {type(e).__name__}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    json.dump({**learners(), **adapters(), **edits()}, sys.stdout, indent=0)
