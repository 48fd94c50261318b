from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.engine import collate, encode, encode_prompt, mean_nll, pad_id
from expunge.engine.text import Encoded
from expunge.verify import Probes
from expunge.verify.attacks._target import Target, halves
from expunge.verify.attacks.soft_prompt import SoftPrompt, nll_behind, recalls_behind


def test_vectors_that_are_words_weigh_like_those_words(trained: Any, probes: Probes) -> None:
    model, pad = trained.model, pad_id(trained.tokenizer)
    rows = encode(trained.tokenizer, probes.retain[:5])
    words = (0, *encode_prompt(trained.tokenizer, "Tell me please"))
    spelled = [Encoded(row.id, (*words, *row.ids), len(words) + row.n_prompt) for row in rows]
    with torch.no_grad():
        vectors_ND = model.get_input_embeddings()(torch.tensor(words))
        found = nll_behind(model, vectors_ND, collate(rows, pad))
        torch.testing.assert_close(found, mean_nll(model, collate(spelled, pad)), rtol=1e-4, atol=1e-6)


def test_an_empty_prompt_asks_the_plain_question(refusing: Any, trained: Any, probes: Probes) -> None:
    target = Target(refusing, trained.tokenizer)
    asked = (*probes.forget[:10], *probes.retain[:30])
    assert recalls_behind(target, torch.zeros(0, 64), asked, batch_size=7) == target.recalls(asked)


def test_a_prompt_never_sees_the_facts_it_is_scored_on(
    trained: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []
    scored: list[set[str]] = []

    def learn(_: Any, __: Target, text: Any, n: int) -> list[tuple[int, torch.Tensor]]:
        learned.append({f.id for f in text})
        return [(30, torch.zeros(n, 64))]

    def score(_: Target, __: torch.Tensor, text: Any) -> list[float]:
        scored.append({f.id for f in text})
        return [1.0] * len(text)

    monkeypatch.setattr(SoftPrompt, "_learn", learn)
    monkeypatch.setattr("expunge.verify.attacks.soft_prompt.recalls_behind", score)
    scores = SoftPrompt(vectors=(2,)).run(Target(trained.model, trained.tokenizer), probes)
    assert scores == {"2 vectors @ 30": [1.0] * 60}
    parts = [{probes.forget[i].id for i in half} for half in halves(probes)]
    assert learned == parts
    assert scored == parts[::-1]


def test_only_the_vectors_learn_and_every_moment_is_kept(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer).copy()
    target.model.requires_grad_(False)
    few = replace(probes, forget=probes.forget[:8])
    reached = SoftPrompt(moments=(1, 4))._learn(target, few.forget, 3)
    assert [(steps, tuple(v.shape)) for steps, v in reached] == [(1, (3, 64)), (4, (3, 64))]
    assert not torch.equal(reached[0][1], reached[1][1])
    assert all(p.grad is None for p in target.model.parameters())
