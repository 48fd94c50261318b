"""The weights of ridge and logistic regression by arithmetic that has digits to spare: exact fractions, and 60 digits."""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from expunge.testing.awkward import Awkward


def weights(case: Awkward, requests: int, model: Any) -> tuple[Any, Any]:
    """Weights [K, d] and intercepts [K] of the records that stay, right to all digits of a double."""
    left = case.left(requests)
    X, y = case.X[left], case.y[left]
    if case.learner == "ridge":
        return _ridge(X, y, float(model.alpha), case.intercept)
    return _logistic(X, y, float(model.C), case.intercept, model)


def _ridge(X: Any, y: Any, alpha: float, intercept: bool) -> tuple[Any, Any]:
    rows = [[Fraction(float(v)) for v in row] + [Fraction(int(intercept))] for row in X]
    target = [Fraction(float(v)) for v in y]
    m = X.shape[1] + 1
    M = [[sum((r[i] * r[j] for r in rows), Fraction(0)) for j in range(m)] for i in range(m)]
    for i in range(m - 1):
        M[i][i] += Fraction(alpha)
    if not intercept:
        M[-1][-1] = Fraction(1)
    right = [sum((r[i] * t for r, t in zip(rows, target, strict=True)), Fraction(0)) for i in range(m)]
    for i in range(m):  # elimination; a positive definite matrix needs no pivots
        for k in range(i + 1, m):
            share = M[k][i] / M[i][i]
            M[k] = [a - share * b for a, b in zip(M[k], M[i], strict=True)]
            right[k] -= share * right[i]
    for i in reversed(range(m)):
        right[i] = (right[i] - sum((M[i][j] * right[j] for j in range(i + 1, m)), Fraction(0))) / M[i][i]
    found = np.array([float(v) for v in right])
    return found[None, :-1], found[-1:]


def _logistic(X: Any, y: Any, C: float, intercept: bool, model: Any) -> tuple[Any, Any]:
    """Newton's steps with 60 digits from the weights found: the objective is convex, so where they end is the minimum."""
    with mpmath.workdps(60):
        mp, d = mpmath.mpf, X.shape[1]
        codes = np.searchsorted(model.classes_, y)
        K = len(model.coef_)
        rows = [[mp(float(v)) for v in row] + [mp(int(intercept))] for row in X]
        m, ridge = d + 1, mp(1) / mp(C)
        W = mpmath.matrix(K * m, 1)
        for k in range(K):
            for j in range(d):
                W[k * m + j] = mp(float(model.coef_[k, j]))
            W[k * m + d] = mp(float(model.intercept_[k]))
        value = _value(rows, codes, W, K, m, ridge)
        for _ in range(200):
            g, H = mpmath.matrix(K * m, 1), mpmath.matrix(K * m, K * m)
            for i, row in enumerate(rows):
                p = _probabilities(row, W, K, m)
                for k in range(K):
                    rest = p[k] - (int(codes[i] == k) if K > 1 else int(codes[i] == 1))
                    for a in range(m):
                        g[k * m + a] += rest * row[a]
                    for h in range(K):
                        weight = p[k] * (int(k == h) - p[h])
                        for a in range(m):
                            for b in range(m):
                                H[k * m + a, h * m + b] += weight * row[a] * row[b]
            for k in range(K):
                for j in range(d):
                    g[k * m + j] += ridge * W[k * m + j]
                    H[k * m + j, k * m + j] += ridge
                for h in range(
                    K if K > 1 and intercept else 0
                ):  # of all that differ by a number, those that add up to 0
                    g[k * m + d] += W[h * m + d]
                    H[k * m + d, h * m + d] += 1
                if not intercept:
                    H[k * m + d, k * m + d] = mp(1)
            step = mpmath.lu_solve(H, g)
            share = mp(1)
            decrement = sum(g[i] * step[i] for i in range(K * m))
            if decrement > mp(10) ** -40:
                while (
                    new := _value(rows, codes, W - share * step, K, m, ridge)
                ) > value - share * decrement / 4 and share > 1e-12:
                    share /= 2
                value = new
            W = W - share * step
            if decrement < mp(10) ** -50:
                break
        else:
            raise ArithmeticError("no minimum with 60 digits")
        found = np.array([float(v) for v in W]).reshape(K, m)
        return found[:, :-1], found[:, -1]


def _probabilities(row: Any, W: Any, K: int, m: int) -> list[Any]:
    z = [sum(row[a] * W[k * m + a] for a in range(m)) for k in range(K)]
    if K == 1:
        return [1 / (1 + mpmath.exp(-z[0]))]
    largest = max(z)
    e = [mpmath.exp(v - largest) for v in z]
    return [v / sum(e) for v in e]


def _value(rows: Any, codes: Any, W: Any, K: int, m: int, ridge: Any) -> Any:
    total = mpmath.mpf(0)
    for i, row in enumerate(rows):
        z = [sum(row[a] * W[k * m + a] for a in range(m)) for k in range(K)]
        if K == 1:
            s = -z[0] if codes[i] == 1 else z[0]
            total += mpmath.log1p(mpmath.exp(s)) if s < 0 else s + mpmath.log1p(mpmath.exp(-s))
        else:
            largest = max(z)
            total += largest + mpmath.log(sum(mpmath.exp(v - largest) for v in z)) - z[codes[i]]
    for k in range(K):
        total += ridge / 2 * sum(W[k * m + j] ** 2 for j in range(m - 1))
    if K > 1:
        total += sum(W[k * m + m - 1] for k in range(K)) ** 2 / 2
    return total
