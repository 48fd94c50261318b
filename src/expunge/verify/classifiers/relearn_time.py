"""Teach half of the forgotten rows again and see how soon the other half is classified right, both ways round.

What was only hidden comes back in fewer steps than a model needs that never knew it.
Sources: Golatkar, Achille, Soatto (2020), arXiv:1911.04933 (relearn time); Chundawat, Tarun, Mandal, Kankanhalli (2022),
arXiv:2201.05629 (Anamnesis Index, the ratio of two relearn times).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidParameter
from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers._finetune import Pace, finetune, paces_of
from expunge.verify.classifiers.rows import Index, Rows, Sets, batches, halves, joined
from expunge.verify.classifiers.target import Classifier, Found

REACHED = 0.95  # of the original's accuracy before any training: what counts as learned again


@dataclass(frozen=True, kw_only=True)
class RelearnTime:
    """Score of a row: the share of `moments` (steps, on a log scale) at which it is classified right.

    Batches mix rows to forget with retained ones (`share`), or every model would soon call everything by the one class.
    `rates`: the fastest that keeps the control's skill counts, on each arm.
    """

    rates: tuple[float, ...] = (1e-3, 3e-3)
    moments: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32, 64)
    batch_size: int = 64
    share: float = 0.25
    name: ClassVar[str] = "relearn_time"
    family: ClassVar[str] = "relearning"
    whole_class: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.moments[0] != 0 or list(self.moments) != sorted(set(self.moments)) or len(self.moments) < 2:
            raise InvalidParameter(f"moments must rise from 0, got {self.moments}")

    def run(self, target: Classifier, sets: Sets) -> Found:
        first, second = halves(sets.forget)
        if not len(first) or not len(second):
            raise CannotRun("needs at least two rows of a class, to teach one half and ask about the other")
        scores: dict[str, list[float]] = {}
        curve: dict[str, list[float]] = {}
        retained: dict[str, float] = {}
        for name, pace in paces_of(target, [Pace(lr) for lr in self.rates]).items():
            right_MN = np.zeros((len(self.moments), len(sets.forget)))
            stayed: list[float] = []
            for taught, tested in ((first, second), (second, first)):
                right_MN[:, tested], last = self._one_way(target, sets, pace, taught, tested)
                stayed += last
            scores[name] = right_MN.mean(axis=0).tolist()
            curve[name] = right_MN.mean(axis=1).tolist()
            retained[name] = sum(stayed) / len(stayed)
        return Found(scores, {"kept": retained, "curve": curve, "moments": list(self.moments)})

    def _one_way(
        self, target: Classifier, sets: Sets, pace: Pace, taught: Index, tested: Index
    ) -> tuple[NDArray[np.float64], list[float]]:
        """Whether each row asked was right at each moment, and which retained rows still are at the end."""
        rows, right, stayed = sets.forget.at(tested), [], []

        def ask(victim: Classifier, done: int) -> None:
            right.append(victim.hits(rows))
            if done == self.moments[-1]:
                stayed.extend(victim.hits(sets.retain))

        pool, drawn = self._mixed(sets.forget.at(taught), sets.retain)
        finetune(target, pool, drawn, pace, self.moments, ask)
        return np.array(right), stayed

    def _mixed(self, taught: Rows, retain: Rows) -> tuple[Rows, list[Index]]:
        """Rows of both kinds in one pool, and batches with a fixed share of each."""
        n_taught = max(1, min(len(taught), round(self.share * self.batch_size)))
        n_steps = self.moments[-1]
        ours = batches(len(taught), n_taught, n_steps, self.name, "taught")
        theirs = batches(len(retain), self.batch_size - n_taught, n_steps, self.name, "retain")
        pool = joined(taught, retain)
        return pool, [np.concatenate([a, b + len(taught)]) for a, b in zip(ours, theirs, strict=True)]


@dataclass(frozen=True)
class RelearnSteps:
    """Steps until forget accuracy is within 5 % of the original's; None: not within the budget, which is no number.

    `index` is the Anamnesis Index, steps(unlearned) / steps(control): about 1 where the unlearned model learns as slowly as
    one that never knew, near 0 where it was only hidden. None, with the reason, where a time is censored or zero.
    Steps are seen at the attack's moments alone, so times and index are right up to the factor between two of them.
    """

    setting: str
    steps: Mapping[str, int | None]
    index: float | None
    reason: str = ""


def relearn_steps(
    curves: Mapping[str, Mapping[str, Sequence[float]]], moments: Sequence[int], reached: float = REACHED
) -> RelearnSteps:
    """The relearn times of each arm, at the setting at which the control is soonest. `curves`: arm -> setting -> accuracy.

    >>> arms = {"original": {"a": [1, 1, 1]}, "unlearned": {"a": [0, 1, 1]}, "control": {"a": [0, 0, 1]}}
    >>> relearn_steps(arms, (0, 2, 8))
    RelearnSteps(setting='a', steps={'original': 0, 'unlearned': 2, 'control': 8}, index=0.25, reason='')
    """
    found = {}
    for setting in curves["control"]:
        level = reached * curves["original"][setting][0]
        found[setting] = {arm: _soonest(curves[arm][setting], moments, level) for arm in curves}
    setting = min(found, key=lambda s: (found[s]["control"] is None, found[s]["control"] or 0))
    steps = found[setting]
    unlearned, control = steps["unlearned"], steps["control"]
    if control == 0:
        return RelearnSteps(setting, steps, None, "the control needs no step: what it can infer was never forgotten")
    if censored := [arm for arm, n in (("unlearned", unlearned), ("control", control)) if n is None]:
        who = " and ".join(censored)
        return RelearnSteps(setting, steps, None, f"censored: {who} not relearned within {moments[-1]} steps")
    assert unlearned is not None
    assert control is not None
    return RelearnSteps(setting, steps, unlearned / control)


def _soonest(curve: Sequence[float], moments: Sequence[int], level: float) -> int | None:
    return next((n for n, accuracy in zip(moments, curve, strict=True) if accuracy >= level), None)
