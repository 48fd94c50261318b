"""One thread, one processor mode, and toy models that are made once."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from expunge.core.capability import pin_capability

HANGING = 7200  # seconds after which a process counts as hung; a guard, never a claim about speed: machines may be busy

pin_capability()  # of use only before torch is imported, by whichever test comes first


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained() -> Any:
    """A toy model that knows three people who leave and five who stay; never change it."""
    from expunge.testing import contract

    return contract.trained()


@pytest.fixture(scope="session")
def control() -> Any:
    """A toy model of another seed that never saw the people who leave."""
    from expunge.testing import attacks

    return attacks.control()


@pytest.fixture(scope="session")
def probes() -> Any:
    from expunge.synthetic import facts, people
    from expunge.verify import Probes

    strangers = facts(people(3, skip=8))
    return Probes(tuple(facts(people(3))), tuple(facts(people(5, skip=3))), tuple(strangers))


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level tokenizer whose tokens start with a space."""
    from expunge.synthetic import people, records
    from expunge.testing.toys import toy_tokenizer

    return toy_tokenizer([t for r in records(people(20, seed=9)) for t in (r.question, r.answer)], 400)


@pytest.fixture(scope="session")
def llama(tokenizer: Any) -> Any:
    """An untrained toy model; never change it."""
    from expunge.testing.toys import toy_llama

    return toy_llama(len(tokenizer), hidden=32, layers=3).eval()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real material."""
    if not (folder := os.environ.get("EXPUNGE_DATA")):
        pytest.skip("EXPUNGE_DATA not set")
    return Path(folder)
