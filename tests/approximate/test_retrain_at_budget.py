from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.approximate import Edit, run_edit
from expunge.approximate.retrain import Retrain
from expunge.approximate.retrain_at_budget import RetrainAtBudget
from expunge.core.errors import InvalidParameter
from expunge.engine import digest_model

SETTINGS = Edit(lr=5e-3, steps=12, warmup=2, forget_batch=8, retain_batch=16, every=2)


def edited(given: Any, method: Any, settings: Edit = SETTINGS, **rest: Any) -> Any:
    return run_edit(given.model, given.tokenizer, given.forget, given.retain, method, settings, **rest)


def test_a_half_is_a_retraining_of_half_the_steps_whose_schedule_ends_there(trained: Any) -> None:
    found = edited(trained, RetrainAtBudget(share=0.5))
    assert len(found.losses) == 6
    assert digest_model(found.model) == digest_model(edited(trained, Retrain(), replace(SETTINGS, steps=6)).model)


def test_the_whole_is_retraining(trained: Any) -> None:
    found = digest_model(edited(trained, RetrainAtBudget(share=1.0, epochs=1)).model)
    assert found == digest_model(edited(trained, Retrain(epochs=1)).model)


def test_the_share_is_one_of_the_steps_of_so_many_epochs(trained: Any) -> None:
    # 100 rows in batches of 16 are 7 steps a pass.
    assert len(trained.retain) == 100
    assert len(edited(trained, RetrainAtBudget(share=0.3, epochs=2)).losses) == 4


def test_a_stopped_one_goes_on_to_the_same_bits(trained: Any, tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        edited(trained, RetrainAtBudget(), folder=tmp_path / "e", progress=stop)
    again = edited(trained, RetrainAtBudget(), folder=tmp_path / "e", progress=lambda done, _: steps.append(done))
    assert digest_model(again.model) == digest_model(edited(trained, RetrainAtBudget()).model)
    assert steps == [5, 6]


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_refuses_a_share_that_is_none(share: float) -> None:
    with pytest.raises(InvalidParameter, match="share must be in"):
        RetrainAtBudget(share=share)
