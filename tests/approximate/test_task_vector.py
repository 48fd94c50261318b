import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.approximate import Edit, run_edit
from expunge.approximate._likelihood import Likelihood
from expunge.approximate._work import Work
from expunge.approximate.task_vector import TaskVector
from expunge.core.errors import InvalidParameter
from expunge.engine import pinned

SETTINGS = Edit(lr=3e-4, steps=6, warmup=1, forget_batch=8, retain_batch=8)


def edited(given: Any, method: Any, settings: Edit = SETTINGS) -> Any:
    return run_edit(given.model, given.tokenizer, given.forget, given.retain, method, settings)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_goes_as_far_back_as_fine_tuning_went_forth(trained: Any) -> None:
    work = Work(copy.deepcopy(trained.model), trained.tokenizer, trained.forget, trained.retain, SETTINGS)
    with pinned():
        work.descend(Likelihood("forget"), name="fine-tuned", retain=())
    start, tuned = weights(trained.model), weights(work.model)
    found = weights(edited(trained, TaskVector(lambda_=1.5)).model)
    assert all((found[name] != start[name]).any() for name in start)
    for name, p in found.items():
        assert torch.equal(p, start[name] - 1.5 * (tuned[name] - start[name])), name


def test_with_adapters_the_product_is_negated(trained: Any) -> None:
    """Down by B A where fine-tuning adds it: negating both factors would have added it as well."""
    from peft import LoraConfig, get_peft_model

    settings = replace(SETTINGS, lr=3e-3, lora=2, seed=5)
    base = copy.deepcopy(trained.model).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        adapted = get_peft_model(base, LoraConfig(r=2, lora_alpha=4, target_modules="all-linear")).eval()
    work = Work(adapted, trained.tokenizer, trained.forget, trained.retain, settings)
    with pinned():
        work.descend(Likelihood("forget"), name="fine-tuned", retain=())
    factors = weights(adapted)
    found, start, seen = weights(edited(trained, TaskVector(lambda_=0.5), settings).model), weights(trained.model), 0
    for name, b in factors.items():
        if ".lora_B." not in name:
            continue
        a = factors[name.replace("lora_B", "lora_A")]
        plain = name.removeprefix("base_model.model.").replace(".lora_B.default", "")
        change = 2.0 * (b @ a)  # alpha / r = 2
        assert change.abs().max() > 1e-4
        torch.testing.assert_close(found[plain], start[plain] - 0.5 * change, rtol=0, atol=1e-6)
        seen += 1
    assert seen == 2 * 7


def test_lambda_is_the_largest_that_keeps_enough(trained: Any) -> None:
    """The next step on the grid loses too much, and this one does not."""
    method, settings = TaskVector(keep=0.9, largest=6.0, grid=12), replace(SETTINGS, steps=12, lr=1e-3)
    result = edited(trained, method, settings)
    lambda_ = float(result.notes[-1].removeprefix("lambda = "))
    assert 0.5 <= lambda_ < 6.0

    def right(model: Any) -> float:
        work = Work(model, trained.tokenizer, trained.forget, trained.retain, settings)
        return work.accuracy(work.retain)

    assert len(trained.retain) <= 128  # the probe is every retained row
    beyond = edited(trained, TaskVector(lambda_=lambda_ + 0.5), settings).model
    assert right(result.model) >= 0.9 * right(trained.model) > right(beyond)


def test_refuses_where_nothing_keeps_enough(trained: Any) -> None:
    with pytest.raises(InvalidParameter, match="no lambda from 40 to 40 keeps 100%"):
        edited(trained, TaskVector(keep=1.0, largest=40.0, grid=1), replace(SETTINGS, lr=1e-2))


@pytest.mark.parametrize("wrong", [{"grid": 0}, {"largest": 0.0}, {"keep": 0.0}, {"keep": 1.5}])
def test_refuses_parameters_out_of_range(wrong: Any) -> None:
    with pytest.raises(InvalidParameter):
        TaskVector(**wrong)
