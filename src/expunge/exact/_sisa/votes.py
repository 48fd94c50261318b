"""One answer from many units: mean probabilities or votes, in which a unit says nothing about what it never saw.

A class that a unit never saw is not "probability 0" there: counted as such it would drag the class down everywhere.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidParameter
from expunge.exact._sisa.unit import Training

Floats = NDArray[np.float64]


def combined(answers: Iterable[tuple[Any, Floats]], prior: Floats, n_rows: int) -> Floats:
    """Probability of each class, [N, C].

    `answers` are, per unit, the codes of the classes it saw and what it says of them, [N, K]. Each class gets the mean
    over the units that saw it, and rows are scaled to 1; where a single unit speaks, its shares stand as they are. A unit
    with one class, or with zeros in a row, abstains; where all do, `prior` [C] answers.

    >>> units = [(np.array([0, 1]), np.array([[0.2, 0.8]])), (np.array([0, 2]), np.array([[0.5, 0.5]]))]
    >>> combined(units, np.full(3, 1 / 3), 1).round(2)
    array([[0.21, 0.48, 0.3 ]])
    """
    shape = n_rows, len(prior)
    total, n_units, unscaled, n_speaking = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(n_rows)
    for seen, shares in answers:
        mass = shares.sum(axis=1)
        speaks = (mass > 0) & (len(seen) > 1)
        share = shares / np.where(speaks, mass, 1.0)[:, None]
        total[:, seen] += np.where(speaks[:, None], share, 0.0)
        n_units[:, seen] += speaks[:, None]
        unscaled[:, seen] += np.where(speaks[:, None], shares, 0.0)
        n_speaking += speaks
    mean = np.divide(total, n_units, out=np.zeros_like(total), where=n_units > 0)
    mass = mean.sum(axis=1)
    silent = mass == 0
    mean[silent] = prior
    mass[silent] = prior.sum()
    shares_of_one = (n_speaking == 1)[:, None]
    found: Floats = np.where(shares_of_one, unscaled, mean / mass[:, None])
    return found


def answers(
    training: Training, model: Any, seen: Sequence[Any], names: Sequence[Any], X: Any, votes: bool
) -> list[tuple[Any, Floats]]:
    """What a unit that can tell classes apart says of those that it saw, for each target.

    `seen` are the codes, `names` all classes of each target. A vote is a 1 for the class predicted.
    """
    if votes:
        predicted = np.asarray(training.values(model, X, names[0]))
        columns = predicted.T if predicted.ndim == 2 else [predicted]
        return [
            (codes, (column[:, None] == name[codes][None, :]).astype(np.float64))
            for codes, name, column in zip(seen, names, columns, strict=True)
        ]
    known, probability = training.probabilities(model, X, names[0])
    if not isinstance(probability, list):
        known, probability = ([known], [probability]) if len(names) == 1 else _of_labels(names, probability)
    found = []
    for codes, name, own, share in zip(seen, names, known, probability, strict=True):
        column = {c: k for k, c in enumerate(np.asarray(own).tolist())}
        found.append((codes, share[:, [column[c] for c in name[codes].tolist()]]))
    return found


def _of_labels(names: Sequence[Any], probability: Floats) -> tuple[list[Any], list[Floats]]:
    """Classes and probabilities of each of several labels, where an estimator gives that of "yes" only, [N, K].

    Raises: InvalidParameter, where a target has other classes than "yes" and "no".
    """
    if not all(set(name.tolist()) <= {0, 1} for name in names):
        raise InvalidParameter(
            "the estimator gives one probability a target, and targets have several classes; vote='vote'"
        )
    return [np.array([0, 1])] * len(names), [np.column_stack([1 - p, p]) for p in probability.T]
