"""Answers from many adapters on one copy of the base. Which adapter answered is never returned."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import set_peft_model_state_dict
from torch import Tensor

from expunge.core.errors import NotReady
from expunge.engine import pad_id
from expunge.engine.adapters import NO_ADAPTER, with_adapters
from expunge.exact._adapter.likelihood import most_likely
from expunge.exact._adapter.unit import Shard, Trainer, lora_config
from expunge.exact._adapter.words import most_known


class Answers:
    """The adapters of all shards, loaded on one copy of the base."""

    def __init__(self, trainer: Trainer, shards: Mapping[str, Shard]) -> None:
        self.trainer, self.names = trainer, list(shards)
        self.words = [shard.words for shard in shards.values() if shard.words is not None]
        self.model = self._load(shards) if shards else trainer.base

    def generate(
        self, ids_BT: Tensor, mask_BT: Tensor, units: Sequence[str] | None, settings: dict[str, Any]
    ) -> Tensor:
        """As transformers' `generate`, each row by one of these units; without `units`, as the route says."""
        settings = {"pad_token_id": pad_id(self.trainer.tokenizer), **settings}
        if not self.names:
            return torch.as_tensor(self.model.generate(input_ids=ids_BT, attention_mask=mask_BT, **settings))
        chosen = (
            self._choose(ids_BT, mask_BT) if units is None else [u if u in self.names else NO_ADAPTER for u in units]
        )
        return torch.as_tensor(
            self.model.generate(input_ids=ids_BT, attention_mask=mask_BT, adapter_names=chosen, **settings)
        )

    def found(self, ids_BT: Tensor, mask_BT: Tensor, units: Sequence[str]) -> list[bool]:
        """Whether each prompt finds this unit by what it asks. Of one prompt alone it is a secret."""
        chosen = self._choose(ids_BT, mask_BT) if self.names else [NO_ADAPTER] * len(units)
        return [one == unit for one, unit in zip(chosen, units, strict=True)]

    def _choose(self, ids_BT: Tensor, mask_BT: Tensor) -> list[str]:
        if self.trainer.parameters.route == "likelihood":
            return most_likely(self.model, self.trainer.tokenizer, self.names, ids_BT, mask_BT)
        if len(self.words) < len(self.names):
            raise NotReady("this model was fitted with another route and knows no words; fit it with route='words'")
        trainer = self.trainer
        best = most_known(trainer.base, trainer.tokenizer, self.words, trainer.salt, ids_BT, mask_BT)
        return [NO_ADAPTER if unit is None else self.names[unit] for unit in best]

    def _load(self, shards: Mapping[str, Shard]) -> Any:
        base, config, model = copy.deepcopy(self.trainer.base), lora_config(self.trainer.parameters), None
        for name, shard in shards.items():
            if model is None:
                model = with_adapters(base, config, name)
            else:
                model.add_adapter(name, config)
            set_peft_model_state_dict(model, shard.serving, adapter_name=name)
        assert model is not None
        return model.eval()
