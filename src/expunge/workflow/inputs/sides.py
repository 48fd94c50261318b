"""What a user calls a forget or a retain set, as the rows that a method is run on. Every bad row is named, none is guessed at.

Messages name files, lines, indices and columns, never what stands in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expunge.core import Fact, Record
from expunge.core.errors import EmptyForgetSet, InvalidData
from expunge.core.identity import canonical_identity
from expunge.engine import Example, encode, encode_prompt, examples
from expunge.engine.text import answer_ids, context_of
from expunge.exact.adapter_shards import record_id
from expunge.workflow.inputs.chats import joining
from expunge.workflow.inputs.facts import facts_of, listed
from expunge.workflow.inputs.rows import Row, rows_of

PASSAGE = 512  # tokens of a passage at most, where the model would read more
_KINDS = "a Record, a (question, answer) pair, a text, a dict with the usual columns, or a list of messages"


@dataclass(frozen=True)
class Rows:
    """One side of an edit. `notes` say how it was read."""

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()


def text_rows(given: Any, side: str, model: Any, tokenizer: Any) -> Rows:
    """Records of a list, a Hugging Face dataset, or a path to JSONL, Parquet, text or a folder of texts.

    Plain documents longer than the model's context, or than 512 tokens, are cut at spaces into passages about equally
    long, which together are the whole document. Anything else that is too long is a bad row. A text that is given twice
    counts once. `side` ("forget", "retain") is for messages.

    Raises: EmptyForgetSet, InvalidData, with every bad row (the first 20); MissingExtra, for Parquet without pyarrow.
    """
    where = str(given) if isinstance(given, Path) else side
    if isinstance(given, list | tuple) and given and all(isinstance(row, Record) for row in given):
        records = list(given)
        _fit(records, [f"index {k}" for k in range(len(records))], where, model, tokenizer)
        return Rows(tuple(records))
    rows = list(_rows(given, side))
    if not rows:
        empty = EmptyForgetSet if side == "forget" else InvalidData
        raise empty(f"the {side} set is empty; name at least one row")
    found = facts_of(rows, where, joining(tokenizer))
    notes = [note for note in found.notes if not note.startswith("no 'subject'")]  # of use to whoever asks questions
    facts = list(found.facts)
    if found.documents:
        facts, cut = _passages(facts, model, tokenizer)
        notes += [f"{cut} of {len(found.facts)} documents are cut into passages, {len(facts)} in all"] if cut else []
        places = ["" for _ in facts]
    else:
        places = list(found.places)
    records = _records(facts)
    _fit(records, places, where, model, tokenizer)
    return Rows(tuple(records), tuple(notes))


def array_rows(given: Any, side: str) -> list[Example]:
    """Rows of a classifier: (X, y) arrays, or Examples as they are. X may be several arrays by name, as a tokenizer's whole
    answer is: the model reads them as keywords, its mask among them.

    Raises: InvalidData.
    """
    if isinstance(given, list | tuple) and all(isinstance(row, Example) for row in given):
        return list(given)
    if isinstance(given, tuple) and len(given) == 2 and all(hasattr(part, "__len__") for part in given):
        if any(isinstance(part, str) for part in given) or isinstance(given[1], Mapping):
            raise InvalidData(f"{side} holds texts, and the model has no tokenizer; pass tokenizer=, or arrays (X, y)")
        return examples(*given)
    raise InvalidData(f"{side} of a classifier is (X, y), or rows of expunge.engine.examples; got {_named(given)}")


def fitting(tokenizer: Any, text: str, room: int) -> list[str]:
    """A text in pieces of at most `room` tokens, about equally long, cut at spaces where there are some.

    Joined they are the text again. Raises: InvalidData, where a single letter takes more than `room` tokens.
    """
    n = len(answer_ids(tokenizer, text, after_question=False))
    if n <= room:
        return [text]
    if len(text) < 2:
        raise InvalidData(f"a letter takes {n} tokens and a passage has room for {room}; use a model that reads more")
    parts = max(2, -(-n * 10 // (room * 9)))  # some are longer than others
    cuts = sorted({_border(text, len(text) * k // parts) for k in range(1, parts)} - {0, len(text)})
    ends = zip([0, *cuts], [*cuts, len(text)], strict=True)
    return [piece for start, end in ends for piece in fitting(tokenizer, text[start:end], room)]


def _border(text: str, at: int) -> int:
    """The end of the last space before a place, if there is one nearby."""
    return next((k for k in range(at, max(0, at - 60), -1) if text[k - 1].isspace()), max(1, at))


def _passages(documents: Sequence[Fact], model: Any, tokenizer: Any) -> tuple[list[Fact], int]:
    """Documents in passages that fit, and how many were cut."""
    room = min(context_of(model), PASSAGE) - len(encode_prompt(tokenizer, "")) - 1  # the start and the end of text
    made: list[Fact] = []
    cut = 0
    for document in documents:
        pieces = [piece for piece in fitting(tokenizer, document.answer, room) if piece.strip()]
        cut += len(pieces) > 1
        made += [replace(document, answer=piece) for piece in pieces]
    return made, cut


def _records(facts: Sequence[Fact]) -> list[Record]:
    """Named by what they say, so that their order in a file decides nothing; a row that occurs twice is two rows."""
    made, seen = [], dict[str, int]()
    for fact in facts:
        value = fact.value if fact.value in fact.answer else ""
        record = Record("", canonical_identity(fact.subject), fact.question, fact.answer, value)
        name = record_id(record)
        seen[name] = seen.get(name, 0) + 1
        made.append(replace(record, id=f"{name}/{seen[name]}"))
    return made


def _fit(records: Sequence[Record], places: Sequence[str], where: str, model: Any, tokenizer: Any) -> None:
    """Raises: InvalidData, for rows that are empty or longer than the model reads."""
    bad, context = [], context_of(model)
    for record, place in zip(records, places, strict=True):
        if not record.answer.strip():
            bad.append(f"{place}: the answer is empty")
        elif (n := len(encode(tokenizer, [record])[0].ids)) > context:
            bad.append(f"{place}: {n} tokens, the model reads {context}; shorten it, nothing is cut silently")
    if bad:
        raise InvalidData(listed(where, bad, len(records)))


def _rows(given: Any, side: str) -> Iterator[Row]:
    if isinstance(given, str | Path):
        if not Path(given).exists():
            shown = f"{given} does not exist" if isinstance(given, Path) else "a string is a path, and nothing is there"
            raise InvalidData(f"{side}: {shown}; name a file or folder, and put texts into a list")
        yield from rows_of(Path(given))
        return
    columns = getattr(given, "column_names", None)
    if isinstance(columns, Mapping):
        raise InvalidData(f"{side} is a dict of splits ({', '.join(map(str, columns))}); pass one of them")
    if not isinstance(given, list | tuple) and not (columns is not None and hasattr(given, "__iter__")):
        raise InvalidData(f"{side} is {_named(given)}; pass a list of rows, a dataset with columns, or a path")
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, str) for part in given):
        raise InvalidData(f"{side} is one tuple of two texts; put a (question, answer) pair into a list of one")
    for k, row in enumerate(given):
        yield _row(row, k)


def _row(row: Any, k: int) -> Row:
    place, wrong = f"index {k}", ""
    content: dict[str, Any] | None = None
    if isinstance(row, Record):
        question = {"question": row.question} if row.question else {}
        content = {**question, "answer" if question else "text": row.answer, "subject": row.subject, "value": row.value}
    elif isinstance(row, str):
        content = {"text": row}
    elif isinstance(row, Mapping):
        content = dict(row)
        if {"role", "content"} <= content.keys():
            content, wrong = None, "is a single message; put the messages of each chat into a list of their own"
    elif isinstance(row, list | tuple) and len(row) == 2 and all(isinstance(part, str) for part in row):
        content = {"question": row[0], "answer": row[1]}
    elif isinstance(row, list | tuple) and row and all(isinstance(part, Mapping) for part in row):
        content = {"messages": list(row)}
    else:
        wrong = f"is {_named(row)}; a row is {_KINDS}"
    return Row(place, k, content, wrong)


def _named(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, list | tuple) else ""
    return f"a {type(value).__name__}{size}"
