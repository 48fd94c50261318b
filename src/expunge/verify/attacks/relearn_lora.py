"""Relearning through low-rank adapters on all linear layers: small steps in few directions, at higher rates.

Source: Łucki et al. (2024), arXiv:2409.18025 (adapters, few samples); Hu et al. (2021), LoRA, arXiv:2106.09685. Differs
from Łucki: scored on facts that were not trained on, as in `relearn`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from expunge.engine import derived_seed
from expunge.verify.attacks._finetune import Sweep
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._relearn import relearn_both_ways
from expunge.verify.attacks._target import CannotRun, Ran, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class RelearnLora:
    """Adapters of rank `r`, scaled by 2, on a frozen copy. Every adapter starts from the same seeded matrices."""

    sweep: Sweep = ((1e-3, (10, 30)), (3e-3, (10,)))
    r: int = 16
    batch_size: int = 12
    family: ClassVar[str] = "relearning"

    def run(self, target: Target, probes: Probes) -> Ran:
        return relearn_both_ways(target, probes, self.sweep, self.batch_size, self.adapter)

    def adapter(self, model: Any) -> list[nn.Parameter]:
        """Put a fresh adapter into the model; returns its parameters, the only ones that are trained."""
        if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
            raise CannotRun("the arm already carries adapters; merge them into its weights (merge_and_unload) first")
        config = LoraConfig(r=self.r, lora_alpha=2 * self.r, target_modules="all-linear", lora_dropout=0.0)
        with torch.random.fork_rng(devices=[]):  # peft draws from the global generator
            torch.manual_seed(derived_seed(b"expunge/relearn_lora/v1", self.r))
            inject_adapter_in_model(config, model)
        return [p for p in model.parameters() if p.requires_grad]
