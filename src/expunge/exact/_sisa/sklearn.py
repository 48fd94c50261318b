"""Train one unit of a scikit-learn estimator or Pipeline, stage by stage, and keep it without pickle.

A stage that continues takes the model after the stage before and passes over the records with `partial_fit`. What a
Pipeline fits on data before its last step is fitted on the first non-empty slice, and frozen.
"""

import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from expunge.core.errors import InvalidParameter, MissingExtra, UnreadableModel, UnsafeWeights
from expunge.core.seeds import derived_seed
from expunge.engine import digest_value
from expunge.exact._learner.rows import Positions, take
from expunge.exact._sisa import boosters
from expunge.exact._sisa.frames import framed
from expunge.exact._sisa.skops_alone import io

# What boosting on categories and searches are made of besides: calls of functions that do nothing but compute.
_ALSO = {"functools.partial", "builtins.object", "collections.OrderedDict", "sklearn.utils.validation.check_array"}
_ROOTS = ("sklearn", "numpy", "scipy")
_NEVER = {"tests", "testing", "f2py", "distutils", "ctypeslib", "externals", "datasets"}


@dataclass(frozen=True)
class SklearnTraining:
    """How to train a template. `columns` describe the data frames that it is given, `routed` says how it is given weights:
    as scikit-learn's metadata routing finds its way, or to the last step. `modes` are what scikit-learn is set to meanwhile:
    its settings are a thread's own, and a worker has others.
    """

    template: Any
    declared: tuple[str, ...] = ()
    columns: dict[str, Any] | None = None
    routed: bool = False
    modes: dict[str, Any] = field(default_factory=dict)

    def check(self, passes: bool) -> None:
        """Raises: InvalidParameter, where a unit trained this way would depend on more than its own records."""
        if not hasattr(self.template, "fit") or isinstance(self.template, type):
            raise InvalidParameter(f"estimator must be an estimator with fit, got {self.template!r}")
        given = self.template.get_params(deep=True)
        fitted = {k for k, v in given.items() if _stays_fitted(v)}
        outer = {k for k in fitted if not any(k.startswith(f"{other}__") for other in fitted)}
        if _stays_fitted(_last(self.template)):
            raise InvalidParameter(
                "the estimator is frozen: nothing of it would be trained, and nothing could be forgotten"
            )
        if undeclared := sorted(outer - set(self.declared)):
            raise InvalidParameter(
                f"{undeclared} is fitted already, on data that no unit holds; fit it in the units, or name it in "
                f"declared={tuple(undeclared)!r} if it never saw data that may have to leave"
            )
        if unknown := sorted(set(self.declared) - outer):
            raise InvalidParameter(
                f"declared names {unknown}, but there is no such fitted step; there is {sorted(outer)}"
            )
        if cached := sorted(k for k, v in given.items() if k.split("__")[-1] == "memory" and v is not None):
            raise InvalidParameter(f"{cached} caches fits on disk, where deleted data would stay; set it to None")
        if passes and not hasattr(_last(self.template), "partial_fit"):
            raise InvalidParameter(
                f"slices > 1 and epochs need an estimator that continues: {type(_last(self.template)).__name__} has no "
                "partial_fit; use slices=1 without epochs"
            )

    def check_weights(self, passes: bool) -> None:
        """Raises: InvalidParameter, where nothing that learns would take a weight a record."""
        last = _last(self.template)
        method = "partial_fit" if passes else "fit"
        parameters = signature(getattr(last, method)).parameters.values()
        if not any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters):
            raise InvalidParameter(
                f"sample_weight was given, but {method} of {type(last).__name__} takes none; fit without, or choose an "
                "estimator that weighs its records"
            )

    def stage(
        self,
        model: Any,
        X: Any,
        y: Any,
        orders: Sequence[Positions] | None,
        classes: Any,
        seed: int,
        weights: NDArray[np.float64] | None = None,
    ) -> Any:
        """The model after one more stage: one pass per order, or, without orders, one fit. `model` is changed."""
        X = self.given(X)
        with config_context(**{**self.modes, "enable_metadata_routing": self.routed}), boosters.as_value_errors():
            if orders is None:
                return self._fresh(seed).fit(X, y, **self._weighted(weights))
            fresh = model is None
            if fresh:
                model = self._fresh(seed)
            head, last = _head(model), _last(model)
            if head is not None:
                X = head.fit_transform(X, y) if fresh else head.transform(X)
            self._seeded(last, seed)
            known = {} if classes is None else {"classes": classes}
            for order in orders:
                weighted = {} if weights is None else {"sample_weight": weights[order]}
                last.partial_fit(take(X, order), y[order], **known, **weighted)
            return model

    def values(self, model: Any, X: Any, classes: Any) -> Any:
        """Labels, or a regressor's values."""
        return model.predict(X)

    def probabilities(self, model: Any, X: Any, classes: Any) -> tuple[Any, Any]:
        """Classes of the model, and the probability of each, [N, C]."""
        return model.classes_, model.predict_proba(X)

    @property
    def has_probabilities(self) -> bool:
        return hasattr(self.template, "predict_proba")

    def digest(self, model: Any) -> str:
        return digest_value(model)

    def dump(self, model: Any) -> bytes:
        data: bytes = io.dumps(model)
        return data

    def load(self, data: bytes) -> Any:
        """A model from its bytes.

        Raises: UnsafeWeights, for types that are neither scikit-learn's, numpy's or scipy's nor the template's.
        """
        return loads(data, self.template)

    def _fresh(self, seed: int) -> Any:
        """A new estimator to be fitted once, which will repeat."""
        return self._seeded(boosters.pinned(unfitted(self.template), self.declared), seed)

    def _seeded(self, model: Any, seed: int) -> Any:
        """The model with every random state set from the seed, but for steps that are not trained."""
        states = sorted(k for k in model.get_params(deep=True) if k.split("__")[-1] == "random_state")
        own = [k for k in states if not any(k.startswith(f"{name}__") for name in self.declared)]
        salt = seed.to_bytes(8, "big")
        return model.set_params(**{k: derived_seed(salt, k) % 2**32 for k in own})

    def given(self, X: Any) -> Any:
        """Records as the estimator is given them: a frame again, where they came as one."""
        return X if self.columns is None else framed(X, self.columns)

    def _weighted(self, weights: NDArray[np.float64] | None) -> dict[str, Any]:
        """Weights under the name by which `fit` hands them to what learns."""
        if weights is None:
            return {}
        if self.routed or not isinstance(self.template, Pipeline):
            return {"sample_weight": weights}
        return {f"{self.template.steps[-1][0]}__sample_weight": weights}


