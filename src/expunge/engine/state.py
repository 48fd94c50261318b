"""Digests of a model's state: names, types, shapes and bytes of every tensor."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from expunge.core.digests import digest_json, digest_tensors
from expunge.core.errors import InvalidParameter
from expunge.engine.values import digest_value

# Of a configuration: where it was read, by what, and in which type; a tensor says its type itself.
_SAYS_NOTHING = {
    "_name_or_path",
    "_commit_hash",
    "transformers_version",
    "architectures",
    "dtype",
    "torch_dtype",
    "use_cache",
}


def digest_state(tensors: Mapping[str, Any]) -> str:
    """Digest of named tensors, and of what else a module keeps among them (`get_extra_state`); equal digests mean equal
    bits.

    Raises: InvalidParameter, for a tensor whose values are not here or not laid out one beside the other.

    >>> digest_state({"w": torch.zeros(2)}) == digest_state({"w": torch.zeros(2)})
    True
    >>> digest_state({"w": torch.zeros(2)}) == digest_state({"w": torch.tensor([0.0, -0.0])})
    False
    """
    return digest_tensors(_described(name, value) for name, value in tensors.items())


def _described(name: str, value: Any) -> tuple[str, str, tuple[int, ...], bytes]:
    if isinstance(value, Tensor):
        return name, str(value.dtype), tuple(value.shape), bytes_of(value)
    return name, "value", (), digest_value(value).encode()


def digest_model(model: nn.Module) -> str:
    """Digest of a module's parameters, buffers and extra state.

    Raises: InvalidParameter, where they are not all here: on the meta device, sharded over processes, or empty, as the
    placeholders of a sharded module are. Two models that differ would have one digest.
    """
    state = model.state_dict()
    if empty := [name for name, t in state.items() if isinstance(t, Tensor) and not t.numel()]:
        raise InvalidParameter(
            f"{len(empty)} of {len(state)} tensors are empty, '{empty[0]}' for one; gather the weights first (under DeepSpeed "
            "or FSDP by accelerate's get_state_dict), and digest what was gathered"
        )
    return digest_state(state)


def digest_config(model: Any) -> str:
    """Digest of what decides, beside its weights, what a model computes: its configuration and how it attends."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in _SAYS_NOTHING}
    return digest_value([config, getattr(model.config, "_attn_implementation", None)])


def digest_tokenizer(tokenizer: Any) -> str:
    """Digest of everything that decides which ids a question becomes: rules, special tokens, chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items())
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return digest_json("tokenizer", [rules, special, getattr(tokenizer, "chat_template", None)])


def bytes_of(tensor: Tensor) -> bytes:
    """The bytes of a tensor that is here as a whole.

    Raises: InvalidParameter, for one on the meta device, sharded over processes, sparse or quantized.
    """
    if tensor.is_meta or hasattr(tensor, "device_mesh") or hasattr(tensor, "local_shards"):
        where = "on the meta device" if tensor.is_meta else "sharded over processes"
        raise InvalidParameter(f"a tensor is {where}, and its values are not here; load or gather it first")
    if tensor.layout is not torch.strided or tensor.is_quantized:
        how = "quantized" if tensor.is_quantized else str(tensor.layout)
        raise InvalidParameter(f"a tensor is {how}, and has no bytes of its own; make it dense, or leave it out")
    # A view that is to be conjugated or negated on reading has the bytes of what it looks at.
    flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().flatten()
    # Of a single number any stride is contiguous, and only one of 1 can be read as bytes.
    return flat.as_strided((flat.numel(),), (1,)).view(torch.uint8).numpy().tobytes() if flat.numel() else b""
