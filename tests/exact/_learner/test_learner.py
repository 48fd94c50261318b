"""What is fitted is a value that is replaced in one step; a class that no registry knows is saved under its own name."""

from pathlib import Path
from typing import Any

import pytest

from expunge import exact
from expunge.core.errors import DigestMismatch, NotReady, RecipeMismatch, UnknownMethod
from expunge.exact import GaussianNB, LogisticRegression
from expunge.testing.tabular import SALT, numbers

TABLE = numbers(1)


class Own(GaussianNB):
    """As somebody writes it beside a recipe."""


def test_a_class_beside_a_recipe_is_loaded_by_its_own_load(tmp_path: Path) -> None:
    model = TABLE.fit(Own(salt=SALT))
    assert model.state()["kind"] == "Own"
    assert TABLE.fit(GaussianNB(salt=SALT)).state()["kind"] == "gaussian_nb"
    model.save(tmp_path)
    with pytest.raises(UnknownMethod, match=r"holds a 'Own', which neither .* offers; call that class's own load"):
        exact.load(tmp_path, salt=SALT)
    with pytest.raises(DigestMismatch, match="'Own'"):
        GaussianNB.load(tmp_path, salt=SALT)
    loaded = Own.load(tmp_path, salt=SALT)
    loaded.forget(records=[3])
    model.forget(records=[3])
    assert loaded.digest() == model.digest()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_happens_while_it_learns_or_unlearns_the_old_state_stays(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fails(*_: Any) -> None:
        raise error

    model = TABLE.fit(Own(salt=SALT))
    before = model._state
    for hook, change in (
        ("_learn", lambda: TABLE.fit(model)),
        ("_unlearn", lambda: model.forget(records=[0])),
        ("_learn", lambda: model.forget(records=list(range(50)))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Own, hook, fails)
            with pytest.raises((error, RecipeMismatch)):  # a canary that fails is one that differs
                change()
        assert model._state is before
    model.forget(records=[0])
    assert model._state is not before  # the control


def test_what_is_learned_is_an_attribute_once_it_is_fitted() -> None:
    model = GaussianNB(salt=SALT)
    assert not hasattr(model, "classes_")
    for name in ("tombstones", "n_records", "salt_"):
        with pytest.raises(NotReady, match="call fit first"):
            getattr(model, name)
    TABLE.fit(model)
    assert (model.classes_.tolist(), model.n_features_in_, model.salt_) == ([0, 1, 2, 7], 7, SALT)
    assert not hasattr(model, "coef_")
    assert {k for k in vars(model) if not k.startswith("_")} == {"salt", "var_smoothing"}


def test_a_parameter_that_may_change_is_in_the_digest_that_is_saved(tmp_path: Path) -> None:
    model = TABLE.fit(LogisticRegression(salt=SALT))
    before = model.digest()
    model.refit = False
    model.save(tmp_path)
    assert LogisticRegression.load(tmp_path, salt=SALT).digest() == model.digest() != before
