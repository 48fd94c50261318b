"""What work takes: seconds, energy and money, before it begins as an estimate and afterwards as measured or assumed.

A processor's energy is CPU seconds times an assumed power of one busy core; that of an NVIDIA GPU is read from its own
counter (NVML). Where neither is known the answer is unknown, never zero.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import torch

from expunge.core.errors import InvalidParameter
from expunge.engine import Encoded, ReferenceCache, pad_id, pinned, step_maker

JOULES_PER_KWH = 3.6e6
SAMPLE = 16  # rows of each side that an estimate runs
PASSES = 3  # forward passes that one forward and backward pass takes


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What is assumed: watts of one busy core with its share of the machine, and the price of a kWh in your currency."""

    watts_per_core: float = 10.0
    price_per_kwh: float = 0.3

    def __post_init__(self) -> None:
        if self.watts_per_core <= 0 or self.price_per_kwh < 0:
            raise InvalidParameter(f"watts must be > 0 and a price >= 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Seconds by the clock and of processors; kWh and their price, None where a GPU's part is unknown; and how it is known."""

    seconds: float
    cpu_seconds: float
    kwh: float | None
    cost: float | None
    how: str

    def sentence(self) -> str:
        """
        >>> Spent(seconds=60, cpu_seconds=50, kwh=0.0002, cost=0.0006, how="assumed: 10 W a core").sentence()
        '60 s, 0.2 Wh, 0.0006 in electricity (assumed: 10 W a core)'
        """
        if self.kwh is None or self.cost is None:
            return f"{self.seconds:.3g} s, energy UNKNOWN ({self.how})"
        return f"{self.seconds:.3g} s, {1000 * self.kwh:.2g} Wh, {_money(self.cost)} in electricity ({self.how})"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Meter:
    """Filled in when the block of `measured` ends."""

    spent: Spent


@contextmanager
def measured(model: Any, rates: Rates) -> Iterator[Meter]:
    """Measure a block of work on a model."""
    meter, device = Meter(), next(model.parameters()).device
    clock, cpu, joules = time.perf_counter(), _cpu_seconds(), _gpu_joules(device)
    yield meter
    after = _gpu_joules(device)
    gpu = None if joules is None or after is None else after - joules
    meter.spent = _spent(time.perf_counter() - clock, _cpu_seconds() - cpu, device, gpu, rates)


def estimated(model: Any, tokenizer: Any, sides: Sequence[Sequence[Encoded]], settings: Any, rates: Rates) -> Spent:
    """What an edit may take: a forward pass of a few rows, times the tokens of all steps, times three for the way back.

    That is a method that reads both sides once a step. Those that stop at a middle layer take less; those that look
    twice, or train more than once, a multiple. Energy of a GPU is not estimated.
    """
    device, tokens = next(model.parameters()).device, 0.0
    rows = [row for side in sides for row in side[:SAMPLE]]
    make = step_maker(model, ReferenceCache(), pad_id(tokenizer))
    runs = []
    with pinned(settings.threads), torch.no_grad():
        for _ in range(3):  # the first one pays for what the others find in place
            clock, cpu = time.perf_counter(), _cpu_seconds()
            make((), rows).retain.nll.item()
            runs.append((time.perf_counter() - clock, _cpu_seconds() - cpu))
    took = min(one[0] for one in runs), min(one[1] for one in runs)
    for side, size in zip(sides, (settings.forget_batch, settings.retain_batch), strict=True):
        tokens += settings.steps * min(size, len(side)) * sum(len(row.ids) for row in side) / len(side)
    scale = PASSES * tokens / sum(len(row.ids) for row in rows)
    return _spent(took[0] * scale, took[1] * scale, device, None, rates)


def _spent(seconds: float, cpu_seconds: float, device: torch.device, gpu_joules: float | None, rates: Rates) -> Spent:
    on_gpu, joules = device.type != "cpu", cpu_seconds * rates.watts_per_core
    how = f"assumed: {rates.watts_per_core:g} W for each busy core, {rates.price_per_kwh:g} a kWh"
    if on_gpu and gpu_joules is None:
        how = f"the energy of {device.type} is not known; for an NVIDIA GPU `pip install nvidia-ml-py`, and measure"
        return Spent(seconds=seconds, cpu_seconds=cpu_seconds, kwh=None, cost=None, how=how)
    if gpu_joules is not None:
        joules, how = joules + gpu_joules, f"{gpu_joules:.3g} J of the GPU by its counter; {how}"
    kwh = joules / JOULES_PER_KWH
    return Spent(seconds=seconds, cpu_seconds=cpu_seconds, kwh=kwh, cost=kwh * rates.price_per_kwh, how=how)


def _cpu_seconds() -> float:
    """Of this process and the ones that it waited for, all threads."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def _gpu_joules(device: torch.device) -> float | None:
    """The energy counter of the GPU that holds the model; whatever else runs there counts as well."""
    if device.type != "cuda":
        return None
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(nvml.nvmlDeviceGetHandleByUUID(uuid))) / 1000
    except nvml.NVMLError:
        return None


def _money(value: float) -> str:
    if 0 < value < 1e-4:
        return "under 0.0001"
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"
