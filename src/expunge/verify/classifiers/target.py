"""What an attack on classifiers is given: a torch module or an estimator behind the same few questions."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor, nn

from expunge.core.errors import InvalidData
from expunge.engine import digest_model
from expunge.verify.attacks._target import CannotRun, Scores
from expunge.verify.classifiers.rows import Rows, Sets
from expunge.verify.membership import logit_confidence

Floats = NDArray[np.float64]
CLIP = 100.0  # nats; confidences beyond it are cut, as in the code of KLOM's authors
_AT_ONCE = 1024


@dataclass(frozen=True)
class Found:
    """Setting -> one score in [0, 1] per row to forget, and what the attack noted beside them.

    `checks["kept"]`: retained accuracy after the attack, by setting; an attack that wrecks the control shows nothing.
    """

    scores: Scores
    checks: dict[str, Any] = field(default_factory=dict)


class Attack(Protocol):
    """A frozen dataclass with a name, a family and `run`; its fields are the budget, the same on every arm.

    `whole_class`: it reads what the model makes of a class, so its scores of single rows stand or fall together.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    whole_class: ClassVar[bool]

    def run(self, target: "Classifier", sets: Sets) -> Found:
        """Raises: CannotRun."""


@dataclass(frozen=True)
class Classifier:
    """A model under attack. Attacks that change it work on `copy()`; the arm itself stays as it is.

    A torch module gives one logit per class, and labels are the numbers of its columns. An estimator has `classes_` and
    `predict_log_proba`, `predict_proba` or `decision_function` (in that order); what the last gives is read as logits,
    which makes confidences comparable between arms of one kind and with nothing else. A label that the estimator has never
    heard of has probability 0.
    """

    model: Any

    @property
    def is_module(self) -> bool:
        return isinstance(self.model, nn.Module)

    def copy(self) -> "Classifier":
        return replace(self, model=copy.deepcopy(self.model))

    @cached_property
    def digest(self) -> str:
        """Name of the model's bits: its own `digest()` where it has one.

        Raises: InvalidData, for an estimator without `digest()` that cannot be hashed.
        """
        if self.is_module:
            return digest_model(self.model)
        if hasattr(self.model, "digest"):
            return str(self.model.digest())
        try:
            return f"joblib:{joblib.hash(self.model, hash_name='sha1')}"
        except Exception as e:  # pickling fails in as many ways as there are objects
            raise InvalidData(f"{type(self.model).__name__} cannot be hashed ({e}); give it a digest() method") from e

    @property
    def precision(self) -> str:
        if not self.is_module:
            return ""
        return str(next((p.dtype for p in self.model.parameters()), "")).removeprefix("torch.")

    def tensor(self, X: Any) -> Tensor:
        """Inputs as the module takes them: on its device, floats in its precision, whole numbers as they are."""
        first = next(self.model.parameters(), torch.empty(0))
        given = X if isinstance(X, Tensor) else torch.from_numpy(np.ascontiguousarray(np.asarray(X)))
        return given.to(first.device, first.dtype) if given.is_floating_point() else given.to(first.device)

    def logp(self, X: Any) -> Floats:
        """Log-probability of every class, [N, C], in nats.

        Raises: CannotRun, where the model has no confidences, or they are not numbers.
        """
        logp_NC = self._logits(X) if self.is_module else self._estimated(X)
        if np.isnan(logp_NC).any() or np.isposinf(logp_NC).any():
            raise CannotRun(f"{type(self.model).__name__} gives outputs that are not numbers")
        return logp_NC

    def columns(self, y: NDArray[Any], n_classes: int) -> NDArray[np.intp]:
        """The column of each label; -1 for a label the estimator has never heard of.

        Raises: CannotRun, for a label that is no column of a module.
        """
        if self.is_module:
            if not np.issubdtype(y.dtype, np.integer) or (len(y) and not 0 <= y.min() <= y.max() < n_classes):
                raise CannotRun(f"labels of a module are its columns 0 to {n_classes - 1}; got {np.unique(y)[:5]}")
            return y.astype(np.intp)
        place = {label: i for i, label in enumerate(np.asarray(self.model.classes_).tolist())}
        return np.array([place.get(label, -1) for label in y.tolist()], dtype=np.intp)

    def confidence(self, rows: Rows) -> Floats:
        """log(p / (1 - p)) of each row's own label, [N], cut at ±CLIP. Raises: CannotRun."""
        logp_NC = self.logp(rows.X)
        columns_N = self.columns(rows.y, logp_NC.shape[1])
        with np.errstate(invalid="ignore"):  # -inf - -inf, of a label unknown beside a model sure of another
            odds_N = logit_confidence(logp_NC, np.maximum(columns_N, 0))
        odds_N = np.where((columns_N < 0) | np.isnan(odds_N), -np.inf, odds_N)
        return np.asarray(np.clip(odds_N, -CLIP, CLIP), dtype=np.float64)

    def probability(self, rows: Rows) -> Floats:
        """Probability of each row's own label, [N]. Raises: CannotRun."""
        logp_NC = self.logp(rows.X)
        columns_N = self.columns(rows.y, logp_NC.shape[1])
        found = np.exp(logp_NC[np.arange(len(rows)), np.maximum(columns_N, 0)])
        return np.asarray(np.where(columns_N < 0, 0.0, np.minimum(found, 1.0)), dtype=np.float64)

    def hits(self, rows: Rows) -> list[float]:
        """1.0 where the model gives the row its own label. Raises: CannotRun."""
        if self.is_module:
            logp_NC = self.logp(rows.X)
            right = logp_NC.argmax(axis=1) == self.columns(rows.y, logp_NC.shape[1])
        else:
            right = np.asarray(self.model.predict(rows.X)) == rows.y
        return [float(hit) for hit in right]

    @torch.no_grad()
    def _logits(self, X: Any) -> Floats:
        given = self.tensor(X)
        with evaluating(self.model):
            parts = [self.model(given[k : k + _AT_ONCE]).double().cpu() for k in range(0, len(given), _AT_ONCE)]
        logits_NC = torch.cat(parts).numpy()
        if logits_NC.ndim != 2:
            raise CannotRun(f"a classifier gives one logit per class and row, [N, C]; got shape {logits_NC.shape}")
        return np.asarray(log_softmax(logits_NC, axis=1), dtype=np.float64)

    def _estimated(self, X: Any) -> Floats:
        if not hasattr(self.model, "classes_"):
            raise CannotRun(f"{type(self.model).__name__} has no classes_; these attacks are for fitted classifiers")
        if hasattr(self.model, "predict_log_proba") or hasattr(self.model, "predict_proba"):
            with np.errstate(divide="ignore"):
                if hasattr(self.model, "predict_log_proba"):
                    return np.asarray(self.model.predict_log_proba(X), dtype=np.float64)
                return np.log(np.asarray(self.model.predict_proba(X), dtype=np.float64))
        if not hasattr(self.model, "decision_function"):
            raise CannotRun(f"{type(self.model).__name__} has neither predict_proba nor decision_function")
        scores = np.asarray(self.model.decision_function(X), dtype=np.float64)
        logits_NC = np.stack([np.zeros(len(scores)), scores], axis=1) if scores.ndim == 1 else scores
        return np.asarray(log_softmax(logits_NC, axis=1), dtype=np.float64)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout and with fixed batch statistics; the mode of every part comes back afterwards."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
