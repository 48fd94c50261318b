"""Which tokens of an answer tell something, that is, show that a model knows what it was taught.

Most of a sentence follows from its question and from any other sentence like it: under teacher forcing a wrecked model, and one
that never heard of anybody, still says "was born in" and the name it was asked about. What tells is the value, where a record
names one; else the words that neither the question nor many of the other answers hold; and of these the token at which they
begin, for what follows spells what was begun.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expunge.engine import Encoded, value_span

COMMON = 0.03  # of the other answers: what more of them hold is how one answers, not what


def telling_tokens(tokenizer: Any, rows: Sequence[Encoded], records: Mapping[str, Any]) -> list[list[bool]]:
    """For each row which of its answer's tokens tell something; all of them, where no row has one that does.

    `records` hold the rows' values by id; a row without a record has none.
    """
    pieces = _pieces(tokenizer, rows)
    found = []
    for row, rare in zip(rows, _rare_pieces(rows, pieces), strict=True):
        answer = row.ids[row.n_prompt :]
        if span := _value_span(tokenizer, records.get(row.id)):
            found.append([k == span[0] for k in range(len(answer))])
        else:
            tells = [pieces[token] in rare for token in answer]
            found.append([now and not before for before, now in zip([False, *tells], tells, strict=False)])
    if not any(map(any, found)):
        return [[True] * (len(row.ids) - row.n_prompt) for row in rows]
    return found


def telling_words(records: Sequence[Any]) -> list[set[str]]:
    """For each record the words that an answer in the model's own words must hold; none, where nothing tells.

    >>> from expunge.core import Record
    >>> asked = [("Where was Ada born?", "Ada was born in Oslo."), ("Where was Bo born?", "Bo was born in Rome.")]
    >>> telling_words([Record(str(i), "", q, a) for i, (q, a) in enumerate(asked)])
    [{'oslo'}, {'rome'}]
    """
    answers = [words(r.value if _names_value(r) else r.answer) for r in records]
    questions = [set[str]() if _names_value(r) else words(r.question) for r in records]
    return _rare(answers, questions, [_names_value(r) for r in records])


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _rare_pieces(rows: Sequence[Encoded], pieces: Mapping[int, str]) -> list[set[str]]:
    answers = [{pieces[token] for token in row.ids[row.n_prompt :]} - {""} for row in rows]
    questions = [{pieces[token] for token in row.ids[: row.n_prompt]} for row in rows]
    return _rare(answers, questions, [False] * len(rows))


def _rare(answers: Sequence[set[str]], questions: Sequence[set[str]], whole: Sequence[bool]) -> list[set[str]]:
    """What each answer holds that its question and more than a part of the other answers do not; some stay `whole`."""
    held = Counter(one for answer in answers for one in answer)
    most = 1 + COMMON * (len(answers) - 1)
    return [
        set(answer) if all_of_it else {one for one in answer - question if held[one] <= most}
        for answer, question, all_of_it in zip(answers, questions, whole, strict=True)
    ]


def _pieces(tokenizer: Any, rows: Iterable[Encoded]) -> dict[int, str]:
    """What each token writes, alike in any case and with or without a space; nothing for punctuation and special tokens."""
    special = set(tokenizer.all_special_ids)
    tokens = sorted({token for row in rows for token in row.ids})
    texts = {token: "" if token in special else tokenizer.decode([token]).strip().casefold() for token in tokens}
    return {token: text if re.search(r"\w", text) else "" for token, text in texts.items()}


def _value_span(tokenizer: Any, record: Any) -> tuple[int, int] | None:
    if record is None or not _names_value(record):
        return None
    return value_span(tokenizer, record.answer, record.value, after_question=bool(record.question))


def _names_value(record: Any) -> bool:
    return bool(record.value) and record.value in record.answer
