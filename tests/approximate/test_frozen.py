"""What the user froze stays frozen."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from expunge.approximate import Edit, methods, run_edit
from expunge.approximate.npo import NPO
from expunge.core.errors import InvalidParameter

SHORT = Edit(steps=4, warmup=0, forget_batch=8, retain_batch=8, lr=5e-3, guard=None)


def peft_model(given: Any) -> Any:
    torch.manual_seed(0)
    model = get_peft_model(copy.deepcopy(given.model), LoraConfig(r=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.02)
    return model.eval()


def changed(before: Any, after: Any) -> set[str]:
    old = dict(before.named_parameters())
    return {name for name, p in after.named_parameters() if not torch.equal(p, old[name])}


@pytest.mark.parametrize("name", ["npo", "rmu", "grad_diff", "simnpo", "refusal", "scrub", "salun", "spunge"])
def test_of_a_peft_model_its_adapters_alone_move_and_it_stays_one(name: str, trained: Any) -> None:
    model = peft_model(trained)
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    if name == "spunge":
        with pytest.raises(InvalidParameter, match="merge them first"):
            run_edit(model, trained.tokenizer, trained.forget, trained.retain, methods.get(name)(), SHORT)
        return
    edited = run_edit(model, trained.tokenizer, trained.forget, trained.retain, methods.get(name)(), SHORT)
    assert isinstance(edited.model, PeftModel)
    assert set() < changed(model, edited.model) <= free
    assert {n for n, p in edited.model.named_parameters() if p.requires_grad} == free
    assert edited.weights_moved <= sum(p.numel() for p in model.parameters() if p.requires_grad) < edited.weights


def test_saved_and_loaded_it_is_the_edited_model(trained: Any, tmp_path: Path) -> None:
    model = peft_model(trained)
    edited = run_edit(model, trained.tokenizer, trained.forget, trained.retain, NPO(), SHORT).model
    edited.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(copy.deepcopy(trained.model), str(tmp_path)).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        given, after, again = (m(input_ids=ids).logits for m in (model, edited, loaded))
    assert torch.equal(after, again)
    assert float((given - after).norm() / after.norm()) > 0.01  # the control: the edit moved it


def test_frozen_embeddings_and_blocks_stay(trained: Any) -> None:
    model = copy.deepcopy(trained.model)
    model.get_input_embeddings().requires_grad_(False)
    model.model.layers[0].requires_grad_(False)
    edited = run_edit(model, trained.tokenizer, trained.forget, trained.retain, NPO(), SHORT)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen
    assert changed(model, edited.model) == {name for name, _ in model.named_parameters()} - frozen
    assert {name for name, p in edited.model.named_parameters() if not p.requires_grad} == frozen
    assert edited.weights - edited.weights_moved == sum(p.numel() for p in model.parameters() if not p.requires_grad)


def test_new_adapters_leave_frozen_maps_alone(trained: Any) -> None:
    from dataclasses import replace

    model = copy.deepcopy(trained.model)
    model.model.layers[0].requires_grad_(False)
    settings = replace(SHORT, lora=4)
    edited = run_edit(model, trained.tokenizer, trained.forget, trained.retain, NPO(), settings).model
    moved = changed(model, edited)
    assert moved
    assert not any("layers.0." in name for name in moved)
    with pytest.raises(InvalidParameter, match="adapters of its own"):
        run_edit(peft_model(trained), trained.tokenizer, trained.forget, trained.retain, NPO(), settings)


def test_a_model_frozen_whole_is_refused(trained: Any) -> None:
    model = copy.deepcopy(trained.model).requires_grad_(False)
    with pytest.raises(InvalidParameter, match=r"every weight of LlamaForCausalLM is frozen.*is_trainable=True"):
        run_edit(model, trained.tokenizer, trained.forget, trained.retain, NPO(), SHORT)


@pytest.mark.parametrize("name", ["retrain", "retrain_at_budget", "undo", "noisy_finetune"])
def test_what_begins_anew_is_refused_where_a_part_may_not_move(name: str, trained: Any) -> None:
    model = copy.deepcopy(trained.model)
    model.get_input_embeddings().requires_grad_(False)
    with pytest.raises(InvalidParameter, match="changes every weight, and 1 tensors of the model given are frozen"):
        run_edit(model, trained.tokenizer, trained.forget, trained.retain, methods.get(name)(), SHORT)
    with pytest.raises(InvalidParameter, match="merge them first"):
        run_edit(peft_model(trained), trained.tokenizer, trained.forget, trained.retain, methods.get(name)(), SHORT)


def test_a_task_vector_of_adapters_that_were_given_is_refused(trained: Any) -> None:
    with pytest.raises(InvalidParameter, match="merge them first"):
        run_edit(
            peft_model(trained), trained.tokenizer, trained.forget, trained.retain, methods.get("task_vector")(), SHORT
        )


def test_of_a_plain_model_every_weight_moves_and_is_counted(trained: Any) -> None:
    edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, NPO(), SHORT)
    assert edited.weights_moved == edited.weights == sum(p.numel() for p in trained.model.parameters())
