"""XGBoost, LightGBM and CatBoost as estimators of a unit: allowed by name, pinned so that they repeat.

Each writes its trees in its own format, which is what a saved unit holds of them; skops keeps the parameters around it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

LIBRARIES = {"xgboost": ("xgboost", "xgboost-cpu"), "lightgbm": ("lightgbm",), "catboost": ("catboost",)}
CLASSES = {
    *(f"xgboost.sklearn.XGB{kind}" for kind in ("Classifier", "Regressor", "RFClassifier", "RFRegressor")),
    "xgboost.core.Booster",
    *(f"lightgbm.sklearn.LGBM{kind}" for kind in ("Classifier", "Regressor")),
    "lightgbm.basic.Booster",
    *(f"catboost.core.CatBoost{kind}" for kind in ("Classifier", "Regressor")),
}
# One thread, as all units are trained on. LightGBM else chooses by a stopwatch how it sums, CatBoost leaves logs on disk.
_PINNED: dict[str, dict[str, Any]] = {
    "xgboost": {"n_jobs": 1},
    "lightgbm": {"n_jobs": 1, "deterministic": True, "force_col_wise": True},
    "catboost": {"thread_count": 1, "allow_writing_files": False},
}
_ERRORS = ("LightGBMError", "CatBoostError")  # XGBoost's is a ValueError


def pinned(estimator: Any, declared: Collection[str] = ()) -> Any:
    """The unfitted estimator, changed so that every booster in it repeats, but for parts that were fitted elsewhere."""
    for name, library, part in _boosters(estimator):
        if not any(name == frozen or name.startswith(f"{frozen}__") for frozen in declared):
            part.set_params(**_PINNED[library])
    return estimator


def distributions(estimator: Any) -> list[str]:
    """Names of the packages that the boosters in an estimator come from, under any name that they have."""
    libraries = {library for _, library, _ in _boosters(estimator)}
    return [name for library in sorted(libraries) for name in LIBRARIES[library]]


@contextmanager
def as_value_errors() -> Iterator[None]:
    """What a booster says against its data, as scikit-learn's estimators say it."""
    try:
        yield
    except Exception as e:
        if type(e).__name__ in _ERRORS:
            raise ValueError(str(e)) from e
        raise


def install(module: str | None) -> str:
    """How to get a library that is missing."""
    library = (module or "").partition(".")[0]
    extra = "'expunge[boosters]'" if library in LIBRARIES else library
    return f"install it with: pip install {extra}"


def _boosters(estimator: Any) -> Iterator[tuple[str, str, Any]]:
    """Of each booster in an estimator the name of its parameter, its library, and itself."""
    for name, part in {"": estimator, **estimator.get_params(deep=True)}.items():
        kind = type(part)
        if f"{kind.__module__}.{kind.__qualname__}" in CLASSES:
            yield name, kind.__module__.partition(".")[0], part
