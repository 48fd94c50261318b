"""The conditions of this process under which bits repeat, as far as they can be named: versions, threads, instruction sets.

The same seed gives other bits with other instruction sets, thread counts or library versions, so all of them belong to a
`Recipe`. What can be set is set by `pinned`; what has no name shows in the recipe's canary.
"""

import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from os import environ
from typing import Any

import numpy as np

TABLES = ("scikit-learn", "numpy", "scipy", "skops")
# Of scikit-learn's settings: how it prints, what it checks; and what `Sisa` records by itself.
_OF_NO_BITS = ("print_changed_only", "display", "assume_finite", "skip_parameter_validation", "enable_metadata_routing")
MODELS = ("torch", "transformers", "peft", "safetensors", "numpy", "tokenizers")


def environment(libraries: Sequence[str] = TABLES, threads: int = 1, device: Any = None) -> dict[str, Any]:
    """What a replay must find again. `device` is where torch computes; None where it does not.

    >>> environment()["threads"], "capability" in environment()
    (1, False)
    """
    config = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return {
        "threads": threads,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "blas": [blas["name"], blas["version"], environ.get("OPENBLAS_CORETYPE", "default")],
        "simd": sorted(config["SIMD Extensions"].get("found", [])),
        "libraries": {name: _version(name) for name in libraries},
        **({} if device is None else _torch_conditions(device)),
    }


def table_modes() -> dict[str, Any]:
    """What scikit-learn is set to in this thread, but for what shows nothing in what is learned; part of an environment.

    >>> table_modes()["scikit-learn"]["transform_output"]
    'default'
    """
    from sklearn import get_config

    return {"scikit-learn": {name: value for name, value in get_config().items() if name not in _OF_NO_BITS}}


def table_threads() -> int:
    """On how many threads estimators compute here and now: the most that any library they are made of is set to.

    >>> from threadpoolctl import threadpool_limits
    >>> with threadpool_limits(limits=1):
    ...     table_threads()
    1
    """
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def _torch_conditions(device: Any) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "blas_mode": environ.get("MKL_CBWR", "default"),
        "onednn_isa": environ.get("ONEDNN_MAX_CPU_ISA", "default"),
    }
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
        found["cuda"] = [torch.version.cuda, torch.backends.cudnn.version()]  # type: ignore[no-untyped-call]
    return found


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
