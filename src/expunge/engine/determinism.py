"""Modes of torch under which bits repeat; the capability must be set before torch starts (`CAPABILITY`)."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from expunge.core.capability import CAPABILITY as CAPABILITY
from expunge.core.seeds import derived_seed as derived_seed

_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]


@contextmanager
def pinned(threads: int = 1) -> Iterator[None]:
    """Run with this many threads and in torch's own modes of precision, whatever the caller's; his come back afterwards.

    Kernels are deterministic, attention chooses among all of its kernels, oneDNN is used where it is there, products of
    float32 keep their precision, new tensors are float32, small numbers are not flushed to zero, and autocast is off.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a GPU's first product is made
    with ExitStack() as before:
        before.callback(torch.set_num_threads, torch.get_num_threads())
        before.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        before.callback(torch.set_default_dtype, torch.get_default_dtype())
        before.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        before.callback(torch.set_flush_denormal, _flushes())
        before.enter_context(sdpa_kernel(_KERNELS))
        before.callback(_one_dnn, bool(torch.backends.mkldnn.enabled))
        before.enter_context(torch.autocast("cpu", enabled=False))
        if torch.cuda.is_available():
            before.enter_context(torch.autocast("cuda", enabled=False))
        _one_dnn(True)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        torch.set_flush_denormal(False)
        yield


def _one_dnn(used: bool) -> None:
    torch.backends.mkldnn.set_flags(used, _fp32_precision=None)  # type: ignore[no-untyped-call]


def _flushes() -> bool:
    """Whether small numbers become zero; torch has no name for it, so that one is made."""
    return bool((torch.tensor([1e-38]) * 1e-2).item() == 0.0)
