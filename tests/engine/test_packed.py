"""Packed rows say what padded ones say, gradients included; a model that cannot be packed is left as it is."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, Qwen2Config

from expunge.engine import Encoded, ReferenceCache, Trunk, collate, mean_nll, pack, packing, step_maker, trunk_nll
from expunge.testing.toys import toy_llama

ROWS = [Encoded("a", (3, 4, 5, 6, 7), 2), Encoded("b", (8, 9, 3), 1), Encoded("c", (5, 5, 6, 8, 1, 2, 4), 0)]
SMALL = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS = {
    "llama": LlamaConfig(**SMALL, intermediate_size=32, num_key_value_heads=1),
    "qwen2": Qwen2Config(**SMALL, intermediate_size=32, num_key_value_heads=2),
    "gpt_neox": GPTNeoXConfig(**SMALL, intermediate_size=32),
    "gpt2": GPT2Config(vocab_size=16, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0),
}


def model_of(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def gradient(model: Any, packs: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
    side = step_maker(model, ReferenceCache(), 0, packs)(ROWS, ROWS).forget
    side.nll.backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return side.logp_B.detach(), found


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_is_what_padded_is(name: str) -> None:
    model = model_of(CONFIGS[name])
    padded = gradient(model, False)
    with packing(model) as packs:
        assert packs
        packed = gradient(model, True)
    torch.testing.assert_close(packed, padded, atol=1e-6, rtol=1e-4)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_through_the_trunk_is_the_usual_training_loss(name: str) -> None:
    """Of padded rows and of packed ones, gradients included: `mean_nll` takes every logit of the model."""
    model = model_of(CONFIGS[name])

    def losses(batch: Any, nll: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
        loss = nll(model, batch)
        return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))

    padded = collate(ROWS)
    usual = losses(padded, mean_nll)
    torch.testing.assert_close(losses(padded, trunk_nll), usual, atol=1e-6, rtol=1e-4)
    with packing(model):
        torch.testing.assert_close(losses(pack(ROWS), trunk_nll), usual, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("lengths", [(3, 4, 4), (3, 2, 30)], ids=["alike", "one long row"])
@pytest.mark.parametrize("learn_question", [False, True])
def test_rows_of_any_lengths_pack_to_the_same_loss(lengths: tuple[int, ...], learn_question: bool) -> None:
    """Rows alike are attended side by side, rows beside a long one each by itself."""
    model = model_of(CONFIGS["llama"])
    rows = [Encoded(str(k), tuple(1 + (k + i) % 15 for i in range(n)), 1) for k, n in enumerate(lengths)]
    usual = mean_nll(model, collate(rows, learn_question=learn_question))
    with packing(model):
        packed = trunk_nll(model, pack(rows, learn_question=learn_question))
    torch.testing.assert_close(packed, usual, atol=1e-6, rtol=1e-4)
    found, wanted = (torch.autograd.grad(loss, list(model.parameters())) for loss in (packed, usual))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_every_row_sees_itself_alone() -> None:
    """The control: without row-by-row attention the second row would read the first."""
    model = model_of(CONFIGS["llama"])
    with packing(model), torch.no_grad():
        together, alone = Trunk.of(model).states(pack(ROWS), 1)[0, 5:8], Trunk.of(model).states(pack(ROWS[1:2]), 1)[0]
        one_row = Trunk.of(model).states(pack([Encoded("ab", ROWS[0].ids + ROWS[1].ids, 1)]), 1)[0, 5:8]
    torch.testing.assert_close(together, alone)
    assert (one_row - alone).abs().max() > 1e-2


def test_a_padded_batch_is_read_as_before() -> None:
    """Also with a mask, which a packed batch does not need."""
    model, batch = model_of(CONFIGS["llama"]), collate(ROWS)
    with torch.no_grad():
        before = Trunk.of(model).states(batch, 1)
        with packing(model):
            assert torch.equal(Trunk.of(model).states(batch, 1), before)


def test_rows_without_a_question_are_not_joined() -> None:
    """The last token of one row predicts no token of the next."""
    line, at = pack([Encoded("a", (3, 4), 0), Encoded("b", (5, 6), 0)]).predicts
    assert (line.tolist(), at.tolist()) == ([0, 0], [0, 2])


def test_windows_are_not_packed() -> None:
    model = model_of(MistralConfig(**SMALL, intermediate_size=32, num_key_value_heads=2, sliding_window=4))
    with packing(model) as packs:
        assert not packs
        assert model.config._attn_implementation == "sdpa"


def test_a_model_that_mixes_rows_is_found_out() -> None:
    model = toy_llama(16, hidden=32, layers=2)
    layer = model.model.layers[1]
    layer.register_forward_hook(lambda _m, _a, out: out + out.mean(1, keepdim=True))
    with packing(model) as packs:
        assert not packs


def test_recomputed_on_the_way_back() -> None:
    """With checkpointing attention runs again during the backward pass."""
    model = toy_llama(16, hidden=32, layers=2).train()
    plain = gradient(model, False)
    model.gradient_checkpointing_enable()
    with packing(model) as packs:
        assert packs
        packed = gradient(model, True)
    torch.testing.assert_close(packed, plain, atol=1e-6, rtol=1e-4)


def test_with_adapters() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(toy_llama(16, hidden=32, layers=2), LoraConfig(task_type="CAUSAL_LM", r=2)).eval()
    padded = gradient(model, False)
    with packing(model) as packs:
        assert packs
        packed = gradient(model, True)
    torch.testing.assert_close(packed, padded, atol=1e-6, rtol=1e-4)
