import copy
import gc
import random
import weakref
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.engine import answer_ids, encode, encode_prompt, load_tokenizer, value_span
from expunge.engine.text import end_ids, question_part
from expunge.synthetic import facts, people
from expunge.testing.toys import toy_tokenizer

TEMPLATE = "{% for m in messages %}<s>{{ m.content }}{% endfor %}{% if add_generation_prompt %} Answer: {% endif %}"

SPACED = (  # a space before the answer belongs to the template
    "{% for m in messages %}{% if m.role == 'user' %}<s>Where{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def trailing() -> Any:
    """Words that end with their space: "red fox" is "red▁", "fox"."""
    words = ["a", "dog", "and", "cat", "named", "Lorren", "Al", "was", "born", "in", "Brimford", ".", "Where", "?"]
    vocab = {w: i for i, w in enumerate(["<s>", "</s>", "<unk>", *[v for w in words for v in (w, w + "▁")]])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="module")
def legacy() -> Any:
    """As Llama 2's: the normaliser writes a space before every text, and words keep theirs in front."""
    words = ["▁Where", "▁was", "▁Al", "▁born?", "▁In", "▁Brimford.", "▁a", "▁dog", "▁and", "▁cat"]
    letters = sorted({letter for word in words for letter in word})
    merged = {word[:k] for word in words for k in range(2, len(word) + 1)}
    vocab = {w: i for i, w in enumerate(["<s>", "</s>", "<unk>", *letters, *sorted(merged - set(letters))])}
    merges = dict.fromkeys((word[:k], word[k]) for word in words for k in range(1, len(word)))
    core = Tokenizer(models.BPE(vocab, list(merges), unk_token="<unk>"))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Any:
    chatting = copy.deepcopy(tokenizer)
    chatting.chat_template = TEMPLATE
    return chatting


def spelled(tokenizer: Any, fact: Fact) -> str:
    ids = answer_ids(tokenizer, fact.answer, bool(fact.question))
    start, end = value_span(tokenizer, fact.answer, fact.value, bool(fact.question))
    assert 0 <= start < end <= len(ids)
    return str(tokenizer.decode(ids[start:end]))


def test_question_and_answer_are_joined_as_ids_and_closed(tokenizer: Any) -> None:
    fact = Fact("1", "Ada", "Where was Ada born?", "Ada was born in Brimford.")
    (row,) = encode(tokenizer, [fact])
    assert list(row.ids[: row.n_prompt]) == encode_prompt(tokenizer, fact.question)
    assert list(row.ids[row.n_prompt : -1]) == answer_ids(tokenizer, fact.answer)
    assert row.ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(row.ids, skip_special_tokens=True) == f"{fact.question} {fact.answer}"


def test_the_value_is_spelled_by_its_span(tokenizer: Any) -> None:
    for fact in facts(people(4)):
        assert spelled(tokenizer, fact).strip(" .").startswith(fact.value)


def test_the_value_is_spelled_where_spaces_end_tokens(trailing: Any) -> None:
    fact = Fact("1", "Al", "Where was Al born ?", "Al was born in Brimford .", value="Brimford")
    assert spelled(trailing, fact).strip() == "Brimford"
    (row,) = encode(trailing, [fact])
    # Neither a space is lost between question and answer, nor is the answer given one that no token holds.
    assert trailing.decode(row.ids, skip_special_tokens=True) == f"{fact.question} {fact.answer}"


def test_a_value_of_many_bytes_a_letter_is_spelled_to_its_last_byte(tokenizer: Any) -> None:
    for value in ("Zoë", "Ørsted", "東京", "\U0001f984"):
        fact = Fact("1", "Al", "Where?", f"Al was born in {value}.", value=value)
        assert spelled(tokenizer, fact).strip(" .") == value


def test_spans_of_random_answers_cover_the_value_and_no_whole_token_more(tokenizer: Any) -> None:
    draw = random.Random(0)
    letters = "aeéßxyz 東"
    for question in ("Where?", ""):
        for _ in range(150):
            value = "".join(draw.choices(letters, k=draw.randint(1, 6))).strip() or "x"
            before = "".join(draw.choices("QRST ", k=draw.randint(0, 8)))
            answer = before + value + draw.choice(["", ".", " and so on"])
            start, end = value_span(tokenizer, answer, value, bool(question))
            ids = answer_ids(tokenizer, answer, bool(question))
            assert value in tokenizer.decode(ids[start:end])
            assert value not in tokenizer.decode(ids[start + 1 : end])
            assert value not in tokenizer.decode(ids[start : end - 1])


def test_no_space_of_its_own_stands_between_question_and_answer(legacy: Any) -> None:
    """Its ids are those of the whole text read at once, in which a space is the start of the answer's first word."""
    fact = Fact("1", "Al", "Where was Al born?", "In Brimford.", value="Brimford")
    (row,) = encode(legacy, [fact])
    pieces = legacy.convert_ids_to_tokens(row.ids)
    assert pieces == ["▁Where", "▁was", "▁Al", "▁born?", "▁In", "▁Brimford.", "</s>"]
    assert list(row.ids[:-1]) == legacy(f"{fact.question} {fact.answer}").input_ids
    assert spelled(legacy, fact).strip(" .") == "Brimford"
    chatting = copy.deepcopy(legacy)
    chatting.chat_template = SPACED
    assert chatting.convert_ids_to_tokens(answer_ids(chatting, fact.answer)) == ["▁In", "▁Brimford."]


def test_plain_text_spans_count_the_tokens_that_are_scored(tokenizer: Any) -> None:
    fact = Fact("1", "Al", "", "Al was born in Brimford.", value="Brimford")
    (row,) = encode(tokenizer, [fact])
    start, end = value_span(tokenizer, fact.answer, fact.value, after_question=False)
    assert tokenizer.decode(row.ids[row.n_prompt :][start:end]).strip(" .") == "Brimford"


def test_an_unknown_value_means_the_whole_answer(tokenizer: Any) -> None:
    whole = (0, len(answer_ids(tokenizer, "Al was born.")))
    assert value_span(tokenizer, "Al was born.", "") == value_span(tokenizer, "Al was born.", "Paris") == whole


def test_a_chat_model_is_asked_through_its_template(chat: Any) -> None:
    assert chat.decode(encode_prompt(chat, "Who?")) == "<s>Who? Answer: "
    fact = Fact("1", "Al", "Where?", "In Brimford.", value="Brimford")
    assert chat.decode(answer_ids(chat, fact.answer)) == "In Brimford."
    assert spelled(chat, fact).strip(" .") == "Brimford"


def test_plain_text_does_not_go_through_the_template(chat: Any) -> None:
    assert encode_prompt(chat, "") == [chat.bos_token_id]


def test_an_empty_answer_and_a_long_record_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InvalidData, match="empty answer"):
        encode(tokenizer, [Fact("1", "Al", "Where?", "")])
    with pytest.raises(InvalidData, match="empty answer"):
        encode(tokenizer, [Fact("1", "Al", "Where?", " \n")])
    with pytest.raises(InvalidData, match="more than 3 tokens"):
        encode(tokenizer, [Fact("1", "Al", "Where was Al born?", "In Brimford.")], max_length=3)


