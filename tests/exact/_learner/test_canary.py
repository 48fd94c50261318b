"""Whatever decides bits and has no name shows in what a learner makes of a fixed table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer as Tfidf
from sklearn.linear_model import LogisticRegression as Plain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from expunge.core import Equality, Route
from expunge.core.digests import digest_json
from expunge.core.errors import DigestMismatch, RecipeMismatch
from expunge.core.recipe import WITHOUT_CANARY
from expunge.exact import GaussianNB, Sisa, TorchTraining
from expunge.exact._learner.canary import fixed_rows, fixed_targets
from expunge.exact._sums.moments import Moments
from expunge.testing.tabular import CASES, SALT, numbers

TABLE = numbers(1)
WITHOUT = ()
TEXTS = [f"one {word} and {other}" for word in ("red", "blue") for other in ("fox", "dog", "cat", "hen")] * 5
RECORDS = {
    "texts": TEXTS,
    "numbers": np.ones((3, 4)),
    "indices": np.ones((3, 2, 2), dtype=np.int64),
    "a sparse matrix": sparse.csr_matrix(np.eye(3, 200)),
    "words and numbers": np.array([["a", 1.0], ["b", 2.0]], dtype=object),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_fixed_rows_have_the_form_of_the_records_and_nothing_of_their_values(kind: str) -> None:
    like, rows = RECORDS[kind], fixed_rows(RECORDS[kind])
    assert type(rows) is type(like)
    if isinstance(like, list):
        assert len(set(rows)) > 10
        assert not set(rows) & set(like)
        return
    assert rows.shape == (64, *like.shape[1:])
    assert rows.dtype == like.dtype
    again = fixed_rows(like * 7 if like.dtype != object else np.array([[None, "n/a"], [2.0, 0.5]], dtype=object))
    equal = (rows != again).nnz == 0 if sparse.issparse(rows) else bool((rows == again).all())
    assert equal, "of other values it is the same table"


def test_targets_are_two_classes_or_many_values() -> None:
    assert sorted(set(fixed_targets(classes=True).tolist())) == [0, 1]
    assert len(set(fixed_targets(classes=False).tolist())) > 10
    assert fixed_targets(classes=True, several=True).shape == (64, 2)


def _table(X: Any = None) -> tuple[Any, Any]:
    draws = np.random.default_rng(0)
    made = draws.normal(size=(60, 3)) if X is None else X
    return made, (np.arange(len(made)) // 2) % 2


def _torch() -> TorchTraining:
    from torch import nn, optim

    def train(module: Any, X: Any, y: Any, epochs: int, seed: int) -> None:
        optimizer = optim.SGD(module.parameters(), lr=0.1)
        for _ in range(epochs):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X.float()), y).backward()
            optimizer.step()

    return TorchTraining(lambda: nn.Linear(3, 2), train)


SISAS: dict[str, tuple[Any, Any]] = {
    "a classifier": (Plain(), None),
    "a pipeline": (make_pipeline(StandardScaler(), Plain()), None),
    "texts": (make_pipeline(Tfidf(), Plain()), TEXTS),
    "words": (make_pipeline(OneHotEncoder(), Plain()), np.array([["a", "x"], ["b", "y"]] * 30, dtype=object)),
    "torch": (_torch(), None),
}


@pytest.mark.parametrize("kind", SISAS)
def test_a_unit_is_not_rebuilt_where_the_same_fit_gives_other_bits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a library was built otherwise, or a GPU is another one."""
    estimator, X = SISAS[kind]
    X, y = _table(X)
    made = lambda: Sisa(estimator, shards=2, workers=1, salt=SALT, classes=[0, 1])
    model = made().fit(X, y)
    assert model.state()["canary"].startswith("sha256:")
    model.forget(records=[3])
    assert model.digest() == made().fit(_drop(X, 3), np.delete(y, 3)).digest(), "the control: here the bits repeat"

    before, rest = model.digest(), _drop(_drop(X, 3), 4)
    (_another_linear if kind == "torch" else _another_minimize)(monkeypatch)
    fresh = made().fit(rest, np.delete(y, [3, 5]))
    with pytest.raises(RecipeMismatch, match="a fixed piece of this model's own work gives other bits"):
        model.forget(records=[5])
    assert model.digest() == before
    monkeypatch.undo()
    model.forget(records=[5])
    assert model.digest() == made().fit(rest, np.delete(y, [3, 5])).digest() != fresh.digest(), "the mode decided bits"


