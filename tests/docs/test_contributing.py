"""The worked examples of CONTRIBUTING run, and do what their pages say of them."""

import re
from pathlib import Path
from typing import Any

import torch

from expunge.approximate import Edit, run_edit
from expunge.core import MadeOfUnits
from expunge.synthetic import facts, people, records
from expunge.testing.tabular import numbers, requests
from expunge.testing.toys import toy_llama, toy_tokenizer
from expunge.verify.attacks._target import Target
from expunge.verify.probes import Probes

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")


def example(path: str) -> dict[str, Any]:
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if c.startswith(f"# {path}\n")]
    names: dict[str, Any] = {"__name__": Path(path).stem}
    exec(compile(code, path, "exec", dont_inherit=True), names)  # noqa: S102 – our own page
    return names


def test_the_method_raises_the_loss_of_the_forget_set() -> None:
    forget, retain = records(people(1), [0])[:4], records(people(1, skip=1), [0])[:4]
    tokenizer = toy_tokenizer([r.answer for r in retain], vocab_size=300)
    model = toy_llama(len(tokenizer), hidden=32, layers=1)
    method = example("src/expunge/approximate/hinge.py")["Hinge"](margin=20.0, retain_weight=0.1)
    edited = run_edit(model, tokenizer, forget, retain, method, Edit(steps=8, lr=1e-2))
    assert edited.losses[-1] < edited.losses[0]
    before, after = ([p.detach() for p in m.parameters()] for m in (model, edited.model))
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_learner_forgets_as_if_it_had_never_seen_them() -> None:
    learner = example("src/expunge/exact/majority.py")["Majority"]
    table = numbers(3, 60)
    asked = requests(table, 3)
    model = table.fit(learner(salt=b"s"))
    assert isinstance(model, MadeOfUnits)
    before = model.digest()
    for request in asked.asked:
        model.forget(**request)
    assert model.digest() == table.without(set(asked.gone)).fit(learner(salt=b"s")).digest() != before


def test_the_attack_scores_every_fact() -> None:
    probes = Probes(tuple(facts(people(1)))[:3], tuple(facts(people(1, skip=1)))[:3])
    tokenizer = toy_tokenizer([f.answer for f in probes.retain], vocab_size=300)
    target = Target(toy_llama(len(tokenizer), hidden=32, layers=1), tokenizer, max_new_tokens=4)
    scores = example("src/expunge/verify/attacks/insist.py")["Insist"]().run(target, probes)
    assert scores == {f"{n} times": [0.0, 0.0, 0.0] for n in (1, 2, 3)}
