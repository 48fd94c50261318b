"""Whether an estimator repeats: a unit trained twice has to have the same values, or no fit can be compared with another."""

from collections.abc import Mapping
from typing import Any

from sklearn.pipeline import Pipeline

from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.engine import digest_value
from expunge.exact._sisa.unit import Stage, Trained, Training


def smallest(units: Mapping[int, Trained]) -> tuple[int, int] | None:
    """The unit of fewest records that was trained, and its first stage (from 0) that has a model."""
    trained = [(len(unit.positions), number) for number, unit in units.items() if unit.serves]
    if not trained:
        return None
    _, number = min(trained)
    return number, next(r for r, stage in enumerate(units[number].stages) if stage.data)


def refuse_other(unit: str, once: Stage, again: Stage, training: Training) -> None:
    """Raises: InvalidParameter, where two trainings of one stage came to different values."""
    if once.digest == again.digest:
        return
    first, second = training.load(once.data), training.load(again.data)
    where = ", ".join(_different(first, second)) or "its state"
    raise InvalidParameter(
        f"{type(first).__name__} does not repeat: two fits of {unit} on the same records differ in {where}, so no deletion "
        "could equal a fit without. Leave out of it what keeps the time, or draws from elsewhere than its random_state, "
        "numpy.random or random; nothing was fitted"
    )


def _different(once: Any, again: Any, path: str = "") -> list[str]:
    """Names of the attributes of two models whose values differ, steps of a Pipeline by theirs."""
    if isinstance(once, Pipeline):
        pairs = zip(once.steps, again.steps, strict=True)
        return [name for (step, a), (_, b) in pairs for name in _different(a, b, f"{path}{step}.")]
    held, other = getattr(once, "__dict__", {}), getattr(again, "__dict__", {})
    return [
        f"{path}{name}" for name in sorted(held.keys() | other.keys()) if _digest(held, name) != _digest(other, name)
    ]


def _digest(held: dict[str, Any], name: str) -> str:
    try:
        return digest_value(held.get(name))
    except ExpungeError:  # a part that cannot be digested alone; the whole said that they differ
        return ""
