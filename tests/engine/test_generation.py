import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from expunge.engine import encode_prompt, generation, greedy_answers, greedy_texts, pad_id, pad_left
from expunge.engine.prefix import reads_on

Tiny = Callable[[str], Any]
ASKED = ["Where?", "Who is this and what does anybody know of all that happened there?", "Who?"]


def alone(model: Any, tokenizer: Any, questions: list[str], n: int, ends: list[int] | None = None) -> list[str]:
    """What transformers says to each question on its own: no batch, no padding."""
    said = []
    for question in questions:
        prompt = torch.tensor([encode_prompt(tokenizer, question)])
        ids = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=n,
            do_sample=False,
            eos_token_id=ends or tokenizer.eos_token_id,
            pad_token_id=pad_id(tokenizer),
        )
        said.append(tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True).strip())
    return said


@contextmanager
def rows_read(model: Any) -> Iterator[list[torch.Size]]:
    shapes: list[torch.Size] = []
    handle = model.register_forward_pre_hook(
        lambda _m, _a, inputs: shapes.append(inputs["input_ids"].shape), with_kwargs=True
    )
    yield shapes
    handle.remove()


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("given to transformers' generate")

    monkeypatch.setattr(generation, "_generate", refuse)


def test_a_batch_answers_as_each_question_alone(trained: Any, no_fallback: None) -> None:
    questions = [r.question for r in trained.forget[:12]] + ASKED
    expected = alone(trained.model, trained.tokenizer, questions, 20)
    assert len({len(e) for e in expected}) > 3  # they end at different steps
    for batch_size in (1, 5, 128):
        assert greedy_answers(trained.model, trained.tokenizer, questions, 20, batch_size) == expected


@pytest.mark.parametrize("n", [1, 2, 7])
def test_no_answer_is_longer_than_asked(trained: Any, no_fallback: None, n: int) -> None:
    questions = [r.question for r in trained.forget[:6]]
    assert greedy_answers(trained.model, trained.tokenizer, questions, n) == alone(
        trained.model, trained.tokenizer, questions, n
    )


def test_the_end_of_text_may_be_what_rows_are_filled_up_with(trained: Any, no_fallback: None) -> None:
    tokenizer = copy.deepcopy(trained.tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    questions = [r.question for r in trained.forget[:12]] + ASKED
    assert greedy_answers(trained.model, tokenizer, questions, 20) == alone(trained.model, tokenizer, questions, 20)


def test_ended_rows_leave_the_batch_and_equal_prompts_are_asked_once(trained: Any, no_fallback: None) -> None:
    questions = [r.question for r in trained.forget[:20]] * 3 + ["Who?"]
    with rows_read(trained.model) as shapes:
        said = greedy_answers(trained.model, trained.tokenizer, questions, 40)
    assert said[:20] == said[20:40] == said[40:60]
    steps = [s[0] for s in shapes if s[1] == 1 and s[0] != 2]  # the trial of the cache reads on in two rows
    assert steps[0] == len(set(questions))
    assert steps == sorted(steps, reverse=True)
    assert sum(steps) < 0.8 * len(steps) * steps[0]


@pytest.mark.parametrize("kind", ["gpt2", "opt", "mistral", "bloom", "mamba"])
def test_other_families_say_what_transformers_says(tokenizer: Any, tiny: Tiny, kind: str) -> None:
    model = tiny(kind)
    expected = alone(model, tokenizer, ASKED, 10)
    assert any(expected)
    assert greedy_answers(model, tokenizer, ASKED, 10) == expected


def test_a_cache_is_used_only_where_it_gives_the_same(tokenizer: Any, llama: Any, tiny: Tiny) -> None:
    prompts = [encode_prompt(tokenizer, q) for q in ASKED]
    with torch.no_grad():
        for model in (llama, *map(tiny, ("gpt2", "opt", "mistral", "bloom"))):
            assert reads_on(model, prompts, 2)
        assert not reads_on(tiny("mamba"), prompts, 2)  # its state has read the padding


def test_a_model_that_looks_at_whole_rows_is_given_to_transformers(trained: Any) -> None:
    """Its last token depends on how many came before in this very call: reading on shows it one token at a time."""
    model = copy.deepcopy(trained.model)

    def shifted(_module: nn.Module, _args: Any, inputs: Any, output: Any) -> Any:
        output.logits = output.logits + inputs["input_ids"].shape[1] * torch.arange(output.logits.shape[-1])
        return output

    model.register_forward_hook(shifted, with_kwargs=True)
    prompts = [encode_prompt(trained.tokenizer, q) for q in ASKED]
    with torch.no_grad():
        assert not reads_on(model, prompts, 2)
    assert greedy_answers(model, trained.tokenizer, ASKED, 4) == alone(model, trained.tokenizer, ASKED, 4)


def test_a_models_own_settings_still_count(trained: Any) -> None:
    model = copy.deepcopy(trained.model)
    model.generation_config.repetition_penalty = 5.0
    questions = [r.question for r in trained.forget[:6]]
    said = greedy_answers(model, trained.tokenizer, questions, 12)
    assert said == alone(model, trained.tokenizer, questions, 12)
    assert said != greedy_answers(trained.model, trained.tokenizer, questions, 12)


def test_broken_weights_answer_something_without_a_crash(trained: Any) -> None:
    model = copy.deepcopy(trained.model)
    model.model.norm.weight.data.fill_(float("nan"))
    assert len(greedy_answers(model, trained.tokenizer, ASKED, 3)) == len(ASKED)


def test_a_trained_answer_is_brought_back_word_for_word(trained: Any) -> None:
    said = greedy_answers(trained.model, trained.tokenizer, [r.question for r in trained.forget])
    right = sum(text == row.answer for text, row in zip(said, trained.forget, strict=True))
    assert right >= 0.9 * len(said)


def test_prompts_may_be_given_as_ids(trained: Any) -> None:
    questions = [r.question for r in trained.forget[:4]]
    prompts = [encode_prompt(trained.tokenizer, q) for q in questions]
    assert greedy_texts(trained.model, trained.tokenizer, prompts) == greedy_answers(
        trained.model, trained.tokenizer, questions
    )


def test_no_questions_have_no_answers(trained: Any) -> None:
    assert greedy_answers(trained.model, trained.tokenizer, []) == []


def test_the_model_is_left_in_the_mode_it_was_in(trained: Any) -> None:
    for mode in (True, False):
        model = trained.model.train(mode)
        greedy_answers(model, trained.tokenizer, ["Where?"], max_new_tokens=1)
        assert model.training is mode


def test_prompts_end_in_the_last_column() -> None:
    ids, mask = pad_left([[5], [6, 7, 2]], pad_id=2)
    assert ids.tolist() == [[2, 2, 5], [6, 7, 2]]
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_the_end_that_the_model_itself_names_ends_an_answer_too(trained: Any, no_fallback: None) -> None:
    """Chat models end a turn by another token than a text, which only their generation settings name."""
    model, questions = copy.deepcopy(trained.model), [r.question for r in trained.forget[:6]]
    whole = [
        trained.tokenizer(text, add_special_tokens=False).input_ids
        for text in alone(model, trained.tokenizer, questions, 20)
    ]
    third = whole[0][3]
    model.generation_config.eos_token_id = [1, third]
    said = greedy_answers(model, trained.tokenizer, questions, 20)
    assert said == alone(model, trained.tokenizer, questions, 20, [1, third])
    assert len(said[0]) < len(trained.tokenizer.decode(whole[0]).strip())
