"""What tiny models of many kinds do under an edit: it runs, or it is refused in a sentence before anything is trained."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from tests.approximate.moved import Moved
from torch import nn

from expunge.approximate import Edit, methods, run_edit
from expunge.approximate.cir import CIR
from expunge.approximate.undo import Undo
from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.engine import Trunk, examples

SHORT = Edit(steps=2, warmup=0, forget_batch=4, retain_batch=4)
SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 48}
TEXT: dict[str, Any] = {
    **SIZES,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
GROUPED = {**TEXT, "num_key_value_heads": 1, "head_dim": 16}
EYES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
PIXELS = {"image_size": 28, "patch_size": 14}


def opt_350m(n: int) -> Any:
    sizes = {"hidden_size": 32, "word_embed_proj_dim": 16, "ffn_dim": 48, "num_hidden_layers": 4, "pad_token_id": 0}
    config = hf.OPTConfig(vocab_size=n, num_attention_heads=2, do_layer_norm_before=False, **sizes)
    return hf.OPTForCausalLM(config)


def gpt2(n: int, layers: int = 4) -> Any:
    return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=n, n_embd=32, n_layer=layers, n_head=2, n_positions=256))


def gemma3(n: int) -> Any:
    text = hf.Gemma3TextConfig(vocab_size=n, **GROUPED)
    tokens = {"image_token_index": 5, "boi_token_index": 6, "eoi_token_index": 7}
    return hf.Gemma3ForConditionalGeneration(
        hf.Gemma3Config(text_config=text, vision_config={**EYES, **PIXELS}, **tokens)
    )


def qwen25_vl(n: int) -> Any:
    text = {**TEXT, "vocab_size": n, "num_key_value_heads": 1}
    text["rope_scaling"] = {"type": "mrope", "mrope_section": [2, 3, 3]}
    eyes = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 32}
    return hf.Qwen2_5_VLForConditionalGeneration(hf.Qwen2_5_VLConfig(text_config=text, vision_config=eyes))


def mistral3(n: int) -> Any:
    text = {"model_type": "mistral", "vocab_size": n, **GROUPED}
    eyes = {"model_type": "pixtral", **EYES, **PIXELS}
    return hf.Mistral3ForConditionalGeneration(
        hf.Mistral3Config(text_config=text, vision_config=eyes, image_token_index=5)
    )


def gemma3n(n: int) -> Any:
    layers = {"num_kv_shared_layers": 2, "layer_types": ["full_attention"] * 4, "altup_num_inputs": 2}
    per_layer = {"vocab_size_per_layer_input": n, "hidden_size_per_layer_input": 8, "laurel_rank": 4}
    sparsity = {"activation_sparsity_pattern": [0.0] * 4}
    return hf.Gemma3nForCausalLM(hf.Gemma3nTextConfig(vocab_size=n, **GROUPED, **layers, **per_layer, **sparsity))


def llama4(n: int) -> Any:
    experts = {"intermediate_size_mlp": 48, "num_local_experts": 2, "num_experts_per_tok": 1}
    return hf.Llama4ForCausalLM(hf.Llama4TextConfig(vocab_size=n, **GROUPED, **experts))


def t5(n: int) -> Any:
    return hf.T5ForConditionalGeneration(
        hf.T5Config(vocab_size=n, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2)
    )


def mamba(n: int) -> Any:
    return hf.MambaForCausalLM(hf.MambaConfig(vocab_size=n, hidden_size=32, num_hidden_layers=4, state_size=4))


def bert_lm(n: int) -> Any:
    return hf.BertLMHeadModel(hf.BertConfig(vocab_size=n, **TEXT))


def few_words(_: int) -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=100, **GROUPED))


RUNS = "runs"
ONE_DECODER = "edits are for models that are one decoder"
NOT_STATES = "keeps states of shape"
EDITS: dict[str, Any] = {
    "npo": lambda: (methods.get("npo")(), SHORT),
    "kl": lambda: (methods.get("grad_diff")(retain="kl"), SHORT),
    "rmu": lambda: (methods.get("rmu")(), SHORT),
    "undial": lambda: (methods.get("undial")(), SHORT),
    "cir": lambda: (methods.get("cir")(), SHORT),
    "lora": lambda: (methods.get("npo")(), Edit(steps=2, forget_batch=4, retain_batch=4, lora=2)),
}
TABLE: dict[Callable[[int], Any], dict[str, str]] = {
    opt_350m: dict.fromkeys(EDITS, RUNS),
    gpt2: dict.fromkeys(EDITS, RUNS),
    gemma3: dict.fromkeys(EDITS, RUNS),
    qwen25_vl: dict.fromkeys(EDITS, RUNS),
    mistral3: dict.fromkeys(EDITS, RUNS),
    gemma3n: {"rmu": NOT_STATES, "cir": NOT_STATES},
    llama4: {**dict.fromkeys(EDITS, RUNS), "lora": "with adapters does not read two tokens"},
    t5: dict.fromkeys(EDITS, ONE_DECODER),
    mamba: {"npo": RUNS, "kl": RUNS, "rmu": RUNS, "undial": RUNS, "lora": "PEFT puts no adapters on MambaForCausalLM"},
    bert_lm: {"npo": RUNS, "kl": RUNS, "rmu": RUNS, "undial": RUNS, "cir": "no module with weights"},
    few_words: dict.fromkeys(EDITS, "the model knows 100 words"),
}
CASES = [(make, edit, outcome) for make, row in TABLE.items() for edit, outcome in row.items()]


@pytest.mark.parametrize(("make", "edit", "outcome"), CASES, ids=[f"{m.__name__}-{e}" for m, e, _ in CASES])
def test_an_edit_runs_or_is_refused_in_a_sentence(make: Any, edit: str, outcome: str, trained: Any) -> None:
    torch.manual_seed(0)
    model = make(len(trained.tokenizer)).eval()
    method, settings = EDITS[edit]()
    asked = (model, trained.tokenizer, trained.forget[:8], trained.retain[:8], method, settings)
    if outcome == RUNS:
        assert run_edit(*asked).weights_moved > 0
        return
    steps: list[int] = []
    with pytest.raises(ExpungeError, match=outcome):
        run_edit(*asked, progress=lambda done, _: steps.append(done))
    assert steps == []


def test_the_gradient_of_maps_with_a_column_for_each_output_is_that_of_maps_with_a_row(trained: Any) -> None:
    """GPT-2's, and the same model with torch's own maps in their place."""
    torch.manual_seed(0)
    model, method = gpt2(len(trained.tokenizer), layers=2).eval(), CIR(activations=1, gradients=1)
    moved = Moved(type(trained)(model, trained.tokenizer, trained.forget, trained.retain), method)
    method.gradient(moved.step, moved.model)
    mlp = Trunk.of(moved.model).blocks[0].mlp
    by_column = mlp.c_fc.weight.grad.clone()
    for name in ("c_fc", "c_proj"):
        old = getattr(mlp, name)
        new = nn.Linear(*old.weight.shape)
        new.weight, new.bias = nn.Parameter(old.weight.detach().T.clone()), nn.Parameter(old.bias.detach().clone())
        setattr(mlp, name, new)
    assert moved.step.again is not None
    method.gradient(moved.step.again(), moved.model)
    assert float(by_column.norm()) > 0
    torch.testing.assert_close(by_column, mlp.c_fc.weight.grad.T, rtol=1e-3, atol=1e-6)


def test_cir_says_what_the_modules_are_that_it_cannot_take_apart(trained: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"that match 'norm' are no plain linear maps \(LlamaRMSNorm\)"):
        run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, CIR(modules="norm"), SHORT)
    model = copy.deepcopy(trained.model)
    for block in model.model.layers:
        block.mlp.requires_grad_(False)
    with pytest.raises(InvalidParameter, match="that match 'mlp' are frozen"):
        run_edit(model, trained.tokenizer, trained.forget, trained.retain, CIR(modules="mlp"), SHORT)


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        (methods.get("refusal")(), "teaches words, and a classifier says none; 'relabel'"),
        (Undo(), "RMU changes states inside a language model, and a classifier has no known blocks"),
        (methods.get("rmu")(), "RMU changes states inside a language model"),
        (methods.get("cir")(), "CIR changes states inside a language model"),
    ],
    ids=["refusal", "undo", "rmu", "cir"],
)
def test_what_a_classifier_has_not_is_said(method: Any, outcome: str) -> None:
    x, y = torch.randn(12, 4), torch.arange(12) % 3
    model, rows = nn.Linear(4, 3), examples(x, y)
    with pytest.raises(InvalidParameter, match=outcome):
        run_edit(model, None, rows[:4], rows[4:], method, SHORT)
