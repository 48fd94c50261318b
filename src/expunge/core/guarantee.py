"""What a removal promises, and under which assumptions. See DESIGN, "Promises"."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Guarantee(StrEnum):
    """The kind of claim a method can make, strongest first."""

    EXACT = "EXACT"
    CERTIFIED = "CERTIFIED"
    EMPIRICAL = "EMPIRICAL"
    SUPPRESSED = "SUPPRESSED"
    UNKNOWN = "UNKNOWN"


class Equality(StrEnum):
    """In which sense an EXACT result equals training without the data."""

    BITWISE = "bitwise"
    NUMERIC = "numeric"
    DISTRIBUTIONAL = "distributional"


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A guarantee with everything that a reader needs beside the word.

    >>> Promise(guarantee=Guarantee.EMPIRICAL, scope="weights").guarantee
    <Guarantee.EMPIRICAL: 'EMPIRICAL'>
    """

    guarantee: Guarantee
    equality: Equality | None = None
    adaptive_safe: bool = False
    scope: str = "full state"
    assumptions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, promise: Mapping[str, Any]) -> "Promise":
        """A promise as it was recorded.

        >>> promise = Promise(guarantee=Guarantee.EXACT, equality=Equality.BITWISE, assumptions=("a clean base",))
        >>> Promise.from_json(promise.to_json()) == promise
        True
        """
        equality = promise["equality"]
        typed = {
            "guarantee": Guarantee(promise["guarantee"]),
            "equality": Equality(equality) if equality else None,
            "assumptions": tuple(promise["assumptions"]),
        }
        return cls(**{**promise, **typed})
