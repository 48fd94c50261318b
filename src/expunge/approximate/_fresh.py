"""A model as it was before it saw any data: the same architecture, new weights from a seed."""

import copy
from typing import Any

import torch
from torch import nn

from expunge.core.errors import InvalidParameter


def fresh(model: Any, text: bool, seed: int) -> Any:
    """A language model is made of its configuration; of a classifier every module makes its own weights anew.

    Raises: InvalidParameter, where a module does not say how its weights begin, or keeps values (buffers) that no one
    makes anew: a mean of the training data, for one, would stay in a model that is said never to have seen them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if text:
            new = type(model)(model.config)
        else:
            new = copy.deepcopy(model)
            for name, module in new.named_modules():
                _begin(name, module)
    like = next(model.parameters())
    return new.to(like.device, like.dtype).eval()


def _begin(name: str, module: nn.Module) -> None:
    """New values in place of all that this module itself holds."""
    weights, buffers = list(module.parameters(recurse=False)), dict(module.named_buffers(recurse=False))
    reset: Any = getattr(module, "reset_parameters", None)
    what = f"{name or 'the model'} ({type(module).__name__})"
    if weights and not reset:
        raise InvalidParameter(f"{what} has weights and no reset_parameters; give it one that makes them anew")
    if buffers and not isinstance(module, nn.modules.batchnorm._NormBase):
        raise InvalidParameter(
            f"{what} keeps {', '.join(buffers)}, which may come from the data; compute that outside of the model"
        )
    if reset:
        reset()
