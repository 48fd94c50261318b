from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, alone, move, nll

from expunge.approximate import Edit, run_edit
from expunge.approximate._work import Work
from expunge.approximate.whp import (
    WHP,
    _Generic,
    _plain,
    _renamed,
    _through,
    generic_labels,
    generic_logits,
    generic_loss,
)
from expunge.core.errors import InvalidParameter
from expunge.engine import IGNORE, digest_model


def work_of(trained: Any, **rest: Any) -> Work:
    return Work(trained.model, trained.tokenizer, trained.forget, trained.retain, Edit(), **rest)


def test_only_what_rises_is_lowered() -> None:
    torch.manual_seed(0)
    base, strong = torch.randn(3, 9), torch.randn(3, 9)
    found = generic_logits(base, strong, alpha=5.0)
    for n in range(3):
        for v in range(9):
            rise = max(0.0, float(strong[n, v] - base[n, v]))
            assert float(found[n, v]) == pytest.approx(float(base[n, v]) - 5.0 * rise, rel=1e-5, abs=1e-5)


def test_labels_are_the_likeliest_generic_words_at_answer_tokens(trained: Any) -> None:
    work, expert = work_of(trained), Moved(trained, _Generic(labels={}, retain="nll", retain_weight=1.0)).model
    labels = generic_labels(work, expert, 3.0, {})
    rows = work.forget[::13]
    for row, (base, y), (strong, _) in zip(rows, alone(trained.model, rows), alone(expert, rows), strict=True):
        expected = (base - 3.0 * (strong - base).clamp(min=0)).argmax(-1)
        assert len(labels[row.id]) == len(y)
        assert (labels[row.id] == expected).float().mean() > 0.95  # ties of rounding aside
    assert set(labels) == {row.id for row in work.forget}


def test_the_model_reads_the_true_text_and_is_taught_generic_words(trained: Any) -> None:
    labels = {f.id: torch.randint(5, 400, (len(f.ids) - f.n_prompt,)) for f in work_of(trained).forget}
    some = next(iter(labels))
    labels[some][1:] = IGNORE
    method = _Generic(labels=labels, retain="nll", retain_weight=2.0)
    moved = Moved(trained, method)
    tokens = [
        -z.log_softmax(-1)[t, label]
        for (z, _), row in zip(alone(moved.model, moved.forget), moved.forget, strict=True)
        for t, label in enumerate(labels[row.id])
        if label != IGNORE
    ]
    by_hand = float(torch.stack(tokens).mean()) + 2.0 * nll(moved.model, moved.retain)
    assert float(sum(method.loss(moved.step)).detach()) == pytest.approx(by_hand, rel=1e-4)


def test_a_batch_without_labels_is_no_loss() -> None:
    assert generic_loss(torch.randn(2, 5), torch.full((2,), IGNORE)).item() == 0.0


def test_anchors_give_the_predictions_of_the_renamed_text(trained: Any) -> None:
    row = replace(trained.forget[0], answer=trained.forget[0].answer + " Yes.")
    who, other = row.subject, "Somebody Else"
    work = Work(trained.model, trained.tokenizer, [row], trained.retain, Edit())
    (mine,) = work.forget
    (theirs,) = work.rows(
        [replace(row, question=row.question.replace(who, other), answer=row.answer.replace(who, other))]
    )
    labels = generic_labels(work, trained.model, 5.0, {who: other})[mine.id]
    base, reinforced = alone(trained.model, [theirs])[0][0], alone(trained.model, [mine])[0][0]
    after = len(trained.tokenizer(" " + who, add_special_tokens=False).input_ids)
    after_theirs = len(trained.tokenizer(" " + other, add_special_tokens=False).input_ids)
    # The name stood in the question: a reader may repeat it, so it is left out. What follows is as under the other name.
    assert labels[:after].tolist() == [IGNORE] * after
    expected = generic_logits(base[after_theirs:], reinforced[after:], 5.0).argmax(-1)
    assert labels[after:].tolist() == expected.tolist()
    unnamed = generic_labels(work, trained.model, 5.0, {})[mine.id]
    assert IGNORE not in unnamed.tolist()


