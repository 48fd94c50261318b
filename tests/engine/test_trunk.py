import weakref
from typing import Any

import pytest
import torch
from torch import nn

from expunge.core.errors import InvalidParameter
from expunge.engine import Encoded, Reference, ReferenceCache, TextSide, Trunk, collate, packing
from expunge.testing.toys import toy_llama

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


def test_blocks_below_do_not_run_where_nothing_more_of_them_is_read(llama: Any) -> None:
    trunk, ran = Trunk.of(llama), list[int]()
    states = trunk.states(BATCH, 1)
    trunk.read_out(states[0])  # what is tried once is tried here
    with trunk.from_block(2, states):
        trunk.all_states(BATCH)
    handles = [
        next(block.children()).register_forward_hook(lambda *_, i=i: ran.append(i))
        for i, block in enumerate(trunk.blocks)
    ]
    with trunk.from_block(2, states):
        *_, third, read = trunk.all_states(BATCH)
    assert ran == [2]
    trunk.read_out(third[0])
    trunk.head_logits(read[0])
    assert ran == [2]
    for handle in handles:
        handle.remove()


class Remembering(nn.Module):
    """Adds what the block below wrote down: more than its states is read."""

    def __init__(self, block: nn.Module, notes: list[torch.Tensor]) -> None:
        super().__init__()
        self.block, self.notes = block, notes

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        out = self.block(hidden_states + (self.notes[-1] if self.notes else 0), *args, **kwargs)
        self.notes.append(out)
        return out


def test_blocks_that_read_more_than_states_are_not_passed_over() -> None:
    model = toy_llama(16, hidden=32, layers=3).eval()
    notes: list[torch.Tensor] = []
    model.model.layers = nn.ModuleList([Remembering(block, notes) for block in model.model.layers])
    model.model.register_forward_pre_hook(lambda *_: notes.clear())
    trunk, batch = Trunk.of(model), collate([Encoded("a", (3, 9, 8, 7), 2)])
    with torch.no_grad():
        whole = model(**batch.inputs).logits
        with trunk.from_block(2, trunk.states(batch, 1, masked=False)):
            torch.testing.assert_close(model(**batch.inputs).logits, whole)
            assert len(notes) == 3


def test_a_trial_is_seen_by_nobody_and_changes_no_draw() -> None:
    model = toy_llama(16, hidden=32, layers=3).eval()
    trunk, batch, seen = Trunk.of(model), collate([Encoded("a", (3, 9, 8, 7), 2)]), list[torch.Size]()
    states, draws = trunk.states(batch, 0), torch.get_rng_state()

    def look(states_BTD: torch.Tensor) -> torch.Tensor:
        seen.append(states_BTD.shape)
        return states_BTD

    with torch.no_grad(), trunk.edited({2: look}), trunk.from_block(1, states):
        model(**batch.inputs)
    assert seen == [(1, 4, 32)]
    with trunk.from_block(1, states):
        assert torch.equal(torch.get_rng_state(), draws)


def test_a_model_is_not_kept_alive() -> None:
    model = toy_llama(16, hidden=32, layers=2).eval()
    Trunk.of(model).read_out(torch.zeros(1, 32))
    gone = weakref.ref(model)
    del model
    assert gone() is None


def _tiny(kind: str) -> Any:
    from transformers import (
        AutoModelForImageTextToText,
        Gemma3Config,
        Gemma3nForCausalLM,
        Gemma3nTextConfig,
        Mistral3Config,
        OPTConfig,
        OPTForCausalLM,
    )

    size = {"vocab_size": 32, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {**size, "intermediate_size": 32, "num_key_value_heads": 1, "head_dim": 16}
    seeing = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    seeing |= {"image_size": 28, "patch_size": 14}
    torch.manual_seed(0)
    match kind:
        case "gemma3":
            config = Gemma3Config(text_config=text, vision_config=seeing, mm_tokens_per_image=4, image_token_index=3)
            model = AutoModelForImageTextToText.from_config(config)
        case "mistral3":
            parts = {
                "text_config": {"model_type": "mistral", **text},
                "vision_config": {"model_type": "pixtral", **seeing},
            }
            model = AutoModelForImageTextToText.from_config(Mistral3Config(**parts, image_token_index=3))
        case "opt":
            narrow = {"word_embed_proj_dim": 16, "do_layer_norm_before": False, "ffn_dim": 32, "dropout": 0.0}
            model = OPTForCausalLM(OPTConfig(**size, **narrow))
        case _:
            layered: dict[str, Any] = {
                "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": 32,
                "laurel_rank": 4,
            }
            layered |= {"altup_num_inputs": 2, "num_kv_shared_layers": 1, "activation_sparsity_pattern": [0.0] * 3}
            model = Gemma3nForCausalLM(Gemma3nTextConfig(**text, **layered))
    return model.eval()


@pytest.mark.parametrize("kind", ["gemma3", "mistral3", "opt"])
def test_the_text_part_is_found_in_a_model_of_more(kind: str) -> None:
    """Beside a vision tower as deep as it, or with embeddings of another width than the blocks."""
    model, rows = _tiny(kind), [Encoded("a", (5, 9, 8, 7), 2), Encoded("b", (5, 6, 7), 1)]
    trunk, batch = Trunk.of(model), collate(rows)
    at = batch.predicts
    needs = [Reference.FORGET_LOGITS, Reference.FORGET_HIDDEN]
    cache = ReferenceCache()
    cache.fill(needs, model, {"forget": rows}, block=2, first=2)
    side = TextSide(model, batch, cache, "forget")
    with torch.no_grad():
        whole_NV = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits[at]
        for found_NV in (
            side.logits_NV,
            side.reference_logits_NV,
            trunk.head_logits(trunk.head_states(*at, **batch.inputs)),
            trunk.read_out(trunk.states(batch, 2)[at]),
        ):
            torch.testing.assert_close(found_NV, whole_NV)
        torch.testing.assert_close(side.hidden_ND(2), side.reference_hidden_ND(2))
    with packing(model) as packs:
        assert not packs or kind == "opt"


def test_states_that_are_not_one_a_position_are_refused() -> None:
    """Gemma 3n keeps several streams of states; what its head reads is one of them."""
    model, batch = _tiny("gemma3n"), collate([Encoded("a", (5, 9, 8, 7), 2)])
    trunk, at = Trunk.of(model), batch.predicts
    with pytest.raises(InvalidParameter, match=r"shape \(2, 1, 4, 32\), not one a position"):
        trunk.states(batch, 1)
    with torch.no_grad():
        whole_NV = model(input_ids=batch.ids_BT, use_cache=False).logits[at]
        torch.testing.assert_close(trunk.logits_at(*at, **batch.inputs), whole_NV)
        torch.testing.assert_close(trunk.head_logits(trunk.head_states(*at, **batch.inputs)), whole_NV)
