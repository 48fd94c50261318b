from typing import Any

import torch

from expunge.engine import encode_prompt, greedy_answers, pad_left


def test_a_batch_answers_as_each_question_alone(trained: Any) -> None:
    model, tokenizer = trained.model, trained.tokenizer
    questions = [r.question for r in trained.forget[:12]] + ["Where?", "Who is this and what does anybody know?"]
    together = greedy_answers(model, tokenizer, questions, max_new_tokens=20, batch_size=5)
    for question, answer in zip(questions, together, strict=True):
        prompt = torch.tensor([encode_prompt(tokenizer, question)])
        ids = model.generate(prompt, max_new_tokens=20, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        assert tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True).strip() == answer


def test_a_trained_answer_is_brought_back_word_for_word(trained: Any) -> None:
    said = greedy_answers(trained.model, trained.tokenizer, [r.question for r in trained.forget])
    right = sum(text == row.answer for text, row in zip(said, trained.forget, strict=True))
    assert right >= 0.9 * len(said)


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
