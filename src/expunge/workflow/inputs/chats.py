"""A conversation as a question and its answer: the last turn is the answer, everything before it is the question.

One turn of the user is the question as it stands. Several become one text that the tokenizer's chat template turns into
exactly the ids of the conversation, where there is such a text; where there is none the row is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Turns = Sequence[Mapping[str, Any]]
Join = Callable[[Turns], str]  # what comes before the answer, as one question
_MARK = "zqquestionqz"


class Unclear(ValueError):
    """A conversation that cannot be read as one question and its answer. The message names no content."""


def question_and_answer(turns: Any, join: Join | None = None) -> tuple[str, str]:
    """Raises: Unclear, saying why.

    >>> question_and_answer([{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada."}])
    ('Who?', 'Ada.')
    """
    if not isinstance(turns, list | tuple) or not turns or not all(isinstance(turn, Mapping) for turn in turns):
        raise Unclear("messages is not a list of {role, content}")
    for k, turn in enumerate(turns, start=1):
        if not isinstance(turn.get("role"), str) or not isinstance(turn.get("content"), str):
            raise Unclear(f"message {k} has no role or content that is text")
        if turn.get("tool_calls"):
            raise Unclear(f"message {k} calls tools; there is no answer in words to forget")
    *before, last = turns
    if last["role"] != "assistant":
        raise Unclear(f"the last of {len(turns)} messages is not the assistant's; end with the answer that is meant")
    if not before or before[-1]["role"] == "assistant":
        raise Unclear("no question stands before the answer")
    if len(before) == 1 and before[0]["role"] == "user":
        return before[0]["content"], last["content"]
    if join is None:
        raise Unclear(f"{len(before)} messages come before the answer; only a model's own template can join them")
    return join(before), last["content"]


def joining(tokenizer: Any) -> Join:
    """Turns as the text that, asked as one question, gives the model the ids of these turns, neither more nor less."""

    from expunge.engine import encode_prompt

    def join(turns: Turns) -> str:
        n = len(turns)
        if not getattr(tokenizer, "chat_template", None):
            raise Unclear(
                f"{n} messages come before the answer, and the tokenizer has no chat template to join them with"
            )
        shown = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
        start, _, end = _rendered(tokenizer, [{"role": "user", "content": _MARK}]).partition(_MARK)
        whole = _rendered(tokenizer, shown)
        question = whole[len(start) : len(whole) - len(end)]
        fits = whole.startswith(start) and whole.endswith(end) and question.strip()
        if not fits or encode_prompt(tokenizer, question) != _ids(tokenizer, shown):
            roles = ", ".join(turn["role"] for turn in shown if turn["role"] in ("system", "user", "assistant", "tool"))
            raise Unclear(
                f"in this tokenizer's chat template the {n} messages before the answer ({roles}) are no question that a "
                "user could ask; keep the last question alone, or write what comes before into it"
            )
        return question

    return join


def _rendered(tokenizer: Any, turns: Any) -> str:
    from jinja2.exceptions import TemplateError

    from expunge.engine.text import written

    try:
        return str(written(tokenizer, turns, add_generation_prompt=True, tokenize=False))
    except TemplateError as e:
        raise Unclear(f"the tokenizer's chat template refuses these {len(turns)} messages") from e


def _ids(tokenizer: Any, turns: Any) -> list[int]:
    from expunge.engine.text import written

    return list(written(tokenizer, turns, add_generation_prompt=True, return_dict=False))
