"""Read somebody's own data: questions with answers, chats, or plain documents. Every bad line is named, none is guessed at.

Messages name lines and columns, never what stands in them: the file is about people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.workflow.inputs.chats import Join, Unclear, question_and_answer
from expunge.workflow.inputs.rows import Row, rows_of

SHOWN = 20  # bad lines in a message
PAIRS = (
    ("question", "answer"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("input", "target"),
)
CHATS = ("messages", "prompt", "completion")
OPTIONAL = ("id", "subject", "value", "paraphrases", "perturbed", "adjacent")
_NEEDS = "needs question and answer (or prompt and response, instruction and output, input and target), or text"


@dataclass(frozen=True)
class Given:
    """What a file holds. `notes` say how it was read: columns taken for others, columns not used, lines left out.

    `places` are the lines of the facts.
    """

    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    documents: bool
    places: tuple[str, ...] = ()


class _Bad(ValueError):
    """What is wrong with a line."""


def read_facts(path: Path) -> Given:
    """Facts from JSONL, Parquet, text with a blank line between documents, or a folder of text files, one a document.

    Lines hold `question` and `answer`, under these or other usual names, and where known `value` (the part of the answer
    that carries the fact), `subject`, `paraphrases`, `perturbed`, `adjacent`; or `messages`; or `text` alone. Without a
    `value` an answer is scored by how many of its words come back. A repeated line counts once.

    Raises: InvalidData, with every bad line (the first 20); MissingExtra, for Parquet without pyarrow.
    """
    return facts_of(list(rows_of(path)), str(path))


def facts_of(rows: Sequence[Row], what: str, join: Join | None = None) -> Given:
    """Facts of rows that have been read; `what` names where they come from.

    Raises: InvalidData, with every bad row (the first 20).
    """
    if not rows:
        raise InvalidData(
            f"{what} holds no facts; write one JSON object a line, or documents with a blank line between"
        )
    spoken = [_spoken(row, join) for row in rows]
    pair = next((p for row in spoken if row.content is not None for p in [_pair(row.content)] if p), None)
    documents = pair is None
    facts: dict[str, Fact] = {}
    first: dict[tuple[str, str], str] = {}
    places: dict[str, str] = {}
    bad, repeated = [], 0
    for row in spoken:
        try:
            fact = _fact(row, pair)
            if fact.id in places:
                raise _Bad(f"the same id as {places[fact.id]}")
        except _Bad as e:
            bad.append(f"{row.place}: {e}")
            continue
        places[fact.id] = row.place
        if (fact.question, fact.answer) in first:
            repeated += 1
            continue
        first[(fact.question, fact.answer)] = row.place
        facts[fact.id] = fact
    if bad:
        raise InvalidData(listed(what, bad, len(rows)))
    notes = _notes(rows, pair, repeated, any(one is not row for one, row in zip(spoken, rows, strict=True)))
    return Given(tuple(facts.values()), tuple(notes), documents, tuple(places[name] for name in facts))


def _spoken(row: Row, join: Join | None) -> Row:
    """A row of messages as one of question and answer."""
    content = {k: v for k, v in (row.content or {}).items() if v is not None}
    halves = [content.get(name) for name in ("prompt", "completion")]
    if all(isinstance(half, list) for half in halves):
        content = {k: v for k, v in content.items() if k not in ("prompt", "completion")}
        content["messages"] = [turn for half in halves for turn in half]  # type: ignore[union-attr]
    if "messages" not in content:
        return row
    turns = content.pop("messages")
    if _pair(content) or "text" in content:
        return Row(row.place, row.number, None, "has messages and other texts; which is meant is open")
    try:
        question, answer = question_and_answer(turns, join)
    except Unclear as e:
        return Row(row.place, row.number, None, str(e))
    return Row(row.place, row.number, {**content, "question": question, "answer": answer})


def _pair(content: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in PAIRS if all(content.get(name) is not None for name in pair)), None)


def _fact(row: Row, pair: tuple[str, str] | None) -> Fact:
    """Raises: _Bad, with what is wrong."""
    if row.content is None:
        raise _Bad(row.wrong)
    content = {k: v for k, v in row.content.items() if v is not None}
    own = _pair(content)
    if pair is None:
        if "text" not in content:
            raise _Bad(_missing(content))
        question, answer = "", _text(content, "text")
    else:
        if own != pair and "text" in content and own is None:
            raise _Bad(f"a document among pairs of {pair[0]} and {pair[1]}; keep the two kinds in files of their own")
        if own != pair:
            raise _Bad(f"needs {pair[0]} and {pair[1]}, as lines before it have" if own else _missing(content, pair))
        if "text" in content:
            raise _Bad(f"has {pair[0]}, {pair[1]} and text; which is meant is open")
        if pair[0] == "instruction" and str(content.get("input", "")).strip():
            raise _Bad("has instruction and input; write the whole question into instruction")
        question, answer = _text(content, pair[0]), _text(content, pair[1])
    value = _text(content, "value", empty=True) if "value" in content else ""
    if value and value.casefold() not in answer.casefold():
        raise _Bad("its value does not stand in its answer")
    return Fact(
        id=_id(content, row.number),
        subject=_text(content, "subject", empty=True) if "subject" in content else "",
        question=question,
        answer=answer,
        value=value,
        paraphrases=tuple(_asked(content, "paraphrases", answer)),
        perturbed=tuple(_strings(content, "perturbed")),
        adjacent=tuple(_asked(content, "adjacent", None)),
    )


def _missing(content: Mapping[str, Any], pair: Sequence[str] = ()) -> str:
    absent = [name for name in pair if name not in content]
    if pair and len(absent) < len(pair):
        return f"{absent[0]} is missing"
    half = next((p for p in PAIRS if any(name in content for name in p)), None)
    if half:
        return f"{next(name for name in half if name not in content)} is missing"
    return _NEEDS


def _id(content: Mapping[str, Any], number: int) -> str:
    given = content.get("id", f"line-{number}")
    if isinstance(given, bool) or not isinstance(given, str | int) or given == "":
        raise _Bad("id is not text")
    return str(given)


def _text(content: Mapping[str, Any], name: str, empty: bool = False) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise _Bad(f"{name} is not text")
    if not empty and not value.strip():
        raise _Bad(f"{name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise _Bad(f"{name} holds half of a letter (a lone surrogate)") from e
    return value


def _strings(content: Mapping[str, Any], name: str) -> list[str]:
    value = content.get(name, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise _Bad(f"{name} is not a list of texts")
    return value


def _asked(content: Mapping[str, Any], name: str, answer: str | None) -> list[tuple[str, str]]:
    """Pairs of question and answer; a question alone takes the fact's own answer, where that makes sense."""
    entries, found = content.get(name, []), []
    if not isinstance(entries, list):
        raise _Bad(f"{name} is not a list")
    for entry in entries:
        if isinstance(entry, str) and answer is not None and entry.strip():
            found.append((entry, answer))
        elif (
            isinstance(entry, list | tuple) and len(entry) == 2 and all(isinstance(e, str) and e.strip() for e in entry)
        ):
            found.append((entry[0], entry[1]))
        else:
            raise _Bad(f"{name} is not a list of [question, answer] pairs")
    return found


def listed(what: str, bad: Sequence[str], n_rows: int) -> str:
    """One message for all bad lines."""
    more = f"\n  … and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    lines = "".join(f"\n  {line}" for line in bad[:SHOWN])
    return f"{what}: {len(bad)} of {n_rows} lines cannot be used; correct them, nothing was run{lines}{more}"


def _notes(rows: Sequence[Row], pair: tuple[str, str] | None, repeated: int, chats: bool) -> list[str]:
    notes = []
    if pair is not None and pair != PAIRS[0]:
        notes.append(f"reading '{pair[0]}' as the question and '{pair[1]}' as the answer")
    columns = list(dict.fromkeys(name for row in rows if row.content for name in row.content))
    if chats:
        notes.append("reading the last message of a chat as the answer, those before it as the question")
        columns = [name for name in columns if name not in CHATS]
    if unused := [name for name in columns if name not in (*OPTIONAL, *(pair or ("text",)))]:
        notes.append(f"not used: {', '.join(unused)}")
    if repeated:
        notes.append(f"{repeated} of {len(rows)} lines repeat an earlier one and count once")
    if pair is not None and "subject" not in columns:
        notes.append(
            "no 'subject' says whose a fact is: each counts as about somebody else; name it if several are about one"
        )
    return notes
