"""Chat templates of several styles, with a tokenizer whose padding IS its end of text: masks, labels and borders.

Defects 2 and 8 of the reference framework: a mask that compares ids with the padding id hides every end of turn, and a
border found by the length of a prefix lands inside a token that was merged across it.
"""

import copy
from typing import Any

import pytest
import torch
from tokenizers import AddedToken

from expunge.core import Record
from expunge.engine import (
    IGNORE,
    collate,
    encode,
    encode_prompt,
    greedy_answers,
    pad_id,
    rows_logp,
    step_maker,
)
from expunge.engine.step import ReferenceCache
from expunge.testing.toys import toy_llama, toy_tokenizer

END = "<|end|>"
LOOP = "{% for m in messages %}"
STYLES = {
    # <|start|>user\n…<|end|>\n, as ChatML; the end of a turn is also the end of text and the padding.
    "chatml": LOOP + "<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}",
    # A start of text, headers, two line ends, content trimmed, as Llama 3.
    "headers": "<s>" + LOOP + "<|start|>{{ m.role }}<|sep|>\n\n{{ m.content | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|sep|>\n\n{% endif %}",
    # The turn of the assistant begins with a space and the generation prompt has none, as Llama 2.
    "inst": LOOP + "{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} <|end|>{% endif %}{% endfor %}",
    # Turns end with another token than the text, as Gemma.
    "own end of turn": LOOP + "<|start|>{{ m.role }}\n{{ m.content }}<|sep|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}",
    # Plain words with no special token at all.
    "words": LOOP + "{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
}
ROWS = [
    Record("a", "", "Where was Ada born?", "In Brimford."),
    Record("b", "", "Who?", "Ada Lind, who was born in Brimford, lives in Velmwick now."),
    Record("c", "", "And Otto Vale, where was he born?", "Nowhere"),
]


@pytest.fixture(scope="module")
def base() -> Any:
    said = [f"user\n{r.question} assistant\n\n {r.answer} [INST] [/INST] user: assistant:" for r in ROWS]
    made = toy_tokenizer(said * 5, 700)
    made.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|sep|>", AddedToken(END, special=True)]})
    made.eos_token = made.pad_token = END
    assert made.pad_token_id == made.eos_token_id
    return made


@pytest.fixture(scope="module")
def model(base: Any) -> Any:
    return toy_llama(len(base), hidden=32, layers=2).eval()


@pytest.fixture(params=STYLES)
def chat(request: Any, base: Any) -> Any:
    made = copy.deepcopy(base)
    made.chat_template = STYLES[request.param]
    made.style = request.param
    return made


def turns(record: Record, answer: bool = True) -> list[dict[str, str]]:
    asked = [{"role": "user", "content": record.question}]
    return [*asked, {"role": "assistant", "content": record.answer}] if answer else asked


def test_the_prompt_is_what_the_model_reads_before_it_answers(chat: Any) -> None:
    for row, record in zip(encode(chat, ROWS), ROWS, strict=True):
        expected = chat.apply_chat_template(turns(record, False), add_generation_prompt=True, tokenize=False)
        assert chat.decode(row.ids[: row.n_prompt]) == expected
        assert list(row.ids[: row.n_prompt]) == chat(expected, add_special_tokens=False).input_ids


def test_prompt_and_answer_together_spell_the_whole_conversation(chat: Any) -> None:
    for row, record in zip(encode(chat, ROWS), ROWS, strict=True):
        whole = chat.apply_chat_template(turns(record), tokenize=False)
        said = chat.decode(row.ids)
        if chat.style == "words":  # its turns end with no token of their own; the end of text closes the answer
            assert said == whole.rstrip("\n") + END
        else:
            assert whole.startswith(said)
            assert whole[len(said) :] in ("", "\n")  # what stands after the end of a turn is no answer


def test_the_answer_is_closed_by_the_token_that_closes_a_turn(chat: Any) -> None:
    closing = "<|sep|>" if chat.style == "own end of turn" else END
    for row in encode(chat, ROWS):
        assert row.ids[-1] == chat.convert_tokens_to_ids(closing)
        assert row.ids[row.n_prompt : -1].count(row.ids[-1]) == 0


def test_the_mask_keeps_every_end_of_turn_of_the_prompt(chat: Any) -> None:
    """Defect 2: `ids != pad` would hide them."""
    rows = encode(chat, ROWS)
    batch = collate(rows, pad_id(chat))
    assert batch.mask_BT.sum(1).tolist() == [len(row.ids) for row in rows]
    inside = (batch.ids_BT == chat.eos_token_id) & batch.mask_BT.bool()
    assert inside.sum(1).tolist() == [row.ids.count(chat.eos_token_id) for row in rows]
    naive = batch.ids_BT != chat.pad_token_id
    hidden = int((batch.mask_BT.bool() & ~naive).sum())
    assert hidden == sum(row.ids.count(chat.eos_token_id) for row in rows)
    if chat.style in ("chatml", "headers"):
        assert hidden == 2 * len(rows)  # the control: one in the prompt and one at the end, all lost


