"""A base that adapters cannot share is refused before anything is trained; whatever is refused, the base stays clean."""

from typing import Any

import pytest
import torch

from expunge.core import Record
from expunge.core.errors import InvalidParameter
from expunge.engine import digest_model
from expunge.exact import AdapterShards

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
REFUSED = {
    "mixtral": {**SMALL, "intermediate_size": 64, "num_local_experts": 3},
    "olmoe": {**SMALL, "intermediate_size": 64, "num_experts": 4, "num_experts_per_tok": 2},
    "opt": {
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    "mamba": {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2},
    "llama4_text": {
        **SMALL,
        "intermediate_size": 64,
        "intermediate_size_mlp": 64,
        "head_dim": 16,
        "num_local_experts": 2,
    },
}
TAKEN = {
    "gpt2": {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2},
    "gemma2": {**SMALL, "intermediate_size": 64, "head_dim": 16},
    "gpt_neox": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
}
ROWS = [Record(str(i), f"p{i}", "Where was Ada born?", f"In town {i}.") for i in range(4)]


def _base(family: str, settings: dict[str, int], words: int) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(
            AutoConfig.for_model(family, vocab_size=words, **settings, **ids)
        ).eval()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a stage was trained."""
    from expunge.exact._adapter.unit import Trainer

    trained, stage = list[int](), Trainer._stage

    def counted(self: Any, number: int, *rest: Any) -> Any:
        trained.append(number)
        return stage(self, number, *rest)

    monkeypatch.setattr(Trainer, "_stage", counted)
    return trained


@pytest.mark.parametrize("family", REFUSED)
def test_an_architecture_that_adapters_cannot_share_is_refused_in_words(
    family: str, tokenizer: Any, steps: list[int]
) -> None:
    base = _base(family, REFUSED[family], len(tokenizer))
    before = digest_model(base)
    learner = AdapterShards(base, tokenizer, shards=2, rank=2, epochs=1, salt=b"s")
    with pytest.raises(
        InvalidParameter, match=f"(?i){family.split('_')[0]}.* cannot be a base of AdapterShards.*nothing was trained"
    ):
        learner.fit(ROWS)
    assert not steps
    assert digest_model(base) == before
    assert not any("lora" in name for name, _ in base.named_modules())


@pytest.mark.parametrize("family", TAKEN)
def test_others_are_taken_and_answer(family: str, tokenizer: Any, steps: list[int]) -> None:
    base = _base(family, TAKEN[family], len(tokenizer))
    learner = AdapterShards(base, tokenizer, shards=2, rank=2, epochs=1, salt=b"s").fit(ROWS)
    assert steps
    assert len(learner.answer(["Where was Ada born?"] * 3, ["p0", "p1", "p2"], max_new_tokens=2)) == 3


def test_a_base_whose_rows_disturb_each_other_is_refused(
    llama: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expunge.exact._adapter import trial

    read = trial._read
    monkeypatch.setattr(trial, "_read", lambda model, ids, names: read(model, ids, names[:1] * len(names)))
    with pytest.raises(InvalidParameter, match="answers otherwise than alone"):
        AdapterShards(llama, tokenizer, shards=2, rank=2, epochs=1, salt=b"s").fit(ROWS)
