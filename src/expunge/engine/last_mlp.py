"""The last block's MLP at the labelled positions alone: what it says of others reaches no logit that is read.

Attention is past by then and an MLP reads one position at a time, so logits at those positions stay what they were. Where
answers are a quarter of the tokens this is about a sixteenth of a pass through eight blocks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from expunge.core.errors import InvalidParameter
from expunge.engine.hidden import layers_of, restore

_ALONE: WeakKeyDictionary[nn.Module, dict[bool, bool]] = WeakKeyDictionary()  # MLP -> in training or not -> reads alone


@contextmanager
def last_mlp_at(model: Any, row_N: Tensor, at_N: Tensor) -> Iterator[None]:
    """Within it the last block's MLP adds to N positions (row, column) alone, and nothing to the others.

    The whole MLP runs where that would show: blocks that are hooked or recomputed in the backward pass, and MLPs that do
    not read one position at a time (which is tried once) or draw at random.
    """
    mlp = _free_mlp(model)
    if mlp is None:
        yield
        return
    forward, own = mlp.forward, mlp.__dict__.get("forward")

    def alone(states_BTD: Tensor, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or not _reads_alone(mlp, forward, states_BTD):
            return forward(states_BTD, *args, **kwargs)
        said_ND = forward(states_BTD[row_N, at_N][None])[0]
        return said_ND.new_zeros(states_BTD.shape).index_put((row_N, at_N), said_ND)

    mlp.forward = alone
    try:
        yield
    finally:
        restore(mlp, own)


def _free_mlp(model: Any) -> Any:
    """The last block's MLP, unless somebody looks at the block or it runs again later."""
    try:
        block = layers_of(model)[-1]
    except InvalidParameter:
        return None
    mlp = getattr(block, "mlp", None)
    again = block.training and any(getattr(m, "gradient_checkpointing", False) for m in model.modules())
    if not isinstance(mlp, nn.Module) or again or _hooked(block) or _hooked(mlp):
        return None
    return mlp


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


@torch.no_grad()
def _reads_alone(mlp: nn.Module, forward: Callable[..., Any], like: Tensor) -> bool:
    """Tried on noise: whether a position's answer is the same when it is asked by itself."""
    known = _ALONE.setdefault(mlp, {})
    if mlp.training not in known:
        noise_BTD = torch.randn(2, 3, like.shape[-1], generator=torch.Generator().manual_seed(0)).to(like)
        with torch.random.fork_rng([like.device] if like.is_cuda else []):
            whole, one = forward(noise_BTD), forward(noise_BTD[1:, 2:])
        known[mlp.training] = (
            isinstance(whole, Tensor)
            and whole.shape == noise_BTD.shape
            and torch.allclose(whole[1:, 2:], one, rtol=1e-2, atol=1e-2 * float(whole.abs().mean()))
        )
    return known[mlp.training]
