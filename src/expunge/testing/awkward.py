"""Tables whose weights are hard for linear models to find: what contract tests and benches hold `Ridge` and
`LogisticRegression` to.

Four kinds of columns: constant beside an intercept, far from the origin, with one value far out, dependent on others.
Sizes and penalties run over many powers of ten.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from expunge.core.errors import InvalidData

KINDS = ("constant", "offset", "outlier", "collinear")
LEARNERS = ("ridge", "logistic_regression")
FAR = 1e5  # offsets up to this must be answered


@dataclass(frozen=True)
class Awkward:
    """A table, the settings of its learner, and the records that leave, request by request."""

    learner: str
    kind: str
    X: Any
    y: Any
    penalty: float  # alpha, or 1 / C
    intercept: bool
    asked: tuple[tuple[int, ...], ...]
    size: float  # of the constant, the offset or the value far out

    @staticmethod
    def of(learner: str, seed: int) -> "Awkward":
        """Kinds take turns."""
        kind = KINDS[seed % len(KINDS)]
        rng = np.random.default_rng([seed, LEARNERS.index(learner), 7])
        n, d = int(rng.integers(30, 90)), int(rng.integers(2, 7))
        X = rng.normal(size=(n, d)) * (1.0 if rng.random() < 0.5 else 10.0 ** rng.uniform(-2, 2, size=d))
        z = (X / X.std(axis=0)) @ rng.normal(size=d)
        odd, column, size = int(rng.integers(n)), int(rng.integers(d)), 1.0
        if kind == "constant":
            size = 10.0 ** rng.uniform(-3, 7)
            X = np.insert(X, column, size, axis=1)
            if rng.random() < 0.3:
                X = np.insert(X, column, -3 * size, axis=1)
        elif kind == "offset":
            size = 10.0 ** rng.uniform(3, 7)
            columns = rng.permutation(d)[: int(rng.integers(1, d + 1))]
            X[:, columns] += size * X.std(axis=0)[columns] * rng.choice([-1, 1], len(columns))
        elif kind == "outlier":
            size = 10.0 ** rng.uniform(3, 8)
            X[odd, column] = size * rng.choice([-1, 1])
        else:
            X = X * (10.0 ** rng.uniform(0, 7) if rng.random() < 0.5 else 1.0)
            copy = X @ (rng.integers(-2, 3, size=d) + np.eye(d)[column] * 0.5) * 10.0 ** rng.uniform(-3, 3)
            size = 10.0 ** rng.uniform(-2, 7) if rng.random() < 0.5 else 1.0
            X = np.column_stack([X, copy]) + size * rng.choice([0, 1], d + 1)
        if learner == "ridge":
            y = z + rng.normal(size=n) + (1e3 * rng.normal() if rng.random() < 0.3 else 0.0)
        elif rng.random() < 0.6:
            y = (z + rng.logistic(size=n) > 0).astype(int)
            y[[0, 1]] = 0, 1
        else:
            y = np.digitize(z + rng.logistic(size=n), [-1.0, 1.0])
            y[[0, 1, 2]] = 0, 1, 2
        order = [int(i) for i in rng.permutation(np.arange(3, n))]
        if rng.random() < 0.5 and odd > 2:
            order.remove(odd)
            order.insert(0, odd)
        asked = []
        for _ in range(int(rng.integers(1, 4))):
            asked.append(tuple(order.pop(0) for _ in range(int(rng.integers(1, 4)))))
        return Awkward(
            learner, kind, X, y, 10.0 ** rng.uniform(-4, 4), bool(rng.random() < 0.9 or kind == "constant"), tuple(asked), size
        )  # fmt: skip

    def make(self, salt: bytes) -> Any:
        from expunge.exact import learners

        penalty = {"alpha": self.penalty} if self.learner == "ridge" else {"C": 1 / self.penalty}
        return learners.get(self.learner)(**penalty, fit_intercept=self.intercept, salt=salt)

    def left(self, requests: int) -> Any:
        """Numbers of the records that stay after so many requests."""
        gone = [i for request in self.asked[:requests] for i in request]
        return np.setdiff1d(np.arange(len(self.X)), gone)

    def deleted(self, salt: bytes) -> tuple[Any, int]:
        """The model after its deletions, or None; and at which of them it was refused, the fit being 0; -1 where at none."""
        model = self.make(salt)
        for step in range(len(self.asked) + 1):
            try:
                if step:
                    model.forget(records=list(self.asked[step - 1]))
                else:
                    model.fit(self.X, self.y)
            except InvalidData:
                return None, step
        return model, -1

    def fitted(self, salt: bytes) -> tuple[Any, int]:
        """The same by fits of the records that stay."""
        model = None
        for step in range(len(self.asked) + 1):
            left = self.left(step)
            try:
                model = self.make(salt).fit(self.X[left], self.y[left], records=left.tolist())
            except InvalidData:
                return None, step
        return model, -1

    @property
    def must_be_answered(self) -> bool:
        """With constant columns, and with offsets to `FAR`, beside an intercept, there is no reason to refuse."""
        return self.intercept and (self.kind == "constant" or (self.kind == "offset" and self.size <= FAR))
