import zlib

import pytest

from expunge.verify.metrics.zlib_score import zlib_score


def test_the_order_is_that_of_nll_over_compressed_length_turned_round() -> None:
    rows = [(-0.2, "abc"), (-0.2, "abcabcabcabc"), (-3.0, "a b c d e f"), (-1.0, "é" * 40)]
    published = [-logp / len(zlib.compress(bytes(text, "utf-8"))) for logp, text in rows]
    assert [-zlib_score(*row) for row in rows] == pytest.approx(published)


def test_of_two_equally_likely_texts_the_one_with_less_in_it_counts_as_more_suspicious_only_if_unlikely() -> None:
    repeated, varied = "na " * 30, "the quick brown fox jumps over the lazy dog and runs away from the farm yard today"
    assert zlib_score(-1.0, varied) > zlib_score(-1.0, repeated)
