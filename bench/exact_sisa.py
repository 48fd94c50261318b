"""Sisa: what deletions cost against training again, and what shards cost in accuracy.

"Training again" is one block, the same estimator with the same number of passes over everything: N·e' record visits in
the formula of the reference, and its time on the clock. A Sisa fit visits as many records; its time is printed beside.

    EXPUNGE_DATA=... python bench/exact_sisa.py [--quick]
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pyarrow.parquet as pq
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from _claims import claim, finish
from expunge.core.placement import stage_epochs
from expunge.exact import Sisa, expected_cost

S, R, EPOCHS = 20, 10, 22  # 22 passes are four in each of ten stages
BARS = {1: 25.0, 8: 4.0}  # times cheaper, deletions at once
LONG_S = 20.0  # of training one block, from which the clock is held to the formula


def sgd() -> SGDClassifier:
    return SGDClassifier(loss="log_loss", alpha=1e-3)


def sisa(estimator: Any, salt: bytes = b"bench", **settings: Any) -> Sisa:
    return Sisa(estimator, workers=1, salt=salt, **settings)


def blobs(n: int, d: int = 50, n_classes: int = 10) -> tuple[Any, Any]:
    """A linear ten-class problem with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, (X @ rng.normal(size=(d, n_classes)) + 3 * rng.normal(size=(n, n_classes))).argmax(axis=1)


# -- what deletions cost -----------------------------------------------------------------------------------------------


def visits_against_formula(n: int, draws: dict[int, int]) -> list[dict[str, Any]]:
    """Real deletions, one after another, each counted where it trains."""
    X, y = blobs(n)
    model = sisa(sgd(), shards=S, slices=R, epochs=EPOCHS, classes=range(10)).fit(X, y)
    rng, left, claims = np.random.default_rng(1), list(range(n)), []
    for k, times in draws.items():
        of_block, of_plan = [], []
        for _ in range(times):
            gone = [left.pop(int(rng.integers(len(left)))) for _ in range(k)]
            deletion = model.forget(records=gone)
            of_block.append(visited(deletion, model) / (model.n_records * EPOCHS))
            of_plan.append(deletion.plan.cost)
        mean, formula = float(np.mean(of_block)), expected_cost(S, R, k)
        error = 1.96 * float(np.std(of_block)) / times**0.5 / mean
        say(f"{k} at once, {times} draws: {1 / mean:.2f} times, formula {1 / formula:.2f}, ±{error:.1%} by chance")
        off = abs(mean / formula - 1)
        claims += [
            claim(f"{k} at once: mean visits over N·e', relative to the formula, mean of {times} draws", off, 0.05, off <= 0.05),
            claim(f"{k} at once: times fewer visits than one block", 1 / mean, BARS[k], 1 / mean >= BARS[k]),
            claim(f"{k} at once: plans that differ from what was visited", worse := unequal(of_plan, of_block), 0, worse == 0),
        ]  # fmt: skip
    return claims


def visited(deletion: Any, model: Sisa) -> float:
    """Records visited: the counted cost is relative to a Sisa fit without the records."""
    passes = stage_epochs(EPOCHS, R)
    full = sum(p * sum(u.slices[: r + 1]) for u in model.units() for r, p in enumerate(passes))
    return float(deletion.cost * full)


def unequal(planned: list[float], done: list[float]) -> int:
    """Deletions whose plan is off by more than the share by which a Sisa fit and one block differ in visits."""
    return sum(abs(a / b - 1) > 0.02 for a, b in zip(planned, done, strict=True))