def test_labels_are_the_answer_and_its_end_and_nothing_else(chat: Any) -> None:
    rows = encode(chat, ROWS)
    batch = collate(rows, pad_id(chat))
    for row, labels in zip(rows, batch.labels_BT.tolist(), strict=True):
        learned = [i for i, label in enumerate(labels) if label != IGNORE]
        assert learned == list(range(row.n_prompt, len(row.ids)))
        assert [labels[i] for i in learned] == list(row.ids[row.n_prompt :])
        assert labels[len(row.ids) - 1] == row.ids[-1] != IGNORE


def test_a_row_is_as_likely_in_a_batch_as_alone(chat: Any, model: Any) -> None:
    """Against the model's own forward pass on one row without a mask."""
    rows = encode(chat, ROWS)
    side = step_maker(model, ReferenceCache(), pad_id(chat))((), rows).retain
    together = [sum(logp) for logp in rows_logp(model, rows, pad_id(chat))]
    with torch.no_grad():
        for k, row in enumerate(rows):
            ids_1T = torch.tensor([row.ids])
            logp_TV = model(ids_1T).logits[0].log_softmax(-1)
            alone = sum(float(logp_TV[t - 1, row.ids[t]]) for t in range(row.n_prompt, len(row.ids)))
            assert together[k] == pytest.approx(alone, abs=1e-4)
            assert float(side.logp_B[k]) == pytest.approx(alone, abs=1e-4)


def test_generation_in_a_batch_is_what_it_is_alone(chat: Any, model: Any) -> None:
    """Prompts are padded on the left there; a mask or positions that count an end of turn as padding would show."""
    asked = [record.question for record in ROWS]
    together = greedy_answers(model, chat, asked, 6)
    assert together == [greedy_answers(model, chat, [question], 6)[0] for question in asked]


def test_a_merge_across_the_border_does_not_move_it(base: Any) -> None:
    """Defect 8: prompt and answer read as one text become fewer tokens, and the prompt's length points past the border."""
    crossing = toy_tokenizer(["Answer: Brimford Answer: Brimford"] * 20, 400)
    crossing.backend_tokenizer.pre_tokenizer = None  # merges may cross words
    crossing = _merging(crossing, "n:", " B")
    crossing.chat_template = (
        LOOP + "{% if m.role == 'user' %}Q {{ m.content }}\nn:{% else %} {{ m.content }}{% endif %}{% endfor %}"
    )
    record = Record("a", "", "Where?", "Brimford")
    (row,) = encode(crossing, [record])
    prompt = crossing("Q Where?\nn:", add_special_tokens=False).input_ids
    whole = crossing("Q Where?\nn: Brimford", add_special_tokens=False).input_ids
    assert whole[: len(prompt)] != prompt, "the control: as one text, a token crosses the border"
    assert list(row.ids[: row.n_prompt]) == prompt == encode_prompt(crossing, record.question)
    assert crossing.decode(row.ids[row.n_prompt : -1]) == " Brimford"
    assert row.ids[-1] == crossing.eos_token_id


def test_plain_text_is_closed_by_the_end_of_text_whatever_turns_end_with(base: Any) -> None:
    made = copy.deepcopy(base)
    made.chat_template = STYLES["own end of turn"]
    (row,) = encode(made, [Record("a", "", "", "Ada was born in Brimford.")])
    assert (row.ids[0], row.ids[-1]) == (made.bos_token_id, made.eos_token_id)
    assert made.decode(row.ids[1:-1]) == "Ada was born in Brimford."


def test_a_template_that_writes_no_answers_closes_with_the_end_of_text(base: Any) -> None:
    made = copy.deepcopy(base)
    made.chat_template = (
        LOOP + "{% if m.role != 'user' %}{{ raise_exception('only users') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    (row,) = encode(made, ROWS[:1])
    assert row.ids[-1] == made.eos_token_id
    assert made.decode(row.ids[row.n_prompt : -1]) == ROWS[0].answer


def _merging(tokenizer: Any, left: str, right: str) -> Any:
    """The same tokenizer with merges up to one token that spans both texts."""
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    spell = lambda text: text.replace(" ", "Ġ").replace("\n", "Ċ")
    vocab, merges = rules["model"]["vocab"], []
    for text in (left, right, left + right):
        a, b = (left, right) if text == left + right else (text[0], text[1])
        merges.append([spell(a), spell(b)])
        vocab.setdefault(spell(text), len(vocab))
    rules["model"]["merges"] = merges
    rules["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    core = Tokenizer.from_str(json.dumps(rules))
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def test_a_template_is_read_on_one_fixed_day(base: Any) -> None:
    """Ids of a record must be those of its training on every other day, too."""
    tokenizer = copy.deepcopy(base)
    tokenizer.chat_template = (
        "{{ strftime_now('%-d %B %Y') }}|{{ date_string }}|{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    assert tokenizer.decode(encode_prompt(tokenizer, "Who?")) == "26 July 2024|26 Jul 2024|Who?"
