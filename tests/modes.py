"""Modes of torch that a program may set, each with how it is set and how it is set back."""

from collections.abc import Callable

import torch

MODES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "precision of products": (
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: torch.set_float32_matmul_precision("highest"),
    ),
    "default type": (lambda: torch.set_default_dtype(torch.float64), lambda: torch.set_default_dtype(torch.float32)),
    "small numbers": (lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)),
    "oneDNN": (lambda: torch.backends.mkldnn.set_flags(False), lambda: torch.backends.mkldnn.set_flags(True)),
    "kernels of attention": (
        lambda: (torch.backends.cuda.enable_flash_sdp(False), torch.backends.cuda.enable_mem_efficient_sdp(False)),
        lambda: (torch.backends.cuda.enable_flash_sdp(True), torch.backends.cuda.enable_mem_efficient_sdp(True)),
    ),
}
