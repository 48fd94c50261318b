"""Learners made of units: fit / predict / forget. The result of `forget` equals training without the data."""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from expunge.exact._registry import learners as learners

if TYPE_CHECKING:
    from expunge.exact._adapter.parameters import read_parameters as read_parameters
    from expunge.exact._learner.fitted import Learned as Learned
    from expunge.exact._learner.learner import Learner as Learner
    from expunge.exact._learner.learner import load as load
    from expunge.exact._learner.planner import Planner as Planner
    from expunge.exact._learner.planner import expected_cost as expected_cost
    from expunge.exact._learner.planner import expected_cost_with_prior as expected_cost_with_prior
    from expunge.exact._learner.rows import Place as Place
    from expunge.exact._learner.rows import Positions as Positions
    from expunge.exact._learner.rows import Rows as Rows
    from expunge.exact._sisa.torch_training import TorchTraining as TorchTraining
    from expunge.exact.adapter_shards import AdapterShards as AdapterShards
    from expunge.exact.forest import Forest as Forest
    from expunge.exact.gaussian_nb import GaussianNB as GaussianNB
    from expunge.exact.k_means import KMeans as KMeans
    from expunge.exact.k_neighbors import KNeighbors as KNeighbors
    from expunge.exact.logistic_regression import LogisticRegression as LogisticRegression
    from expunge.exact.multinomial_nb import MultinomialNB as MultinomialNB
    from expunge.exact.one_hot_encoder import OneHotEncoder as OneHotEncoder
    from expunge.exact.ridge import Ridge as Ridge
    from expunge.exact.sisa import Sisa as Sisa
    from expunge.exact.standard_scaler import StandardScaler as StandardScaler
    from expunge.exact.tfidf_vectorizer import TfidfVectorizer as TfidfVectorizer

_HOMES = {
    "Learned": "_learner.fitted",
    "Learner": "_learner.learner",
    "Place": "_learner.rows",
    "Positions": "_learner.rows",
    "Rows": "_learner.rows",
    "load": "_learner.learner",
    "read_parameters": "_adapter.parameters",
    "Planner": "_learner.planner",
    "expected_cost": "_learner.planner",
    "expected_cost_with_prior": "_learner.planner",
    "TorchTraining": "_sisa.torch_training",
}


def __getattr__(name: str) -> Any:
    """Learners by class name, and what goes with them; imported when first used, so that listing needs no torch."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    file = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    if file in learners.names():
        return learners.get(file)
    raise AttributeError(f"expunge.exact has no '{name}'; learners: {', '.join(learners.names())}")