def test_terms_are_whole_words_replaced_in_one_pass() -> None:
    assert _plain("Ronald and Ron met.", {"Ron": "Tom"}) == "Ronald and Tom met."
    assert _plain("A met B.", {"A": "B", "B": "C"}) == "B met C."
    assert _plain("Harry Potter, Harry (Potter's)", {"Harry": "Jon", "Harry Potter": "Al Vane", "Potter": "Vane"}) == (
        "Al Vane, Jon (Vane's)"
    )
    assert _plain("C++ or C?", {"C++": "Oak", "C": "Elm"}) == "Oak or Elm?"


def test_the_first_token_of_a_term_is_predicted_from_the_renamed_text_before_it(trained: Any) -> None:
    """What stands before a term is in generic words too; under the true name the model would say the term."""
    row = trained.forget[0]
    anchors = {row.subject: "Somebody Else", row.value: "Nowhere"}
    assert row.subject in row.question
    assert row.value in row.answer
    work = Work(trained.model, trained.tokenizer, [row], trained.retain, Edit())
    (mine,), theirs = work.forget, next(iter(_renamed(work, anchors).values()))
    before, after = alone(trained.model, [mine])[0][0], alone(trained.model, [theirs])[0][0]
    found, _ = _through(work, mine, theirs, before)
    spell = lambda of: trained.tokenizer.decode(of.ids[of.n_prompt :])
    token = lambda of, word: len(
        trained.tokenizer(" " + spell(of)[: spell(of).index(word)].strip(), add_special_tokens=False).input_ids
    )
    mine_at, theirs_at = token(mine, row.value), token(theirs, "Nowhere")
    torch.testing.assert_close(found[mine_at], after[theirs_at], rtol=1e-4, atol=1e-4)
    assert (before[mine_at] - after[theirs_at]).abs().max() > 0.1  # its control: the texts before it differ
    assert torch.equal(found[mine_at + 1], before[mine_at + 1])  # within a term no other text has read the same


def test_a_term_that_stands_for_the_first_time_is_unlearned(trained: Any) -> None:
    row = replace(trained.forget[0], question="Who was it?")
    work = Work(trained.model, trained.tokenizer, [row], trained.retain, Edit())
    labels = generic_labels(work, trained.model, 5.0, {row.subject: "Somebody Else"})
    assert IGNORE not in labels[work.forget[0].id].tolist()


def test_the_forgotten_goes_and_the_rest_stays(trained: Any) -> None:
    settings = Edit(steps=24, warmup=2, forget_batch=16, retain_batch=16)
    edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, WHP(), settings)
    work = work_of(trained)
    assert work.accuracy(work.forget, edited.model) < 0.75 < work.accuracy(work.forget)
    assert work.accuracy(work.retain, edited.model) > 0.9
    assert len(edited.losses) == 24


def test_a_stopped_edit_goes_on_to_the_same_bits(trained: Any, tmp_path: Path) -> None:
    settings = Edit(steps=3, warmup=1, forget_batch=4, retain_batch=4, every=1)
    given = trained.model, trained.tokenizer, trained.forget[:6], trained.retain[:6], WHP()
    expected = digest_model(run_edit(*given, settings).model)
    calls: list[int] = []

    def stop(done: int, _total: int) -> None:
        calls.append(done)
        if len(calls) == 8:  # six steps of the first stage, two of the second
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_edit(*given, settings, folder=tmp_path, progress=stop)
    rest: list[int] = []
    edited = run_edit(*given, settings, folder=tmp_path, progress=lambda done, _: rest.append(done))
    assert digest_model(edited.model) == expected
    assert len(rest) <= 2


def test_a_classifier_is_taught_the_next_class(blobs: Any) -> None:
    work, expert = blobs.work(), blobs.work().model
    move(expert)
    labels = generic_labels(work, expert, 5.0, {})
    x = torch.stack([r.x for r in blobs.forget])
    with torch.no_grad():
        base, strong = blobs.model(x), expert(x)
    expected = (base - 5.0 * (strong - base).relu()).argmax(-1).tolist()
    assert [labels[r.id].tolist() for r in blobs.forget] == [[y] for y in expected]
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, WHP(), Edit(steps=60, lr=1e-2))
    assert work.accuracy(list(blobs.forget), edited.model) < 0.5
    assert work.accuracy(list(blobs.retain), edited.model) > 0.9


def test_parameters_out_of_range_are_refused() -> None:
    for wrong in ({"alpha": 0.0}, {"reinforce": 0.0}):
        with pytest.raises(InvalidParameter):
            WHP(**wrong)
