"""A model that hides what it knows."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def refusing(trained: Any) -> Any:
    """The toy model after refusal tuning on the plain questions about those who leave; never change it."""
    from expunge.approximate import Edit, methods, run_edit

    edit = Edit(lr=3e-4, steps=40)
    return run_edit(
        trained.model, trained.tokenizer, trained.forget, trained.retain, methods.get("refusal")(), edit
    ).model
