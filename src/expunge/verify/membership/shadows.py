"""Shadow models: each trained on half of the examples, some of which it then unlearns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from expunge.core.errors import InvalidParameter
from expunge.core.seeds import derived_seed
from expunge.verify.membership.likelihood_ratio import Bools, Floats

M = TypeVar("M")


@dataclass(frozen=True)
class Shadows:
    """Confidence of K models in N examples, and what each model did with them.

    An example is never seen (not included), unlearned (included and unlearned), or retained (included only).
    """

    phi_KN: Floats
    included_KN: Bools
    unlearned_KN: Bools


def shadow_models(
    n_examples: int,
    n_models: int,
    train: Callable[[list[int], int], M],
    confidence: Callable[[M], Sequence[float]],
    unlearn: Callable[[M, list[int]], M] | None = None,
    secret: bytes = b"expunge/shadows/v1",
) -> Shadows:
    """Train `n_models` on halves drawn by a keyed seed, unlearn half of each half if asked, and note every confidence.

    Models come in pairs with opposite halves, so each example is in exactly half of them (Carlini et al. 2022, Sec. VI-A).
    `train(ids, seed)` makes a model, `unlearn(model, ids)` is the algorithm under audit, `confidence(model)` gives one
    log-odds per example.

    Raises: InvalidParameter, for an odd number of models or confidences of another number.
    """
    if n_models < 2 or n_models % 2:
        raise InvalidParameter(f"n_models must be even and at least 2, got {n_models}: models come in pairs")
    phi_KN = np.empty((n_models, n_examples))
    included_KN, unlearned_KN = np.zeros((2, n_models, n_examples), dtype=bool)
    for k in range(n_models):
        included_KN[k] = _half(n_examples, secret, "included", k // 2) ^ bool(k % 2)
        model = train(np.flatnonzero(included_KN[k]).tolist(), derived_seed(secret, "train", k))
        if unlearn is not None:
            unlearned_KN[k] = included_KN[k] & _half(n_examples, secret, "unlearned", k)
            model = unlearn(model, np.flatnonzero(unlearned_KN[k]).tolist())
        found = np.asarray(confidence(model), dtype=np.float64)
        if found.shape != (n_examples,):
            raise InvalidParameter(f"confidence must give {n_examples} numbers, got shape {found.shape}")
        phi_KN[k] = found
    return Shadows(phi_KN, included_KN, unlearned_KN)


def _half(n: int, secret: bytes, *context: str | int) -> Bools:
    """A fair coin for each example."""
    return np.random.default_rng(derived_seed(secret, *context)).random(n) < 0.5
