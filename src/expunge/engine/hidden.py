"""Hidden states: read at one layer or at all, changed on the way, or put in front of the vocabulary head.

Reading one layer stops the forward pass where the wanted state appears, so the layers above and the head cost nothing
(measured at half depth: 1.5 to 1.7 times faster; no logits in memory). Works on any model that keeps a list of layers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

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


def hidden_at(model: Any, batch: Batch, layer: int, masked: bool = True) -> Tensor:
    """Output of block `layer` (from 0), [B, T, D]; gradients flow, later blocks do not run.

    Not `masked` is faster: padding stands on the right, where no position before it can look; what it says is noise.
    """
    blocks = layers_of(model)
    if not 0 <= layer < len(blocks):
        raise InvalidParameter(f"layer must be in 0..{len(blocks) - 1}, got {layer}")
    caught: list[Tensor] = []

    def stop(_module: nn.Module, _args: Any, output: Any) -> None:
        caught.append(output[0] if isinstance(output, tuple) else output)
        raise _Stop

    handle = blocks[layer].register_forward_hook(stop)
    try:
        mask = {"attention_mask": batch.mask_BT} if masked and not batch.lengths else {}
        model(**batch.inputs | mask)
    except _Stop:
        pass
    finally:
        handle.remove()
    return caught[0]


@contextmanager
def starting_at(model: nn.Module, first: int, states_BTD: Tensor) -> Iterator[None]:
    """Meanwhile a pass of the model begins at block `first`, which reads these states; the blocks below do not run.

    For blocks that are frozen: what they would say is known. Embeddings and positions are still computed.
    """
    blocks = layers_of(model)
    below = [(block, block.__dict__.get("forward")) for block in blocks[:first]]

    def read(_module: nn.Module, args: Any, kwargs: Any) -> Any:
        if "hidden_states" in kwargs:
            return args, {**kwargs, "hidden_states": states_BTD}
        return (states_BTD, *args[1:]), kwargs

    pass_on = _passer(model)
    handle = blocks[first].register_forward_pre_hook(read, with_kwargs=True)
    for block, _ in below:
        block.forward = pass_on
    try:
        yield
    finally:
        handle.remove()
        for block, own in below:
            restore(block, own)


_PLACES: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # model -> how many things a block answers; 0: states


def _passer(model: nn.Module) -> Callable[..., Any]:
    """A block's forward that does nothing, in the form in which this model's blocks answer: states, or a tuple."""
    if model not in _PLACES:
        _PLACES[model] = _places(model)
    empty = [None] * (_PLACES[model] - 1)
    if _PLACES[model]:
        return lambda hidden_states, *_args, **_kwargs: (hidden_states, *empty)
    return lambda hidden_states, *_args, **_kwargs: hidden_states


@torch.no_grad()
def _places(model: nn.Module) -> int:
    """Seen in a pass over one token, up to the first block. No block ends its pass, so hooks of others are not called."""
    block, seen = layers_of(model)[0], list[int]()
    forward, own = block.forward, block.__dict__.get("forward")

    def stop(*args: Any, **kwargs: Any) -> None:
        output = forward(*args, **kwargs)
        seen.append(len(output) if isinstance(output, tuple) else 0)
        raise _Stop

    block.forward = stop
    token = torch.zeros(1, 1, dtype=torch.long, device=next(model.parameters()).device)
    try:
        with suppress(_Stop):
            model(input_ids=token, use_cache=False)
    finally:
        restore(block, own)
    return seen[0]


def restore(module: nn.Module, own: Any) -> None:
    """Give a module its forward back: one of its own, or its class's."""
    if own is None:
        del module.forward
    else:
        module.forward = own


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


@contextmanager
def edited_hidden(model: nn.Module, edits: Mapping[int, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Meanwhile the output of block i, [B, T, D], is replaced by `edits[i]` of it, in every pass of the model."""
    blocks = layers_of(model)
    if wrong := [layer for layer in edits if not 0 <= layer < len(blocks)]:
        raise InvalidParameter(f"layers must be in 0..{len(blocks) - 1}, got {wrong}")

    def hook(edit: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any, Any], Any]:
        return lambda _m, _a, out: (edit(out[0]), *out[1:]) if isinstance(out, tuple) else edit(out)

    handles = [blocks[layer].register_forward_hook(hook(edit)) for layer, edit in edits.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def read_out(model: Any, hidden_ND: Tensor) -> Tensor:
    """Logits, [N, V], that the model gives where its last block puts out these states; gradients flow into them.

    What follows the blocks (final norm, head, soft caps) treats every position alike and need not be known: a pass over
    a single token goes through the model, and the states take the place of what its last block says.
    """
    like = next(model.parameters())
    states_1ND = hidden_ND.to(like)[None]
    token = torch.zeros(1, 1, dtype=torch.long, device=like.device)
    with edited_hidden(model, {len(layers_of(model)) - 1: lambda _: states_1ND}):
        logits = model(input_ids=token, attention_mask=torch.ones_like(token), use_cache=False).logits
    return torch.as_tensor(logits.reshape(len(hidden_ND), -1).float())
