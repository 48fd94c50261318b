"""The conditions under which bits repeat: threads, processor capability, library versions, seeds.

The same seed gives other bits with other instruction sets, thread counts or library versions, so all of them belong to
a recipe. `pinned` sets what can be set inside a process; the capability must be set before torch starts (`CAPABILITY`).
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from expunge.core.capability import CAPABILITY as CAPABILITY
from expunge.core.seeds import derived_seed as derived_seed

_LIBRARIES = ("torch", "transformers", "peft", "safetensors", "numpy", "tokenizers")


@contextmanager
def pinned(threads: int = 1) -> Iterator[None]:
    """Run with this many threads and deterministic kernels; the settings before come back afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a GPU's first product is made
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def environment(threads: int) -> dict[str, Any]:
    """What a replay must find again for its bits to be comparable."""
    return {
        "threads": threads,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "blas_mode": os.environ.get("MKL_CBWR", "default"),
        "onednn_isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "default"),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
