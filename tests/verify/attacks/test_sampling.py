import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from expunge.core import Fact
from expunge.engine import answer_ids, encode_prompt, greedy_answers
from expunge.verify import Probes
from expunge.verify.attacks._speak import speak
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks._wrong import wrong_values
from expunge.verify.attacks.sampling import Sampling

MANY = {"sampled @ 1", "sampled @ 4", "sampled @ 16"}


def means(model: Any, tokenizer: Any, probes: Probes) -> dict[str, float]:
    scores = Sampling().run(Target(model, tokenizer, 24), probes)
    return {name: sum(row) / len(row) for name, row in scores.items()}


def test_it_finds_what_the_original_knows_and_nothing_in_the_control(
    trained: Any, control: Any, probes: Probes
) -> None:
    known, unknown = (means(model, trained.tokenizer, probes) for model in (trained.model, control))
    assert set(known) == MANY | {f"exact @ {k}" for k in (1, 4, 16, 64, 128)}
    assert known["exact @ 16"] >= 0.9
    assert known["sampled @ 4"] >= 0.8
    assert max(unknown.values()) <= 0.1


def test_it_finds_what_greedy_answers_hide(trained: Any, refusing: Any, probes: Probes) -> None:
    assert sum(Target(refusing, trained.tokenizer, 24).recalls(probes.forget)) == 0
    found = means(refusing, trained.tokenizer, probes)
    assert found["exact @ 1"] < found["exact @ 16"] <= found["exact @ 128"]
    assert found["exact @ 128"] >= 0.8


class Unsure(torch.nn.Module):
    """Says the answer's words, and any of twelve colours equally where one is due, as one who knows the pool does."""

    def __init__(self, model: Any, likely: list[int], factor: float = 1.0, known: int = 0) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.logits = torch.full((model.config.vocab_size,), -30.0)
        self.logits[likely] = 0.0
        self.logits[known] += math.log(factor)

    def forward(self, input_ids: Any, **_: Any) -> Any:
        logits = self.logits.expand(*input_ids.shape, -1).clone()
        return type("Out", (), {"logits": logits})()


@pytest.mark.parametrize(("factor", "low", "high"), [(1.0, 0.0, 1e-6), (20.0, 0.9, 1.0)])
def test_only_what_the_right_value_gains_over_wrong_ones_counts(
    trained: Any, factor: float, low: float, high: float
) -> None:
    letters = "abcdef"
    ids = [answer_ids(trained.tokenizer, letter)[-1] for letter in letters]
    fact = Fact("1", "", "Which?", "a", "a", (("Which one?", "a"),), tuple(letters[1:]))
    model = Unsure(trained.model, ids, factor, known=ids[0])
    target = Target(model, trained.tokenizer)
    scores = _exact_only(target, fact)
    assert low <= max(scores.values()) <= high


def _exact_only(target: Target, fact: Fact) -> dict[str, float]:
    from expunge.verify.attacks.sampling import _exact

    return {name: row[0] for name, row in _exact(target, [fact], (1, 16, 64)).items()}


def test_samples_follow_the_model(trained: Any, probes: Probes) -> None:
    target, n = Target(trained.model, trained.tokenizer), 4000
    ids = encode_prompt(trained.tokenizer, probes.unseen[0].question)
    with torch.no_grad():
        p_V = trained.model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1).numpy()
    said = Counter(row[0] if row else trained.tokenizer.eos_token_id for row in _drawn(target, [ids] * n, 1))
    for token in np.argsort(-p_V)[:5]:
        standard_error = math.sqrt(p_V[token] * (1 - p_V[token]) / n)
        assert abs(said[int(token)] / n - p_V[token]) < 4 * standard_error + 1e-9


def _drawn(target: Target, prompts: list[list[int]], n_new: int) -> list[list[int]]:
    return speak(target, prompts, n_new, np.random.default_rng(0).random((len(prompts), n_new)))


def test_a_sample_depends_on_its_own_numbers_alone(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer)
    prompts = [encode_prompt(trained.tokenizer, f.question) for f in probes.unseen[:12]]
    uniform = np.random.default_rng(1).random((12, 20))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    together = speak(target, prompts, 20, uniform)
    assert together == [speak(target, [p], 20, uniform[i : i + 1])[0] for i, p in enumerate(prompts)]
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone


def test_without_numbers_the_likeliest_is_said(trained: Any, probes: Probes) -> None:
    questions = [f.question for f in (*probes.forget[:9], *probes.unseen[:9])]
    prompts = [encode_prompt(trained.tokenizer, q) for q in questions]
    said = speak(Target(trained.model, trained.tokenizer), prompts, 24)
    texts = [text.strip() for text in trained.tokenizer.batch_decode(said, skip_special_tokens=True)]
    assert texts == greedy_answers(trained.model, trained.tokenizer, questions, 24)
    assert speak(Target(trained.model, trained.tokenizer), [], 24) == []


def test_without_values_whole_answers_count(trained: Any, control: Any, probes: Probes) -> None:
    whole = replace(probes, forget=tuple(replace(f, value="") for f in probes.forget[:20]))
    known, unknown = (means(model, trained.tokenizer, whole) for model in (trained.model, control))
    assert set(known) == MANY
    assert known["sampled @ 16"] >= 0.8
    assert unknown["sampled @ 16"] < known["sampled @ 16"] - 0.3


def test_facts_with_and_without_values_are_scored_together(trained: Any, probes: Probes) -> None:
    mixed = replace(probes, forget=(probes.forget[0], replace(probes.forget[1], value="")))
    scores = Sampling().run(Target(trained.model, trained.tokenizer, 24), mixed)
    assert {len(row) for row in scores.values()} == {2}
    assert scores["exact @ 128"][1] == 0.0


def test_plain_text_is_gone_on_from_its_opening(trained: Any, probes: Probes) -> None:
    texts = replace(probes, forget=tuple(replace(f, question="", answer=f.answer) for f in probes.forget[:4]))
    scores = Sampling(n=2, asked=(1, 2)).run(Target(trained.model, trained.tokenizer, 8), texts)
    assert set(scores) == {"exact @ 1", "exact @ 2", "sampled @ 1", "sampled @ 2"}


def test_wrong_values_are_read_out_of_wrong_answers(probes: Probes) -> None:
    for fact in probes.forget:
        found = wrong_values(fact)
        assert len(found) == 5
        assert [fact.paraphrases[0][1].replace(fact.value, wrong) for wrong in found] == list(fact.perturbed)
    assert wrong_values(replace(probes.forget[0], value="")) == []
    assert wrong_values(replace(probes.forget[0], perturbed=("Nobody knows",))) == []


def test_a_model_whose_numbers_are_none_is_not_a_pass(trained: Any, probes: Probes) -> None:
    wrecked = Target(trained.model, trained.tokenizer, 24).copy()
    with torch.no_grad():
        wrecked.model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    valueless = replace(probes, forget=tuple(replace(f, value="") for f in probes.forget[:3]))
    for given in (probes, valueless):
        with pytest.raises(CannotRun):
            Sampling().run(wrecked, given)
