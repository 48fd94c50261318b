"""What a guard counts: knowledge, not what the question gives away."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate import Edit, run_edit
from expunge.approximate._skill import Kept, Skill
from expunge.approximate._telling import telling_tokens, telling_words
from expunge.approximate._work import Work
from expunge.approximate.grad_diff import GradDiff
from expunge.approximate.npo import NPO
from expunge.core import Record
from expunge.engine import encode, examples
from expunge.testing.contract import SETTINGS, taught


def skill(tokens: float, chance: float = 0.0, answers: float | None = None) -> Skill:
    return Skill(tokens=tokens, n_tokens=40, chance=chance, answers=answers, n_answers=8)


@pytest.fixture(scope="module")
def wrecked(trained: Any) -> Any:
    """Knows how every question is answered and of whom it speaks, and of nobody what is asked: values are exchanged."""
    retain = trained.retain
    by_question: dict[str, list[Record]] = {}
    for r in retain:
        by_question.setdefault(r.question.replace(r.subject, ""), []).append(r)
    exchanged = []
    for rows in by_question.values():
        for r, other in zip(rows, rows[1:] + rows[:1], strict=True):
            exchanged.append(replace(r, answer=r.answer.replace(r.value, other.value), value=other.value))
    return taught(tuple(exchanged), trained.tokenizer, steps=250)


def all_tokens(work: Work, rows: Any, model: Any) -> float:
    side = work.side(rows, model)
    return float((side.logits_NV.argmax(-1) == side.labels_N).float().mean())


@pytest.mark.parametrize("values", [True, False], ids=["with values", "without"])
def test_a_model_that_keeps_what_the_question_gives_away_is_found_wrecked(
    values: bool, trained: Any, wrecked: Any
) -> None:
    retain = trained.retain if values else [replace(r, value="") for r in trained.retain]
    work = Work(trained.model, trained.tokenizer, trained.forget, retain, Edit())
    before, after = work.skill(), work.skill(wrecked)
    assert before.tokens > 0.95
    assert before.answers is not None
    assert before.answers > 0.9
    assert before.lost(after, 0.8)
    assert after.tokens < 0.7  # a tenth below what the guard asks for
    # The control: every token counted alike, as under teacher forcing the loss does, most of the answers are right.
    assert all_tokens(work, work.retain[:64], wrecked) > after.tokens + 0.2


def test_what_tells_is_the_value_or_else_what_neither_question_nor_other_answers_hold(trained: Any) -> None:
    asked = [
        Record("a", "", "Where was Ada born?", "Ada was born in Oslo.", "Oslo"),
        Record("b", "", "Where was Bo born?", "Bo was born in Rome."),
        Record("c", "", "Where was Cy born?", "Cy was born in Kyiv."),
    ]
    rows = encode(trained.tokenizer, asked)
    telling = telling_tokens(trained.tokenizer, rows, {r.id: r for r in asked})

    def told(k: int) -> str:
        answer = rows[k].ids[rows[k].n_prompt :]
        return "".join(trained.tokenizer.decode([t]) for t, tells in zip(answer, telling[k], strict=True) if tells)

    assert "Oslo".startswith(told(0).strip()[:2])
    for k, (name, value) in enumerate([("Bo", "Rome"), ("Cy", "Kyiv")], 1):
        assert "born" not in told(k)
        assert name not in told(k)
        assert set(told(k).strip()) <= set(value)
        assert told(k)
    assert telling_words(asked) == [{"oslo"}, {"rome"}, {"kyiv"}]


def test_of_rows_in_which_nothing_tells_every_token_counts(trained: Any) -> None:
    rows = encode(trained.tokenizer, [Record(str(k), "", f"{k}?", "I do not know.") for k in range(3)])
    assert all(map(all, telling_tokens(trained.tokenizer, rows, {})))


@pytest.mark.parametrize(
    ("start", "now", "lost"),
    [
        (skill(1.0), skill(0.81), False),
        (skill(1.0), skill(0.79), True),
        (skill(1.0, chance=0.5), skill(0.85, chance=0.5), True),  # of two classes half are right by chance
        (skill(1.0, chance=0.5), skill(0.95, chance=0.5), False),
        (skill(1.0, answers=1.0), skill(0.95, answers=0.5), False),
        (skill(1.0, answers=1.0), skill(0.95, answers=0.3), True),  # right where it is led, silent where it is asked
        (skill(1.0, answers=0.1), skill(0.95, answers=0.0), False),
        (skill(0.01), skill(0.0), False),
    ],
)
def test_too_much_is_lost_where_less_than_the_part_is_left(start: Skill, now: Skill, lost: bool) -> None:
    assert start.lost(now, 0.8) is lost


def test_a_classifier_that_always_says_the_commonest_class_is_wrecked() -> None:
    x, y = torch.randn(40, 3), (torch.arange(40) % 5 == 0).long()
    rows = examples(x, y)
    always = nn.Linear(3, 2)
    with torch.no_grad():
        always.weight.zero_()
        always.bias.copy_(torch.tensor([1.0, 0.0]))
    work = Work(always, None, rows[:2], rows, Edit())
    right = Skill(tokens=1.0, n_tokens=40, chance=work.skill().chance, text=False)
    assert work.skill().tokens == 0.8  # the old bar of 0.8 would let it pass
    assert right.lost(work.skill(), 0.8)


def test_a_model_that_never_knew_has_nothing_to_measure(trained: Any) -> None:
    from expunge.testing.toys import toy_llama

    never = toy_llama(len(trained.tokenizer), 64, 2)
    edited = run_edit(never, trained.tokenizer, trained.forget, trained.retain, NPO(), Edit(steps=6, forget_batch=8))
    assert edited.notes == ()  # neither wrecked nor gone back
    assert edited.kept is not None
    assert edited.kept.sentence().startswith("nothing to measure: the model knew none of it before (")


def test_the_result_says_what_was_kept_and_nothing_where_nobody_looked(trained: Any) -> None:
    given = (trained.model, trained.tokenizer, trained.forget, trained.retain, NPO())
    looked, not_looked = (run_edit(*given, Edit(steps=2, warmup=2, guard=guard)) for guard in (0.8, None))
    assert looked.kept is not None
    assert looked.kept.sentence().startswith("retained tokens right 100% -> ")
    assert not_looked.kept is None
    assert Kept(skill(1.0), skill(0.88)).sentence().endswith("of 40 that the question does not give away")


def test_a_run_ends_by_what_the_forget_rows_tell_not_by_what_their_questions_give_away(trained: Any) -> None:
    given = trained.model, trained.tokenizer, trained.forget, trained.retain
    edited = run_edit(*given, GradDiff(), replace(SETTINGS, until=0.1))
    assert len(edited.losses) < SETTINGS.steps
    assert any("of what the forget rows tell is still right" in note for note in edited.notes)
    work = Work(*given, SETTINGS)
    assert work.known(work.forget) > 0.95
    assert work.known(work.forget, edited.model) <= 0.1
    assert work.accuracy(work.forget, edited.model) > 0.1, "the control: of all tokens more are right"


def test_of_rows_that_tell_nothing_every_token_counts(trained: Any) -> None:
    """Or a run with `until` would end before it began: of nothing, nothing is known."""
    rows = [replace(row, answer=row.question, value=None) for row in trained.forget[:4]]
    work = Work(trained.model, trained.tokenizer, rows, trained.retain, SETTINGS)
    assert all(map(all, work._telling(work.forget)))
    assert work.known(work.forget) == work.accuracy(work.forget)
