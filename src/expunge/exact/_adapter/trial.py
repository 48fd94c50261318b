"""A base is tried before anything is trained: two untrained adapters are put on it, and both answer in one batch.

Architectures differ in which layers an adapter can sit on and whether rows of one batch can be answered by different
adapters; what a model does is told by a trial, and no list of names has to be kept.
"""

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor

from expunge.core.errors import InvalidParameter
from expunge.engine.adapters import NO_ADAPTER, with_adapters
from expunge.engine.rounding import same


@torch.no_grad()
def try_adapters(base: Any, config: LoraConfig, ids: Sequence[int], pad: int) -> None:
    """See that adapters can be put on this base, and can answer side by side.

    The base is left with the adapters on, as training leaves it; whoever calls takes them off.

    Raises: InvalidParameter, in words, with what the model or PEFT says against it.
    """
    kind = type(base).__name__
    try:
        model = with_adapters(base, config, "one")
        model.add_adapter("other", config)
        for adapter in ("one", "other"):
            _unlike(model, adapter)
        model.eval()
        device = next(base.parameters()).device
        names = ["one", "other", NO_ADAPTER]
        ids_BT = torch.tensor([list(ids)] * len(names), device=device)
        together = _read(model, ids_BT, names)
        alone = torch.cat([_read(model, ids_BT[:1], [name]) for name in names])
        settings: dict[str, Any] = {"max_new_tokens": 2, "do_sample": False, "pad_token_id": pad}
        model.generate(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT), adapter_names=names, **settings)
    except Exception as e:
        raise InvalidParameter(
            f"{kind} cannot be a base of AdapterShards: adapters on it cannot answer side by side ({type(e).__name__}: {e}). "
            "Choose a base of another architecture; nothing was trained"
        ) from e
    if not same(together, alone):
        raise InvalidParameter(
            f"{kind} cannot be a base of AdapterShards: in one batch with others an adapter answers otherwise than alone. "
            "Choose a base of another architecture; nothing was trained"
        )


def _read(model: Any, ids_BT: Tensor, adapters: list[str]) -> Tensor:
    """Logits after the last token, [B, V], each row by its adapter."""
    logits = model(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT), adapter_names=adapters).logits
    return torch.as_tensor(logits[:, -1].float())


def _unlike(model: Any, adapter: str) -> None:
    """Weights that change what an adapter says: fresh ones change nothing, and would be told from no other."""
    for name, p in model.named_parameters():
        if f".{adapter}." in name and p.is_floating_point():
            torch.nn.init.normal_(p, std=0.2)
