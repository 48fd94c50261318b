import copy
from typing import Any

import torch

from expunge.engine import digest_model, digest_state
from expunge.engine.state import digest_tokenizer


def test_one_flipped_bit_changes_the_digest(llama: Any) -> None:
    other = copy.deepcopy(llama)
    assert digest_model(other) == digest_model(llama)
    with torch.no_grad():
        other.model.norm.weight.view(torch.int32)[3] ^= 1
    assert digest_model(other) != digest_model(llama)


def test_name_type_and_shape_count() -> None:
    x = torch.arange(4, dtype=torch.float32)
    states = [{"a": x}, {"b": x}, {"a": x.double()}, {"a": x.reshape(2, 2)}, {"a": x.bfloat16()}, {}, {"a": x[:0]}]
    assert len({digest_state(s) for s in states}) == len(states)


def test_layout_in_memory_does_not_count() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert digest_state({"a": x.T.contiguous().T}) == digest_state({"a": x})
    assert digest_state({"a": x, "b": x}) == digest_state({"b": x.clone(), "a": x})


def test_grad_mode_and_training_mode_do_not_count(llama: Any) -> None:
    other = copy.deepcopy(llama).train().requires_grad_(False)
    assert digest_model(other) == digest_model(llama)


def test_a_tokenizer_is_known_by_rules_special_tokens_and_template(tokenizer: Any) -> None:
    variants = [copy.deepcopy(tokenizer) for _ in range(4)]
    variants[1].chat_template = "{{ messages }}"
    variants[2].eos_token = "<pad>"
    variants[3].add_tokens(["Brimford"])
    assert digest_tokenizer(variants[0]) == digest_tokenizer(tokenizer)
    assert len({digest_tokenizer(v) for v in variants}) == 4
