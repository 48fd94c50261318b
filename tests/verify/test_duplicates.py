import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from expunge.core.errors import InvalidParameter
from expunge.synthetic import people, records
from expunge.verify.duplicates import miss_probability, near_duplicates, normalised

SHINGLE = 5


def shingles(text: str) -> set[str]:
    """Written apart from the code under test: sets of strings, no hashes."""
    words = normalised(text).ljust(SHINGLE, "\0")
    return {words[i : i + SHINGLE] for i in range(len(words) - SHINGLE + 1)}


def brute_force(gone: list[str], kept: list[str], threshold: float) -> dict[tuple[int, int], float]:
    a, b = [shingles(t) for t in gone], [shingles(t) for t in kept]
    overlaps = {(i, j): len(x & y) / len(x | y) for i, x in enumerate(a) for j, y in enumerate(b)}
    return {pair: s for pair, s in overlaps.items() if s >= threshold}


def texts(first: int, n: int) -> list[str]:
    return [f"{r.question} {r.answer}" for r in records(people(n, skip=first), (0,))]


def edited(text: str, share: float, draw: random.Random) -> str:
    """Some letters replaced."""
    return "".join(draw.choice("abcdefgh") if draw.random() < share else c for c in text)


@pytest.fixture(scope="module")
def mixed() -> tuple[list[str], list[str]]:
    """Forgotten texts, and retained ones of which some are edited copies, at every overlap."""
    draw = random.Random(0)
    gone = texts(0, 5)
    copies = [edited(t, share, draw) for t in gone for share in (0.002, 0.005, 0.01, 0.02, 0.04, 0.08)]
    kept = texts(5, 40) + copies
    draw.shuffle(kept)
    return gone, kept


def test_it_finds_what_comparing_all_pairs_finds(mixed: tuple[list[str], list[str]]) -> None:
    gone, kept = mixed
    overlaps = brute_force(gone, kept, 0.7)
    for threshold in (0.7, 0.8, 0.95):
        truth = {pair: s for pair, s in overlaps.items() if s >= threshold}
        found = {(f.forgotten, f.retained): f.jaccard for f in near_duplicates(gone, kept, threshold)}
        assert set(found) <= set(truth)  # each is compared exactly, so nothing else is reported
        assert all(found[pair] == pytest.approx(truth[pair]) for pair in found)
        expected_missed = sum(miss_probability(s) for s in truth.values())
        assert len(truth) > 100
        assert len(truth) - len(found) <= 3 + 3 * expected_missed


def test_the_miss_probability_is_that_of_the_bands() -> None:
    """Random texts beside copies with one letter replaced and ten added: overlap 51 of 71 shingles, 0.72."""
    draw = random.Random(1)
    gone, kept = [], []
    for _ in range(3000):
        text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=60))
        at = draw.randrange(10, 50)
        gone.append(text)
        kept.append(text[:at] + "5" + text[at + 1 :] + "".join(draw.choices("0123456789", k=10)))
    assert overlap(gone[0], kept[0]) == pytest.approx(51 / 71)
    found = {f.forgotten for f in near_duplicates(gone, kept, 0.7) if f.forgotten == f.retained}
    expected = 3000 * miss_probability(51 / 71)
    assert 20 < expected < 60
    assert abs(3000 - len(found) - expected) < 4 * expected**0.5


def overlap(a: str, b: str) -> float:
    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


def test_equal_texts_are_always_found_however_they_are_written() -> None:
    gone = [*texts(0, 10), "Zoë", "ab", "?!", "名前は太郎です", "ﬁne"]
    kept = [f"  {t.upper().replace(' ', chr(0xA0))} ".replace(".", "...") for t in gone]
    found = {(f.forgotten, f.retained) for f in near_duplicates(gone, kept, 1.0)}
    assert {(i, i) for i in range(len(gone)) if normalised(gone[i]) == normalised(kept[i])} <= found
    assert len(found) >= len(gone) - 1  # "?!" has no letters to write otherwise; spaces around it do not count


def test_all_copies_of_a_text_are_counted_each() -> None:
    found = near_duplicates(["Ada lives in Askel.", "Bo lives in Brim."], ["ada lives in askel"] * 3 + ["nobody"])
    assert [(f.forgotten, f.retained, f.jaccard) for f in found] == [(0, 0, 1.0), (0, 1, 1.0), (0, 2, 1.0)]


def test_other_people_in_the_same_words_are_no_duplicates() -> None:
    assert near_duplicates(texts(0, 20), texts(20, 60)) == []


def test_nothing_is_no_duplicate_of_nothing() -> None:
    assert near_duplicates([], ["a"]) == near_duplicates(["a"], []) == []
    assert near_duplicates(["", "  "], ["", " \t"]) == []


def test_order_and_blocks_do_not_change_what_is_found(mixed: tuple[list[str], list[str]], monkeypatch: Any) -> None:
    gone, kept = mixed
    first = near_duplicates(gone, kept)
    assert first == near_duplicates(gone, kept)
    turned = {(len(gone) - 1 - f.forgotten, f.retained) for f in near_duplicates(gone[::-1], kept)}
    assert turned == {(f.forgotten, f.retained) for f in first}
    monkeypatch.setattr("expunge.verify.duplicates._BLOCK", 97)
    assert near_duplicates(gone, kept) == first


@pytest.mark.parametrize("threshold", [0.0, 0.69, 1.01, float("nan")])
def test_a_threshold_at_which_too_much_is_missed_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidParameter, match="too many pairs are missed"):
        near_duplicates(["a"], ["a"], threshold)


def test_ten_times_the_texts_take_nowhere_near_a_hundred_times_as_long() -> None:
    gone, kept = texts(0, 10), texts(10, 500)
    kept[7777] = gone[33] + " Yes."
    few = cpu_seconds(lambda: near_duplicates(gone[::10], kept[::10]))
    many = cpu_seconds(lambda: near_duplicates(gone, kept))
    assert [(f.forgotten, f.retained) for f in near_duplicates(gone, kept)] == [(33, 7777)]
    assert many < 40 * few


def cpu_seconds(run: Callable[[], object]) -> float:
    """Of the faster of two runs."""

    def once() -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    return min(once(), once())
