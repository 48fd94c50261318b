"""What `KMeans` claims: cheap deletions, inertia near scikit-learn's, the same bits as a fit without, no trace of rows.

    python bench/exact_kmeans.py [--quick]

Three kinds of data: ten overlapping clusters for ten centers, 37 unequal ones, which ten centers cannot follow, and
uniform data, the worst case for a tree of summaries. Seconds are those of the processor, on one thread; refits are
measured between the deletions. `--quick` makes 200 deletions on data of the first kind.
"""

import argparse
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
from sklearn.cluster import KMeans as Reference

from _claims import claim, finish
from _cpu import cpu
from expunge import exact

N, D, K = 500_000, 10, 10
SETTINGS = {"n_clusters": K}
SALT = b"a salt for benches"
REFITS = 5


def overlapping(rng: np.random.Generator) -> Any:
    centers = rng.normal(size=(K, D)) * 2
    return centers[rng.integers(K, size=N)] + rng.normal(size=(N, D))


def unequal(rng: np.random.Generator) -> Any:
    centers, share, spread = rng.normal(size=(37, D)) * 3, rng.dirichlet(np.full(37, 0.7)), rng.uniform(0.3, 2, 37)
    of = rng.choice(37, N, p=share)
    return centers[of] + rng.normal(size=(N, D)) * spread[of][:, np.newaxis]


def uniform(rng: np.random.Generator) -> Any:
    return rng.random((N, D))


def traces(model: Any, values: Any) -> int:
    """How many of these values stand, as eight bytes at any place, in the pickled or the saved model."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        held = [pickle.dumps(model), *(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())]
    wanted, found = np.unique(values.view(np.uint64)), np.zeros(0, np.uint64)
    for data in held:
        for offset in range(8):
            words = np.frombuffer(data, np.uint64, (len(data) - offset) // 8, offset)
            found = np.union1d(found, words[np.isin(words, wanted)])
    return len(found)


def measured(kind: Callable[[np.random.Generator], Any], n_deletions: int, say: Callable[[str], None]) -> Any:
    rng = np.random.default_rng(0)
    X = kind(rng)
    order = rng.permutation(N)[:n_deletions]
    model = exact.KMeans(**SETTINGS, salt=SALT).fit(X)
    found_before = traces(model, X[order])
    deletions, reference, inertias = [], [], []
    for part, chosen in enumerate(np.array_split(order, REFITS)):
        for record in chosen.tolist():
            deletions.append(cpu(lambda record=record: model.forget(records=[record])))  # type: ignore[misc]
        stay = np.ones(N, bool)
        stay[order[: len(deletions)]] = False
        rest, refit = X[stay], Reference(K, n_init=1, random_state=part)
        reference.append(cpu(lambda refit=refit, rest=rest: refit.fit(rest)))  # type: ignore[misc]
        inertias.append(refit.inertia_)
        say(f"{kind.__name__}: {len(deletions)} deletions, {1e3 * np.mean(deletions):.2f} ms each")
    fresh = exact.KMeans(**SETTINGS, salt=SALT)
    own = cpu(lambda: fresh.fit(rest))
    best = min(inertias[-1], Reference(K, n_init=10, random_state=REFITS).fit(rest).inertia_)
    return {
        "deletion_ms": 1e3 * float(np.mean(deletions)),
        "deletion_p99_ms": 1e3 * float(np.percentile(deletions, 99)),
        "reference_refit_s": reference,
        "own_refit_s": own,
        "times": min(float(np.mean(reference)), own) / float(np.mean(deletions)),
        "inertia_over_mean_of_one_start": model.inertia_ / float(np.mean(inertias)),
        "inertia_over_best_of_ten_starts": model.inertia_ / best,
        "traces_before": found_before / (n_deletions * D),
        "traces_after": traces(model, X[order]),
        "equal": model.digest() == fresh.digest(),
    }


def claims_of(kind: str, row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        claim(f"{kind}: one deletion vs the faster refit, times", round(row["times"], 1), 80, row["times"] >= 80),
        *(
            claim(f"{kind}: {name.replace('_', ' ')}", round(row[name], 4), 1.06, row[name] <= 1.06)
            for name in ("inertia_over_mean_of_one_start", "inertia_over_best_of_ten_starts")
        ),
        claim(f"{kind}: same bits as a fit without the rows", row["equal"], True, row["equal"]),
        claim(f"{kind}: share of deleted values found before", row["traces_before"], 1.0, row["traces_before"] == 1.0),
        claim(f"{kind}: deleted values found after", row["traces_after"], 0, row["traces_after"] == 0),
    ]


def others(rng: np.random.Generator, n: int = 50_000, d: int = 100, n_deletions: int = 100) -> dict[str, float]:
    """Milliseconds of one deletion from the other learners that subtract, and of a fit."""
    X, y = rng.normal(size=(n, d)), rng.integers(3, size=n)
    words = np.array([f"word{i}" for i in range(5000)])
    texts = [" ".join(words[rng.zipf(1.3, 30) % len(words)]) for _ in range(n)]
    table = words[rng.zipf(1.5, (n, 10)) % len(words)].astype(object)
    figures = {}
    for learner, data, target in (
        (exact.GaussianNB, X, y),
        (exact.KNeighbors, X, y),
        (exact.StandardScaler, X, None),
        (exact.OneHotEncoder, table, None),
        (exact.TfidfVectorizer, texts, None),
    ):
        model = learner(salt=SALT)
        figures[f"{learner.__name__}, fit"] = 1e3 * cpu(lambda m=model, X=data, y=target: m.fit(X, y))  # type: ignore[misc]
        model.forget(records=[n - 1])
        each = [cpu(lambda m=model, i=i: m.forget(records=[i])) for i in range(n_deletions)]  # type: ignore[misc]
        figures[f"{learner.__name__}, one deletion"] = 1e3 * float(np.mean(each))
    return {name: round(ms, 3) for name, ms in figures.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    began = time.perf_counter()
    say = lambda line: print(line, file=sys.stderr, flush=True)
    exact.KMeans(**SETTINGS, widths=(2, 1), salt=SALT).fit(np.random.default_rng(0).normal(size=(200, D)))  # compiles
    kinds = [overlapping] if given.quick else [overlapping, unequal, uniform]
    rows = {kind.__name__: measured(kind, 200 if given.quick else 1000, say) for kind in kinds}
    claims = [c for kind, row in rows.items() for c in claims_of(kind, row)]
    more = {"rows": rows, "other_learners_ms": others(np.random.default_rng(1))}
    finish("exact_kmeans", claims, began, quick=given.quick, **more)
