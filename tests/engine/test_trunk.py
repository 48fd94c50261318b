from typing import Any

import pytest
import torch
from torch import nn

from expunge.core.errors import InvalidParameter
from expunge.engine import Encoded, Trunk, collate

BATCH = collate([Encoded("a", (0, 9, 8, 7, 1), 2), Encoded("b", (0, 5, 1), 1)])


def outside(model: Any) -> tuple[torch.Tensor, ...]:
    """What transformers itself calls the hidden states: embeddings, then one a block."""
    with torch.no_grad():
        out = model(input_ids=BATCH.ids_BT, attention_mask=BATCH.mask_BT, output_hidden_states=True, use_cache=False)
    states: tuple[torch.Tensor, ...] = out.hidden_states
    return states


@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_has_the_bits_of_transformers_own(llama: Any, layer: int) -> None:
    with torch.no_grad():
        assert torch.equal(Trunk.of(llama).states(BATCH, layer), outside(llama)[layer + 1])


def test_the_last_layer_is_given_before_the_final_norm(llama: Any) -> None:
    with torch.no_grad():
        last = Trunk.of(llama).states(BATCH, 2)
        assert torch.equal(llama.model.norm(last), outside(llama)[3])  # transformers lists it after the norm


def test_all_layers_at_once_are_the_same_bits(llama: Any) -> None:
    *layers, read = Trunk.of(llama).all_states(BATCH)
    with torch.no_grad():
        for i, state in enumerate(layers):
            assert torch.equal(state, Trunk.of(llama).states(BATCH, i))
    assert torch.equal(read, outside(llama)[-1])


def test_gradients_reach_the_blocks_below_and_none_above(llama: Any) -> None:
    blocks = Trunk.of(llama).blocks
    wanted = [block.mlp.down_proj.weight for block in blocks]
    grads = torch.autograd.grad(Trunk.of(llama).states(BATCH, 1).pow(2).sum(), wanted, allow_unused=True)
    assert [g is not None for g in grads] == [True, True, False]


def test_later_blocks_do_not_run_and_no_hook_stays(llama: Any) -> None:
    before = [len(b._forward_hooks) for b in Trunk.of(llama).blocks]
    ran: list[int] = []
    handles = [b.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, b in enumerate(Trunk.of(llama).blocks)]
    Trunk.of(llama).states(BATCH, 0)
    for handle in handles:
        handle.remove()
    assert ran == [0]
    assert [len(b._forward_hooks) for b in Trunk.of(llama).blocks] == before


def test_a_layer_that_is_not_there_is_refused(llama: Any) -> None:
    for layer in (-1, 3):
        with pytest.raises(InvalidParameter, match=r"layer must be in 0\.\.2"):
            Trunk.of(llama).states(BATCH, layer)
    with pytest.raises(InvalidParameter, match="cannot find"):
        _ = Trunk.of(nn.Linear(2, 2)).blocks


@pytest.mark.parametrize("kind", ["bloom", "gpt_neo", "llama"])
def test_blocks_that_are_passed_over_answer_in_their_own_form(kind: str) -> None:
    """Some blocks answer states, others a tuple that their model takes apart."""
    from transformers import AutoModelForCausalLM, BloomConfig, GPTNeoConfig, LlamaConfig

    from expunge.engine import ReferenceCache, TextSide

    sizes = {"vocab_size": 16, "hidden_size": 16}
    config = {
        "bloom": lambda: BloomConfig(**sizes, n_layer=3, n_head=2),
        "gpt_neo": lambda: GPTNeoConfig(**sizes, num_layers=3, num_heads=2, attention_types=[[["global"], 3]]),
        "llama": lambda: LlamaConfig(**sizes, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
    }[kind]()
    torch.manual_seed(0)
    model, rows = AutoModelForCausalLM.from_config(config).eval(), [Encoded("a", (3, 9, 8, 7), 2)]
    cache = ReferenceCache()
    cache.fill((), model, {"forget": rows}, first=2)
    with torch.no_grad():
        whole, kept = (TextSide(model, collate(rows), c, "forget").logits_NV for c in (ReferenceCache(), cache))
    torch.testing.assert_close(kept, whole)
