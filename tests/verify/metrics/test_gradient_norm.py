import copy
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from expunge.engine import encode
from expunge.synthetic import facts, people
from expunge.verify.metrics.gradient_norm import global_norm, gradient_norms


def test_it_is_the_norm_of_all_gradients_as_one_vector(llama: Any, tokenizer: Any) -> None:
    llama = copy.deepcopy(llama).requires_grad_(True)
    row = encode(tokenizer, facts(people(1))[:1])[0]
    n = len(row.ids) - row.n_prompt
    found = gradient_norms(llama, row, [(0, n), (1, 3)])
    for span, norm in zip([(0, n), (1, 3)], found, strict=True):
        llama.zero_grad()
        labels = torch.full((1, len(row.ids)), -100)
        at = slice(row.n_prompt + span[0], row.n_prompt + span[1])
        labels[0, at] = torch.tensor(row.ids[at])
        llama(input_ids=torch.tensor([row.ids]), labels=labels).loss.backward()
        whole = torch.cat([p.grad.flatten() for p in llama.parameters()])
        assert norm == pytest.approx(float(whole.norm()), rel=1e-5)
        tensors = [float(p.grad.norm()) for p in llama.parameters()]
        assert norm != pytest.approx(sum(tensors) / len(tensors), rel=0.1)  # the mean of norms is another number
        llama.zero_grad(set_to_none=True)


def test_other_rows_do_not_matter_as_each_has_its_own_pass(llama: Any, tokenizer: Any) -> None:
    rows = encode(tokenizer, facts(people(1))[:3])
    first = [gradient_norms(llama, row, [(0, 2)]) for row in rows]
    assert first[::-1] == [gradient_norms(llama, row, [(0, 2)]) for row in rows[::-1]]


def test_dropout_would_change_it_from_pass_to_pass(tokenizer: Any) -> None:
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1, n_positions=128, resid_pdrop=0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        row = encode(tokenizer, facts(people(1))[:1])[0]
        trainings = {gradient_norms(model.train(), row, [(0, 3)])[0] for _ in range(3)}
        evaluations = {gradient_norms(model.eval(), row, [(0, 3)])[0] for _ in range(3)}
    assert (len(trainings), len(evaluations)) == (3, 1)


def test_no_gradient_at_all_is_zero() -> None:
    assert global_norm([None]) == 0.0


def test_frozen_parameters_count_and_stay_frozen(llama: Any, tokenizer: Any) -> None:
    row = encode(tokenizer, facts(people(1))[:1])[0]
    trained, frozen = (copy.deepcopy(llama).requires_grad_(wanted) for wanted in (True, False))
    assert gradient_norms(trained, row, [(0, 2)]) == gradient_norms(frozen, row, [(0, 2)])
    assert {p.requires_grad for p in frozen.parameters()} == {False}
    assert {p.requires_grad for p in trained.parameters()} == {True}
