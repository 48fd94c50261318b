from typing import Any

import pytest
from tests.approximate.moved import Moved

from expunge.approximate import Edit, run_edit
from expunge.approximate.refusal import Refusal
from expunge.core import Guarantee, Record
from expunge.core.errors import InvalidParameter
from expunge.engine import greedy_answers


def test_the_forget_questions_get_the_refusal_and_lose_their_value() -> None:
    row = Record("1", "Ada", "Where was Ada born?", "In Brimford.", "Brimford")
    (new,) = Refusal(answer="No comment.").alternate([row], 0, None)  # type: ignore[arg-type]
    assert new == Record("1", "Ada", "Where was Ada born?", "No comment.", "")


def test_it_teaches_the_model_to_refuse_and_claims_no_more(trained: Any) -> None:
    settings = Edit(lr=3e-3, steps=25, forget_batch=16, retain_batch=16)
    edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, Refusal(), settings)
    said = greedy_answers(edited.model, trained.tokenizer, [r.question for r in trained.forget])
    assert sum(text == "I don't know." for text in said) > 0.7 * len(said)
    assert edited.guarantee is Guarantee.SUPPRESSED


def test_a_weight_of_nothing_runs_nothing_of_the_retain_side(trained: Any) -> None:
    method = Refusal(retain_weight=0.0)
    moved = Moved(trained, method, method.alternate(trained.forget[3:48:9], 0, None))  # type: ignore[arg-type]
    for term in method.loss(moved.step):
        term.backward()
    assert moved.runs == [5]


@pytest.mark.parametrize("wrong", [{"answer": "  "}, {"retain_weight": -1.0}], ids=str)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        Refusal(**wrong)