def test_a_tokenizer_that_closes_every_text_does_not_close_the_question() -> None:
    from tokenizers import processors

    closing = toy_tokenizer(["Where?"], 300)
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert closing("Where?").input_ids[-1] == closing.eos_token_id
    assert encode_prompt(closing, "Where?")[-1] != closing.eos_token_id


@pytest.mark.data
def test_values_are_spelled_with_a_published_tokenizer(data: Path) -> None:
    stories = load_tokenizer(data / "lm" / "tinystories-656k")
    for fact in facts(people(3)):
        # This tokenizer merges across words, so a token may bring the end of the word before along.
        assert fact.value in spelled(stories, fact)


def _fresh(template: str | None = None) -> Any:
    made = toy_tokenizer(["Where was Ada born? Ada was born in London."], vocab_size=300)
    made.chat_template = template
    return made


CLOSED = (
    "{% for m in messages %}{{ bos_token }}{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %} :{% endif %}"
)


def _another_end(tokenizer: Any) -> None:
    tokenizer.eos_token = "<pad>"


def _another_start(tokenizer: Any) -> None:
    tokenizer.bos_token = "<pad>"


def _another_template(tokenizer: Any) -> None:
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ m.content }}", "<pad>{{ m.content }}<pad>")


def _an_added_token(tokenizer: Any) -> None:
    tokenizer.add_tokens([" :"])


def _another_letter_case(tokenizer: Any) -> None:
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


CHANGES = [_another_end, _another_start, _another_template, _an_added_token, _another_letter_case]


@pytest.mark.parametrize("change", CHANGES)
def test_a_tokenizer_that_was_changed_is_read_again(change: Any) -> None:
    """As one that was changed before anything was read off it."""
    used, new = _fresh(CLOSED), _fresh(CLOSED)
    row = [Fact("1", "Ada", "Where was Ada born?", "In London.", value="London")]
    read = lambda t: (encode(t, row), question_part(t, encode_prompt(t, row[0].question)), end_ids(None, t))
    before = read(used)
    change(used)
    change(new)
    assert read(used) == read(new) != before


def test_nothing_read_off_a_tokenizer_keeps_it_alive() -> None:
    made = _fresh(CLOSED)
    encode(made, [Fact("1", "Ada", "Where was Ada born?", "In London.", value="London")])
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None