def loads(data: bytes, template: Any = None) -> Any:
    """What `skops.io.dumps` wrote, if it is made of types that are known to be harmless.

    Raises: UnsafeWeights; UnreadableModel.
    """
    try:
        found = io.get_untrusted_types(data=data)
        own = _types_of(template)
        if strange := sorted(name for name in found if name not in own and not _harmless(name)):
            advice = "give estimator= if it is your own" if template is None else "train without it"
            raise UnsafeWeights(
                f"the saved estimator holds {', '.join(strange)}, which is neither scikit-learn's, numpy's, scipy's or "
                f"a booster's nor a class of the estimator given; it is not loaded: {advice}"
            )
        return io.loads(data, trusted=found)
    except UnsafeWeights:
        raise
    except ModuleNotFoundError as e:
        raise MissingExtra(
            f"the saved estimator needs {e.name}, which is not installed; {boosters.install(e.name)}"
        ) from e
    except Exception as e:
        raise UnreadableModel(f"a saved estimator cannot be read ({type(e).__name__}: {e})") from e


def unfitted(template: Any) -> Any:
    """A clone of an estimator that can be written down: metadata requests name their owner, which they would hold.

    It shares nothing with the estimator given: scikit-learn's own clone holds frozen parts themselves.

    Raises: InvalidParameter, for one that cannot be cloned.
    """
    try:
        new = clone(template)
    except RuntimeError as e:  # CatBoost copies what it is given; of a tuple the copy is the same
        raise InvalidParameter(f"{e}; where it takes a list, give a tuple") from e
    if any(_stays_fitted(part) for part in (new, *new.get_params(deep=True).values())):
        new = deepcopy(new)
    for part in (new, *new.get_params(deep=True).values()):
        requests = getattr(part, "__dict__", {}).get("_metadata_request")
        for request in () if requests is None else (requests, *vars(requests).values()):
            if hasattr(request, "owner"):
                request.owner = type(part).__name__
    return new


def dumped_template(template: Any) -> bytes | None:
    """An unfitted estimator as bytes; None where it is made of more than parameters that can be read back safely."""
    try:
        data: bytes = io.dumps(unfitted(template))
        loads(data)
    except Exception:  # noqa: BLE001 - whatever keeps it from being written; then it has to be given to load
        return None
    return data


def _harmless(name: str) -> bool:
    """Whether this is a class, or a function on arrays, of the libraries that estimators are made of."""
    if name in _ALSO or name in boosters.CLASSES:
        return True
    home, _, own = name.rpartition(".")
    parts = home.split(".")
    if parts[0] not in _ROOTS or _NEVER & set(parts):
        return False
    try:
        found = getattr(import_module(home), own)
    except (ImportError, AttributeError):
        return False
    score = isinstance(found, FunctionType) and found.__module__.startswith("sklearn.metrics.")
    return score or isinstance(found, type | np.ufunc)


def _types_of(template: Any) -> set[str]:
    """Names of the classes of an estimator and of all that it is made of, and of functions among its parameters."""
    if template is None or not hasattr(template, "get_params"):
        return set()
    values = [template, *template.get_params(deep=True).values()]
    own = {type(v) for v in values if isinstance(v, BaseEstimator)} | {v for v in values if isinstance(v, FunctionType)}
    return {f"{v.__module__}.{v.__qualname__}" for v in own if v.__module__ in sys.modules}


def _stays_fitted(value: Any) -> bool:
    """Whether a clone keeps what was fitted, as that of a frozen estimator does."""
    own = getattr(type(value), "__sklearn_clone__", None)
    return own is not None and own is not BaseEstimator.__sklearn_clone__


def _last(model: Any) -> Any:
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def _head(model: Any) -> Any:
    """All steps of a Pipeline before its last, as one transformer."""
    return model[:-1] if isinstance(model, Pipeline) and len(model.steps) > 1 else None
