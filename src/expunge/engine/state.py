"""Digests of a model's state: names, types, shapes and bytes of every tensor."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from expunge.core.digests import digest_json, digest_tensors


def digest_state(tensors: Mapping[str, Tensor]) -> str:
    """Digest of named tensors; equal digests mean equal bits.

    >>> digest_state({"w": torch.zeros(2)}) == digest_state({"w": torch.zeros(2)})
    True
    >>> digest_state({"w": torch.zeros(2)}) == digest_state({"w": torch.tensor([0.0, -0.0])})
    False
    """
    return digest_tensors((name, str(t.dtype), tuple(t.shape), _bytes(t)) for name, t in tensors.items())


def digest_model(model: nn.Module) -> str:
    """Digest of a module's parameters and buffers."""
    return digest_state(model.state_dict())


def digest_tokenizer(tokenizer: Any) -> str:
    """Digest of everything that decides which ids a question becomes: rules, special tokens, chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items())
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return digest_json("tokenizer", [rules, special, getattr(tokenizer, "chat_template", None)])


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
