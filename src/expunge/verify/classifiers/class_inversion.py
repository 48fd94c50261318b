"""Optimise inputs until the model calls them the forgotten class, and see whether they look like it.

Source: Fredrikson, Jha, Ristenpart (2015), model inversion by gradient descent on the input. A model that never learned the
class gives inputs that look like nothing of it, or like another class; so the control is the measure, not the eye.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers.rows import Rows, Sets, drawn, per_class
from expunge.verify.classifiers.target import Classifier, Floats, Found, evaluating


@dataclass(frozen=True, kw_only=True)
class ClassInversion:
    """Score of a forgotten row: the share of retained rows of other classes that the inverted inputs resemble less.

    Resemblance is the cosine after subtracting the retained mean, in units of each feature's range. 0.5 is chance; the mean
    over `starts` inputs counts. `penalties`: weight of the squared distance from the retained mean, which keeps inputs plain.
    """

    penalties: tuple[float, ...] = (0.0, 1.0)
    starts: int = 16
    steps: int = 100
    lr: float = 0.05  # of each feature's range, per step of Adam
    name: ClassVar[str] = "class_inversion"
    family: ClassVar[str] = "reading"
    whole_class: ClassVar[bool] = True

    def run(self, target: Classifier, sets: Sets) -> Found:
        if not target.is_module:
            raise CannotRun("inputs are found by gradients, which an estimator does not give")
        target.columns(sets.forget.y, target.logp(sets.forget.X).shape[1])
        space = _Space.of(target, sets.retain)
        scores = {f"penalty {p:g}": [0.0] * len(sets.forget) for p in self.penalties}
        alike: dict[str, dict[str, list[float]]] = {setting: {} for setting in scores}
        forget_ND, retain_MD = space.centred(target.tensor(sets.forget.X)), space.centred(target.tensor(sets.retain.X))
        for label in per_class(sets.forget.y):
            own, others_MD = sets.forget.y == label, retain_MD[sets.retain.y != label]
            if not len(others_MD):
                raise CannotRun("no retained row of another class to compare with")
            rivals = [retain_MD[sets.retain.y == k].mean(axis=0) for k in per_class(sets.retain.y) if k != label]
            for penalty, setting in zip(self.penalties, scores, strict=True):
                found_SD = self._inverted(target, space, label, penalty)
                for i, score in zip(np.flatnonzero(own), resembled(found_SD, forget_ND[own], others_MD), strict=True):
                    scores[setting][i] = float(score)
                means_KD = np.stack([forget_ND[own].mean(axis=0), *rivals])
                alike[setting][str(label)] = cosines(found_SD, means_KD).mean(axis=0).tolist()
        return Found(scores, {"class means": alike})

    def _inverted(self, target: Classifier, space: "_Space", label: Any, penalty: float) -> Floats:
        """Inputs of the class, centred, [S, D]. Starts lie near the retained mean, the same on every arm."""
        noise = drawn(self.name, str(label)).normal(scale=0.1, size=(self.starts, len(space.mean_D)))
        unit_SD = (space.mean_D + torch.from_numpy(noise).to(space.mean_D)).clamp(0, 1).requires_grad_(True)
        optimizer = torch.optim.Adam([unit_SD], lr=self.lr)
        labels = torch.full((self.starts,), int(label), device=unit_SD.device)
        with evaluating(target.model):
            for _ in range(self.steps):
                logits_SC = target.model(space.inputs(unit_SD))
                away = (unit_SD - space.mean_D).square().sum(dim=1)
                loss = (torch.nn.functional.cross_entropy(logits_SC, labels, reduction="none") + penalty * away).sum()
                (unit_SD.grad,) = torch.autograd.grad(loss, unit_SD)
                optimizer.step()
                with torch.no_grad():
                    unit_SD.clamp_(0, 1)
        if not bool(torch.isfinite(unit_SD).all()):
            raise CannotRun("the gradient of the input is not a number")
        return space.centred(space.inputs(unit_SD.detach()))


@dataclass(frozen=True)
class _Space:
    """Inputs as flat rows, every feature scaled to [0, 1] by the range of the retained rows."""

    low_D: Tensor
    range_D: Tensor
    mean_D: Tensor  # of the retained rows, scaled
    shape: tuple[int, ...]

    @classmethod
    def of(cls, target: Classifier, retain: Rows) -> "_Space":
        """Raises: CannotRun, for inputs that are not real numbers."""
        X = target.tensor(retain.X)
        if not X.is_floating_point():
            raise CannotRun("inputs are whole numbers, which no gradient can move")
        flat = X.flatten(start_dim=1)
        low, spread = flat.min(dim=0).values, flat.max(dim=0).values - flat.min(dim=0).values
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        return cls(low, spread, ((flat - low) / spread).mean(dim=0), tuple(X.shape[1:]))

    def inputs(self, unit_SD: Tensor) -> Tensor:
        return (self.low_D + unit_SD * self.range_D).reshape(-1, *self.shape)

    def centred(self, X: Tensor) -> Floats:
        unit = (X.flatten(start_dim=1) - self.low_D) / self.range_D - self.mean_D
        return np.asarray(unit.double().cpu().numpy())


def resembled(found_SD: Floats, own_ND: Floats, others_MD: Floats) -> Floats:
    """Share of other rows that are less like the found inputs than each own row is, ties counting half, [N].

    >>> found, own, others = np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]]), np.array([[0.0, 1.0], [3.0, 0.0]])
    >>> resembled(found, own, others).tolist()
    [0.75]
    """
    own_SN, others_SM = cosines(found_SD, own_ND), np.sort(cosines(found_SD, others_MD), axis=1)
    below = [np.searchsorted(o, s, side="left") for o, s in zip(others_SM, own_SN, strict=True)]
    up_to = [np.searchsorted(o, s, side="right") for o, s in zip(others_SM, own_SN, strict=True)]
    return np.asarray((np.array(below) + np.array(up_to)).mean(axis=0) / (2 * len(others_MD)))


def cosines(a_SD: Floats, b_ND: Floats) -> Floats:
    """Cosine of every pair, [S, N]; 0 where one of them is nothing."""
    norms = np.linalg.norm(a_SD, axis=1)[:, None] * np.linalg.norm(b_ND, axis=1)[None, :]
    return np.asarray((a_SD @ b_ND.T) / np.where(norms > 0, norms, 1.0), dtype=np.float64)
