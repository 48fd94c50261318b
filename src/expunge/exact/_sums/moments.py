"""Mean and variance that can be subtracted for ever: sums are whole numbers of a fixed smallest unit, so none is rounded.

A float64 is a whole number of 53 bits times a power of two. Its sum over records is added up by exponent, in parts of
27 bits whose float64 sums are exact, and put together as a Python integer; so is the sum of squares. The idea of an
accumulator as wide as all exponents is Kulisch's (2013), "Computer arithmetic and validity".
Shapes: X [n, d]; every list has one entry per feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidData

LARGEST = 2.0**500  # of a value, so that every variance is a float64
_UNIT = 1126  # sums are multiples of 2^-1126, which every float64 is; sums of squares of 2^-2252
_HALF = 27  # bits
_CHUNK = 1 << 16  # records at a time, for memory; below 2^26, for exactness


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of squares of some records, exactly; equal records in any order give equal moments."""

    n: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]

    @classmethod
    def of(cls, X: NDArray[np.float64]) -> "Moments":
        total = cls(0, (0,) * X.shape[1], (0,) * X.shape[1])
        for first in range(0, len(X), _CHUNK):
            total += _of(np.asarray(X[first : first + _CHUNK]))
        return total

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.n + other.n,
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
        )

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(
            self.n - other.n,
            tuple(a - b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(a - b for a, b in zip(self.squares, other.squares, strict=True)),
        )

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """The mean of every feature, rounded once."""
        return np.array([_ratio(s, self.n, _UNIT) for s in self.sums])

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """The variance (divisor n) of every feature, rounded once: 0 where the feature is constant or its spread below 1e-162.

        >>> Moments.of(np.full((3, 1), 0.1)).variance
        array([0.])
        >>> Moments.of(np.array([[1e7], [1e7 + 1]])).variance
        array([0.25])
        """
        spread = [self.n * q - s * s for s, q in zip(self.sums, self.squares, strict=True)]
        return np.array([_ratio(v, self.n * self.n, 2 * _UNIT) for v in spread])

    def packed(self) -> list[list[str]]:
        """Sums and sums of squares as text, each in its shortest form."""
        return [[_text(v) for v in self.sums], [_text(v) for v in self.squares]]

    @classmethod
    def unpacked(cls, n: int, packed: Sequence[Sequence[str]]) -> "Moments":
        sums, squares = ([_number(t) for t in texts] for texts in packed)
        return cls(n, tuple(sums), tuple(squares))


def check_size(X: NDArray[np.float64]) -> None:
    """Raise InvalidData where a value is so large that a squared distance or a variance may not be a float64."""
    if X.size and max(X.max(), -X.min()) > LARGEST:
        raise InvalidData(f"a value is larger than {LARGEST:.3g}; its square is no float64. Rescale the data")


def _of(X: NDArray[np.float64]) -> Moments:
    n, d = X.shape
    fraction, exponent = np.frexp(X)
    whole = np.ldexp(fraction, 53).astype(np.int64)  # X = whole * 2^(exponent - 53)
    lowest = int(exponent.min())
    n_shifts = int(exponent.max()) - lowest + 1
    places = ((exponent - lowest) + np.arange(d) * n_shifts).ravel()  # of a feature and an exponent
    used = np.flatnonzero(np.bincount(places))
    high, low = whole >> _HALF, whole & ((1 << _HALF) - 1)

    def added(values: NDArray[np.int64]) -> NDArray[np.object_]:
        """Exact sums of values below 2^54 in size, by place."""
        parts = (values >> _HALF, values & ((1 << _HALF) - 1))
        top, rest = (np.bincount(places, part.ravel())[used].astype(np.int64).astype(object) for part in parts)
        total: NDArray[np.object_] = (top << _HALF) + rest
        return total

    sums, squares = [0] * d, [0] * d
    of_feature, shifts = used // n_shifts, used % n_shifts + (lowest - 53 + _UNIT)
    for feature, shift, value in zip(of_feature.tolist(), shifts.tolist(), added(whole), strict=True):
        sums[feature] += value << shift
    of_squares = (added(high * high) << 2 * _HALF) + (added(high * low) << _HALF + 1) + added(low * low)
    for feature, shift, value in zip(of_feature.tolist(), shifts.tolist(), of_squares, strict=True):
        squares[feature] += value << 2 * shift
    return Moments(n, tuple(sums), tuple(squares))


def _ratio(value: int, divisor: int, unit: int) -> float:
    """value * 2^-unit / divisor, rounded once; division of integers is correctly rounded in Python."""
    return value / (divisor << unit)


def _text(value: int) -> str:
    zeros = (value & -value).bit_length() - 1 if value else 0
    return f"{value >> zeros:x}p{zeros}"


def _number(text: str) -> int:
    digits, _, zeros = text.partition("p")
    return int(digits, 16) << int(zeros)
