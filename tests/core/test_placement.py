import random
from collections import Counter

import pytest

from expunge.core import Record
from expunge.core.placement import SHARD, SLICE, cut, member_id, place, stage_epochs


def some(n: int) -> list[Record]:
    return [Record(f"r{i}", f"s{i % 7}", "Who?", f"answer {i}") for i in range(n)]


def test_a_subject_lives_in_one_place_whatever_others_do() -> None:
    draw = random.Random(0)
    rows = some(40)
    whole = {
        r.id: (s, k) for s, parts in cut(rows, b"salt", 3, 2).items() for k, part in enumerate(parts) for r in part
    }
    assert len(whole) == 40
    for _ in range(20):
        kept = [r for r in rows if draw.random() < 0.6]
        draw.shuffle(kept)
        for s, parts in cut(kept, b"salt", 3, 2).items():
            for k, part in enumerate(parts):
                assert all(whole[r.id] == (s, k) for r in part)
                full = [r for r in cut(rows, b"salt", 3, 2)[s][k] if r in kept]
                assert part == full  # and in an order that the others do not change


def test_places_are_even_and_secret() -> None:
    counts = Counter(place(f"u{i}", b"salt", 8, SHARD) for i in range(4000))
    assert set(counts) == set(range(8))
    assert max(counts.values()) < 1.2 * 500  # 4,000 draws: standard deviation 21, so +100 is 4.8 of them
    moved = sum(place(f"u{i}", b"salt", 8, SHARD) != place(f"u{i}", b"other", 8, SHARD) for i in range(1000))
    assert moved > 800
    assert [place(f"u{i}", b"salt", 8, SHARD) for i in range(50)] != [
        place(f"u{i}", b"salt", 8, SLICE) for i in range(50)
    ]


def test_a_member_is_named_by_id_content_and_salt() -> None:
    a = Record("1", "s", "q", "a")
    names = [member_id(a, b"x"), member_id(a, b"y"), member_id(Record("2", "s", "q", "a"), b"x")]
    names.append(member_id(Record("1", "s", "q", "b"), b"x"))
    assert len(set(names)) == 4


@pytest.mark.parametrize("epochs", [1, 3, 25, 100])
def test_slices_cost_as_much_as_one(epochs: int) -> None:
    for slices in range(1, 2 * epochs):
        per_stage = stage_epochs(epochs, slices)
        assert all(e >= 1 for e in per_stage)
        # Sum over stages of epochs x share of the data seen, against `epochs` over everything (SISA, Sec. IV-B).
        cost = sum(e * (r + 1) / slices for r, e in enumerate(per_stage))
        assert cost == pytest.approx(epochs, rel=0, abs=1.0 + 0.02 * epochs)
