"""Hidden states of one layer, running no further than that layer.

A hook stops the forward pass where the wanted state appears, so the layers above and the vocabulary head cost nothing
(measured at half depth: 1.5 to 1.7 times faster; no logits in memory). Works on any model that keeps a list of layers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from expunge.core.errors import InvalidParameter
from expunge.engine.batches import Batch


class _Stop(Exception):
    pass


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The model's list of transformer blocks.

    Raises: InvalidParameter, where no such list is found.
    """
    depth = getattr(getattr(model, "config", None), "num_hidden_layers", None)
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if not lists:
        raise InvalidParameter(f"cannot find the {depth} transformer blocks of {type(model).__name__}")
    return lists[0]


def hidden_at(model: Any, batch: Batch, layer: int) -> Tensor:
    """Output of block `layer` (from 0), [B, T, D]; gradients flow, later blocks do not run."""
    blocks = layers_of(model)
    if not 0 <= layer < len(blocks):
        raise InvalidParameter(f"layer must be in 0..{len(blocks) - 1}, got {layer}")
    caught: list[Tensor] = []

    def stop(_module: nn.Module, _args: Any, output: Any) -> None:
        caught.append(output[0] if isinstance(output, tuple) else output)
        raise _Stop

    handle = blocks[layer].register_forward_hook(stop)
    try:
        model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False)
    except _Stop:
        pass
    finally:
        handle.remove()
    return caught[0]


@torch.no_grad()
def all_hidden(model: Any, batch: Batch) -> list[Tensor]:
    """Output of every block, each [B, T, D], and last what the vocabulary head reads, from one pass."""
    caught: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _m, _a, out: caught.append(out[0] if isinstance(out, tuple) else out))
        for block in layers_of(model)
    ]
    handles.append(model.get_output_embeddings().register_forward_pre_hook(lambda _m, args: caught.append(args[0])))
    try:
        model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return caught
