"""The last block's MLP at the labelled positions alone: what it adds to others reaches no logit that is read.

Attention is past by then and an MLP reads one position at a time, so logits at those positions stay what they were. Where
answers are a quarter of the tokens this is about a sixteenth of a pass through eight blocks.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from expunge.engine.patching import hooked, patched_forwards

Once = Callable[[Hashable, Callable[[], bool]], bool]  # the outcome of a trial, by its name


@contextmanager
def last_mlp_at(block: nn.Module, row_N: Tensor, at_N: Tensor, recomputed: bool, once: Once) -> Iterator[None]:
    """Within it the MLP of `block`, the last, adds to N positions (row, column) alone, and nothing to the others.

    The whole MLP runs where that would show: blocks that are hooked or `recomputed` in the backward pass, and MLPs that do
    not read one position at a time or draw at random, which is tried `once`.
    """
    mlp = getattr(block, "mlp", None)
    if not isinstance(mlp, nn.Module) or recomputed or hooked(block) or hooked(mlp):
        yield
        return
    forward, trial = mlp.forward, ("the last MLP reads alone", mlp.training)

    def alone(states_BTD: Tensor, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or not once(trial, lambda: reads_alone(forward, states_BTD)):
            return forward(states_BTD, *args, **kwargs)
        added_ND = forward(states_BTD[row_N, at_N][None])[0]
        return added_ND.new_zeros(states_BTD.shape).index_put((row_N, at_N), added_ND)

    with patched_forwards({mlp: alone}):
        yield


@torch.no_grad()
def reads_alone(forward: Callable[..., Any], like: Tensor) -> bool:
    """Tried on noise: whether a position's answer is the same when it is asked by itself."""
    noise_BTD = torch.randn(2, 3, like.shape[-1], generator=torch.Generator().manual_seed(0)).to(like)
    with torch.random.fork_rng([like.device] if like.is_cuda else []):
        whole, one = forward(noise_BTD), forward(noise_BTD[1:, 2:])
    return (
        isinstance(whole, Tensor)
        and whole.shape == noise_BTD.shape
        and torch.allclose(whole[1:, 2:], one, rtol=1e-2, atol=1e-2 * float(whole.abs().mean()))
    )