def clock_against_visits(n: int, draws: dict[int, int], long: bool) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Times on the clock of one block, a Sisa fit and deletions, in one run."""
    X, y = blobs(n)
    one = sisa(sgd(), shards=1, epochs=EPOCHS, classes=range(10)).fit(X, y)
    train_block = lambda: one._learn(one._fitted().rows)  # without the trial of a fit, which would train it twice
    block_s = [timed(train_block)[0]]
    model = sisa(sgd(), shards=S, slices=R, epochs=EPOCHS, classes=range(10))
    fit_s = timed(lambda: model.fit(X, y))
    rng, left, forgets = np.random.default_rng(2), list(range(n)), {}
    for k, times in draws.items():
        found = []
        for _ in range(times):
            gone = [left.pop(int(rng.integers(len(left)))) for _ in range(k)]
            wall_s, cpu_s, deletion = timed(lambda gone=gone: model.forget(records=gone))  # type: ignore[misc]
            found.append((wall_s, cpu_s, visited(deletion, model) / (model.n_records * EPOCHS)))
        forgets[k] = np.mean(found, axis=0)
    again = timed(train_block)
    block_s.append(again[0])  # before and after, as other work on the machine comes and goes
    block, cpu = float(np.mean(block_s)), again[1]
    say(f"one block {block:.1f} s (CPU {cpu:.1f}), Sisa fit {fit_s[0]:.1f} s (CPU {fit_s[1]:.1f}), N = {n}")
    claims = []
    if long:
        claims.append(claim("CPU seconds of training one block", cpu, LONG_S, cpu >= LONG_S))
    for k, (wall_s, cpu_s, share) in forgets.items():
        times, reached = block / wall_s, block / wall_s * share
        say(f"{k} at once: {times:.1f} times faster than one block (CPU {cpu / cpu_s:.1f}), {1 / share:.1f} fewer visits; "
            f"{fit_s[0] / wall_s:.1f} times faster than a Sisa fit")  # fmt: skip
        claims.append(
            claim(
                f"{k} at once: of the ratio of visits, reached on the clock against one block",
                reached,
                0.8,
                reached >= 0.8,
            )
        )
    return claims, {"block_s": block, "block_cpu_s": cpu, "sisa_fit_s": fit_s[0], "sisa_fit_cpu_s": fit_s[1]}


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


# -- what shards cost in accuracy --------------------------------------------------------------------------------------


def adult() -> tuple[Any, Any, Any, list[int], list[int]]:
    """Rows of Adult as they are, labels, people, and which columns are numbers and which words."""
    table = pq.read_table(Path(os.environ["EXPUNGE_DATA"]) / "tabular" / "adult_census.parquet")
    y, ids = np.array([v == ">50K" for v in table["income"].to_pylist()]), table["subject_id"].to_pylist()
    table = table.drop_columns(["income", "subject_id"])
    numbers = [i for i, f in enumerate(table.schema) if str(f.type) == "int64"]
    words = [i for i in range(table.num_columns) if i not in numbers]
    X = np.empty((len(y), table.num_columns), dtype=object)
    for i, column in enumerate(table.columns):
        X[:, i] = column.to_pylist()
    return X, y, np.array(ids), numbers, words


def adult_against_one_model(splits: int, curve: tuple[int, ...]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Encoders and scalers are fitted in each unit, on that unit's first slice."""
    X, y, ids, numbers, words = adult()

    def hot(last: Any) -> Any:
        return make_pipeline(
            make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), words)), last
        )

    def boosted() -> Any:
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        return make_pipeline(
            make_column_transformer(("passthrough", numbers), (codes, words)), HistGradientBoostingClassifier()
        )

    logistic = lambda: hot(LogisticRegression(max_iter=300))
    sliced = {"slices": R, "epochs": EPOCHS, "classes": (False, True)}
    kinds: dict[str, tuple[Any, Any, dict[str, Any], float, float]] = {
        "logistic": (logistic, logistic, {}, 0.3, 0.002),
        f"logistic by SGD, {R} slices": (logistic, lambda: hot(sgd()), sliced, 0.3, 0.002),
        "gradient boosting": (boosted, boosted, {}, 1.6, 0.014),
    }
    scores: dict[str, list[Any]] = {}
    for split in range(splits):
        train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=split)
        for kind, (single, estimator, settings, _, _) in kinds.items():
            one = single().fit(X[train], y[train])
            scores.setdefault(f"{kind}, one model", []).append(scored(one, X[test], y[test]))
            for shards in curve:
                model = sisa(estimator(), b"%d" % split, shards=shards, **settings)
                model.fit(X[train], y[train], subjects=ids[train].tolist())
                scores.setdefault(f"{kind}, S = {shards}", []).append(scored(model, X[test], y[test]))
    mean = {name: np.mean(found, axis=0) for name, found in scores.items()}
    for name, (accuracy, auc) in mean.items():
        say(f"Adult, {name}: accuracy {accuracy:.4f}, AUC {auc:.4f}")
    claims = []
    for kind, (*_, points, area) in kinds.items():
        lost, less = (mean[f"{kind}, one model"] - mean[f"{kind}, S = {S}"]) * (100, 1)
        claims += [
            claim(f"Adult, {kind}: points lost at S = {S} to one model", lost, points, lost <= points),
            claim(f"Adult, {kind}: AUC lost at S = {S} to one model", less, area, less <= area),
        ]
    return claims, {name: [float(v) for v in found] for name, found in mean.items()}


