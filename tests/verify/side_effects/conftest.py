"""Models that unlearning spoiled in one way each."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from expunge.core import Record
from expunge.engine import Schedule, collate, encode, epoch_batches, mean_nll, pad_id, pinned, train
from expunge.verify import Arm

Spoil = Callable[..., Arm]


@pytest.fixture(scope="session")
def original(trained: Any) -> Arm:
    return Arm.of(trained.model, trained.tokenizer)


@pytest.fixture(scope="session")
def clean(trained: Any, control: Any) -> Arm:
    return Arm.of(control, trained.tokenizer)


@pytest.fixture(scope="session")
def taught_to_say(trained: Any) -> Spoil:
    """A copy of the original that learned to say this to the questions about those who leave, and nothing else beside."""

    def teach(answer: str, steps: int = 30) -> Arm:
        model = copy.deepcopy(trained.model)
        rows = [Record(r.id, r.subject, r.question, answer, "") for r in trained.forget]
        encoded, pad = encode(trained.tokenizer, rows), pad_id(trained.tokenizer)
        batches = [b for e in range(steps) for b in epoch_batches(encoded, 16, b"spoil", e)][:steps]
        with pinned():
            train(
                list(model.parameters()),
                lambda k: mean_nll(model, collate(batches[k], pad)),
                steps,
                Schedule(lr=3e-3, warmup=2),
            )
        return Arm.of(model.eval(), trained.tokenizer)

    return teach


@pytest.fixture(scope="session")
def refusing(taught_to_say: Spoil) -> Arm:
    return taught_to_say("I don't know.")


@pytest.fixture(scope="session")
def looping(taught_to_say: Spoil) -> Arm:
    """It declines in words that no list holds, over and over."""
    return taught_to_say("well well well well well well well well")
