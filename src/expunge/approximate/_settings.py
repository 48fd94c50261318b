"""How an edit trains, whatever its method."""

from dataclasses import dataclass
from typing import Literal, get_args

from expunge.core.errors import InvalidParameter

Shape = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """How long and how fast to train; the defaults are for models of a few million parameters or less.

    For billions of parameters use lr 1e-5 and the same number of passes over the forget set. `guard`: back to before the
    share of right tokens on retained rows fell below this part of what it was; at 0 it only looks. `until`: end once no
    larger share of what the forget rows tell is right. `lora`: rank of adapters to train instead of the weights,
    merged at the end. `modules`: a regular expression of parameters to train. `every`: steps between checkpoints, of a run
    that keeps some; None: by the clock, at most every five minutes and every twentieth of a run.

    What the guard and `until` count are the tokens that tell something: a value's where a row names one, else those that
    neither the question nor many other answers hold; of a classifier rows. The guard counts what is above always saying the
    commonest, and a few greedy answers too. At None nobody looks, and what was kept is not known.
    """

    lr: float = 1e-3
    steps: int = 40
    warmup: int = 5
    shape: Shape = "constant"
    forget_batch: int = 32
    retain_batch: int = 96
    seed: int = 0
    threads: int = 1
    guard: float | None = 0.8
    guard_every: int = 5
    until: float | None = None
    bucket: bool = True
    lora: int = 0
    modules: str = ""
    checkpointing: bool = False
    every: int | None = None

    def __post_init__(self) -> None:
        counts = (self.steps, self.forget_batch, self.retain_batch, self.threads, self.guard_every, self.every or 1)
        if min(counts) < 1 or self.every == 0:
            raise InvalidParameter(f"steps, batch sizes, threads and checkpoints must be >= 1, got {self}")
        if self.shape not in get_args(Shape) or self.lora < 0:
            raise InvalidParameter(f"shape is one of {get_args(Shape)} and lora >= 0, got {self.shape!r}, {self.lora}")
        for name, value in (("guard", self.guard), ("until", self.until)):
            if value is not None and not 0 <= value <= 1:
                raise InvalidParameter(f"{name} is a share in [0, 1] or None, got {value}")