def scored(model: Any, X: Any, y: Any) -> tuple[float, float]:
    return float(np.mean(model.predict(X) == y)), float(roc_auc_score(y, model.predict_proba(X)[:, 1]))


def digits_curve(splits: int, curve: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Accuracy on scikit-learn's digits: a hard task for small shards. No bar; mean and vote side by side."""
    X, y = load_digits(return_X_y=True)
    kinds = {
        "logistic by SGD": lambda: make_pipeline(StandardScaler(), sgd()),
        "perceptron of 64": lambda: MLPClassifier((64,)),
    }
    found: dict[str, dict[str, float]] = {}
    for kind, estimator in kinds.items():
        for shards in (1, *curve):
            for vote in ("mean", "vote"):
                accuracies = []
                for split in range(splits):
                    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=split, stratify=y)
                    model = sisa(
                        estimator(), b"%d" % split, shards=shards, slices=5, epochs=30, classes=range(10), vote=vote
                    )
                    accuracies.append(model.fit(X[train] / 16, y[train]).score(X[test] / 16, y[test]))
                found.setdefault(kind, {})[f"S = {shards}, {vote}"] = float(np.mean(accuracies))
        say(f"digits, {kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in found[kind].items()))
    return found


def costs() -> dict[str, dict[str, float]]:
    """Times cheaper than one block, by the formula, over shards and slices."""
    found = {
        f"{k} at once": {
            f"S = {s}, R = {r}": round(1 / expected_cost(s, r, k), 1) for s in (5, 10, 20, 50) for r in (1, 5, 10, 20)
        }
        for k in (1, 8, 50)
    }
    for name, times in found.items():
        say(f"formula, {name}: " + ", ".join(f"{where} {value}" for where, value in times.items()))
    return found


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute or two: fewer records, draws and splits")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    began, formula = time.perf_counter(), costs()
    claims = (
        visits_against_formula(5_000, {1: 500, 8: 100}) if quick else visits_against_formula(20_000, {1: 1000, 8: 150})
    )
    n, draws = (60_000, {1: 8, 8: 3}) if quick else (250_000, {1: 30, 8: 8})
    clock, seconds = clock_against_visits(n, draws, long=not quick)
    lost, scores = adult_against_one_model(1 if quick else 3, (S,) if quick else (5, 10, S, 40))
    digits = digits_curve(1 if quick else 3, (S,) if quick else (5, 10, S))
    curves = {"formula": formula, "adult": scores, "digits": digits}
    finish("exact_sisa", claims + clock + lost, began, quick=quick, clock=seconds, curves=curves)


if __name__ == "__main__":
    main()