def _another_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of a processor that rounds otherwise."""
    from torch.nn import functional

    linear = functional.linear
    monkeypatch.setattr(
        functional, "linear", lambda x, w, b=None: (linear(x.double(), w.double()) + (0 if b is None else b)).float()
    )


def _another_minimize(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver of another build, which ends one rounding further."""
    from scipy import optimize

    minimize = optimize.minimize

    def rounds_otherwise(*given: Any, **more: Any) -> Any:
        found = minimize(*given, **more)
        found.x = np.nextafter(found.x, np.inf)
        return found

    monkeypatch.setattr(optimize, "minimize", rounds_otherwise)


def test_a_mode_of_scikit_learn_is_refused_by_its_name() -> None:
    X, y = _table()
    made = lambda: Sisa(make_pipeline(StandardScaler(), Plain()), shards=2, workers=1, salt=SALT)
    model = made().fit(X, y)
    before = model.digest()
    with sklearn.config_context(transform_output="pandas"):
        assert made().fit(X, y).units() != model.units(), "the control: the mode decides bits"
        with pytest.raises(RecipeMismatch, match=r"scikit-learn\.transform_output was 'default', is 'pandas'"):
            model.forget(records=[3])
    assert model.digest() == before
    with sklearn.config_context(assume_finite=True, display="text"):
        model.forget(records=[3])
    assert model.digest() == made().fit(_drop(X, 3), np.delete(y, 3)).digest()


def _drop(X: Any, i: int) -> Any:
    return X[:i] + X[i + 1 :] if isinstance(X, list) else np.delete(X, i, axis=0)


class Picky(Plain):
    """Fails on a table that begins with this number, as the fixed one does with 0."""

    refused: float | None = 0.0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Picky":
        if X[0, 0] == self.refused:
            raise ValueError("this is no table of mine")
        super().fit(X, y)
        return self


def test_an_estimator_that_cannot_learn_from_a_fixed_table_has_no_canary() -> None:
    X, y = _table()
    model = Sisa(Picky(), shards=2, workers=1, salt=SALT).fit(X, y)
    assert "canary" not in model.state()
    assert WITHOUT_CANARY in model.promise().assumptions == model.plan(records=[3]).promise.assumptions
    assert WITHOUT_CANARY not in Sisa(Plain(), shards=2, workers=1, salt=SALT).fit(X, y).promise().assumptions
    model.forget(records=[3])


def test_a_canary_that_ran_at_the_fit_and_cannot_be_run_here_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = _table()
    with monkeypatch.context() as able:
        able.setattr(Picky, "refused", None)
        model = Sisa(Picky(), shards=2, workers=1, salt=SALT).fit(X, y)
    before = model.digest()
    with pytest.raises(RecipeMismatch, match="could not be run here: ValueError: this is no table of mine"):
        model.forget(records=[3])
    assert model.digest() == before


@pytest.mark.parametrize("name", ["k_means", "forest", "gaussian_nb"])
def test_a_canary_that_somebody_wrote_into_a_saved_model_is_refused(name: str, tmp_path: Path) -> None:
    model = CASES[name].data(1, 60).fit(CASES[name].make())
    model.save(tmp_path)
    path = tmp_path / "expunge.json"
    described = json.loads(path.read_text())
    without = {k: v for k, v in described.items() if k != "canary"}
    for edited in ({**described, "canary": "sha256:other"}, without, {**described, "canary": None}):
        path.write_text(json.dumps(edited))
        with pytest.raises(DigestMismatch, match="does not add up to its digest"):
            type(model).load(tmp_path, salt=SALT)
    path.write_text(json.dumps(described))
    assert type(model).load(tmp_path, salt=SALT).equals(model), "the control"


