"""Answers from many adapters on one base: who is asked, and what is said. Who was asked is told to nobody."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from torch import Tensor

from expunge.core.errors import NotReady
from expunge.engine import pad_id
from expunge.exact._adapter.routing import averaged_greedy, most_likely
from expunge.exact._adapter.unit import Shard
from expunge.exact._adapter.words import most_known

RouteBy = Literal["words", "likelihood", "average", "merge"]
ROUTES: tuple[str, ...] = ("words", "likelihood", "average", "merge")
_BASE, _MERGED = "__base__", "merged"  # the first is PEFT's own name for no adapter


class Answers:
    """The adapters that answer, all on one copy of the base; made when first asked, dropped when anything changes."""

    def __init__(
        self, base: Any, tokenizer: Any, config: LoraConfig, shards: Mapping[str, Shard], route: str, salt: bytes
    ) -> None:
        self.base, self.tokenizer, self.route, self.salt = base, tokenizer, route, salt
        self.names = list(shards)
        self.words = [shard.words for shard in shards.values() if shard.words is not None]
        self.model = self._load(config, shards) if shards else base

    def generate(
        self, ids_BT: Tensor, mask_BT: Tensor, units: Sequence[str] | None, settings: dict[str, Any]
    ) -> Tensor:
        """As transformers' `generate`, each row by one of these units; without `units`, as the route says."""
        settings = {"pad_token_id": pad_id(self.tokenizer), **settings}
        if not self.names:
            return torch.as_tensor(self.base.generate(input_ids=ids_BT, attention_mask=mask_BT, **settings))
        if units is None and self.route == "average":
            return averaged_greedy(
                self.model,
                self.names,
                ids_BT,
                mask_BT,
                settings.get("max_new_tokens", 32),
                settings.get("eos_token_id", self.tokenizer.eos_token_id),
                settings["pad_token_id"],
            )
        asked = self._choose(ids_BT, mask_BT) if units is None else [u if u in self.names else _BASE for u in units]
        return torch.as_tensor(
            self.model.generate(input_ids=ids_BT, attention_mask=mask_BT, adapter_names=asked, **settings)
        )

    def _choose(self, ids_BT: Tensor, mask_BT: Tensor) -> list[str]:
        if self.route == "merge":
            return [_MERGED] * len(ids_BT)
        if self.route == "likelihood":
            return most_likely(self.model, self.names, ids_BT, mask_BT)
        if len(self.words) < len(self.names):
            raise NotReady("this model was fitted with another route and knows no words; fit it with route='words'")
        best = most_known(self.base, self.tokenizer, self.words, self.salt, ids_BT, mask_BT)
        return [_BASE if unit is None else self.names[unit] for unit in best]

    def _load(self, config: LoraConfig, shards: Mapping[str, Shard]) -> Any:
        base, model = copy.deepcopy(self.base), None
        for name, shard in shards.items():
            if model is None:
                model = get_peft_model(base, config, adapter_name=name)
            else:
                model.add_adapter(name, config)
            set_peft_model_state_dict(model, shard.serving, adapter_name=name)
        assert model is not None
        if self.route == "merge":
            share = [1 / len(shards)] * len(shards)
            model.add_weighted_adapter(list(shards), share, _MERGED, combination_type="cat")
        return model.eval()
