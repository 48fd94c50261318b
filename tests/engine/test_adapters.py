import copy
import warnings
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model

from expunge.engine.adapters import with_adapters


def test_no_warning_of_others_is_passed_on(llama: Any) -> None:
    config = LoraConfig(r=2, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_adapters(copy.deepcopy(llama), config, "one").active_adapter == "one"
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):  # the control
        get_peft_model(copy.deepcopy(llama), config)
