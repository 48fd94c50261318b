"""Watch what a model keeps while it is edited, and go back before it is wrecked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from expunge.core.errors import InvalidParameter
from expunge.engine import ranks

PROBE = 64  # rows that are looked at


@dataclass
class Guard:
    """Every `every` steps, and after the last, the share of right tokens on a few retained rows; below `least` of the
    start, back to before.

    `until` ends the run as soon as no larger share of the forget rows' tokens is right. `accuracy` gives the share of
    (forget, retain) rows under the model as it is now; the first is asked only where `until` is.
    """

    model: Any
    steps: int
    accuracy: Callable[[Sequence[Any]], float]
    forget: Sequence[Any]
    retain: Sequence[Any]
    least: float | None
    until: float | None
    every: int
    folder: Path | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self.accuracy(self.retain) if self.least is not None else 0.0
        self.ended = self.steps  # after so many steps the run ends
        self._good: tuple[int, dict[str, Tensor]] | None = None

    def __call__(self, done: int) -> bool:
        """Whether to stop, after `done` steps."""
        if done % self.every and done < self.steps:
            return False
        if self.least is not None:
            kept = self.accuracy(self.retain)
            if kept < self.least * self._start:
                self._go_back(done, kept)
                return True
            self._keep(done)
        if self.until is not None and (left := self.accuracy(self.forget)) <= self.until:
            self.ended = done
            self.notes.append(f"ended after step {done}: {left:.0%} of the forgotten tokens are still right")
            return True
        return False

    def _trained(self) -> dict[str, Tensor]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def _keep(self, done: int) -> None:
        state = {name: p.detach().to("cpu", copy=True).contiguous() for name, p in self._trained().items()}
        self._good = done, state
        if self.folder and ranks()[0] == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / "good.tmp"
            save_file(state, temporary, metadata={"done": str(done)})
            temporary.replace(self.folder / "good.safetensors")

    def _go_back(self, done: int, kept: float) -> None:
        found = self._good or self._from_file()
        fell = f"retained tokens right fell from {self._start:.0%} to {kept:.0%} at step {done}"
        if found is None:
            raise InvalidParameter(
                f"the model is wrecked: {fell}, before anything could be kept; lower the learning rate or the steps, or "
                "pass guard=0 (--no-guard) to see it happen"
            )
        with torch.no_grad():
            for name, p in self._trained().items():
                p.copy_(found[1][name])
        self.ended = done
        self.notes.append(f"{fell}; gone back to step {found[0]} and ended there")

    def _from_file(self) -> tuple[int, dict[str, Tensor]] | None:
        """What an earlier process kept before it was stopped."""
        path = self.folder / "good.safetensors" if self.folder else None
        if path is None or not path.exists():
            return None
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            done = int((file.metadata() or {"done": "0"})["done"])
        return done, load_file(path)
