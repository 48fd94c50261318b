"""Adapters on a model, by PEFT."""

import warnings
from typing import Any

NO_ADAPTER = "__base__"  # PEFT's own name, for a row of a batch that the base alone answers


def with_adapters(model: Any, config: Any, name: str = "default") -> Any:
    """`peft.get_peft_model`, without a warning that is none of the user's: PEFT asks transformers by a name that it gave up."""
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(model, config, adapter_name=name)
