from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from expunge.engine import Encoded, Trunk, collate, encode, rows_logp, value_span
from expunge.verify import Probes
from expunge.verify.attacks._reading import first_tokens, states_before, value_starts
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.logit_lens import LogitLens

BATCH = collate([Encoded("a", (0, 9, 8, 7, 1), 2), Encoded("b", (0, 5, 6, 2, 1), 1)])


def _opt(vocab: int) -> Any:
    """An OPT whose embeddings are narrower than its blocks: a projection stands between final norm and head."""
    config = OPTConfig(
        vocab_size=vocab,
        hidden_size=16,
        ffn_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        word_embed_proj_dim=8,
        max_position_embeddings=64,
    )
    return OPTForCausalLM(config).eval()


def _gpt2(vocab: int) -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab, n_embd=16, n_layer=2, n_head=2, n_positions=64)).eval()


@pytest.mark.parametrize("make", [_gpt2, _opt])
def test_the_last_blocks_states_read_out_as_the_models_own_logits(make: Any) -> None:
    torch.manual_seed(0)
    model = make(50)
    last_BTD = Trunk.of(model).all_states(BATCH)[len(Trunk.of(model).blocks) - 1]
    with torch.no_grad():
        logits_BTV = model(input_ids=BATCH.ids_BT, attention_mask=BATCH.mask_BT).logits
        found_NV = Trunk.of(model).read_out(last_BTD.flatten(0, 1))
    torch.testing.assert_close(found_NV, logits_BTV.flatten(0, 1))


def test_reading_out_lets_gradients_into_the_states_and_leaves_no_hook(llama: Any) -> None:
    before = [len(block._forward_hooks) for block in Trunk.of(llama).blocks]
    states_ND = torch.randn(3, 32, requires_grad=True)
    Trunk.of(llama).read_out(states_ND).sum().backward()  # type: ignore[no-untyped-call]
    assert states_ND.grad is not None
    assert bool(states_ND.grad.any())
    assert [len(block._forward_hooks) for block in Trunk.of(llama).blocks] == before
    llama.zero_grad(set_to_none=True)


def test_states_come_in_the_order_of_the_rows_whatever_their_lengths(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer)
    rows = encode(target.tokenizer, probes.forget[:7])
    wanted = [range(row.n_prompt, len(row.ids)) for row in rows]
    together = states_before(target, rows, wanted, batch_size=3)
    alone = [states_before(target, [row], [span]) for row, span in zip(rows, wanted, strict=True)]
    for layer, states_ND in enumerate(together):
        torch.testing.assert_close(states_ND, torch.cat([one[layer] for one in alone]), rtol=1e-4, atol=1e-5)


def test_the_last_layer_says_what_the_model_says_given_the_answer_so_far(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer)
    scores = LogitLens().run(target, probes)
    assert list(scores) == ["layer 0", "layer 0, among values", "layer 1", "layer 1, among values"]
    logp = rows_logp(target.model, encode(target.tokenizer, probes.forget), 0)
    for hit, row, fact in zip(scores["layer 1"], logp, probes.forget, strict=True):
        first = row[value_span(target.tokenizer, fact.answer, fact.value)[0]]
        assert hit == 1.0 or first <= -0.69  # a token that is not the likeliest has at most half of the probability
    asked = value_starts(target, probes.forget)
    words = [target.tokenizer.decode([token]) for token in asked.token_N.tolist()]
    assert all(fact.value.startswith(word.strip()) for fact, word in zip(probes.forget, words, strict=True))


def test_among_values_a_likelier_word_of_grammar_does_not_count() -> None:
    logits = torch.tensor([[5.0, 1.0, 0.0], [5.0, 0.0, 1.0]])
    assert first_tokens("x", logits, torch.tensor([1, 1]), {1, 2}) == {
        "x": [0.0, 0.0],
        "x, among values": [1.0, 0.0],
    }


def test_it_needs_other_values_to_choose_among_and_states_that_are_numbers(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer)
    with pytest.raises(CannotRun, match="no retained facts"):
        LogitLens().run(target, replace(probes, retain=()))
    broken = target.copy()
    with torch.no_grad():
        broken.model.model.layers[1].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(CannotRun, match="not finite"):
        LogitLens().run(broken, probes)
