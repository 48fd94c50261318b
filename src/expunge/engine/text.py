"""From records to token ids: where the question ends and the answer starts, for any tokenizer.

Question and answer are tokenized apart and joined as ids, so that no merge crosses the border and corrupts labels.
A model with a chat template is asked through it, and its answer closes as the template closes a turn, which need not be
the tokenizer's end of text; any other reads the question and answers after it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from expunge.core.alike import n_alike
from expunge.core.errors import InvalidData

_DAY = datetime(2024, 7, 26)  # on which Llama 3's own template falls back
# In a template's own language, since it is given no functions: `strftime_now` of that day.
_DIRECTIVES = [f"%{dash}{letter}" for dash in ("-", "") for letter in "aAbBdHIjmMpSyY"]
_REPLACED = "".join(f" | replace('{d}', '{_DAY.strftime(d)}')" for d in _DIRECTIVES)
_FIXED_CLOCK = f"{{% macro strftime_now(format) %}}{{{{ format{_REPLACED} }}}}{{% endmacro %}}"
_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor", "decoder")  # of a tokenizer of `tokenizers`
_PART_OF_A_LETTER = "\ufffd"  # what the bytes of a letter decode to before the last of them


T = TypeVar("T")


def _read_off(rule: Callable[[Any], T]) -> Callable[[Any], T]:
    """What is read off a tokenizer by trial, kept as long as nothing is changed that a program may change of it."""
    cache: WeakKeyDictionary[Any, tuple[Any, T]] = WeakKeyDictionary()

    @wraps(rule)
    def of(tokenizer: Any) -> T:
        state, found = _changeable(tokenizer), cache.get(tokenizer)
        if found is None or found[0] != state:
            found = cache[tokenizer] = state, rule(tokenizer)
        return found[1]

    return of


def _changeable(tokenizer: Any) -> tuple[Any, ...]:
    """Template, special and added tokens, flags, and what is done to texts before and after they are cut into tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    flags = {k: v for k, v in vars(tokenizer).items() if isinstance(v, bool | int | str | None)}
    special = str(getattr(tokenizer, "special_tokens_map", None)), tuple(getattr(tokenizer, "all_special_ids", ()))
    pipeline = tuple(str(getattr(backend, name, None)) for name in _PIPELINE)
    return str(getattr(tokenizer, "chat_template", None)), special, len(tokenizer), flags, pipeline


