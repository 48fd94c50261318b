import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate import Edit, methods, run_edit
from expunge.approximate.retrain import Retrain
from expunge.approximate.retrain_at_budget import RetrainAtBudget
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import digest_model, examples

SETTINGS = Edit(lr=5e-3, steps=8, warmup=2, forget_batch=8, retain_batch=16, every=3)


def digest(given: Any, method: Any = None, model: Any = None, forget: Any = None, settings: Edit = SETTINGS) -> str:
    start, rows = model or given.model, forget or given.forget
    return digest_model(run_edit(start, given.tokenizer, rows, given.retain, method or Retrain(), settings).model)


def test_nothing_of_the_given_weights_or_of_the_forgotten_is_left(trained: Any) -> None:
    """Bit for bit the same from other weights and beside other forget rows; another seed gives another model."""
    other = copy.deepcopy(trained.model)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    expected = digest(trained)
    assert digest(trained, model=other) == expected
    assert digest(trained, forget=trained.forget[:2]) == expected
    assert digest(trained, settings=replace(SETTINGS, seed=1)) != expected


def test_learns_what_is_retained_and_not_the_rest(trained: Any) -> None:
    from expunge.approximate._work import Work

    settings = replace(SETTINGS, lr=6e-3, retain_batch=32)
    model = run_edit(
        trained.model, trained.tokenizer, trained.forget, trained.retain, Retrain(epochs=30), settings
    ).model
    work = Work(model, trained.tokenizer, trained.forget, trained.retain, settings)
    assert work.accuracy(work.retain) > 0.9
    assert work.accuracy(work.forget) < 0.75  # words that every answer shares


def test_epochs_are_passes_over_the_retained_rows(trained: Any) -> None:
    edited = run_edit(
        trained.model, trained.tokenizer, trained.forget, trained.retain[:40], Retrain(epochs=2), SETTINGS
    )
    assert len(edited.losses) == 2 * 3  # 16 + 16 + 8 rows
    assert edited.rows_trained == 2 * 40


def test_a_classifier_too() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    start, forget, retain = (
        nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)),
        (x[:10], y[:10]),
        (x[10:], y[10:]),
    )
    both = [
        run_edit(model, None, examples(*forget), examples(*retain), Retrain(), SETTINGS).model
        for model in (start, nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    ]
    assert digest_model(both[0]) == digest_model(both[1]) != digest_model(start)


def test_a_stopped_one_goes_on_to_the_same_bits(trained: Any, tmp_path: Path) -> None:
    steps: list[int] = []

    def stop(done: int, _total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    asked = (trained.model, trained.tokenizer, trained.forget, trained.retain, Retrain(), SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        run_edit(*asked, folder=tmp_path / "e", progress=stop)
    again = run_edit(*asked, folder=tmp_path / "e", progress=lambda done, _: steps.append(done)).model
    assert digest_model(again) == digest(trained)
    assert steps == [7, 8]


def test_it_claims_no_more_than_the_attacks_show() -> None:
    assert {methods.get(name).guarantee for name in ("retrain", "retrain_at_budget")} == {Guarantee.EMPIRICAL}


@pytest.mark.parametrize("method", [Retrain(), RetrainAtBudget()], ids=repr)
def test_what_would_leave_weights_as_they_began_is_refused(trained: Any, method: Any) -> None:
    """Everything begins anew: what is not trained after that would be noise, or adapters beside noise."""
    with pytest.raises(InvalidParameter, match=r"retraining works on the model's own weights.*set lora=0"):
        digest(trained, method, settings=replace(SETTINGS, lora=2))
    with pytest.raises(InvalidParameter, match=r"retraining changes every weight.*'mlp'; leave modules out"):
        digest(trained, method, settings=replace(SETTINGS, modules="mlp"))


def test_no_epochs_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="epochs must be > 0"):
        Retrain(epochs=0)
