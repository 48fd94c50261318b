"""Untrained models of other families, a few thousand parameters each."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

# Learned positions; positions taken from the mask; a window of attention; positions by distance; rotary
# positions, in three ways; experts; a state, not a cache.
FAMILIES = {
    "gpt2": {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2},
    "opt": {
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    "mistral": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "sliding_window": 6,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
    "gpt_neox": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    "phi": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    "gemma2": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "head_dim": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
    "mixtral": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_local_experts": 3,
    },
    "mamba": {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2},
}


@pytest.fixture(scope="session")
def tiny(tokenizer: Any) -> Callable[[str], Any]:
    from transformers import AutoConfig, AutoModelForCausalLM

    def make(family: str) -> Any:
        ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
        config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **FAMILIES[family], **ids)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config).eval()
            for p in model.parameters():  # fresh weights say one token for ever; larger ones choose
                p.data.normal_(std=0.3) if p.dim() > 1 else None
        return model

    return make