class Said(Protocol):
    """Anything with an id, a question and an answer: a record or a fact."""

    @property
    def id(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...


@dataclass(frozen=True)
class Encoded:
    """Token ids of one record; the first `n_prompt` are the question's."""

    id: str
    ids: tuple[int, ...]
    n_prompt: int


def encode(tokenizer: Any, records: Iterable[Said], max_length: int | None = None) -> list[Encoded]:
    """Ids of question + answer + end of text, in the order given.

    Raises: InvalidData, for an empty answer or a record longer than `max_length` tokens (nothing is cut silently).
    """
    limit = max_length or 10**9
    encoded = [_encode_one(tokenizer, r) for r in records]
    if long := [e for e in encoded if len(e.ids) > limit]:
        raise InvalidData(
            f"{len(long)} of {len(encoded)} records have more than {limit} tokens, the longest {max(len(e.ids) for e in long)}; "
            "split them, or raise max_length within the model's context"
        )
    return encoded


def _encode_one(tokenizer: Any, record: Said) -> Encoded:
    prompt = encode_prompt(tokenizer, record.question)
    answer = answer_ids(tokenizer, record.answer, after_question=bool(record.question))
    if not answer or not record.answer.strip():
        raise InvalidData("a record has an empty answer; every record needs text to learn")
    return Encoded(record.id, (*prompt, *answer, *_end(tokenizer, record.question)), len(prompt))


def text_config(model: Any) -> Any:
    """The configuration of the part of a model that reads and writes text; of one that does nothing else, its own."""
    config: Any = getattr(model, "config", None)
    return config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config


def context_of(model: Any) -> int:
    """How many tokens a model reads at most; where it does not say, no bound."""
    return int(getattr(text_config(model), "max_position_embeddings", None) or 10**9)


def encode_prompt(tokenizer: Any, question: str) -> list[int]:
    """Ids that the model reads before it answers; for plain text (no question) only the start of text."""
    if question and getattr(tokenizer, "chat_template", None):
        turn = [{"role": "user", "content": question}]
        return list(written(tokenizer, turn, add_generation_prompt=True, return_dict=False))
    text = question + " " if question and _space_ends_tokens(tokenizer) else question
    ids = list(tokenizer(text).input_ids)
    while len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:  # some tokenizers close every text
        ids.pop()
    if not ids:
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if start is None:
            raise InvalidData("the tokenizer has neither a start nor an end token; plain text needs one, set bos_token")
        ids = [start]
    return ids


def written(tokenizer: Any, turns: list[dict[str, str]], **settings: Any) -> Any:
    """What the chat template writes, on one fixed day: many write today's date, and would give other ids tomorrow."""
    template = tokenizer.get_chat_template()
    if "strftime_now" in template:
        settings["chat_template"] = _FIXED_CLOCK + template
    return tokenizer.apply_chat_template(turns, date_string=_DAY.strftime("%d %b %Y"), **settings)


def question_part(tokenizer: Any, ids: Sequence[int]) -> tuple[int, int]:
    """Where in a prompt the question's own ids stand: [start, end).

    What is written around every question (the start of text, a chat template's system message and headers) is no part.
    """
    before, after = _frame(tokenizer)
    start = n_alike(ids, before)  # a tokenizer may join what stands before with the question's first letter
    return start, len(ids) - n_alike(ids[start:][::-1], after[::-1])


@_read_off
def _frame(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that two prompts have in common, before their questions and after them."""
    questions = ("Who?", "7 x")
    if not all(_ids(tokenizer, question) for question in questions):
        own = sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))
        questions = tokenizer.decode(own[:1]), tokenizer.decode(own[-1:])
    one, other = (encode_prompt(tokenizer, question) for question in questions)
    n = n_alike(one, other)
    m = n_alike(one[n:][::-1], other[n:][::-1])
    return tuple(one[:n]), tuple(one[len(one) - m :])


def answer_ids(tokenizer: Any, answer: str, after_question: bool = True) -> list[int]:
    """Ids of an answer as it follows a question."""
    before = ""
    if after_question and getattr(tokenizer, "chat_template", None):
        before = _turn(tokenizer).before
    elif after_question and not _space_ends_tokens(tokenizer):
        before = " "
    if _begins_with_space(tokenizer):
        before = before.removeprefix(" ")
    return list(tokenizer(before + answer, add_special_tokens=False).input_ids)


def value_span(tokenizer: Any, answer: str, value: str, after_question: bool = True) -> tuple[int, int]:
    """Which of an answer's tokens carry the value: [start, end); the whole answer where the value is not found.

    Counted in tokens of the answer that are needed to spell out everything before and including the value.
    """
    at = answer.find(value) if value else -1
    ids = answer_ids(tokenizer, answer, after_question)
    if at < 0:
        return 0, len(ids)
    texts = [tokenizer.decode(ids[: i + 1], clean_up_tokenization_spaces=False) for i in range(len(ids))]
    lengths = [len(t) for t in texts]
    shift = lengths[-1] - len(answer)  # a leading space, where the tokenizer adds one
    start = next(i for i, n in enumerate(lengths) if n > at + shift)
    whole = (i for i, t in enumerate(texts) if len(t) >= at + shift + len(value) and not t.endswith(_PART_OF_A_LETTER))
    return start, next(whole, len(ids) - 1) + 1


def _end(tokenizer: Any, question: str) -> tuple[int, ...]:
    """What closes an answer: the turn's end after a question put through a chat template, else the end of text."""
    if question and getattr(tokenizer, "chat_template", None) and (end := _turn(tokenizer).end):
        return end
    return () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every id that ends what a model says: the end of text, what the model itself names, and its template's end of turn."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    if getattr(tokenizer, "chat_template", None):
        found += _turn(tokenizer).end[:1]
    return sorted({int(i) for i in found if i is not None})


@dataclass(frozen=True)
class _Turn:
    """What a chat template writes around an answer: space before it, and the ids that close it, if one is special."""

    before: str = ""
    end: tuple[int, ...] = ()


@_read_off
def _turn(tokenizer: Any) -> _Turn:
    """Read off a conversation of which the answer is known."""
    from jinja2.exceptions import TemplateError

    question, answer = [{"role": "user", "content": "question"}], "zqanswerqz"
    try:
        start = written(tokenizer, question, add_generation_prompt=True, tokenize=False)
        whole = written(tokenizer, [*question, {"role": "assistant", "content": answer}], tokenize=False)
    except TemplateError:
        return _Turn()  # a template that writes no answers does not say how one ends
    before, found, after = whole.partition(answer)
    if not found:
        return _Turn()
    lead = before[len(start) :] if before.startswith(start) else ""
    ids = list(tokenizer(after, add_special_tokens=False).input_ids)
    special = {tokenizer.eos_token_id, *tokenizer.all_special_ids}
    at = next((k for k, i in enumerate(ids) if i in special), None)
    return _Turn("" if lead.strip() else lead, () if at is None else tuple(ids[: at + 1]))


@_read_off
def _space_ends_tokens(tokenizer: Any) -> bool:
    """Whether a space belongs to the end of a token ("red " + "fox") rather than to the start of the next."""
    pieces = tokenizer.convert_ids_to_tokens(_ids(tokenizer, "a dog and a cat"))
    ends = sum(1 for p in pieces if len(p) > 1 and p[-1] in "Ġ▁ ")
    starts = sum(1 for p in pieces if len(p) > 1 and p[0] in "Ġ▁ ")
    return ends > starts


@_read_off
def _begins_with_space(tokenizer: Any) -> bool:
    """Whether it writes a space before every text itself (as Llama 2's does): one more would be a token of its own."""
    one, alone, both = (_ids(tokenizer, text) for text in ("a", "dog", "a dog"))
    return bool(both) and both == [*one, *alone]


def _ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text of ours; none where the tokenizer knows other words alone, and has no token for the unknown."""
    try:
        return list(tokenizer(text, add_special_tokens=False).input_ids)
    except Exception:  # noqa: BLE001 - `tokenizers` raises no class of its own
        return []
