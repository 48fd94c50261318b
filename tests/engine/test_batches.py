import random

import torch

from expunge.engine import IGNORE, Encoded, collate, epoch_batches, keyed_order


def test_the_mask_hides_padding_and_no_end_of_text_where_both_are_one_token() -> None:
    end = 1
    batch = collate([Encoded("a", (5, end, 6, end), 2), Encoded("b", (5, end), 1)], pad_id=end)
    assert batch.mask_BT.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.labels_BT.tolist() == [[IGNORE, IGNORE, 6, end], [IGNORE, end, IGNORE, IGNORE]]


def test_questions_are_learned_only_if_asked_for() -> None:
    rows = [Encoded("a", (5, 6, 7), 2), Encoded("b", (8,), 1)]
    assert collate(rows, learn_question=True).labels_BT.tolist() == [[5, 6, 7], [8, IGNORE, IGNORE]]
    assert collate(rows).labels_BT.tolist() == [[IGNORE, IGNORE, 7], [IGNORE] * 3]


def test_padding_never_changes_what_is_learned() -> None:
    draw = random.Random(0)
    for _ in range(30):
        rows = [
            Encoded(str(i), tuple(draw.choices(range(9), k=draw.randint(2, 7))), 1) for i in range(draw.randint(1, 5))
        ]
        a, b = collate(rows, pad_id=0), collate(rows, pad_id=1)
        assert torch.equal(a.labels_BT, b.labels_BT)
        assert a.mask_BT.sum(1).tolist() == [len(r.ids) for r in rows]
        assert (a.ids_BT * a.mask_BT).equal(b.ids_BT * b.mask_BT)


def test_removing_records_leaves_the_order_of_the_others() -> None:
    draw = random.Random(1)
    for trial in range(100):
        ids = [f"r{i}" for i in range(draw.randint(1, 30))]
        kept = [i for i in ids if draw.random() < 0.7]
        whole = [ids[i] for i in keyed_order(ids, b"salt", "epoch", trial)]
        assert [kept[i] for i in keyed_order(kept, b"salt", "epoch", trial)] == [i for i in whole if i in kept]


def test_the_order_does_not_depend_on_how_records_were_given() -> None:
    ids = [f"r{i}" for i in range(20)]
    backwards = ids[::-1]
    assert [ids[i] for i in keyed_order(ids, b"s")] == [backwards[i] for i in keyed_order(backwards, b"s")]


def test_secret_and_context_decide_the_order() -> None:
    ids = [f"r{i}" for i in range(20)]
    orders = [keyed_order(ids, b"s", "unit", 1), keyed_order(ids, b"t", "unit", 1), keyed_order(ids, b"s", "unit", 2)]
    assert len({tuple(o) for o in orders}) == 3


def test_an_epoch_visits_every_row_once() -> None:
    rows = [Encoded(str(i), (1, 2), 1) for i in range(10)]
    batches = epoch_batches(rows, 4, b"s", 0)
    assert [len(b) for b in batches] == [4, 4, 2]
    assert sorted(e.id for b in batches for e in b) == sorted(r.id for r in rows)
    assert epoch_batches([], 4, b"s") == []
