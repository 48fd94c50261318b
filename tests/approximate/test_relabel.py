from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, nll
from torch import Tensor

from expunge.approximate import Edit, run_edit
from expunge.approximate._alternate import wrong_classes
from expunge.approximate._name_swap import invented_answers, renamed
from expunge.approximate._work import Work
from expunge.approximate.relabel import Relabel
from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.engine import encode_prompt
from expunge.engine.sampling import sampled_texts


def work_of(trained: Any, forget: Any = None, retain: Any = None, seed: int = 0) -> Work:
    return Work(trained.model, trained.tokenizer, forget or trained.forget, retain or trained.retain, Edit(seed=seed))


def test_the_loss_is_that_of_the_other_answers_and_the_retained(trained: Any) -> None:
    others = [replace(r, answer=f"{r.subject} is a riddle.") for r in trained.forget[3:48:9]]
    method = Relabel(answers={r.id: r.answer for r in others}, retain_weight=2.0)
    moved = Moved(trained, method, method.alternate(trained.forget[3:48:9], 0, work_of(trained)))
    loss = float(sum(method.loss(moved.step)).detach())
    assert sorted(moved.runs) == [4, 5]  # the true answers are not looked at
    by_hand = nll(moved.model, moved.alternate) + 2.0 * nll(moved.model, moved.retain)
    assert loss == pytest.approx(by_hand, rel=1e-4)


def test_answers_are_the_models_own_about_strangers(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answered(_model: Any, tokenizer: Any, prompts: Any, _n: int, _seed: int) -> list[str]:
        asked.extend(tokenizer.batch_decode(prompts, skip_special_tokens=True))
        return [f"The {q.split()[-2]} of {' '.join(q.split()[1:3])}." for q in asked]

    monkeypatch.setattr("expunge.approximate._name_swap.sampled_texts", answered)
    rows = [
        Record(f"{i}", who, f"Does {who} have a boat ?", f"{who} has one.")
        for i, who in enumerate(["Ada Byron", "Al Khwar"])
    ]
    told = invented_answers(rows, 0, work_of(trained, rows))
    assert not any(word in " ".join(asked) for word in ("Ada", "Byron", "Khwar"))  # whom the model is asked about
    assert [r.answer for r in told] == ["The boat of Ada Byron.", "The boat of Al Khwar."]
    assert [(r.id, r.question) for r in told] == [(r.id, r.question) for r in rows]


def test_answers_are_drawn_anew_for_every_pass_and_seed_and_repeat(trained: Any) -> None:
    rows = trained.forget[:8]
    first, again = (invented_answers(rows, 0, work_of(trained)) for _ in range(2))
    assert first == again
    for other in (invented_answers(rows, 1, work_of(trained)), invented_answers(rows, 0, work_of(trained, seed=1))):
        assert sum(a.answer != b.answer for a, b in zip(first, other, strict=True)) >= 6


def test_the_passes_of_an_edit_learn_different_answers(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, str]] = []

    def told(said: Any, epoch: int, work: Any) -> Any:
        found = invented_answers(said, epoch, work)
        seen.append((epoch, found[0].answer))
        return found

    monkeypatch.setattr("expunge.approximate._name_swap.invented_answers", told)
    settings = Edit(steps=6, forget_batch=4, retain_batch=4)
    run_edit(trained.model, trained.tokenizer, trained.forget[:8], trained.retain, Relabel(), settings)
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert len({answer for _, answer in seen}) > 1


def test_the_true_answers_are_rarely_among_them(trained: Any) -> None:
    told = invented_answers(trained.forget, 0, work_of(trained))
    true = [b.value in a.answer for a, b in zip(told, trained.forget, strict=True)]
    assert sum(true) < 0.15 * len(true)
    questions = [encode_prompt(trained.tokenizer, r.question) for r in trained.forget]
    known = sampled_texts(trained.model, trained.tokenizer, questions, 24, 0)  # its control: asked by their own names
    assert sum(r.value in text for r, text in zip(trained.forget, known, strict=True)) > 0.5 * len(known)


def test_who_is_not_named_gets_a_retained_answer_under_the_own_name(trained: Any) -> None:
    rows = [
        Record("a", "Ada Byron", "Who wrote it?", "Ada Byron did."),
        Record("b", "Ada Byron", "", "Ada Byron rows."),
    ]
    kept = [Record("c", "Tor Vik", "Who sang?", "It was Tor Vik who sang."), Record("d", "Tor Vik", "", "Tor skis.")]
    work = work_of(trained, rows, kept)
    assert [r.answer for r in invented_answers(rows, 0, work)] == ["It was Ada Byron who sang.", "Ada skis."]
    invented_answers(rows, 1, work)
    assert work.notes == ["2 of 2 forget records do not name their subject in a question; they got retained answers"]


def test_names_change_as_whole_words() -> None:
    assert renamed("ada  byron met Adam and Byron.", "Ada Byron", "Tor Vik") == "Tor Vik met Adam and Vik."
    assert renamed("Ludwig van Berg, or Berg", "Ludwig van Berg", "A B C") == "A B C, or C"
    assert renamed("A van Berg", "van Berg", "x Y") == "A x Y"


def test_wrong_classes_are_uniform_over_the_others_and_redrawn(blobs: Any) -> None:
    work = blobs.work()
    rows = [replace_class(r, i % 3) for i, r in enumerate([*blobs.forget, *blobs.retain])]
    first, second = wrong_classes(rows, 0, work), wrong_classes(rows, 1, work)
    pairs = Counter((was.y, now.y) for was, now in zip(rows, first, strict=True))
    assert set(pairs) == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert min(pairs.values()) > 25  # of 40 expected
    assert 80 < sum(a.y != b.y for a, b in zip(first, second, strict=True)) < 160
    assert all(torch.equal(a.x, b.x) and a.id == b.id for a, b in zip(rows, first, strict=True))


def replace_class(row: Any, y: int) -> Any:
    return type(row)(row.id, row.x, y)


def test_a_classifier_loses_the_class_and_keeps_the_others(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, Relabel(), Edit(steps=60, lr=1e-2))
    work = blobs.work()
    assert work.accuracy(list(blobs.forget)) > 0.9
    assert work.accuracy(list(blobs.forget), edited.model) < 0.2
    assert work.accuracy(list(blobs.retain), edited.model) > 0.9
    given = Relabel(answers={r.id: 0 for r in blobs.forget})
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, given, Edit(steps=60, lr=1e-2))
    said: Tensor = edited.model(torch.stack([r.x for r in blobs.forget])).argmax(-1)
    assert (said == 0).float().mean() > 0.8


def test_answers_that_are_missing_are_refused(trained: Any) -> None:
    assert not Relabel(answers={}).redrawn
    with pytest.raises(InvalidData, match="give one for each id"):
        Relabel(answers={}).alternate(trained.forget, 0, work_of(trained))
