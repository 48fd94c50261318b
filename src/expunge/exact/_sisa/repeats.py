"""Whether an estimator repeats: a unit trained twice has to have the same values, or no fit can be compared with another."""

from typing import Any

from sklearn.pipeline import Pipeline

from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.exact._sisa.digest import digest_value


def refuse_unrepeated(unit: str, once: Any, again: Any) -> None:
    """Raises: InvalidParameter, for what two fits of one unit left behind."""
    where = ", ".join(_different(once, again)) or "its state"
    raise InvalidParameter(
        f"{type(once).__name__} does not repeat: two fits of {unit} on the same records differ in {where}, so no deletion "
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
