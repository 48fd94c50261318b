"""What learners promise when they grow: add, forget, add gives the bits of one fit; and what adding costs beside a fit.

    python bench/exact_growth.py [--quick]

Every tabular learner of the contract grows and forgets in turns on awkward data, in a shuffled order, and is compared with
one fit of what is left. Costs are processor seconds of adding one person's four rows to 20,000 (`--quick`: 4,000), over
those of a fit of all and over those of forgetting that person again; the fit is measured between the additions. A fit of
all would be a share of 1. The bar is 0.2 where a part is trained again (a unit of `Sisa`, a leaf of `KMeans`, subtrees of
`Forest`, some steps of `LogisticRegression`), four times the share of a unit in 20; and 0.1 where sums are added to, which
leaves the copy of the records held and of their names, of which a fit makes one, too.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
from sklearn.linear_model import SGDClassifier

from _claims import claim, finding, finish
from _cpu import cpu
from expunge.exact import learners
from expunge.testing.tabular import CASES, SALT, growth

SEQUENCES = 20
SUMS, PARTS = 0.1, 0.2  # of a fit: what adding one person may cost at most
Table = tuple[Any, Any]


def numbers(n: int, rng: np.random.Generator) -> Table:
    X = rng.normal(size=(n, 10))
    return X, (X[:, 0] + rng.normal(size=n) > 0).astype(int)


def targets(n: int, rng: np.random.Generator) -> Table:
    X = rng.normal(size=(n, 10))
    return X, X[:, 0] + rng.normal(size=n)


def counts(n: int, rng: np.random.Generator) -> Table:
    return rng.poisson(0.5, (n, 50)).astype(float), rng.integers(2, size=n)


def words(n: int, rng: np.random.Generator) -> Table:
    return rng.choice(np.array([f"word{k}" for k in range(40)], dtype=object), (n, 10)), None


def texts(n: int, rng: np.random.Generator) -> Table:
    return [" ".join(row) for row in words(n, rng)[0]], None


def mixed(n: int, rng: np.random.Generator) -> Table:
    X, _ = numbers(n, rng)
    C = rng.choice(np.array(list("abcdefghij"), dtype=object), (n, 5))
    y = (X[:, 0] + (C[:, 0] > "e") + rng.normal(size=n) > 0.5).astype(int)
    return np.hstack([X[:, :5].astype(object), C]), y


class Grower(NamedTuple):
    """A learner, its settings, the records it is given, and what adding one person may cost of a fit."""

    learner: str
    settings: dict[str, Any]
    data: Callable[[int, np.random.Generator], Table]
    bar: float

    def make(self) -> Any:
        return learners.get(self.learner)(**self.settings, salt=SALT)


SHARDS = {"estimator": SGDClassifier(), "shards": 20, "epochs": 5, "classes": [0, 1], "workers": 1}
GROWERS: dict[str, Grower] = {
    "Sisa, 20 shards": Grower("sisa", SHARDS, numbers, PARTS),
    "Forest": Grower("forest", {}, numbers, PARTS),
    "Forest, regression": Grower("forest", {"task": "regression"}, targets, PARTS),
    "Forest, categories": Grower("forest", {"categorical_features": list(range(5, 10))}, mixed, PARTS),
    "KMeans": Grower("k_means", {"widths": (40, 4)}, numbers, PARTS),
    "LogisticRegression": Grower("logistic_regression", {}, numbers, PARTS),
    "Ridge": Grower("ridge", {}, targets, SUMS),
    "GaussianNB": Grower("gaussian_nb", {}, numbers, SUMS),
    "MultinomialNB": Grower("multinomial_nb", {}, counts, SUMS),
    "StandardScaler": Grower("standard_scaler", {}, numbers, SUMS),
    "OneHotEncoder": Grower("one_hot_encoder", {}, words, SUMS),
    "TfidfVectorizer": Grower("tfidf_vectorizer", {}, texts, SUMS),
    "KNeighbors": Grower("k_neighbors", {}, numbers, SUMS),
}


def differ(name: str, sequences: int) -> int:
    """How many random sequences end otherwise than one fit of what is left."""
    case, wrong = CASES[name], 0
    for seed in range(sequences):
        table = case.data(seed, 60)
        steps = growth(table, seed)
        wrong += not steps.of(case.make(), table).equals(table.only(steps.held).fit(case.make()))
    return wrong


def cost(grower: Grower, n: int, rounds: int) -> tuple[list[float], list[float], float]:
    """Processor seconds of adding four rows of one person: over those of a fit of all, over forgetting them, and in ms."""
    rng = np.random.default_rng(0)
    X, y = grower.data(n, rng)
    names = [*(f"u{i // 4}" for i in range(n - 4)), *["new"] * 4]

    def part(of: slice) -> tuple[Any, Any, list[str]]:
        return X[of], None if y is None else y[of], names[of]

    def learn(verb: Callable[..., Any], of: slice) -> Any:
        rows, labels, subjects = part(of)
        return verb(rows, labels, subjects=subjects)

    held, new, whole = slice(0, n - 4), slice(n - 4, n), slice(0, n)
    warm = learn(grower.make().fit, held)  # compiles what is compiled
    learn(warm.add, new).forget(subjects=["new"])
    shares, beside, spent = [], [], []
    for _ in range(rounds):
        learner = learn(grower.make().fit, held)
        learner.forget(subjects=["u0"])  # so that records lie between gaps, and a loaded canary was run
        added = cpu(partial(learn, learner.add, new))
        forgotten = cpu(partial(learner.forget, subjects=["new"]))
        fitted = cpu(partial(learn, grower.make().fit, whole))
        shares.append(added / fitted)
        beside.append(added / forgotten)
        spent.append(added)
    return shares, beside, 1e3 * statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    began, sequences = time.perf_counter(), 3 if given.quick else SEQUENCES
    n, rounds = (4_000, 3) if given.quick else (20_000, 7)
    wrong = {name: differ(name, sequences) for name in CASES}
    bad = sorted(name for name, times in wrong.items() if times)
    text = f"learners of which any of {sequences} sequences (fit, add and forget in turns) differs from one fit"
    claims, findings, figures = [claim(text, bad, [], not bad)], [], {}
    for name, grower in GROWERS.items():
        shares, beside, ms = cost(grower, n, rounds)
        share, times = statistics.median(shares), statistics.median(beside)
        figures[name] = {"add ms": round(ms, 3), "over a fit": round(share, 4), "over forgetting": round(times, 2)}
        sys.stderr.write(f"{name}: {figures[name]}\n")
        what = f"{name}: adding one person over a fit of all {n:,} records, CPU"
        claims.append(claim(what, round(share, 4), grower.bar, share <= grower.bar))
        why = (
            "an addition copies the records held, and names of people; how that compares depends on how many there are"
        )
        what = f"{name}: adding one person over forgetting them, CPU, times"
        findings.append(finding(what, round(times, 2), (min(beside), max(beside)), why))
    finish("exact_growth", claims, began, findings, quick=given.quick, learners=sorted(CASES), costs=figures)


if __name__ == "__main__":
    main()
