import pytest

from expunge.verify.metrics.repetition import repeated_share


def test_it_counts_what_was_said_before() -> None:
    assert repeated_share("a b a b a b", n=2) == pytest.approx(1 - 2 / 5)
    assert repeated_share("a b c d e f", n=3) == 0.0
    assert repeated_share("x " * 100, n=3) > 0.98
    assert repeated_share("a b", n=3) == 0.0