def test_a_model_of_0_1_0_opens_with_its_digest_and_equals_a_fit_of_today(tmp_path: Path) -> None:
    """It names no canary, and its digest covers none."""
    model = TABLE.fit(GaussianNB(salt=SALT))
    model.save(tmp_path)
    path = tmp_path / "expunge.json"
    described = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("canary", "digest")}
    state = {k: v for k, v in model.state().items() if k != "canary"}
    path.write_text(json.dumps({**described, "digest": digest_json("learner", state)}))
    earlier = GaussianNB.load(tmp_path, salt=SALT)
    assert earlier.digest() == digest_json("learner", state) != model.digest()
    assert earlier.equals(model)
    assert model.equals(earlier)
    assert WITHOUT_CANARY in earlier.promise().assumptions
    assert WITHOUT_CANARY not in model.promise().assumptions
    model.forget(records=[0])
    assert not model.equals(earlier), "the control"


def test_arithmetic_is_looked_at_before_it_is_done_again_and_keeps_its_canary_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TABLE.fit(GaussianNB(salt=SALT))
    model.save(tmp_path)
    (described,) = [json.loads(p.read_text()) for p in tmp_path.glob("*.json")]
    assert described["canary"] == model._fitted().recipe.canary
    loaded = GaussianNB.load(tmp_path, salt=SALT)
    of = Moments.of
    monkeypatch.setattr(Moments, "of", lambda X: of(X.astype(np.float32).astype(float)))  # of a narrower processor
    most = list(range(TABLE.fit(GaussianNB(salt=SALT)).n_records - 10))
    assert loaded.plan(records=most).route is Route.RETRAIN
    for one in (model, loaded):
        with pytest.raises(RecipeMismatch):
            one.forget(records=most)
        one.forget(records=[0])  # subtracting is no rebuild


@pytest.mark.parametrize("name", CASES)
def test_every_tabular_learner_has_a_canary_that_sings_twice_alike(name: str) -> None:
    case = CASES[name]
    model, again = (case.data(1, 60).fit(case.make()) for _ in range(2))
    assert model._fitted().recipe.canary == again._fitted().recipe.canary
    assert (model._fitted().recipe.canary is None) == (case.equality is Equality.NUMERIC or name in WITHOUT)


def test_objects_that_left_do_not_change_the_canary() -> None:
    """A record that leaves is overwritten by None, and one odd value is nobody's business."""
    X = np.array([["ab"[i % 2], 0.5 * i] for i in range(40)], dtype=object)
    y = np.arange(40) // 2 % 2
    by_column = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]), (StandardScaler(), [1]))
    made = lambda: Sisa(make_pipeline(by_column, Plain()), shards=2, workers=1, salt=SALT)
    model = made().fit(X, y)
    for record in (7, 3):
        model.forget(records=[record])
    assert model.digest() == made().fit(np.delete(X, [7, 3], axis=0), np.delete(y, [7, 3])).digest()


def test_the_canary_is_of_one_thread_as_units_are() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    X, y = _table(np.random.default_rng(0).normal(size=(120, 8)))
    with threadpool_limits(limits=1):
        model = Sisa(HistGradientBoostingClassifier(max_iter=5), shards=2, workers=1, salt=SALT).fit(X, y)
    with threadpool_limits(limits=4):
        model.forget(records=[3])


def test_a_saved_model_finds_the_stages_that_it_must_remove(tmp_path: Path) -> None:
    X, y = _table()
    Sisa(Plain(), shards=2, workers=1, salt=SALT).fit(X, y, work=tmp_path / "work").save(tmp_path / "m")
    before = {p.name for p in (tmp_path / "work").iterdir()}
    Sisa.load(tmp_path / "m", salt=SALT).forget(records=[3], work=tmp_path / "work")
    assert len(before - {p.name for p in (tmp_path / "work").iterdir()}) == 1
