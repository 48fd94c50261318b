"""Frames as people have them, through `Sisa`: the answers of the estimator by itself, and deletions that equal a fit without.

Adult, Telco churn, and a made-up frame with categories, dates, nullable integers and missing values. "By itself" is the
same estimator fitted on the same frame, in the order of rows and with the seed that the one unit has.

    EXPUNGE_DATA=... python bench/exact_frames.py [--quick]
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from _claims import claim, finding, finish
from expunge.exact import Sisa
from expunge.exact._sisa import boosters

SHARDS = 5


# -- data --------------------------------------------------------------------------------------------------------------


def adult() -> tuple[Any, Any, Any]:
    """Eight columns of text as categories, missing ones among them, six of whole numbers."""
    frame = pd.read_parquet(Path(os.environ["EXPUNGE_DATA"]) / "tabular" / "adult_census.parquet")
    y, people = (frame.pop("income") == ">50K").to_numpy().astype(int), frame.pop("subject_id").to_numpy()
    return declared(frame), y, people


def telco() -> tuple[Any, Any, Any]:
    """Categories, booleans, whole numbers, and a charge that some have not had."""
    frame = pd.read_parquet(Path(os.environ["EXPUNGE_DATA"]) / "tabular" / "telco_churn.parquet")
    y, people = (frame.pop("Churn") == "Yes").to_numpy().astype(int), frame.pop("customerID").to_numpy()
    for name in ("Partner", "Dependents", "PhoneService", "PaperlessBilling"):
        frame[name] = frame[name] == "Yes"
    return declared(frame), y, people


def made_up(n: int = 4_000) -> tuple[Any, Any, Any]:
    """Every type beside those: ordered categories, dates, nullable integers and booleans, text, missing values."""
    rng = np.random.default_rng(0)
    color, grade, joined = rng.choice(list("abcdefgh"), n), rng.integers(1, 6, n), rng.integers(0, 2_000, n)
    count, number = rng.integers(0, 30, n), rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "color": pd.Categorical(color, categories=list("abcdefghxyz")),
            "grade": pd.Categorical(grade, categories=range(1, 8), ordered=True),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(joined, unit="D"),
            "count": pd.array(np.where(rng.random(n) < 0.1, None, count), dtype="Int64"),
            "member": pd.array(np.where(rng.random(n) < 0.1, None, rng.random(n) < 0.5), dtype="boolean"),
            "number": np.where(rng.random(n) < 0.1, np.nan, number),
            "word": pd.Series(rng.choice(["one", "two", "three"], n), dtype="str"),
        }
    )
    y = (np.isin(color, list("adg")) ^ (grade > 3) ^ (joined > 1_500) ^ (number > 1.5)).astype(int)
    return frame, np.where(rng.random(n) < 0.1, 1 - y, y), np.arange(n) % (n // 3)


def declared(frame: Any) -> Any:
    """Text as categories, whose list is declared with the type: all that the column ever held."""
    words = [name for name, kind in frame.dtypes.items() if kind == "str"]
    return frame.astype({name: pd.CategoricalDtype(sorted(frame[name].dropna().unique())) for name in words})


# -- estimators --------------------------------------------------------------------------------------------------------


def days(frame: Any) -> Any:
    return frame.apply(lambda column: column.astype("int64") // 10**9 // 86_400).to_numpy(float)


def by_type() -> Any:
    """A Pipeline that chooses columns by their type alone."""
    hot = OneHotEncoder(handle_unknown="ignore")
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (hot, make_column_selector(dtype_include=["category", "bool", "boolean", "str"])),
        (numbers, make_column_selector(dtype_include="number")),
        (make_pipeline(FunctionTransformer(days), StandardScaler()), make_column_selector(dtype_include="datetime")),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=300))


def estimators(frame: Any, trees: int) -> dict[str, tuple[Any, list[str]]]:
    """Each estimator with the columns whose types it takes."""
    every = list(frame.columns)
    boosted = [name for name in every if frame[name].dtype.kind != "M" and str(frame[name].dtype) != "str"]
    words = tuple(name for name in boosted if isinstance(frame[name].dtype, pd.CategoricalDtype))
    plain = [name for name in boosted if str(frame[name].dtype) not in ("Int64", "boolean")]
    named = tuple(name for name in words if not frame[name].isna().any())  # CatBoost takes no missing category
    return {
        "HistGradientBoosting": (HistGradientBoostingClassifier(max_iter=trees), boosted),
        "XGBoost": (XGBClassifier(n_estimators=trees, subsample=0.8, enable_categorical=True), boosted),
        "LightGBM": (LGBMClassifier(n_estimators=trees, subsample=0.8, subsample_freq=1, verbose=-1), boosted),
        "CatBoost": (
            CatBoostClassifier(iterations=trees, cat_features=named, verbose=0),
            [name for name in plain if name not in set(words) - set(named)],
        ),
        "columns chosen by type, logistic": (by_type(), every),
    }


# -- claims ------------------------------------------------------------------------------------------------------------


def sisa(estimator: Any, **settings: Any) -> Sisa:
    return Sisa(estimator, workers=1, salt=b"bench", **settings)


def answers_that_differ(estimator: Any, X: Any, y: Any, people: Any) -> tuple[int, float, float]:
    """Rows of a quarter held out whose prediction or probabilities differ; accuracy of both."""
    held_out = np.random.default_rng(0).random(len(y)) < 0.25
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    one = sisa(estimator, shards=1).fit(X.iloc[train], y[train], subjects=people[train].tolist())
    (_, model), *_ = one._serving()
    seeds = {k: v for k, v in model.get_params().items() if k.endswith("random_state")}
    order = train[one._fitted().learned.shards[0].positions]
    alone = boosters.pinned(clone(estimator)).set_params(**seeds).fit(X.iloc[order], y[order])
    mine, its = one.predict(X.iloc[test]), alone.predict(X.iloc[test])
    shares = one.predict_proba(X.iloc[test]), alone.predict_proba(X.iloc[test])
    differ = (mine != its) | (shares[0] != shares[1]).any(axis=1)
    return int(differ.sum()), float((mine == y[test]).mean()), float((its == y[test]).mean())


def deletions_that_differ(estimator: Any, X: Any, y: Any, people: Any, n: int) -> tuple[int, float]:
    """Of n requests one after another, after how many the state is not that of a fit without; seconds of CPU of the fit."""
    began = time.process_time()
    model = sisa(estimator, shards=SHARDS).fit(X, y, subjects=people.tolist())
    fit_s = time.process_time() - began
    rng, left, wrong = np.random.default_rng(1), np.ones(len(y), dtype=bool), 0
    before = model.digest()
    for _ in range(n):
        gone = rng.choice(np.unique(people[left]), 2, replace=False)
        model.forget(subjects=gone.tolist())
        left &= ~np.isin(people, gone)
        fresh = sisa(estimator, shards=SHARDS).fit(X[left], y[left], subjects=people[left].tolist())
        wrong += model.digest() != fresh.digest() or fresh.digest() == before
    return wrong, fit_s


def types_matter(X: Any, y: Any) -> int:
    """The control: rows for which the same boosting answers otherwise when the types of its columns are thrown away."""
    words = [name for name in X.columns if isinstance(X[name].dtype, pd.CategoricalDtype)]
    codes = X.assign(**{name: X[name].cat.codes for name in words})
    fit: Callable[[Any], Any] = lambda X: (
        HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(X, y).predict(X)
    )
    return int((fit(X) != fit(codes)).sum())


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute: fewer trees, rows and requests")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    began, trees, n = time.perf_counter(), 10 if quick else 60, 1 if quick else 4
    claims, findings, accuracy = [], [], {}
    for name, data in {"Adult": adult, "Telco": telco, "made-up": made_up}.items():
        X, y, people = data()
        if quick:
            X, y, people = X[:3_000], y[:3_000], people[:3_000]
        boosted = [c for c in X.columns if X[c].dtype.kind != "M" and str(X[c].dtype) != "str"]
        changed = types_matter(X[boosted], y)
        claims.append(
            claim(f"{name}: control, answers that change where types are thrown away", changed, 1, changed > 0)
        )
        for kind, (estimator, columns) in estimators(X, trees).items():
            differ, mine, its = answers_that_differ(estimator, X[columns], y, people)
            wrong, fit_s = deletions_that_differ(estimator, X[columns], y, people, n)
            accuracy[f"{name}, {kind}"] = {"Sisa, one unit": mine, "by itself": its, "fit_cpu_s": round(fit_s, 2)}
            say(f"{name}, {kind}: accuracy {mine:.4f} and {its:.4f}, fit at {SHARDS} shards {fit_s:.1f} s of CPU")
            claims += [
                claim(f"{name}, {kind}: rows answered otherwise than by the estimator itself", differ, 0, differ == 0),
                claim(f"{name}, {kind}: accuracy less that of the estimator itself", mine - its, 0, mine == its),
                claim(f"{name}, {kind}: deletions of {n} that differ from a fit without", wrong, 0, wrong == 0),
            ]
        if name == "Telco":
            findings.append(overhead(X, y, people))
    boosted = {name: version(name) for name in ("xgboost-cpu", "lightgbm", "catboost", "pandas")}
    finish("exact_frames", claims, began, findings, quick=quick, accuracy=accuracy, libraries=boosted)


def overhead(X: Any, y: Any, people: Any) -> dict[str, Any]:
    """What Sisa costs beside the fits that it consists of."""
    sisa(by_type(), shards=SHARDS).fit(X, y, subjects=people.tolist())  # whatever is loaded when first used
    began = time.process_time()
    model = sisa(by_type(), shards=SHARDS).fit(X, y, subjects=people.tolist())
    sisa_s = time.process_time() - began
    shards = [shard.positions for shard in model._fitted().learned.shards.values()]
    began = time.process_time()
    for rows in shards:
        by_type().fit(X.iloc[rows], y[rows])
    alone_s = time.process_time() - began
    return finding(
        f"Telco, {SHARDS} shards, columns chosen by type: CPU of Sisa's fit over that of {SHARDS} fits of the estimator",
        round(sisa_s / alone_s, 2),
        None,
        "one machine, one run; the smallest unit is fitted twice to see that it repeats",
    )


if __name__ == "__main__":
    main()
